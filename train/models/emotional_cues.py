"""Emotional cues: words weighed by knowledge, prosody brought out, and both fused in two steps.

H. Shi, Z. Liang, J. Yu, *Emotional Cues Extraction and Fusion for Multi-modal Emotion Prediction and Recognition in
Conversation*, Interspeech 2024. A sample is a segment with the turns before it: the text feature has them in its own
rows, the audio of the last ``turns`` segments is put one behind the other here. Nothing after the segment is seen.
docs/systems/emotional-cues.md says what of the paper is read how.

Letters: S segments of all recordings together, N rows of the audio and M of the text of all segments together, d values
per row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...errors import RunError, SettingError
from ...features.tasks import Task
from ...values import check_least, check_most
from ..config import NetworkSettings
from ..linear import Linear
from ..rows import Layout, Rows
from .contract import Network, Slot, SlotInput, Trainable
from .frozen_layers import LANGUAGE, VISION, Found, found_in, weights_of
from .layers import SPREAD, AttentionPooling, Crossing, FeedForward, MeanPooling, TransformerLayer
from .prosody import ProsodyEncoder
from .spectral_fusion import SpectralFusion
from .windows import up_to_each

TEXT, IMPORTANCE, AUDIO, MEL = "text", "importance", "audio", "mel"


@dataclass(frozen=True)
class EmotionalCuesSettings(NetworkSettings):
    """One variant of the network."""

    network: ClassVar[str] = "emotional-cues"
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"pooling": ("mean", "attention")}

    words: bool = True
    """Weigh each token by how much its word matters (the slot importance, of the kind kwrt)."""

    prosody: bool = True
    """Bring out the prosody of the audio."""

    two_step: bool = True
    """Fuse with the mel spectrogram through frozen layers (the slot mel); without it the first fusion remains."""

    turns: int = 3
    """Segments whose audio is heard, its own and those right before it; the text feature has turns of its own."""

    pooling: str = "mean"
    """How the rows of a stream become the vector that is classified."""

    width: int = 1024
    """Values per row inside the network."""

    layers: int = 2
    """Transformer layers over the text, over the audio, and of the first fusion."""

    heads: int = 8
    """Attention heads; must divide the width."""

    feed_forward: int = 2048
    """Values inside each feed-forward block."""

    blocks: int = 2
    """Blocks of the second fusion, each with one layer of either frozen encoder, from the first on."""

    bridge: int = 4
    """Bridge vectors of each block and direction."""

    patch_bands: int = 8
    """Patches of the spectrogram at one moment: its bands divided by the height of a patch."""

    language_layers: str = "bert-base-uncased"
    """Whose layers the text side of the second fusion has: a hub id or a folder of a BERT."""

    vision_layers: str = "google/vit-base-patch16-224-in21k"
    """Whose layers the spectrogram's side has: a hub id or a folder of a ViT."""

    language_found: str = ""
    """Sizes and digest of the language layers; found out when a run begins, so leave it out."""

    vision_found: str = ""
    """Sizes and digest of the vision layers; found out when a run begins, so leave it out."""

    dropout: float = 0.1
    """Share of values dropped in the layers that learn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 1, ("turns", "width", "layers", "heads", "feed_forward", "blocks", "bridge", "patch_bands"))
        check_most(self, {"turns": 1000, "layers": 256, "blocks": 256, "bridge": 4096, "patch_bands": 4096})
        self.check_shares("dropout")
        if self.width % self.heads:
            raise SettingError(f"heads must divide the width {self.width}, but are {self.heads}")
        for word in (self.language_found, self.vision_found):
            if word:
                Found.read(word)

    @property
    def variant(self) -> str:
        off = {"kwrt": self.words, "pe": self.prosody, "tmf": self.two_step}
        return super().variant + "".join(f"-no-{name}" for name, is_on in off.items() if not is_on)


class Encoder(nn.Module):
    """The feature extraction module: rows brought to one width and through Transformer layers."""

    def __init__(self, rows: int, width: int, layers: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.into = Linear(rows, width)
        self.layers = nn.ModuleList(TransformerLayer(width, heads, feed_forward, dropout) for _ in range(layers))

    def forward(self, rows: Tensor, layout: Layout, more: Tensor | float = 0.0) -> Tensor:
        """(N, ·) -> (N, d); ``more`` is added before the first layer."""
        stream = self.into(rows) + more
        for layer in self.layers:
            stream = layer(stream, layout)
        return stream


class Asking(nn.Module):
    """A layer of the first fusion: the audio asks the text, then goes through a feed-forward block."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.crossing = Crossing(width, heads, dropout)
        self.feed_forward = FeedForward(width, feed_forward, dropout)

    def forward(self, audio: Tensor, of_audio: Layout, text: Tensor, of_text: Layout) -> Tensor:
        """(N, d) and (M, d) -> (N, d)"""
        return self.feed_forward(self.crossing(audio, of_audio, text, of_text))


