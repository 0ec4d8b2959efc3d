"""Features of speech: what a HuBERT, wav2vec2, WavLM, data2vec or UniSpeech makes of a segment's samples.

Letters in shapes: B segments of a batch, S samples, T frames, d width of the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from ...errors import AudioError, EncoderError, SettingError, shown
from ...features.spec import FeatureSpec, known_rate
from ..exact.transformer import LAST
from ..exact.valid import Hidden, asks_inside, hidden_of, valid_frames
from ..rate import TrainedRate, choose_rate, remarks_on
from ..sound.audio import NORMALISATION
from . import finetuned, hearing
from .contract import Extractor, Job, Loaded, Material, Setup
from .hearing import Content, Hearing, HearingOptions
from .layers import Chosen, check_asked, chosen_layers
from .loading import DTYPES, arithmetic, batch_rows_on, feature_name, in_halves, load_model, stated_rate, weights_digest

POOLS = ("none", "mean")
PADDING = "zeros to the longest input, attention mask, valid frames kept"

_TRIAL_SAMPLES = 16_000  # of noise, which tell whether two hidden states are one


@dataclass(frozen=True)
class SpeechOptions(HearingOptions):
    """What a feature of speech is asked to be."""

    encoder: str = "TencentGameMate/chinese-hubert-base"
    """Encoder of speech: a hub id, or a folder that holds config.json and weights."""

    layers: tuple[int, ...] = ()
    """Hidden states that are kept, each a feature of its own called NAME-layerI: 0 is what enters the first layer, -1
    what the encoder calls its last; none for the last alone, called NAME."""

    join: bool = False
    """Put the layers side by side in one feature, in the order given."""

    pool: str = "none"
    """What is kept of the frames: none keeps each, mean their mean, one vector of each layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_asked(self.layers, self.join)
        if self.pool not in POOLS:
            raise SettingError(f"pool must be {' or '.join(POOLS)}, but is {shown(self.pool)}")


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
    def load(cls, source: str, option: str = "--audio-encoder") -> AudioModel:
        """Load from a hub id or a folder, which errors say that an ``option`` names.

        Raises EncoderError when it is neither, is no audio encoder, or lacks weights.
        """
        module, revision, where = load_model(source, option)
        if not hasattr(module, "feature_extractor") or not hasattr(module, "_get_feat_extract_output_lengths"):
            raise EncoderError(
                f"{source}: is a {type(module).__name__}, which takes no waveform;"
                f" {option} wants a HuBERT, wav2vec2 or WavLM"
            )
        stated = stated_rate(source, where)
        rate = TrainedRate(stated or known_rate(type(module).__name__), is_stated=stated is not None)
        return cls(source, module, revision, rate)


@dataclass(frozen=True)
class FrameCount:
    """How many valid frames an encoder makes of so many samples, by its convolutions."""

    steps: tuple[tuple[int, int], ...]
    """Kernel size and stride of each convolution."""

    max_samples: int

    @classmethod
    def of(cls, model: nn.Module, max_samples: int) -> FrameCount:
        config = model.config
        steps = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        if getattr(config, "add_adapter", False):
            steps += [(1, config.adapter_stride)] * config.num_adapter_layers
        return cls(tuple(steps), max_samples)

    def __call__(self, samples: int) -> int:
        """0 when a segment is too short."""
        length = min(samples, self.max_samples)
        for kernel, stride in self.steps:
            length = (length - kernel) // stride + 1
        return max(0, length)


@dataclass(frozen=True)
class Framed:
    """Samples that an encoder makes at least a frame of; sent to where segments are loaded."""

    frames: FrameCount
    sample_rate: int

    def __call__(self, samples: np.ndarray) -> Content:
        """(S,) samples, and their frames. Raises AudioError when these are none."""
        count = self.frames(len(samples))
        if not count:
            raise AudioError(f"is too short: {len(samples)} samples at {self.sample_rate} Hz make no frame")
        return samples, count


