"""CMU-MOSI, CMU-MOSEI, CH-SIMS and CH-SIMS v2 in numbers: what each release has, and how its csv is laid out."""

from __future__ import annotations

from dataclasses import dataclass

from ...features.tasks import SCALES, SENTIMENT, SIMS, Task
from .contract import UNREADABLE, KnownDefect

TWO = Task("two", ("negative", "positive"), "segment")  # 0 and above is positive
_OF_MOSI = (Task("sentiment", level="segment", scale=SENTIMENT), TWO)
_OF_SIMS = tuple(
    Task(name, level="segment", scale=SIMS)
    for name in ("sentiment", "sentiment_text", "sentiment_audio", "sentiment_vision")
)
COLUMN_OF = {
    "sentiment": "label",
    "sentiment_text": "label_T",
    "sentiment_audio": "label_A",
    "sentiment_vision": "label_V",
}

_LABELS = ("label_T", "label_A", "label_V")
_HEADER = ("video_id", "clip_id", "text", "label", *_LABELS, "annotation", "mode")
_HEADER_OF_MOSEI = ("video_id", "clip_id", "text", "label", "annotation", "mode", *_LABELS)


@dataclass(frozen=True)
class Release:
    """One of the corpora that come in this arrangement."""

    name: str
    title: str

    csv: tuple[str, ...]
    """What its csv is called; the first of these that is there is read."""

    folders: tuple[str, ...]
    """What its folder is called, in small letters and digits alone."""

    header: tuple[str, ...]
    """Its columns in order, for copies that have lost the row of their names."""

    tasks: tuple[Task, ...]

    digits: int
    """How many a clip's number is padded to."""

    encoding: str
    """Of a csv that is not UTF-8: that of old files in its language."""

    max_tokens: int

    longest: float
    """Seconds beyond which a clip is taken for miscut."""

    items: tuple[int, int, int]
    """Clips of train, val and test."""

    signs: tuple[tuple[int, int, int], ...] = ()
    """Of train, val and test: clips below 0, at 0 and above it; empty where nobody has counted them."""

    videos: tuple[int, ...] = ()
    """Videos of train, val and test, where each is in one of them."""

    defects: tuple[KnownDefect, ...] = ()

    deals_out_videos: bool = False
    """Whether the clips of one video are in several splits as the corpus is given out."""

    @property
    def limit(self) -> float:
        """The largest value of a label."""
        return SCALES[self.tasks[0].scale]


def _unreadable(*clips: str) -> tuple[KnownDefect, ...]:
    return tuple(
        KnownDefect(clip, UNREADABLE, "its clip cannot be decoded", "its audio is left out")
        for clip in (name.replace("/", "_") for name in clips)
    )


RELEASES = (
    Release(
        "mosi",
        "CMU-MOSI: opinions in English videos, sentiment from -3 to 3",
        ("label.csv",),
        ("mosi", "cmumosi"),
        _HEADER,
        _OF_MOSI,
        digits=1,
        encoding="cp1252",
        max_tokens=96,
        longest=60.0,
        items=(1284, 229, 686),
        signs=((552, 53, 679), (92, 13, 124), (379, 30, 277)),
        videos=(52, 10, 31),
    ),
    Release(
        "mosei",
        "CMU-MOSEI: opinions in English videos, ten times as many, sentiment from -3 to 3",
        ("label.csv",),
        ("mosei", "cmumosei"),
        _HEADER_OF_MOSEI,
        _OF_MOSI,
        digits=1,
        encoding="cp1252",
        max_tokens=96,
        longest=120.0,
        items=(16326, 1871, 4659),
        signs=((4738, 3540, 8048), (506, 433, 932), (1350, 1025, 2284)),
        defects=_unreadable(
            *("3aIQUQgawaI/12", "94ULum9MYX0/2", "94ULum9MYX0/11"),
            *("mRnEJOLkhp8/24", "mRnEJOLkhp8/26", "aE-X_QdDaqQ/3"),
        ),
    ),
    Release(
        "sims",
        "CH-SIMS: scenes of Chinese films and shows, sentiment from -1 to 1, also of each modality by itself",
        ("label.csv",),
        ("sims", "chsims", "simsv1", "chsimsv1"),
        _HEADER,
        _OF_SIMS,
        digits=4,
        encoding="gb18030",
        max_tokens=48,
        longest=30.0,
        items=(1368, 456, 457),
        signs=((742, 207, 419), (248, 69, 139), (248, 69, 140)),
        deals_out_videos=True,
    ),
    Release(
        "simsv2",
        "CH-SIMS v2: the same with more scenes; its labelled part",
        ("meta.csv", "meta(s).csv", "label.csv"),
        ("simsv2", "chsimsv2", "simsv2s", "chsimsv2s"),
        _HEADER,
        _OF_SIMS,
        digits=5,
        encoding="gb18030",
        max_tokens=48,
        longest=30.0,
        items=(2722, 647, 1034),
        deals_out_videos=True,
    ),
)
BY_NAME = {release.name: release for release in RELEASES}
UNLABELLED_FOLDERS = ("simsv2u", "chsimsv2u")  # of SIMS v2; they hold a meta.csv too
