"""Sessions of IEMOCAP as they lie on disk: two dialogues of five utterances of each actor, without sound."""

from __future__ import annotations

from pathlib import Path

from msmt.extract.corpora.config import CorpusOptions
from msmt.extract.corpora.contract import Reading
from msmt.extract.corpora.iemocap import read

# In the order of time; the man's utterances are annotated after the woman's.
CATEGORIES = {"F": ("neu", "ang", "exc", "xxx", "sad"), "M": ("hap", "fru", "neu", "sad", "sur")}
OF_FOUR = 7  # of each dialogue


def write_session(release: Path, number: int, called: str = "Session{}", audio: str = "sentences") -> Path:
    home = release / called.format(number)
    for dialogue in (f"Ses0{number}F_impro01", f"Ses0{number}M_script01_1b"):
        annotation, transcript = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""], []
        for who, categories in CATEGORIES.items():
            for index, category in enumerate(categories):
                start = 6.5 * index + (3.25 if who == "M" else 0.0)
                name = f"{dialogue}_{who}{index:03d}"
                time = f"[{start:.4f} - {start + 2:.4f}]"
                annotation += [f"{time}\t{name}\t{category}\t[2.5000, 3.0000, {1.5 + index / 2:.4f}]"]
                annotation += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
                transcript.append(f"{name} [{start:08.4f}-{start + 2:08.4f}]: Words of {name}.")
                if audio == "sentences":
                    touch(home / "sentences" / "wav" / dialogue / f"{name}.wav")
        if audio == "dialogues":
            touch(home / "dialog" / "wav" / f"{dialogue}.wav")
        write_lines(home / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", annotation)
        write_lines(home / "dialog" / "transcriptions" / f"{dialogue}.txt", transcript)
        for folder in ("Attribute", "Categorical", "Self-evaluation"):
            write_lines(home / "dialog" / "EmoEvaluation" / folder / f"{dialogue}_e1.txt", annotation)
    return home


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def found(root: Path, **options) -> Reading:
    return read(root, CorpusOptions(**options))


def annotation_of(release: Path, dialogue: str) -> Path:
    return release / f"Session{dialogue[4]}" / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"


def said(reading: Reading, words: str) -> str:
    (line,) = [line for line in reading.notes if words in line]
    return line