class AudioEncoder:
    """A HuBERT-like model: a convolutional front end, a projection, a transformer."""

    def __init__(
        self, model: nn.Module, spec: FeatureSpec, device: torch.device, layers: Sequence[int] = (LAST,)
    ) -> None:
        """``layers`` are the hidden states that are made, from 0 on, or LAST; ``spec`` is that of the last."""
        self.spec, self.device, self.layers = spec, device, tuple(layers)
        self.model = model.to(device).eval()
        self.batch_rows = batch_rows_on(device)
        self.frames = FrameCount.of(model, spec.max_samples)
        self.framed = Framed(self.frames, spec.sample_rate)
        self._valid = valid_frames(self.model, spec.sample_rate, spec.max_samples, DTYPES[spec.precision], self.layers)

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
        cls,
        loaded: AudioModel,
        *,
        sample_rate: int,
        max_seconds: float,
        device: torch.device,
        precision: str,
        layers: Sequence[int] = (LAST,),
    ) -> AudioEncoder:
        """The encoder that a loaded model is. Raises EncoderError when the longest input is too short for a frame."""
        model, source = loaded.module, loaded.source
        max_samples = round(max_seconds * sample_rate)
        max_rows = int(model._get_feat_extract_output_lengths(max_samples))
        if max_rows < 1:
            raise EncoderError(
                f"{source}: makes no frame of {max_samples} samples; raise --max-seconds or --sample-rate"
            )
        if max_rows != FrameCount.of(model, max_samples)(max_samples):
            raise EncoderError(f"{source}: is a {type(model).__name__}, whose frames cannot be counted; use another")
        spec = FeatureSpec(
            modality="audio",
            encoder=str(source),
            encoder_class=type(model).__name__,
            revision=loaded.revision,
            weights=weights_digest(model),
            width=model.config.hidden_size,
            max_rows=max_rows,
            sample_rate=sample_rate,
            max_samples=max_samples,
            normalisation=NORMALISATION,
            padding=PADDING,
            precision=precision,
            encoder_rate=loaded.rate.hertz,
        )
        return cls(model, spec, device, layers)

    @torch.inference_mode()
    def encode_padded(self, samples: np.ndarray) -> Hidden:
        """The definition: (S,) normalised samples, padded to the longest input -> by layer (T, d) valid frames, float32.

        Raises AudioError when the segment is shorter than one frame.
        """
        samples, frames = self.framed(samples[: self.spec.max_samples])
        padded = torch.zeros(1, self.spec.max_samples, device=self.device)
        padded[0, : len(samples)] = torch.from_numpy(samples)
        mask = torch.zeros(1, self.spec.max_samples, dtype=torch.long, device=self.device)
        mask[0, : len(samples)] = 1
        with arithmetic(self.spec.precision, self.device):
            output = self.model(padded, attention_mask=mask, output_hidden_states=asks_inside(self.layers))
        return {layer: rows[:frames].float() for layer, rows in hidden_of(output, self.layers).items()}

    @torch.inference_mode()
    def encode(self, batch: Sequence[np.ndarray]) -> list[Hidden]:
        """B segments of (S,) normalised samples, each at least a frame long -> by layer (T, d) valid frames, float32.

        The encoder is run once, up to the highest layer. No padding is computed (see valid.py), unless the shortcut
        could not be proved for this encoder and these layers.
        """
        if self._valid is None:
            return [self.encode_padded(samples) for samples in batch]
        cut = [torch.from_numpy(samples[: self.spec.max_samples]) for samples in batch]
        if self.device.type == "cuda":
            cut = [samples.pin_memory().to(self.device, non_blocking=True) for samples in cut]
        return self._valid(cut, [self.frames(len(samples)) for samples in cut])


