"""Features of speech: what a HuBERT, wav2vec2, WavLM, data2vec or UniSpeech makes of a segment's samples.

Letters in shapes: S samples, T frames, d width of the encoder, N rows of a store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from ...errors import AudioError, EncoderError, SettingError, shown
from ...features.rows import identity_of
from ...features.spec import FeatureSpec, known_rate
from ...values import check_kinds, check_most
from ..exact.valid import valid_frames
from ..rate import TrainedRate, choose_rate, remarks_on
from ..sound.audio import NORMALISATION
from ..sound.inputs import load_input
from ..sound.silence import SilenceOptions, SilenceRemover
from .contract import Extractor, Job, Loaded, Material, Setup
from .layers import check_layers
from .loading import (
    DTYPES,
    arithmetic,
    batch_rows_on,
    feature_name,
    in_halves,
    load_model,
    stated_rate,
    weights_digest,
)

PADDING = "zeros to the longest input, attention mask, valid frames kept"

_MOST = {"rate": 768_000}  # hertz; beyond is a slip of the keyboard
_CHANNELS = ("mean", "agent", "customer")


@dataclass(frozen=True)
class SpeechOptions:
    """What a feature of speech is asked to be."""

    encoder: str = "TencentGameMate/chinese-hubert-base"
    """Encoder of speech: a hub id, or a folder that holds config.json and weights."""

    layers: tuple[int, ...] = ()
    """Hidden states that are kept, each a feature of its own called NAME-layerI: 0 is what enters the first layer, -1
    the last; none for the last alone, called NAME."""

    join: bool = False
    """Put the layers side by side in one feature, in the order given."""

    seconds: float = 40.0
    """Longest input in seconds; what goes beyond it is cut off, and counted."""

    rate: int = 0
    """Rate in hertz that the audio is resampled to before the encoder; 0 for the one that the encoder was trained at,
    but 8,000 as in the paper for marketcalls, and what it was made with for a feature that the store has."""

    channel: str = "mean"
    """Channel of the audio that is heard: mean over all, a number from 0, or agent or customer of a stereo call."""

    silence: str = "keep"
    """Whether silence within a segment is kept or removed."""

    silence_threshold: float = SilenceOptions.silence_threshold
    """Probability of speech from which the detector's finds count as speech, between 0 and 1."""

    silence_min_ms: int = SilenceOptions.silence_min_ms
    """Shortest pause that counts as silence, in milliseconds."""

    silence_pad_ms: int = SilenceOptions.silence_pad_ms
    """Time kept before and after speech, in milliseconds."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_most(self, _MOST)
        check_layers(self.layers, self.join)
        if self.rate and self.rate < 1000:
            raise SettingError(f"rate must be at least 1000 Hz, or 0 for the encoder's own, but is {self.rate}")
        if not 0 < self.seconds <= 3600:
            raise SettingError(f"seconds must be between 0 and 3600, but is {self.seconds}")
        if self.channel not in _CHANNELS and not (self.channel.isdecimal() and len(self.channel) <= 3):
            raise SettingError(
                f"channel must be mean, agent, customer or a number from 0, but is {shown(self.channel)}"
            )
        self.silence_options  # noqa: B018  which checks them

    @property
    def silence_options(self) -> SilenceOptions:
        """What becomes of silence."""
        return SilenceOptions(**{field.name: getattr(self, field.name) for field in fields(SilenceOptions)})

    def one_channel(self, agent_channel: int) -> int | None:
        """The one channel that is heard, from 0; None for the mean, or whatever the corpus says.

        ``agent_channel`` is the agent's, -1 where it is unknown. Raises SettingError when it must be known.
        """
        if self.channel == "mean":
            return None
        if self.channel not in _CHANNELS:
            return int(self.channel)
        if agent_channel < 0:
            raise SettingError(f"channel {self.channel} needs --agent-channel, which says who is on which channel")
        return agent_channel if self.channel == "agent" else 1 - agent_channel


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
        module, revision, where = load_model(source, "--audio-encoder")
        if not hasattr(module, "feature_extractor") or not hasattr(module, "_get_feat_extract_output_lengths"):
            raise EncoderError(
                f"{source}: is a {type(module).__name__}, which takes no waveform;"
                " --audio-encoder wants a HuBERT, wav2vec2 or WavLM"
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

    def check(self, samples: int, sample_rate: int) -> None:
        """Raise AudioError when a segment is shorter than one frame."""
        if not self(samples):
            raise AudioError(f"is too short: {samples} samples at {sample_rate} Hz make no frame")


class AudioEncoder:
    """A HuBERT-like model: a convolutional front end, a projection, a transformer."""

    def __init__(self, model: nn.Module, spec: FeatureSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self.model = model.to(device).eval()
        self.batch_rows = batch_rows_on(device)
        self.frames = FrameCount.of(model, spec.max_samples)
        self._valid = valid_frames(self.model, spec.sample_rate, spec.max_samples, DTYPES[spec.precision])

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
        if max_rows != FrameCount.of(model, max_samples)(max_samples):
            raise EncoderError(f"{source}: is a {type(model).__name__}, of which msmt cannot count the frames")
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
        return cls(model, spec, device)

    @torch.inference_mode()
    def encode_padded(self, samples: np.ndarray) -> torch.Tensor:
        """The definition: (S,) normalised samples, padded to the longest input -> (T, d) valid frames, float32.

        Raises AudioError when the segment is shorter than one frame.
        """
        samples = samples[: self.spec.max_samples]
        self.frames.check(len(samples), self.spec.sample_rate)
        padded = torch.zeros(1, self.spec.max_samples, device=self.device)
        padded[0, : len(samples)] = torch.from_numpy(samples)
        mask = torch.zeros(1, self.spec.max_samples, dtype=torch.long, device=self.device)
        mask[0, : len(samples)] = 1
        with arithmetic(self.spec.precision, self.device):
            hidden = self.model(padded, attention_mask=mask).last_hidden_state  # (1, S) -> (1, T, d)
        return hidden[0, : self.frames(len(samples))].float()

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


class Speech(Extractor):
    """Features of one encoder of speech, which is run once for all of them."""

    loads_in_processes = True
    costs = {
        "a layer of a base encoder (768 wide) at 16,000 Hz": 768 * 2 * 50 * 3600.0,
        "a layer of a base encoder (768 wide) at 8,000 Hz": 768 * 2 * 25 * 3600.0,
        "a layer of a large encoder (1,024 wide) at 16,000 Hz": 1024 * 2 * 50 * 3600.0,
    }

    def __init__(
        self, encoder: AudioEncoder, specs: Mapping[str, FeatureSpec], remover: SilenceRemover | None = None
    ) -> None:
        """``remover`` must be given where the specs have silence removed."""
        self.encoder, self.specs, self.remover = encoder, dict(specs), remover
        self.batch_rows, self.batches_matter = encoder.batch_rows, encoder.batches_matter
        self.is_on_gpu = encoder.device.type == "cuda"

    @classmethod
    def load(cls, name: str, options: SpeechOptions, setup: Setup) -> Speech:
        model = AudioModel.load(options.encoder)
        channel = options.one_channel(setup.agent_channel)
        remover = SilenceRemover(options.silence_options) if options.silence_options.removes else None
        ending = ending_of(channel, remover is not None)
        name = name or feature_name(model.module) + ending
        names = (name, name.removesuffix(ending))
        rate = choose_rate(options.rate, setup.dataset, options.encoder, model.rate, setup.there, names)
        encoder = AudioEncoder.of(
            model,
            sample_rate=rate.hertz,
            max_seconds=options.seconds,
            device=setup.device,
            precision=setup.precision,
        )
        spec = replace(
            encoder.spec,
            channel=channel,
            silence=remover.recipe() if remover else None,
            views=setup.views_of("audio"),
        )
        speech = cls(encoder, {name: spec}, remover)
        speech.remarks = tuple(remarks_on(name, options.encoder, spec.encoder_class, model.rate, rate))
        return speech

    def identities(self, material: Material) -> dict[str, np.ndarray]:
        table, identities = material.table, {}
        digests = {path: material.digest_of(path) for path in sorted(set(table["audio"].iloc[material.present]))}
        for name, spec in self.specs.items():
            made_by, identity = spec.of_originals.fingerprint, np.zeros(len(table), np.uint64)
            for row in material.present:
                segment = table.iloc[row]
                identity[row] = audio_identity(made_by, spec.views, segment, digests[segment["audio"]])
            identities[name] = identity
        return identities

    def expected_rows(self, material: Material) -> dict[str, np.ndarray]:
        rate = self.encoder.spec.sample_rate
        frames = [self.encoder.frames(int(length * rate)) for length in np.nan_to_num(material.seconds)]
        return {name: np.array(frames, int) for name in self.specs}

    def job(self, material: Material, row: int) -> Job:
        spec = next(iter(self.specs.values()))
        return _load, (material.root, material.table.iloc[row], spec, self.remover, self.encoder.frames)

    def encode(self, batch: Sequence[Loaded]) -> list[Mapping[str, torch.Tensor]]:
        made = in_halves(self.encoder.encode, [loaded.content for loaded in batch])
        return [{name: values for name in self.specs} for values in made]

    def define(self, loaded: Loaded) -> Mapping[str, torch.Tensor]:
        values = self.encoder.encode_padded(loaded.content)
        return {name: values for name in self.specs}

    def cut_rows(self, material: Material) -> np.ndarray:
        """How much is left of a segment without its silence is known once it is loaded; then none is known here."""
        if self.remover:
            return np.zeros(len(material.table), bool)
        spec = self.encoder.spec
        return material.seconds > spec.max_samples / spec.sample_rate


def ending_of(channel: int | None, without_silence: bool) -> str:
    """What the usual name of a feature ends in that is of one channel, or without silence."""
    return ("" if channel is None else f"-channel{channel}") + ("-nosilence" if without_silence else "")


def audio_identity(made_by: str, recipes: Mapping[str, Mapping], segment: pd.Series, digest: str) -> int:
    """The hash of what a row of an audio feature is made from.

    ``made_by`` is the fingerprint of the feature's spec without its views, ``recipes`` are the views, ``digest`` is the
    audio file's. A view that leaves the audio as it is has the original's identity. In a text feature the altered
    transcript itself says what a row is made from, and one in which nothing was replaced has the original's.
    """
    where = (str(segment[name]) for name in ("start", "end", "channel"))
    recipe = recipes.get(segment["view"])
    view = (json.dumps(recipe, sort_keys=True), segment["segment_id"], segment["view"]) if recipe else ()
    return identity_of(made_by, digest, *where, *view)


def _load(
    root: Path, segment: pd.Series, spec: FeatureSpec, remover: SilenceRemover | None, frames: FrameCount
) -> Loaded | AudioError:
    got = load_input(root, segment, spec, remover)
    if isinstance(got, AudioError):
        return got
    try:
        frames.check(len(got.samples), spec.sample_rate)
    except AudioError as error:
        return error
    said = {"seconds": got.seconds, "removed_seconds": got.removed_seconds, "had_speech": got.had_speech}
    return Loaded(got.samples, frames(len(got.samples)), got.is_cut, said)
