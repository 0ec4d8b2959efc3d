"""A small corpus in the layout of IEMOCAP: five sessions of a woman and a man, who improvise and read.

With what the release has beside wav files and annotations: lines and folders of each annotator, utterances without
agreement, a transcript in latin-1, lines of a transcript that nobody annotated; and with what comes on the way: files of
a Mac, one utterance whose wav file is missing, and one wav file that no annotation names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..corpora.iemocap import CATEGORIES, DISAGREED
from .scenario import Person, Utterance, dialogue, person, utterance
from .writing import write_wav

_SESSIONS = 5
_FEWEST_TURNS, _MOST_TURNS = 10, 13
_EMOTIONS = ("neutral", "frustrated", "angry", "sad", "excited", "happy")
# What each dialogue is to bring about, as the scenarios of the release do.
_DIALOGUES = {
    "F_impro01": ("neutral", "frustrated", "angry", "sad"),
    "M_impro02": ("neutral", "sad", "excited", "happy"),
    "M_script01_1": _EMOTIONS,
}
_IN_LATIN_1 = "Ses02F_impro01"
_WITHOUT_A_WAV = "Ses03F_impro01"  # one who is frustrated in it, so that four classes lack nothing
_LEAST_OF_EACH = 4  # in a session, so that none lacks in any
_DISAGREED = 0.15  # probability that annotators do not agree
_RATE = 16000  # hertz
_HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
_OF_A_MAC = b"\0\5\x16\7\0\2\0\0Mac OS X"  # how its files of attributes begin
_CODES = {name: code for code, name in CATEGORIES.items()}


@dataclass(frozen=True)
class _Turn:
    """An utterance of a dialogue as the files have it."""

    name: str
    said: Utterance
    category: str

    start: float
    """Seconds within the dialogue."""

    ratings: tuple[float, float, float]
    """Valence, activation and dominance, 1 to 5."""

    @property
    def end(self) -> float:
        return self.start + self.said.seconds


def write(layout: str, folder: Path, random: np.random.Generator) -> None:
    """Fill an empty folder with ``IEMOCAP_full_release``."""
    for number in range(1, _SESSIONS + 1):
        home = folder / "IEMOCAP_full_release" / f"Session{number}"
        people = [person(random, f"Ses0{number}{who}", who == "F") for who in "FM"]
        said = [
            dialogue(random, people, emotions, int(random.integers(_FEWEST_TURNS, _MOST_TURNS)), rate=_RATE)
            for emotions in _DIALOGUES.values()
        ]
        said[-1] += _lacking(random, people, said)
        agreed: Counter[str] = Counter()
        for kind, utterances in zip(_DIALOGUES, said, strict=True):
            called = f"Ses0{number}{kind}"
            turns = _turns(random, called, utterances, agreed)
            _write_audio(home / "sentences" / "wav" / called, turns)
            _write_annotation(home / "dialog" / "EmoEvaluation", called, turns)
            _write_transcript(home / "dialog" / "transcriptions", called, turns)
    _spoil(folder / "IEMOCAP_full_release")


def _lacking(random: np.random.Generator, people: list[Person], said: list[list[Utterance]]) -> list[Utterance]:
    """What a session lacks of an emotion, said at its end."""
    counts = Counter(each.emotion for turns in said for each in turns)
    missing = [emotion for emotion in _EMOTIONS for _ in range(_LEAST_OF_EACH - counts[emotion])]
    return [
        utterance(random, people[place % len(people)], emotion, rate=_RATE, among=_EMOTIONS)
        for place, emotion in enumerate(missing)
    ]


def _turns(random: np.random.Generator, called: str, utterances: list[Utterance], agreed: Counter[str]) -> list[_Turn]:
    """``agreed`` counts, for a session, the utterances of each emotion that have it as their category."""
    numbers: Counter[str] = Counter()
    turns, time = [], float(random.uniform(0.5, 2))
    for each in utterances:
        who = each.speaker[-1]
        is_agreed = agreed[each.emotion] < _LEAST_OF_EACH or random.random() >= _DISAGREED
        agreed[each.emotion] += is_agreed
        dominance = np.clip(0.5 * each.arousal + 0.2 * each.valence + random.normal(0, 0.2), -1, 1)
        ratings = tuple(round(2 * (3 + 2 * value)) / 2 for value in (each.valence, each.arousal, dominance))
        category = _CODES[each.emotion] if is_agreed else DISAGREED
        turns.append(_Turn(f"{called}_{who}{numbers[who]:03d}", each, category, time, ratings))
        numbers[who] += 1
        time += each.seconds + float(random.uniform(0.2, 1.2))
    return turns


def _write_audio(folder: Path, turns: list[_Turn]) -> None:
    folder.mkdir(parents=True)
    for turn in turns:
        write_wav(folder / f"{turn.name}.wav", turn.said.samples, turn.said.rate)


def _write_annotation(folder: Path, called: str, turns: list[_Turn]) -> None:
    """The woman's utterances before the man's, whenever they are said; each with what three annotators said."""
    blocks, of_one = [], []
    for turn in sorted(turns, key=lambda each: (each.name[-4], each.start)):
        valence, activation, dominance = turn.ratings
        category = CATEGORIES.get(turn.category, "other").capitalize()
        time = f"[{turn.start:.4f} - {turn.end:.4f}]"
        blocks.append(
            f"{time}\t{turn.name}\t{turn.category}\t[{valence:.4f}, {activation:.4f}, {dominance:.4f}]\n"
            f"C-E2:\t{category};\t()\nC-E3:\t{category};\t()\nC-E4:\t{category};\t()\n"
            f"A-E3:\tval {round(valence)}; act {round(activation)}; dom  {round(dominance)};\t()\n"
        )
        of_one.append(f"{turn.name} :{category}; ()\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{called}.txt").write_text(_HEADER + "\n".join(blocks), encoding="ascii")
    for name, end in (("Attribute", "e3_atr"), ("Categorical", "e2_cat"), ("Self-evaluation", "f1_cat")):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / f"{called}_{end}.txt").write_text("".join(of_one), encoding="ascii")


def _write_transcript(folder: Path, called: str, turns: list[_Turn]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{turn.name} [{turn.start:08.4f}-{turn.end:08.4f}]: {turn.said.text}\n" for turn in turns]
    if called == _IN_LATIN_1:
        lines[0] = lines[0].rstrip("\n") + " So we met at the caf\xe9.\n"
    lines.append(f"{called}_FXX0 [{turns[-1].end:08.4f}-{turns[-1].end + 1:08.4f}]: [LAUGHTER]\n")
    (folder / f"{called}.txt").write_text("".join(lines), encoding="latin-1")


def _spoil(release: Path) -> None:
    """What comes on the way."""
    for path in (
        release / "Session1" / "dialog" / "EmoEvaluation" / "._Ses01F_impro01.txt",
        release / "Session1" / "sentences" / "wav" / "Ses01F_impro01" / "._Ses01F_impro01_F000.wav",
    ):
        path.write_bytes(_OF_A_MAC)
    known = release / "Session4" / "sentences" / "wav" / "Ses04M_script01_1" / "Ses04M_script01_1_M000.wav"
    known.with_name("Ses04M_script01_1_M099.wav").write_bytes(known.read_bytes())
    annotation = (release / "Session3" / "dialog" / "EmoEvaluation" / f"{_WITHOUT_A_WAV}.txt").read_text("ascii")
    _, name, *_ = next(line for line in annotation.splitlines() if f"\t{_CODES['frustrated']}\t" in line).split("\t")
    (release / "Session3" / "sentences" / "wav" / _WITHOUT_A_WAV / f"{name}.wav").unlink()
