"""EMO-DB, RAVDESS and CREMA-D: what the names of their files say, who speaks in them, and what should be there.

EMO-DB: F. Burkhardt et al., A Database of German Emotional Speech, Interspeech 2005.
RAVDESS: S. Livingstone and F. Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song, PLoS ONE 2018.
CREMA-D: H. Cao et al., CREMA-D: Crowd-Sourced Emotional Multimodal Actors Dataset, IEEE Trans. Affect. Comput. 2014.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from .contract import DUPLICATE, MISCUT, UNREADABLE, KnownDefect

FEMALE, MALE = "female", "male"


@dataclass(frozen=True)
class ActedCorpus:
    """A corpus in which actors say the same few sentences in each emotion, and file names say all there is to know."""

    name: str

    title: str

    source: str
    """What is to be unpacked, or fetched."""

    example: str
    """Name of one of its files."""

    pattern: re.Pattern[str]
    """What a name without its extension looks like, in any case: groups ``speaker``, ``emotion``, ``sentence``, and
    where they are said ``intensity``, ``take`` and those of ``not_taken``."""

    called: str
    """The name of an item, of these groups: ``{speaker}{sentence}{emotion}{take}``."""

    emotions: Mapping[str, str]
    """Class by the code in the name, in the order of the classes."""

    sentences: Mapping[str, str]
    """What is said, by the code in the name."""

    sexes: Mapping[str, str]
    """``female`` or ``male`` for each speaker, in the order of their numbers."""

    expected: Mapping[str, Mapping[str, int]]
    """How many files of each speaker and class there should be."""

    parts: int
    """Into how many parts speakers are dealt for ``standard``: the last is tested, the one before validates."""

    longest: float
    """Seconds beyond which a file is taken for miscut."""

    intensities: Mapping[str, str] = field(default_factory=dict)
    """Word by the code in the name; empty where names say nothing of it."""

    not_taken: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By group and code what is left out as a whole, and why."""

    misspelt: Mapping[str, str] = field(default_factory=dict)
    """Names without extension that older copies have wrong, and the right ones."""

    defects: tuple[KnownDefect, ...] = ()

    defects_unless_wav: tuple[KnownDefect, ...] = ()
    """Those of the same clips in other forms."""

    by_each_speaker: bool = False
    """Whether it is few enough speakers for the field to test each of them alone: folds ``speakers``."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Each class once, in order."""
        return tuple(self.emotions.values())


_EMODB_EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
_EMODB_COUNTS = {  # in the order of the emotions
    "03": (14, 5, 1, 4, 7, 7, 11),
    "08": (12, 10, 0, 6, 11, 9, 10),
    "09": (13, 4, 8, 1, 4, 4, 9),
    "10": (10, 8, 1, 8, 4, 3, 4),
    "11": (11, 8, 2, 10, 8, 7, 9),
    "12": (12, 5, 2, 6, 2, 4, 4),
    "13": (12, 10, 8, 7, 10, 5, 9),
    "14": (16, 8, 8, 12, 8, 10, 7),
    "15": (13, 9, 5, 8, 6, 4, 11),
    "16": (14, 14, 11, 7, 11, 9, 5),
}

EMODB = ActedCorpus(
    name="emodb",
    title="EMO-DB: ten German actors, seven emotions",
    source="download.zip",
    example="03a01Fa.wav",
    pattern=re.compile(r"(?P<speaker>\d\d)(?P<sentence>[a-z]\d\d)(?P<emotion>[a-z])(?P<take>[a-z]?)", re.IGNORECASE),
    called="{speaker}{sentence}{emotion}{take}",
    emotions=_EMODB_EMOTIONS,
    sentences={
        "a01": "Der Lappen liegt auf dem Eisschrank.",
        "a02": "Das will sie am Mittwoch abgeben.",
        "a04": "Heute abend könnte ich es ihm sagen.",
        "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
        "a07": "In sieben Stunden wird es soweit sein.",
        "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
        "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
        "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
        "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
        "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
    },
    sexes={speaker: FEMALE if speaker in ("08", "09", "13", "14", "16") else MALE for speaker in _EMODB_COUNTS},
    expected={
        speaker: dict(zip(_EMODB_EMOTIONS.values(), counts, strict=True)) for speaker, counts in _EMODB_COUNTS.items()
    },
    parts=5,
    longest=15.0,
    by_each_speaker=True,
)

_RAVDESS_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
_RAVDESS_ACTORS = tuple(f"{number:02}" for number in range(1, 25))

