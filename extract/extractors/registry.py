"""Every kind of feature, and where it is made. Nothing is imported until one is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .contract import Extractor


@dataclass(frozen=True)
class Kind:
    """Where an extractor is, and what is said of it."""

    file: str
    """In this folder."""

    extractor: str
    """The class; its options are the dataclass that is called so with Options behind."""

    modality: str
    """What it is made from: ``audio`` or ``text``."""

    help: str

    def load(self) -> type[Extractor]:
        """The extractor's class."""
        return getattr(import_module(f".{self.file}", __package__), self.extractor)

    def options(self) -> type:
        """The frozen dataclass of its options."""
        return getattr(import_module(f".{self.file}", __package__), f"{self.extractor}Options")


KINDS = {
    "speech": Kind("speech", "Speech", "audio", "Hidden states of HuBERT, wav2vec2, WavLM, data2vec or UniSpeech."),
    "text": Kind("text", "Text", "text", "Hidden states of a BERT or RoBERTa, of this turn or of those before it too."),
    "kwrt": Kind("kwrt", "Kwrt", "text", "How much each token of a text matters, by recurrence and ConceptNet."),
    "mel": Kind("mel", "Mel", "audio", "A log-mel spectrogram."),
    "openl3": Kind("openl3", "Openl3", "audio", "OpenL3's embeddings of each second, from a published checkpoint."),
    "care": Kind("care", "Care", "audio", "CARE's embeddings: layers of both its stacks, from a state dict."),
    "opensmile": Kind("opensmile", "OpenSmile", "audio", "Descriptors or functionals of openSMILE."),
}