class EmotionalCues(Trainable):
    """Cues of each modality, both fused in one step or two, and a linear classifier on each stream that comes of it."""

    def __init__(
        self,
        outputs: Mapping[str, int],
        inputs: Mapping[str, SlotInput],
        settings: EmotionalCuesSettings,
        per_segment: bool,
    ) -> None:
        """``outputs``: numbers to predict per task; ``per_segment``: one output per segment, not per recording."""
        super().__init__()
        self.tasks, self.per_segment, self.settings = tuple(outputs), per_segment, settings
        width, dropout = settings.width, settings.dropout
        sizes = (width, settings.heads, settings.feed_forward, dropout)
        encoder = (width, settings.layers, *sizes[1:])
        self.text = self.importance = self.audio = self.prosody = self.first = self.second = None
        streams = [width]
        if TEXT in inputs:
            self.text = Encoder(inputs[TEXT].width, *encoder)
        if IMPORTANCE in inputs:
            self.importance = Linear(1, width)
            nn.init.normal_(self.importance.weight, std=SPREAD)  # at first it weighs next to nothing
            nn.init.ones_(self.importance.bias)
        if AUDIO in inputs:
            self.audio = Encoder(inputs[AUDIO].width, *encoder)
            self.ages = nn.Parameter(torch.randn(settings.turns, width) * SPREAD)
            if settings.prosody:
                self.prosody, self.prosody_norm = ProsodyEncoder(width), nn.LayerNorm(width)
            if TEXT in inputs:
                self.first = nn.ModuleList(Asking(*sizes) for _ in range(settings.layers))
        if MEL in inputs:
            language, vision = Found.read(settings.language_found), Found.read(settings.vision_found)
            patch = inputs[MEL].width, settings.patch_bands
            self.second = SpectralFusion(width, *patch, language, vision, settings.blocks, settings.bridge)
            streams = [language.width, vision.width]
        self.poolings = nn.ModuleList(
            AttentionPooling(each) if settings.pooling == "attention" else MeanPooling() for each in streams
        )
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleList(nn.ModuleList(Linear(each, count) for each in streams) for count in outputs.values())

    def start(self) -> None:
        """Take the frozen layers from where the settings say. Raises EncoderError, or RunError where they changed."""
        if self.second is None:
            return
        language, vision = (weights_of(*each) for each in _sources(self.settings))
        for weights, found, source in (
            (language, self.settings.language_found, self.settings.language_layers),
            (vision, self.settings.vision_found, self.settings.vision_layers),
        ):
            if str(weights.found) != found:
                raise RunError(f"the layers of {source} are not those that the run began with: start a new run")
        self.second.start(language, vision)

    def _streams(self, slots: Mapping[str, Rows], segments: Sequence[int]) -> list[Tensor]:
        """(S, d) of each stream that is classified; with every segment a recording of its own none hears of others."""
        text = self._text(slots) if self.text is not None else None
        if self.audio is None:
            return self._pooled((text, Layout(slots[TEXT].lengths, text.device)))
        audio, layout = self._audio(slots[AUDIO], segments)
        if self.first is not None:
            of_text = Layout(slots[TEXT].lengths, text.device)
            for layer in self.first:
                audio = layer(audio, layout, text, of_text)
        if self.second is None:
            return self._pooled((audio, layout))
        odd = [count for count in slots[MEL].lengths if count % self.settings.patch_bands]
        if odd:
            raise SettingError(
                f"slot mel: a segment has {odd[0]} patches, "
                f"no multiple of patch_bands {self.settings.patch_bands}: make it bands divided by patch of the feature"
            )
        rows, patches, of_mel = self.second(audio, layout, up_to_each(slots[MEL], segments, self.settings.turns))
        return self._pooled((rows, layout), (patches, of_mel))

    def _text(self, slots: Mapping[str, Rows]) -> Tensor:
        """(M, ·) -> (M, d) F_t (eq. 1)"""
        rows = slots[TEXT]
        stream = self.text(rows.values, Layout(rows.lengths, rows.values.device))
        if self.importance is None:
            return stream
        if slots[IMPORTANCE].lengths != rows.lengths:
            raise SettingError(
                "slot importance has other rows than slot text: make it with its encoder, tokens, turns and speakers"
            )
        return stream * self.importance(slots[IMPORTANCE].values)

    def _audio(self, rows: Rows, segments: Sequence[int]) -> tuple[Tensor, Layout]:
        """(N, ·) -> F_a (eq. 2) of each segment's window"""
        device, turns = rows.values.device, self.settings.turns
        whose = torch.arange(len(rows.lengths)).repeat_interleave(torch.tensor(rows.lengths))[:, None]
        whose, heard = up_to_each(Rows(whose, rows.lengths), segments, turns), up_to_each(rows, segments, turns)
        own = torch.arange(len(rows.lengths)).repeat_interleave(torch.tensor(heard.lengths))
        layout = Layout(heard.lengths, device)
        stream = self.audio(heard.values, layout, self.ages[(own - whose.values[:, 0]).to(device)])
        if self.prosody is not None:
            stream = stream + self.prosody_norm(self.prosody(stream, layout))
        return stream, layout

    def _pooled(self, *streams: tuple[Tensor, Layout]) -> list[Tensor]:
        return [pooling(*stream) for pooling, stream in zip(self.poolings, streams, strict=True)]

    def segment_vectors(self, slots: Mapping[str, Rows]) -> Tensor:
        """(N, ·) of each slot -> (S, ·): the pooled streams side by side, of each segment's own audio."""
        return torch.cat(self._streams(slots, [1] * len(next(iter(slots.values())).lengths)), dim=1)

    def context_vectors(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> Tensor:
        """The same with the audio of the segments before. Raises SettingError where it is not heard."""
        if self.settings.turns == 1 or self.audio is None:
            raise SettingError(
                "emotional-cues hears no audio of other segments, so there are no vectors of their context: "
                "embed --from segment"
            )
        return torch.cat(self._streams(slots, segments), dim=1)

    def forward(self, slots: Mapping[str, Rows], segments: Sequence[int], speakers=None) -> dict[str, Tensor]:
        """Logits or values of each task: (S, outputs) if ``per_segment``, else (R, outputs) of the segments' mean."""
        streams = self._streams(slots, segments)
        with torch.autocast(streams[0].device.type, enabled=False):
            streams = [self.dropout(each.float()) for each in streams]
            if not self.per_segment:
                streams = [torch.stack([one.mean(dim=0) for one in each.split(list(segments))]) for each in streams]
            said = {}
            for task, heads in zip(self.tasks, self.heads, strict=True):
                logits = [head(each) for head, each in zip(heads, streams, strict=True)]
                said[task] = sum(logits) / len(logits)
            return said


def slots(settings: EmotionalCuesSettings) -> tuple[Slot, ...]:
    """Tokens and what they matter, frames and the spectrogram, or those of one modality."""
    both = [Slot(TEXT, ("token",), ("text",), may_be_empty=True)]
    if settings.words:
        both.append(Slot(IMPORTANCE, ("token",), ("text",), True, kinds=("kwrt",), beside=TEXT, is_row_for_row=True))
    both.append(Slot(AUDIO, ("frame",), ("audio",), True, apart=("kwrt", "mel")))
    if settings.two_step:
        both.append(Slot(MEL, ("frame",), ("audio",), True, kinds=("mel",), beside=AUDIO))
    seen = {TEXT: (TEXT, IMPORTANCE), AUDIO: (AUDIO, MEL)}.get(settings.modalities)
    return tuple(slot for slot in both if seen is None or slot.name in seen)


def settle(settings: EmotionalCuesSettings, filled: Collection[str]) -> EmotionalCuesSettings:
    """The settings with what is found out of the frozen layers, where there are any. Raises EncoderError."""
    if MEL not in filled:
        return settings
    language, vision = (str(found_in(*each)) for each in _sources(settings))
    return replace(settings, language_found=language, vision_found=vision)


def _sources(settings: EmotionalCuesSettings) -> tuple[tuple[str, str, int, str], ...]:
    return (
        (settings.language_layers, LANGUAGE, settings.blocks, "language_layers"),
        (settings.vision_layers, VISION, settings.blocks, "vision_layers"),
    )


def build(settings: EmotionalCuesSettings, tasks: Sequence[Task], inputs: Mapping[str, SlotInput]) -> EmotionalCues:
    """The network of one variant for these tasks, which share one level. Raises SettingError for slots that misfit."""
    if IMPORTANCE in inputs and inputs[IMPORTANCE].width != 1:
        raise SettingError(f"slot importance takes one value a token, but has {inputs[IMPORTANCE].width}")
    if MEL in inputs and not settings.language_found:
        settings = settle(settings, inputs)
    outputs = {task.name: task.outputs for task in tasks}
    return EmotionalCues(outputs, inputs, settings, tasks[0].level == "segment")


NETWORK = Network(
    name="emotional-cues",
    help="emotional cues: words weighed by knowledge, prosody, and a fusion in two steps through frozen layers",
    settings=EmotionalCuesSettings,
    slots=slots,
    build=build,
    sees_future=lambda settings: False,
    settle=settle,
    settled=("language_found", "vision_found"),
)