RAVDESS = ActedCorpus(
    name="ravdess",
    title="RAVDESS: 24 actors, eight emotions, two sentences; its speech",
    source="Audio_Speech_Actors_01-24.zip",
    example="03-01-06-01-02-01-12.wav",
    pattern=re.compile(
        r"(?P<modality>\d\d)-(?P<channel>\d\d)-(?P<emotion>\d\d)-(?P<intensity>\d\d)"
        r"-(?P<sentence>\d\d)-(?P<take>\d\d)-(?P<speaker>\d\d)"
    ),
    called="03-01-{emotion}-{intensity}-{sentence}-{take}-{speaker}",
    emotions=_RAVDESS_EMOTIONS,
    sentences={"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."},
    sexes={actor: MALE if int(actor) % 2 else FEMALE for actor in _RAVDESS_ACTORS},
    # Two sentences, twice, in two intensities; neutral has one.
    expected={
        actor: {emotion: 4 if emotion == "neutral" else 8 for emotion in _RAVDESS_EMOTIONS.values()}
        for actor in _RAVDESS_ACTORS
    },
    parts=6,
    longest=10.0,
    intensities={"01": "normal", "02": "strong"},
    not_taken={("channel", "02"): "they are songs", ("modality", "02"): "they are videos without sound"},
)

_CREMA_EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
_CREMA_ACTORS = tuple(str(number) for number in range(1001, 1092))
_CREMA_WOMEN = (
    "1002 1003 1004 1006 1007 1008 1009 1010 1012 1013 1018 1020 1021 1024 1025 "
    "1028 1029 1030 1037 1043 1046 1047 1049 1052 1053 1054 1055 1056 1058 1060 "
    "1061 1063 1072 1073 1074 1075 1076 1078 1079 1082 1084 1089 1091"
).split()
# Every actor says eleven sentences once in each emotion, and one in three levels of each but neutral.
_CREMA_EACH = {"ANG": 14, "DIS": 14, "FEA": 14, "HAP": 14, "NEU": 12, "SAD": 14}
_CREMA_NEVER_RECORDED = Counter(
    [(actor, emotion) for actor in ("1008", "1009", "1019") for emotion in _CREMA_EACH]  # one sentence each
    + [("1002", "NEU"), ("1076", "NEU")]
)
_SAME_WAV = (  # by the sums of the release
    ("1006_TIE_NEU_XX", "1006_TIE_HAP_XX"),
    ("1013_WSI_SAD_XX", "1013_WSI_DIS_XX"),
    ("1017_IWW_FEA_XX", "1017_IWW_ANG_XX"),
)

CREMA_D = ActedCorpus(
    name="crema-d",
    title="CREMA-D: 91 actors, six emotions, twelve sentences",
    source="the repository CREMA-D with git-lfs",
    example="1001_DFA_ANG_XX.wav",
    pattern=re.compile(
        r"(?P<speaker>\d{4})_(?P<sentence>[a-z]{3})_(?P<emotion>[a-z]{3})_(?P<intensity>[a-z]{2})", re.IGNORECASE
    ),
    called="{speaker}_{sentence}_{emotion}_{intensity}",
    emotions=_CREMA_EMOTIONS,
    sentences={
        "IEO": "It's eleven o'clock.",
        "TIE": "That is exactly what happened.",
        "IOM": "I'm on my way to the meeting.",
        "IWW": "I wonder what this is about.",
        "TAI": "The airplane is almost full.",
        "MTI": "Maybe tomorrow it will be cold.",
        "IWL": "I would like a new alarm clock.",
        "ITH": "I think I have a doctor's appointment.",
        "DFA": "Don't forget a jacket.",
        "ITS": "I think I've seen this before.",
        "TSI": "The surface is slick.",
        "WSI": "We'll stop in a couple of minutes.",
    },
    sexes={actor: FEMALE if actor in _CREMA_WOMEN else MALE for actor in _CREMA_ACTORS},
    expected={
        actor: {
            _CREMA_EMOTIONS[code]: count - _CREMA_NEVER_RECORDED[actor, code] for code, count in _CREMA_EACH.items()
        }
        for actor in _CREMA_ACTORS
    },
    parts=7,
    longest=10.0,
    intensities={"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"},
    misspelt={"1040_ITH_SAD_X": "1040_ITH_SAD_XX"},
    defects=(
        KnownDefect("1076_MTI_SAD_XX", UNREADABLE, "it is silent", "its audio is left out"),
        *(
            KnownDefect(later, DUPLICATE, f"its wav is that of {earlier}", "both are taken, each with its own label")
            for later, earlier in _SAME_WAV
        ),
    ),
    defects_unless_wav=(
        KnownDefect("1064_IEO_DIS_MD", MISCUT, "it has a minute with all emotions", "the beginning is heard"),
        KnownDefect("1064_TIE_SAD_XX", UNREADABLE, "it has no length", "its audio is left out"),
        KnownDefect("1076_MTI_NEU_XX", UNREADABLE, "it is short and silent", "its audio is left out"),
    ),
)

CORPORA = {corpus.name: corpus for corpus in (EMODB, RAVDESS, CREMA_D)}
