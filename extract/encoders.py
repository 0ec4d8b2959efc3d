"""Frozen encoders: loading them, stating their specs, and the computation that defines their features.

Letters in shapes: B segments of a batch, S samples, T frames or tokens, d width of the encoder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..errors import AudioError, EncoderError
from ..features.spec import FeatureSpec, known_rate
from .sound.audio import NORMALISATION
from .rate import TrainedRate
from .exact.valid import valid_frames, valid_tokens

PADDING = "zeros to the longest input, attention mask, valid frames kept"
TEXT_PADDING = "none: valid tokens only"

# Chinese RoBERTa checkpoints are of the BERT class; the papers and their readers call the feature roberta.
_FEATURE_NAMES = {"bert": "roberta", "xlm-roberta": "roberta", "xlm-roberta-xl": "roberta"}

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_PREPROCESSOR = "preprocessor_config.json"
_HUB_ID = re.compile(r"\w[\w.-]*(/[\w.-]+)?")

# Parameters that AutoModel may lack without any effect on hidden states.
_UNUSED_PARAMETERS = ("masked_spec_embed", "pooler.", "position_ids")


@dataclass(frozen=True)
class AudioModel:
    """A model for waveforms, as it was loaded."""

    source: str
    """Hub id or folder, as the user gave it."""

    module: nn.Module

    revision: str | None
    """The commit it came from if it came from the hub."""

    rate: TrainedRate
    """At which it was trained."""

    @classmethod
    def load(cls, source: str) -> AudioModel:
        """Load from a hub id or a folder.

        Raises EncoderError when it is neither, is no audio encoder, or lacks weights.
        """
        module, revision, where = _load_model(source, "--audio-encoder")
        if not hasattr(module, "feature_extractor") or not hasattr(module, "_get_feat_extract_output_lengths"):
            raise EncoderError(
                f"{source}: is a {type(module).__name__}, which takes no waveform;"
                " --audio-encoder wants a HuBERT, wav2vec2 or WavLM"
            )
        stated = _stated_rate(source, where)
        rate = TrainedRate(stated or known_rate(type(module).__name__), is_stated=stated is not None)
        return cls(source, module, revision, rate)


class AudioEncoder:
    """A HuBERT-like model: a convolutional front end, a projection, a transformer."""

    def __init__(self, model: nn.Module, spec: FeatureSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self.model = model.to(device).eval()
        self.batch_rows = _batch_rows(device)
        self._valid = valid_frames(self.model, spec.sample_rate, spec.max_samples, _DTYPES[spec.precision])

    @property
    def batches_matter(self) -> bool:
        """Whether rounding depends on what else is in the batch, as the choice of a GPU's kernels does."""
        return self.device.type != "cpu"

    @property
    def computes_padding(self) -> bool:
        """Whether features can only be had by the padded computation, because the shortcut could not be proved."""
        return self._valid is None

    @classmethod
    def load(
        cls, source: str, *, sample_rate: int, max_seconds: float, device: torch.device, precision: str
    ) -> AudioEncoder:
        """Load from a hub id or a folder, to be given audio of ``sample_rate`` hertz.

        Raises EncoderError when it is neither, is no audio encoder, or lacks weights.
        """
        return cls.of(
            AudioModel.load(source),
            sample_rate=sample_rate,
            max_seconds=max_seconds,
            device=device,
            precision=precision,
        )

    @classmethod
    def of(
        cls, loaded: AudioModel, *, sample_rate: int, max_seconds: float, device: torch.device, precision: str
    ) -> AudioEncoder:
        """The encoder that a loaded model is. Raises EncoderError when the longest input is too short for a frame."""
        model, source = loaded.module, loaded.source
        max_samples = round(max_seconds * sample_rate)
        max_rows = int(model._get_feat_extract_output_lengths(max_samples))
        if max_rows < 1:
            raise EncoderError(
                f"{source}: makes no frame of {max_samples} samples; raise --max-seconds or --sample-rate"
            )
        spec = FeatureSpec(
            modality="audio",
            encoder=str(source),
            encoder_class=type(model).__name__,
            revision=loaded.revision,
            weights=_digest(model),
            width=model.config.hidden_size,
            max_rows=max_rows,
            sample_rate=sample_rate,
            max_samples=max_samples,
            normalisation=NORMALISATION,
            padding=PADDING,
            precision=precision,
            encoder_rate=loaded.rate.hertz,
        )
        return cls(model, spec, device)

    def frames(self, samples: int) -> int:
        """Valid frames of a segment of so many samples, by the encoder's convolutions; 0 when it is too short."""
        return max(0, int(self.model._get_feat_extract_output_lengths(min(samples, self.spec.max_samples))))

    @torch.inference_mode()
    def encode_padded(self, samples: np.ndarray) -> torch.Tensor:
        """The definition: (S,) normalised samples, padded to the longest input -> (T, d) valid frames, float32.

        Raises AudioError when the segment is shorter than one frame.
        """
        samples = samples[: self.spec.max_samples]
        frames = self.frames(len(samples))
        if not frames:
            raise AudioError(f"is too short: {len(samples)} samples at {self.spec.sample_rate} Hz make no frame")
        padded = torch.zeros(1, self.spec.max_samples, device=self.device)
        padded[0, : len(samples)] = torch.from_numpy(samples)
        mask = torch.zeros(1, self.spec.max_samples, dtype=torch.long, device=self.device)
        mask[0, : len(samples)] = 1
        with arithmetic(self.spec.precision, self.device):
            hidden = self.model(padded, attention_mask=mask).last_hidden_state  # (1, S) -> (1, T, d)
        return hidden[0, :frames].float()

    @torch.inference_mode()
    def encode(self, batch: Sequence[np.ndarray]) -> list[torch.Tensor]:
        """B segments of (S,) normalised samples, each at least a frame long -> their valid frames, each (T, d) float32.

        No padding is computed (see valid.py), unless the shortcut could not be proved for this encoder.
        """
        if self._valid is None:
            return [self.encode_padded(samples) for samples in batch]
        cut = [torch.from_numpy(samples[: self.spec.max_samples]) for samples in batch]
        if self.device.type == "cuda":
            cut = [samples.pin_memory().to(self.device, non_blocking=True) for samples in cut]
        return self._valid(cut, [self.frames(len(samples)) for samples in cut])


