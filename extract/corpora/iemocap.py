"""IEMOCAP: two actors in each of five sessions, dialogues that they improvise or read, each utterance annotated.

As downloaded it is ``IEMOCAP_full_release/Session1`` to ``Session5``, and in each ``dialog/EmoEvaluation/<dialogue>.txt``,
``dialog/transcriptions/<dialogue>.txt`` and ``sentences/wav/<dialogue>/<utterance>.wav``; where only the dialogues as a
whole are there, ``dialog/wav/<dialogue>.wav``, utterances are stretches of them.
Source: C. Busso et al., IEMOCAP: Interactive emotional dyadic motion capture database, LREC 42(4), 2008.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from ...errors import CorpusError, SettingError, shown
from ...features.segments import EXTRA, SCHEME
from ...features.splits import TEST, TRAIN, VALIDATION
from ...features.tasks import NO_LABEL, Task
from .arranging import listing_of
from .config import CorpusOptions
from .contract import Adapter, Aside, Count, Reading
from .dialogues import with_next
from .held_out import leave_one_out
from .iemocap_files import Utterance, read_annotation, read_transcript
from .iemocap_sessions import SPLITS, Session, sessions_in

NAME = "iemocap"
SESSIONS = tuple(SPLITS)
VALUES = tuple(Task(name, (), "segment") for name in ("valence", "activation", "dominance"))
DISAGREED = "xxx"  # annotators, so that the utterance has no category

CATEGORIES = {
    "neu": "neutral",
    "fru": "frustrated",
    "ang": "angry",
    "sad": "sad",
    "exc": "excited",
    "hap": "happy",
    "sur": "surprised",
    "fea": "fearful",
    "dis": "disgusted",
    "oth": "other",
}
_CLASSES = {
    "4": ("neutral", "angry", "sad", "happy"),
    "6": ("neutral", "frustrated", "angry", "sad", "excited", "happy"),
    "all": tuple(CATEGORIES.values()),
}
_DEFAULT = "4"
_NAMED = 3  # of many of one kind, in a line
_LONGEST = 40.0  # seconds; the longest utterance has 35

_ALL = 10_039
_BY_CATEGORY = dict(neu=1708, fru=1849, ang=1103, sad=1084, exc=1041, hap=595, sur=107, fea=40, dis=2, oth=3, xxx=2507)
_BY_SESSION_OF_FOUR = dict(zip(SESSIONS, (1085, 1023, 1151, 1031, 1241), strict=True))
_SESSION_5_OF_SIX = 1622
_DIALOGUES = dict(zip(SESSIONS, (28, 30, 32, 30, 31), strict=True))
_SPEAKERS = 10
_QUOTED_OF_SIX = 7433


def emotion_of(classes: str) -> Task:
    """The task of ``--classes`` 4, 6 or all. Raises SettingError for another."""
    if (classes or _DEFAULT) not in _CLASSES:
        raise SettingError(f"classes must be {', '.join(_CLASSES)}, but is {shown(classes)}")
    return Task("emotion", _CLASSES[classes or _DEFAULT], "segment")


def read(data_dir: Path, options: CorpusOptions) -> Reading:
    """Find IEMOCAP in a folder. Raises CorpusError where no annotation of it is there, or one cannot be read."""
    emotion = emotion_of(options.classes)
    listing = listing_of(data_dir)
    notes = list(listing.notes)
    sessions = sessions_in(listing, notes)
    if not any(session.annotations for session in sessions):
        raise CorpusError(
            f"{data_dir}: holds no Session1 to Session5 with dialog/EmoEvaluation/*.txt; unpack IEMOCAP_full_release, or"
            " name the folder that holds the sessions with --data"
        )
    utterances, left_out = _utterances(data_dir, sessions, notes)
    if not utterances:
        raise CorpusError(
            f"{data_dir}: no annotation of IEMOCAP holds an utterance; unpack its EmoEvaluation folders anew"
        )
    by_number = {session.number: session for session in sessions}
    items = _items(utterances, by_number, _texts(data_dir, sessions, {each.name for each in utterances}, notes))
    kept, unasked = _asked_for(items, emotion, options.keep_context)
    left_out += unasked
    notes += _on_what_lacks(by_number, set(kept["split"]))
    if unasked:
        notes.append(
            f"of {len(items):,} annotated utterances {len(kept):,} are taken, by --classes {options.classes or _DEFAULT}"
        )
    kept, following = with_next(kept, emotion)
    kept, schemes = _with_schemes(kept, notes)
    used = set(items["audio"])
    return Reading(
        NAME,
        data_dir,
        _arrangement(sessions),
        kept,
        (emotion, *VALUES, following),
        _counts(options),
        orphans=tuple(aside for session in sessions for aside in session.orphans(used)),
        left_out=tuple(left_out),
        notes=tuple(notes),
        schemes=schemes,
        longest=_LONGEST,
    )


ADAPTERS = {
    NAME: Adapter(
        NAME,
        "IEMOCAP: dialogues of two actors in five sessions; emotion, valence, activation, dominance of each utterance",
        read,
        options=("classes", "keep_context"),
    ),
}


def _utterances(root: Path, sessions: Sequence[Session], notes: list[str]) -> tuple[list[Utterance], list[Aside]]:
    """Of all sessions, in the order of their dialogues and of time; and what of the annotation cannot be taken."""
    found: dict[str, Utterance] = {}
    asides: list[Aside] = []
    foreign = []  # files in another encoding
    for session in sessions:
        split = SPLITS[session.number]
        for name in sorted(session.annotations):
            path = session.annotations[name]
            annotation = read_annotation(root / path, path)
            foreign += [] if annotation.is_utf8 else [path]
            asides += [
                Aside(each, "its line in the annotation cannot be read", origin, split)
                for each, origin in annotation.unreadable
            ]
            for each in annotation.utterances:
                reason = ""
                if each.session != session.number:
                    reason = f"it lies in {session.home} but is of session {each.session}"
                elif each.name in found:
                    reason = "it is annotated twice, and the first is taken"
                elif each.category != DISAGREED and each.category not in CATEGORIES:
                    reason = f"its category {shown(each.category)} is none of IEMOCAP"
                if reason:
                    asides.append(Aside(each.name, reason, each.origin, split))
                else:
                    found[each.name] = each
            if not annotation.utterances:
                notes.append(f"{path} holds no utterance")
    by_reason: dict[str, list[str]] = {}
    for aside in asides:
        by_reason.setdefault(aside.reason, []).append(aside.origin)
    notes += [f"{_listed(origins)}: {reason}" for reason, origins in by_reason.items()]
    notes += _on_encoding(foreign)
    return sorted(
        found.values(), key=lambda each: (each.session, each.dialogue, each.start, each.end, each.name)
    ), asides


def _texts(root: Path, sessions: Sequence[Session], annotated: set[str], notes: list[str]) -> dict[str, str]:
    """What was said, by utterance."""
    texts: dict[str, str] = {}
    unreadable, repeated, foreign, without = [], [], [], []
    for session in sessions:
        for name in sorted(session.transcripts):
            path = session.transcripts[name]
            transcript = read_transcript(root / path, path)
            texts |= transcript.texts
            unreadable += transcript.unreadable
            repeated += transcript.repeated
            foreign += [] if transcript.is_utf8 else [path]
        if session.transcripts:
            without += [name for name in sorted(session.annotations) if name not in session.transcripts]
    if without:
        notes.append(f"{_listed(without)}: no transcript is there, so the texts are empty")
    if unreadable:
        notes.append(f"{_listed(unreadable)}: these lines of transcripts cannot be read, so the texts are empty")
    if repeated:
        notes.append(f"{_listed(repeated)}: these utterances have another transcript already, and the first is taken")
    notes += _on_encoding(foreign)
    unannotated = sorted(set(texts) - annotated)
    if unannotated:
        notes.append(f"{_listed(unannotated)}: they have a transcript but no annotation, and are left out")
    return texts


def _items(utterances: Sequence[Utterance], sessions: Mapping[str, Session], texts: Mapping[str, str]) -> pd.DataFrame:
    """A row for each annotated utterance, numbered within its dialogue by time."""
    places: Counter[str] = Counter()
    rows = []
    for each in utterances:
        session = sessions[each.session]
        rows.append(
            {
                "origin": each.origin,
                "segment_id": each.name,
                "recording_id": each.dialogue,
                "index": places[each.dialogue],
                "split": SPLITS[each.session],
                "audio": session.audio_of(each),
                "start": each.start if session.has_stretches else math.nan,
                "end": each.end if session.has_stretches else math.nan,
                "text": texts.get(each.name, ""),
                "speaker": each.speaker,
                f"{EXTRA}session": each.session,
                f"{EXTRA}setting": each.setting,
                f"{EXTRA}category": each.category,
                "stated": each.end - each.start,
                **{task.column: getattr(each, task.name) for task in VALUES},
            }
        )
        places[each.dialogue] += 1
    return pd.DataFrame(rows)


def _asked_for(items: pd.DataFrame, emotion: Task, keep_context: bool) -> tuple[pd.DataFrame, list[Aside]]:
    """The items with their classes, without those of others unless they are kept without a label."""
    merged = {"excited": "happy"} if "excited" not in emotion.classes else {}
    names = [CATEGORIES.get(category, "") for category in items[f"{EXTRA}category"]]
    labels = [
        emotion.classes.index(name) if (name := merged.get(each, each)) in emotion.classes else NO_LABEL
        for each in names
    ]
    items = items.assign(**{emotion.column: labels})
    if keep_context or len(emotion.classes) == len(CATEGORIES):
        return items, []
    asides = []
    for row in items[items[emotion.column] == NO_LABEL].itertuples():
        category = getattr(row, f"{EXTRA}category")
        reason = f"{CATEGORIES[category]}, none of the {len(emotion.classes)} classes" if category != DISAGREED else ""
        reason = reason or f"annotators did not agree ({DISAGREED})"
        asides.append(Aside(row.segment_id, reason, row.origin, row.split))
    return items[items[emotion.column] != NO_LABEL].reset_index(drop=True), asides


def _with_schemes(items: pd.DataFrame, notes: list[str]) -> tuple[pd.DataFrame, dict[str, dict]]:
    """The items with a column for each session and each speaker left out, and what is to be known of these families."""
    sessions = sorted(set(items[f"{EXTRA}session"]))
    speakers = sorted(set(items["speaker"]))
    next_one = {one: sessions[(place + 1) % len(sessions)] for place, one in enumerate(sessions)}
    other_one = {who: who[:-1] + ("M" if who.endswith("F") else "F") for who in speakers}
    families: dict[str, dict] = {}
    if len(sessions) < 3:
        notes.append("to leave one session out takes three, so there is no scheme sessions")
    else:
        named = {f"session{one}": f"session{other}" for one, other in next_one.items()}
        groups = [f"session{number}" for number in items[f"{EXTRA}session"]]
        items = items.assign(**_columns(leave_one_out(groups, named)))
        families["sessions"] = _facts(named, "session", "next")
    if len(sessions) < 2 or not set(other_one.values()) <= set(speakers):
        notes.append("to leave one speaker out takes two sessions with both of theirs, so there is no scheme speakers")
    else:
        items = items.assign(**_columns(leave_one_out(items["speaker"], other_one)))
        families["speakers"] = _facts(other_one, "speaker", "the other speaker of the session")
    return items, families


def _columns(splits: Mapping[str, object]) -> dict[str, object]:
    return {SCHEME + name: of_item for name, of_item in splits.items()}


def _facts(schemes: Mapping[str, str], by: str, validation: str) -> dict:
    return {"schemes": list(schemes), "by": by, "stratify": "", "seed": None, "validation": validation}


def _on_what_lacks(sessions: Mapping[str, Session], splits: set[str]) -> list[str]:
    """What to say of sessions that are not there, and of splits that have nothing."""
    lines = []
    if lacking := [number for number in SESSIONS if number not in sessions]:
        are = "session {} of 5 is" if len(lacking) == 1 else "sessions {} of 5 are"
        lines.append(f"{are.format(', '.join(lacking))} not there")
    if empty := [split for split in (TRAIN, VALIDATION, TEST) if split not in splits]:
        lines.append(
            f"the standard split has no {' and no '.join(empty)}: sessions 1 to 3 are train, 4 val, and 5 test"
        )
    return lines


def _arrangement(sessions: Sequence[Session]) -> str:
    described: dict[str, list[str]] = {}
    for session in sessions:
        parent = str(PurePosixPath(session.home).parent).removeprefix(".")
        where = f"in {parent}" if parent else "in the folder itself"
        if session.has_stretches:
            how = "utterances as stretches of dialogues as a whole, for sentences/wav is not there"
        elif session.sentences:
            how = "a file for each utterance"
            how += "; the dialogues as a whole are not read" if session.dialogues else ""
        else:
            how = "no audio"
        described.setdefault(f"{where}, {how}", []).append(session.number)
    said = [f"session{'s' if len(each) > 1 else ''} {', '.join(each)} {what}" for what, each in described.items()]
    return "found " + "; ".join(said)


def _on_encoding(paths: Sequence[str]) -> list[str]:
    return [f"{_listed(paths)}: not UTF-8, and read as Windows-1252 (latin-1)"] if paths else []


def _listed(names: Sequence[str]) -> str:
    """``a, b, c and 4 more``"""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _counts(options: CorpusOptions) -> tuple[Count, ...]:
    classes = options.classes or _DEFAULT
    has_all = classes == "all" or options.keep_context
    expected = Counter(
        {CATEGORIES[category]: count for category, count in _BY_CATEGORY.items() if category != DISAGREED}
    )
    if classes == "4":
        expected["happy"] += expected.pop("excited")
    of_classes = {name: expected[name] for name in _CLASSES[classes]}
    counts = [Count({}, _ALL if has_all else sum(of_classes.values()))]
    if classes == "6" and not has_all:
        source = "many papers (the counts of the classes make 7,380)"
        counts.append(Count({}, _QUOTED_OF_SIX, source=source))
    counts += [Count({}, sum(_DIALOGUES.values()), "recording"), Count({}, _SPEAKERS, "speaker")]
    counts += [Count({f"{EXTRA}session": number}, count, "recording") for number, count in _DIALOGUES.items()]
    if classes == "4" and not has_all:
        counts += [Count({f"{EXTRA}session": number}, count) for number, count in _BY_SESSION_OF_FOUR.items()]
    if classes == "6" and not has_all:
        counts.append(Count({f"{EXTRA}session": "5"}, _SESSION_5_OF_SIX))
    counts += [Count({"emotion": name}, count) for name, count in of_classes.items()]
    if classes == "4":
        counts += [Count({f"{EXTRA}category": category}, _BY_CATEGORY[category]) for category in ("exc", "hap")]
    if has_all:
        counts.append(Count({f"{EXTRA}category": DISAGREED}, _BY_CATEGORY[DISAGREED]))
    return tuple(counts)
