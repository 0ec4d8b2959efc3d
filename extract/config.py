"""What an extraction is asked to do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import SettingError, shown
from ..values import check_kinds, check_most

CHOICES = {
    "format": ("zarr", "hdf5"),
    "device": ("auto", "cpu", "cuda"),
    "precision": ("auto", "float32", "bfloat16"),
    "modalities": ("both", "audio", "text"),
}

_MOST = {"sample_rate": 768_000, "max_tokens": 100_000, "workers": 1024}  # beyond is a slip of the keyboard


@dataclass(frozen=True)
class ExtractConfig:
    """Settings of an extraction; each is an option of ``msmt extract`` of the same name."""

    audio_encoder: str = "TencentGameMate/chinese-hubert-base"
    """Audio encoder: a hub id, or a folder that holds config.json and weights."""

    text_encoder: str = "hfl/chinese-roberta-wwm-ext"
    """Text encoder: a hub id, or a folder that holds config.json, weights and tokenizer."""

    modalities: str = "both"
    """Features that are made: of both, or of audio or text alone, which needs nothing of the other."""

    sample_rate: int = 0
    """Rate in hertz that the audio is resampled to before the encoder; 0 for the one that the encoder was trained at,
    but 8,000 as in the paper for marketcalls, and what it was made with for a feature that the store has."""

    max_seconds: float = 40.0
    """Longest audio input in seconds; what goes beyond it is cut off, and counted."""

    max_tokens: int = 199
    """Longest text input in tokens, special tokens included; what goes beyond it is cut off, and counted."""

    channel: str = "mean"
    """Channel of the audio that is heard: mean over all, a number from 0, or agent or customer of a stereo call. A feature
    of one channel is called so: hubert-channel0."""

    agent_channel: int = -1
    """Channel that the agent is on in stereo calls, 0 or 1, which the store keeps in mind; -1 where it is unknown."""

    train_split: str = "train"
    """Split that is augmented; another than train only where the corpus calls its training split otherwise."""

    audio_feature: str = ""
    """Name of the audio feature in the store; the encoder's kind, such as hubert, unless given."""

    text_feature: str = ""
    """Name of the text feature in the store; the encoder's kind, such as roberta, unless given."""

    format: str = "zarr"
    """Format of a new store."""

    device: str = "auto"
    """Where the encoders run; auto takes a GPU where there is one."""

    precision: str = "auto"
    """Arithmetic of the encoders; auto is that of the store if it exists, else bfloat16 where the device computes it natively."""

    workers: int = 0
    """Processes that decode audio; 0 for threads beside an encoder on the CPU, for a process per core, at most 8, beside a GPU."""

    shard: str = ""
    """Do only one share of the row blocks, such as 2/3 for the second of three; for several machines on one Zarr store."""

    max_failures: str = "5%"
    """Stop once more segments than this cannot be used: a count such as 20, or a share such as 5%."""

    allow_shared_audio: bool = False
    """Take a corpus of which one audio file, or the same bytes, are in two splits; the store says so ever after."""

    overwrite: bool = False
    """Replace features that the store holds with another spec, and views that it holds with another recipe."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_most(self, _MOST)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise SettingError(f"{name} must be {' or '.join(choices)}, but is {shown(getattr(self, name))}")
        if self.sample_rate and self.sample_rate < 1000:
            raise SettingError(
                f"sample rate must be at least 1000 Hz, or 0 for the encoder's own, but is {self.sample_rate}"
            )
        if not 0 < self.max_seconds <= 3600:
            raise SettingError(f"max seconds must be between 0 and 3600, but is {self.max_seconds}")
        if self.max_tokens < 3:
            raise SettingError(f"max tokens must be at least 3 (two are special), but is {self.max_tokens}")
        if self.agent_channel not in (-1, 0, 1):
            raise SettingError(f"agent channel must be 0 or 1, or -1 if it is unknown, but is {self.agent_channel}")
        if not re.fullmatch(r"mean|agent|customer|\d{1,3}", self.channel):
            raise SettingError(
                f"channel must be mean, agent, customer or a number from 0, but is {shown(self.channel)}"
            )
        if self.channel in ("agent", "customer") and self.agent_channel < 0:
            raise SettingError(f"channel {self.channel} needs --agent-channel, which says who is on which channel")
        for name in (self.audio_feature, self.text_feature):
            if name and (not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name) or name == "segments"):
                raise SettingError(
                    f"a feature's name must be up to 100 letters, digits, - and _, and not segments, but is {shown(name)}"
                )
        if self.workers < 0:
            raise SettingError(f"workers must be at least 0, but is {self.workers}")
        number, count = self.share
        if not 1 <= number <= count:
            raise SettingError(f"shard must be one of its count, such as 2/3, but is {shown(self.shard)}")
        self.failures_allowed(100)

    @property
    def makes_audio(self) -> bool:
        """Whether an audio feature is made."""
        return self.modalities != "text"

    @property
    def makes_text(self) -> bool:
        """Whether a text feature is made."""
        return self.modalities != "audio"

    @property
    def one_channel(self) -> int | None:
        """The one channel that is heard, from 0; None for the mean, or whatever the corpus says."""
        if self.channel == "mean":
            return None
        if self.channel in ("agent", "customer"):
            return self.agent_channel if self.channel == "agent" else 1 - self.agent_channel
        return int(self.channel)

    @property
    def share(self) -> tuple[int, int]:
        """Number of the share of row blocks, from 1, and the count of shares."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", self.shard or "1/1")
        return (int(match[1]), int(match[2])) if match else (0, 0)

    def failures_allowed(self, segments: int) -> float:
        """How many segments of so many may fail before the extraction stops."""
        match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,12})?)\s*(%?)", self.max_failures.strip())
        if not match:
            raise SettingError(
                f"max failures must be a count such as 20 or a share such as 5%, but is {shown(self.max_failures)}"
            )
        return float(match[1]) * segments / 100 if match[2] else float(match[1])
