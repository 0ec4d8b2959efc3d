"""Which corpora msmt knows, and what has to be said of one that it does not know."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ...errors import SettingError, shown
from ...values import LARGEST_SEED, check_kinds, check_most

# Every dataset, with the file of this folder that reads it; a file lists what it reads as ADAPTERS.
FILES = {
    "marketcalls": "marketcalls",
    "generic": "generic",
    "meld": "meld",
    "iemocap": "iemocap",
    "mosi": "label_csv",
    "mosei": "label_csv",
    "sims": "label_csv",
    "simsv2": "label_csv",
    "emodb": "acted",
    "ravdess": "acted",
    "crema-d": "acted",
}
DATASETS = tuple(FILES)

BY_RECORDING, BY_SPEAKER = "recording", "speaker"  # what made splits may keep together, besides a column
ALL = "all"  # columns
NO_LABELS = "none"  # in place of the columns of labels

CHOICES = {
    "label_level": ("recording", "segment"),
    "label_kind": ("classes", "value"),
}


@dataclass(frozen=True)
class CorpusOptions:
    """What can be chosen of a public corpus; each is for the datasets that know it."""

    classes: str = ""
    """Emotions that are taken of iemocap: 4 (excited counts as happy), 6, or all."""

    keep_context: bool = False
    """Keep utterances of other emotions without a label, as context of those before and after them."""

    def __post_init__(self) -> None:
        check_kinds(self)


@dataclass(frozen=True)
class GenericOptions:
    """Where a generic corpus keeps what: one csv, a row per segment, and one folder of audio.

    A column that is not needed may be absent as long as it has its default name here; a column that is
    given another name must exist.
    """

    csv: str = ""
    """Csv of the segments, in the data folder or the working directory; empty for segments.csv in the data folder."""

    audio_dir: str = ""
    """Folder of the audio files, in the data folder or the working directory; empty for audio in the data folder."""

    recording_column: str = "recording"
    """Column of the recording's id; without it each audio file is a recording."""

    segment_column: str = "segment"
    """Column of the segment's number within its recording; without it the order of the rows counts."""

    audio_column: str = "audio"
    """Column of the audio file's path within the audio folder, with or without extension; for text alone not needed."""

    text_column: str = "text"
    """Column of the transcript; for audio alone not needed."""

    label_columns: str = "label"
    """Columns of the labels, separated by commas; each is a task of its own, named like the column. none for a corpus
    without labels, such as recordings to be scored."""

    split_column: str = "split"
    """Column of the split; without it splits are made, see split_by, or one called all where there are no labels."""

    start_column: str = "start"
    """Column of the segment's start within its audio file, in seconds; an empty cell is the file's beginning."""

    end_column: str = "end"
    """Column of the segment's end within its audio file, in seconds; an empty cell is the file's end."""

    channel_column: str = "channel"
    """Column of the channel to use, 0 is the first; an empty cell is the mean over all channels."""

    speaker_column: str = "speaker"
    """Column of who speaks; splits that are made keep a speaker in one, and those that are given are checked for it."""

    label_level: str = "recording"
    """What a label belongs to: all segments of a recording share it, or each segment has its own."""

    label_kind: str = "classes"
    """What a label is: the name of a class, or a real value."""

    split_ratios: str = "0.8,0.1,0.1"
    """Shares of train, val and test where splits are made; each gets at least one recording."""

    split_by: str = ""
    """What is kept in one split where splits are made: recording, speaker, or all recordings that have one value of the
    column of that name. Unless given, speaker where that column is there and filled, else recording."""

    keep_columns: str = ""
    """Further columns to keep in the store's table, separated by commas, or all; they are called extra_NAME there."""

    split_seed: int = 0
    """Seed of the order in which recordings are shared out where splits are made."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_most(self, {"split_seed": LARGEST_SEED})
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise SettingError(f"{name} must be {' or '.join(choices)}, but is {shown(getattr(self, name))}")
        for field in dataclasses.fields(self):
            may_be_empty = field.name == "keep_columns"
            if (
                field.name.endswith(("_column", "_columns"))
                and not may_be_empty
                and not getattr(self, field.name).strip()
            ):
                raise SettingError(f"{field.name} must name a column, but is empty")
        has_labels = bool(self.labels) or self.label_columns.strip() == NO_LABELS
        if len(set(self.labels)) != len(self.labels) or not has_labels:
            raise SettingError(f"label_columns must name different columns, but is {shown(self.label_columns)}")
        if self.split_seed < 0:
            raise SettingError(f"split_seed must be at least 0, but is {self.split_seed}")
        self.ratios  # noqa: B018  checked when read

    @property
    def labels(self) -> tuple[str, ...]:
        """The names in ``label_columns``; none where there are to be no labels."""
        if self.label_columns.strip() == NO_LABELS:
            return ()
        return tuple(name.strip() for name in self.label_columns.split(",") if name.strip())

    @property
    def kept(self) -> tuple[str, ...]:
        """The names in ``keep_columns``, which must exist; none for all."""
        names = tuple(name.strip() for name in self.keep_columns.split(",") if name.strip())
        return () if names == (ALL,) else names

    @property
    def split_by_columns(self) -> tuple[str, ...]:
        """The column that ``split_by`` needs, if any."""
        if self.split_by in ("", BY_RECORDING):
            return ()
        return (self.speaker_column if self.split_by == BY_SPEAKER else self.split_by,)

    @property
    def ratios(self) -> tuple[float, float, float]:
        """The shares of train, val and test, which add up to 1."""
        try:
            train, val, test = (float(share) for share in self.split_ratios.split(","))
        except ValueError:
            train = val = test = -1.0
        if not all(0 < share < 1e300 for share in (train, val, test)):
            raise SettingError(
                f"split_ratios must be three shares above 0 such as 0.8,0.1,0.1, but is {shown(self.split_ratios)}"
            )
        total = train + val + test  # never past the largest number, for each is below 1e300
        return train / total, val / total, test / total

    def is_renamed(self, field: str) -> bool:
        """Whether the column of this field was given by the user, so that it must exist."""
        return getattr(self, field) != type(self).__dataclass_fields__[field].default
