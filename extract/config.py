"""What an extraction is asked to do."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cached_property

from ..errors import SettingError, shown
from ..values import check_kinds, check_most
from .asked import Named, check_name, named_features

CHOICES = {
    "format": ("zarr", "hdf5"),
    "device": ("auto", "cpu", "cuda"),
    "precision": ("auto", "float32", "bfloat16"),
    "modalities": ("both", "audio", "text"),
}

# Options of the two features that are made unless others are named.
_OF_THE_TWO = ("audio_encoder", "text_encoder", "modalities", "audio_feature", "text_feature")
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
    """Longest audio input in seconds; what goes beyond it is cut off, and counted. Unless given, a dataset of which papers
    take another has theirs, such as 6 of meld, mosi, mosei and sims."""

    max_tokens: int = 199
    """Longest text input in tokens, special tokens included; what goes beyond it is cut off, and counted. Unless given, a
    dataset of which papers take another has theirs: 60 of meld, 96 of mosi and mosei, 48 of sims."""

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

    features: str = ""
    """YAML or JSON file that names the features to make, with kind and options of each (see msmt features), instead of
    the two of the options above."""

    feature: tuple[str, ...] = ()
    """A feature to make, as NAME=KIND or NAME=KIND:key=value,key=[a,b], instead of the two of the options above; may be
    given several times, and beside --features."""

    asked: tuple[Named, ...] = ()
    """Features that a preset asks for, beside those of the two options before, which win; no option by itself."""

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
        if not self._is_channel(self.channel):
            raise SettingError(
                f"channel must be mean, agent, customer or a number from 0, but is {shown(self.channel)}"
            )
        if self.channel in ("agent", "customer") and self.agent_channel < 0:
            raise SettingError(f"channel {self.channel} needs --agent-channel, which says who is on which channel")
        for option in ("audio_feature", "text_feature"):
            if getattr(self, option):
                check_name(option.replace("_", " "), getattr(self, option))
        if self.workers < 0:
            raise SettingError(f"workers must be at least 0, but is {self.workers}")
        number, count = self.share
        if not 1 <= number <= count:
            raise SettingError(f"shard must be one of its count, such as 2/3, but is {shown(self.shard)}")
        self.failures_allowed(100)
        if self.named:
            defaults = {each.name: each.default for each in fields(self)}
            for name in _OF_THE_TWO:
                if getattr(self, name) != defaults[name]:
                    option = name.replace("_", "-")
                    raise SettingError(
                        f"{option} is of the two features that are made unless others are named: leave out --{option},"
                        " or --features and --feature"
                    )

    @cached_property
    def named(self) -> tuple[Named, ...]:
        """The features that are to be made instead of the usual two; none where these are meant."""
        own = named_features(self.features, self.feature)
        return (*own, *(one for one in self.asked if one.name not in {each.name for each in own}))

    @property
    def made_from(self) -> str:
        """What is read of a corpus: ``audio``, ``text`` or ``both``."""
        modalities = {one.modality for one in self.named}
        if not modalities:
            return self.modalities
        return modalities.pop() if len(modalities) == 1 else "both"

    @property
    def makes_audio(self) -> bool:
        """Whether a feature of the audio is made."""
        return self.made_from != "text"

    @property
    def makes_text(self) -> bool:
        """Whether a feature of the text is made."""
        return self.made_from != "audio"

    @property
    def one_channel(self) -> int | None:
        """The one channel that is heard, from 0; None for the mean, or whatever the corpus says."""
        return self._number_of(self.channel)

    @property
    def channels(self) -> dict[str, int]:
        """Every one channel that some feature hears, by what says so: ``--channel 1``, or a feature's own option."""
        if not self.named:
            asked = {f"--channel {self.channel}": self.channel}
        else:
            of_audio = [one for one in self.named if one.modality == "audio"]
            own = {one.place: str(one.values["channel"]) for one in of_audio if "channel" in one.values}
            asked = {f"{place}: channel {channel}": channel for place, channel in own.items()}
            if len(own) < len(of_audio):
                asked[f"--channel {self.channel}"] = self.channel
        numbers = {said: self._number_of(channel) for said, channel in asked.items() if self._is_channel(channel)}
        return {said: number for said, number in numbers.items() if number is not None and number >= 0}

    def _number_of(self, channel: str) -> int | None:
        if channel == "mean":
            return None
        if channel in ("agent", "customer"):
            if self.agent_channel < 0:
                return None  # which whoever needs the channel refuses
            return self.agent_channel if channel == "agent" else 1 - self.agent_channel
        return int(channel)

    @staticmethod
    def _is_channel(channel: str) -> bool:
        return bool(re.fullmatch(r"mean|agent|customer|\d{1,3}", channel))

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