class Speech(Extractor):
    """Features of one encoder of speech, which is run once for all of them."""

    loads_in_processes = True
    costs = {
        "a layer of a base encoder (768 wide) at 16,000 Hz": 768 * 2 * 50 * 3600.0,
        "a layer of a base encoder (768 wide) at 8,000 Hz": 768 * 2 * 25 * 3600.0,
        "a layer of a large encoder (1,024 wide) at 16,000 Hz": 1024 * 2 * 50 * 3600.0,
    }

    def __init__(
        self, encoder: AudioEncoder, features: Mapping[str, Chosen], heard: Hearing, pool: str = "none"
    ) -> None:
        self.encoder, self.features, self.heard = encoder, dict(features), heard
        self.is_pooled = pool == "mean"
        spec = encoder.spec
        fields = heard.spec_fields(spec.sample_rate, spec.max_samples / spec.sample_rate, NORMALISATION)
        spec = replace(spec, **fields)
        if self.is_pooled:
            spec = replace(spec, unit="vector", max_rows=1, options={**spec.options, "pool": pool})
        self.specs = {name: chosen.spec_of(spec) for name, chosen in features.items()}
        self.batch_rows, self.batches_matter = encoder.batch_rows, encoder.batches_matter
        self.is_on_gpu = encoder.device.type == "cuda"

    @classmethod
    def load(cls, name: str, options: SpeechOptions, setup: Setup) -> Speech:
        model = AudioModel.load(options.encoder, "encoder" if setup.is_named else "--audio-encoder")
        heard = Hearing.of(options, setup)
        name = name or feature_name(model.module) + heard.ending
        features = chosen_layers(name, options.layers, options.join, model.module, _trial(), options.encoder)
        names = (*features, name, name.removesuffix(heard.ending))
        rate = choose_rate(options.rate, setup.dataset, options.encoder, model.rate, setup.there, names)
        encoder = AudioEncoder.of(
            model,
            sample_rate=rate.hertz,
            max_seconds=options.seconds,
            device=setup.device,
            precision=setup.precision,
            layers=tuple(dict.fromkeys(layer for chosen in features.values() for layer in chosen.layers)),
        )
        speech = cls(encoder, features, heard, options.pool)
        speech.remarks = tuple(remarks_on(name, options.encoder, encoder.spec.encoder_class, model.rate, rate))
        speech.remarks += finetuned.remarks_of(options.encoder, tuple(features))
        return speech

    def identities(self, material: Material) -> dict[str, np.ndarray]:
        return hearing.identities(material, self.specs)

    def expected_rows(self, material: Material) -> dict[str, np.ndarray]:
        samples = hearing.expected_samples(material, self.encoder.spec)
        rows = np.array([self.encoder.frames(int(count)) for count in samples], int)
        if self.is_pooled:
            rows = rows.clip(0, 1)
        return {name: rows for name in self.specs}

    def job(self, material: Material, row: int) -> Job:
        spec = next(iter(self.specs.values()))  # of the same audio in all
        return _load, (*self.heard.job(material, row, spec, self.encoder.framed), self.is_pooled)

    def encode(self, batch: Sequence[Loaded]) -> list[Mapping[str, torch.Tensor]]:
        made = in_halves(self.encoder.encode, [loaded.content for loaded in batch])
        return [self._values(hidden) for hidden in made]

    def define(self, loaded: Loaded) -> Mapping[str, torch.Tensor]:
        return self._values(self.encoder.encode_padded(loaded.content))

    def cut_rows(self, material: Material) -> np.ndarray:
        return hearing.cut_rows(material, next(iter(self.specs.values())))

    def _values(self, hidden: Hidden) -> dict[str, torch.Tensor]:
        made = {name: chosen.of(hidden) for name, chosen in self.features.items()}
        return {name: rows.mean(0, keepdim=True) for name, rows in made.items()} if self.is_pooled else made


def _load(load, arguments: tuple, is_pooled: bool) -> Loaded | AudioError:
    """A segment whose rows are counted before they are made."""
    loaded = load(*arguments)
    if isinstance(loaded, AudioError):
        return loaded
    return replace(loaded, rows=1 if is_pooled else loaded.size)


def _trial() -> dict[str, torch.Tensor]:
    return {"input_values": torch.randn(1, _TRIAL_SAMPLES, generator=torch.Generator().manual_seed(0))}