class TextEncoder:
    """A BERT-like model and its tokenizer."""

    def __init__(self, model: nn.Module, tokenizer, spec: FeatureSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self.tokenizer = tokenizer
        self.model = model.to(device).eval()
        self.batch_rows = _batch_rows(device)
        self._valid = valid_tokens(self.model, _DTYPES[spec.precision])

    @classmethod
    def load(cls, source: str, *, max_tokens: int, device: torch.device, precision: str) -> TextEncoder:
        """Load from a hub id or a folder.

        Raises EncoderError when it is neither, is no text encoder, lacks weights or a tokenizer, or takes fewer tokens.
        """
        model, revision, where = _load_model(source, "--text-encoder")
        if hasattr(model, "feature_extractor") or not hasattr(model.config, "vocab_size"):
            raise EncoderError(
                f"{source}: is a {type(model).__name__}, which takes no tokens; --text-encoder wants a BERT or RoBERTa"
            )
        tokenizer = _load_tokenizer(source, where)
        if len(tokenizer) > model.config.vocab_size:
            raise EncoderError(
                f"{source}: the tokenizer has {len(tokenizer)} tokens, the model knows {model.config.vocab_size};"
                " they do not belong together"
            )
        positions = getattr(model.config, "max_position_embeddings", max_tokens)
        # RoBERTa counts positions from the padding index + 1.
        usable = positions - (model.config.pad_token_id + 1 if "roberta" in model.config.model_type else 0)
        if max_tokens > usable:
            raise EncoderError(f"{source}: takes {usable} tokens at most, but --max-tokens is {max_tokens}")
        spec = FeatureSpec(
            modality="text",
            encoder=str(source),
            encoder_class=type(model).__name__,
            revision=revision,
            weights=_digest(model, tokenizer),
            width=model.config.hidden_size,
            max_rows=max_tokens,
            padding=TEXT_PADDING,
            precision=precision,
        )
        return cls(model, tokenizer, spec, device)

    @property
    def batches_matter(self) -> bool:
        """Whether rounding depends on what else is in the batch, as the choice of a GPU's kernels does."""
        return self.device.type != "cpu"

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, not yet cut at the longest input."""
        if not len(texts):
            return []
        return self.tokenizer(list(texts), add_special_tokens=True, verbose=False)["input_ids"]

    def cut(self, tokens: Sequence[int]) -> list[int]:
        """Tokens cut at the longest input, the closing special token kept."""
        limit = self.spec.max_rows
        return list(tokens) if len(tokens) <= limit else [*tokens[: limit - 1], tokens[-1]]

    @torch.inference_mode()
    def encode_alone(self, tokens: Sequence[int]) -> torch.Tensor:
        """The definition: the valid tokens of one text -> (T, d), float32."""
        ids = torch.tensor([list(tokens)], device=self.device)
        with arithmetic(self.spec.precision, self.device):
            hidden = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return hidden[0].float()

    @torch.inference_mode()
    def encode(self, batch: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """B texts as token ids -> their valid tokens, each (T, d) float32."""
        if self._valid is None:
            return [self.encode_alone(tokens) for tokens in batch]
        return self._valid([torch.tensor(tokens, device=self.device) for tokens in batch])


def feature_name(model: nn.Module) -> str:
    """What a store calls the feature of this encoder, such as ``hubert`` or ``roberta``."""
    kind = model.config.model_type
    return _FEATURE_NAMES.get(kind, kind)


def choose_device(name: str) -> torch.device:
    """``auto`` is a GPU where there is one. Raises EncoderError when a GPU is asked for and there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise EncoderError("there is no usable GPU here; use --device cpu or --device auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        # TensorFloat-32 rounds the inputs of float32 products to 10 bits: such features would be called float32 and not be it.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return torch.device(name)


def native_precision(device: torch.device) -> str:
    """``bfloat16`` where the device multiplies it natively, else ``float32``."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    # These two probes are the only way torch offers to ask a CPU.
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bfloat16" if any(probe and probe() for probe in probes) else "float32"


def arithmetic(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Run a model in bfloat16 (normalisations and softmax stay in float32), or leave it in float32."""
    if precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def as_stored(values: torch.Tensor) -> np.ndarray:
    """(T, d) features as the store holds them, float16; infinite where float16 does not reach."""
    return values.to(torch.float16).cpu().numpy()


def in_halves(encode: Callable, batch: Sequence) -> list[torch.Tensor]:
    """``encode`` a batch; where a GPU's memory does not suffice, half of it at a time."""
    try:
        return encode(batch)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise EncoderError(
                "the GPU's memory does not suffice for one segment; use --device cpu or a shorter --max-seconds"
            ) from None
    torch.cuda.empty_cache()
    half = len(batch) // 2
    return in_halves(encode, batch[:half]) + in_halves(encode, batch[half:])


def _batch_rows(device: torch.device) -> int:
    # A CPU is busy with one segment, and a segment computed alone has the same bits whatever is computed beside it.
    return 1 if device.type == "cpu" else 32_000


def _load_model(source: str, option: str) -> tuple[nn.Module, str | None, dict]:
    """The model in float32, the commit it came from if it came from the hub, and the arguments that load just that."""
    from transformers import AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    revision, where = _locate(source, option)
    try:
        model, report = AutoModel.from_pretrained(
            source, dtype=torch.float32, trust_remote_code=False, output_loading_info=True, **where
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise EncoderError(
            f"{source}: cannot be loaded as an encoder ({_first_line(error)}); {option} wants a hub id or a folder"
        ) from error
    missing = [name for name in report["missing_keys"] if not any(unused in name for unused in _UNUSED_PARAMETERS)]
    if missing or report.get("mismatched_keys"):
        names = ", ".join(sorted(missing or map(str, report["mismatched_keys"]))[:3])
        raise EncoderError(
            f"{source}: the weights lack or misfit {names}, …; they would be random, so the encoder is not used"
        )
    return model, revision, where


def _stated_rate(source: str, where: dict) -> int | None:
    """Hertz that the encoder's preprocessor_config.json names; None without one."""
    from transformers.utils import cached_file

    try:
        path = cached_file(
            source,
            _PREPROCESSOR,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
            **where,
        )
        rate = json.loads(Path(path).read_text(encoding="utf-8")).get("sampling_rate") if path else None
    except (OSError, ValueError, AttributeError) as error:
        raise EncoderError(f"{source}: its {_PREPROCESSOR} cannot be read ({_first_line(error)})") from error
    if rate is not None and (type(rate) is not int or rate < 1000):
        raise EncoderError(f"{source}: its {_PREPROCESSOR} names a sampling_rate of {rate!r}, which is none in hertz")
    return rate


def _load_tokenizer(source: str, where: dict):
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False, use_fast=True, **where)
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(f"{source}: has no usable tokenizer ({_first_line(error)})") from error


def _locate(source: str, option: str) -> tuple[str | None, dict]:
    """The commit of a hub id (None for a folder), and the arguments that make transformers load just that."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise EncoderError(f"{source}: is not an encoder folder: it has no config.json")
        return None, {"local_files_only": True}
    if folder.exists() or not _HUB_ID.fullmatch(source):
        raise EncoderError(f"{source}: there is no such encoder folder; {option} wants a hub id or a folder")
    return _hub_revision(source, option)


def _hub_revision(source: str, option: str) -> tuple[str, dict]:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        if os.environ.get("HF_HUB_OFFLINE", "0") not in ("1", "ON", "YES", "TRUE"):
            commit = HfApi().model_info(source, timeout=10).sha
            return commit, {"revision": commit}
        raise ConnectionError("HF_HUB_OFFLINE is set")
    except HfHubHTTPError as error:
        raise EncoderError(
            f"{source}: the hub does not give this encoder ({_first_line(error)}); check the name given to {option}"
        ) from error
    except Exception as error:  # whatever the network library of the day raises when nobody answers
        with contextlib.suppress(LocalEntryNotFoundError):
            commit = Path(snapshot_download(source, local_files_only=True)).name
            return commit, {"revision": commit, "local_files_only": True}
        raise EncoderError(
            f"{source}: the hub cannot be reached ({_first_line(error)}), and there is no such folder; download the encoder"
            f" where there is a network (hf download {source} --local-dir FOLDER) and pass {option} FOLDER"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".")[:200] if lines else type(error).__name__


def _digest(model: nn.Module, tokenizer=None) -> str:
    """Hash of the configuration's numbers, every parameter, and the tokenizer: equal wherever the files lie."""
    digest = hashlib.sha256()
    settings = model.config.to_dict()
    for name in ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures"):
        settings.pop(name, None)
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, values in sorted(model.state_dict().items()):
        if any(unused in name for unused in _UNUSED_PARAMETERS):
            continue
        digest.update(f"{name} {tuple(values.shape)}".encode())
        digest.update(np.ascontiguousarray(values.detach().float().cpu().numpy()))
    if tokenizer is not None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        state = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
        digest.update(state.encode())
    return digest.hexdigest()[:32]
