"""Loading frozen encoders from the hub or a folder, and on what and in which arithmetic they run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...errors import EncoderError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

# Chinese RoBERTa checkpoints are of the BERT class; the papers and their readers call the feature roberta.
_FEATURE_NAMES = {"bert": "roberta", "xlm-roberta": "roberta", "xlm-roberta-xl": "roberta"}

_MOST_TOKENS = 512  # that encoders of text take, where a tokenizer does not say
_PREPROCESSOR = "preprocessor_config.json"
_HUB_ID = re.compile(r"\w[\w.-]*(/[\w.-]+)?")

# Parameters that AutoModel may lack without any effect on hidden states.
_UNUSED_PARAMETERS = ("masked_spec_embed", "pooler.", "position_ids")


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


def batch_rows_on(device: torch.device) -> int:
    """Frames or tokens that are computed at once, at most."""
    # A CPU is busy with one segment, and a segment computed alone has the same bits whatever is computed beside it.
    return 1 if device.type == "cpu" else 32_000


def load_model(source: str, option: str) -> tuple[nn.Module, str | None, dict]:
    """The model in float32, the commit it came from if it came from the hub, and the arguments that load just that.

    Raises EncoderError.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # What torch says of WavLM's own attention concerns those who write it, not those who use it.
    warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask and attn_mask")
    revision, where = place_of_model(source, option)
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


def stated_rate(source: str, where: dict) -> int | None:
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


def load_tokenizer(source: str, where: dict):
    """The tokenizer of an encoder; ``where`` is what ``load_model`` says. Raises EncoderError."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False, use_fast=True, **where)
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(f"{source}: has no usable tokenizer ({_first_line(error)})") from error


def tokenizer_of(source: str, option: str):
    """The tokenizer of an encoder, the commit it came from if it came from the hub, and a digest of what it does.

    Raises EncoderError.
    """
    revision, where = place_of_model(source, option)
    tokenizer = load_tokenizer(source, where)
    digest = hashlib.sha256()
    _add_tokenizer(digest, tokenizer)
    return tokenizer, revision, digest.hexdigest()[:32]


def token_numbers_by(source: str, option: str) -> Callable[[str], list[int]]:
    """What makes of a text the numbers of its tokens, special ones included, up to what the encoder takes.

    Raises EncoderError.
    """
    tokenizer = load_tokenizer(source, place_of_model(source, option)[1])
    most = min(tokenizer.model_max_length, _MOST_TOKENS)
    return lambda text: tokenizer(text, truncation=True, max_length=most)["input_ids"]


def place_of_model(source: str, option: str) -> tuple[str | None, dict]:
    """The commit of a hub id (None for a folder), and the arguments that make transformers load just that.

    Raises EncoderError where it is neither.
    """
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


def weights_digest(model: nn.Module, tokenizer=None) -> str:
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
        _add_tokenizer(digest, tokenizer)
    return digest.hexdigest()[:32]


def _add_tokenizer(digest, tokenizer) -> None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    state = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    digest.update(state.encode())
