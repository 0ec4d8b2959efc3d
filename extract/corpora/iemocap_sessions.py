"""The folders of IEMOCAP: where each session is, and which files of it are whose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...errors import CorpusError
from ...features.splits import TEST, TRAIN, VALIDATION
from .arranging import Listing, is_media, preferred
from .checks import stem
from .contract import Aside
from .iemocap_files import Utterance, is_dialogue

SPLITS = {"1": TRAIN, "2": TRAIN, "3": TRAIN, "4": VALIDATION, "5": TEST}  # of each session
_FOLDER = re.compile(r"session[ _-]?0?([1-5])", re.IGNORECASE)


@dataclass(frozen=True)
class Session:
    """The files of one session, by their names without extension."""

    number: str

    home: str
    """Folder of the session, relative to the root."""

    annotations: Mapping[str, str]
    transcripts: Mapping[str, str]

    sentences: Mapping[str, list[str]]
    """Audio of each utterance by itself."""

    dialogues: Mapping[str, list[str]]
    """Audio and video of each dialogue as a whole."""

    @property
    def has_stretches(self) -> bool:
        """Whether utterances are stretches of their dialogue, for none is there by itself."""
        return not self.sentences and bool(self.dialogues)

    def audio_of(self, utterance: Utterance) -> str:
        """Where the audio of an utterance is, or should be."""
        if self.has_stretches:
            found = self.dialogues.get(utterance.dialogue)
            return preferred(found) if found else f"{self.home}/dialog/wav/{utterance.dialogue}.wav"
        found = self.sentences.get(utterance.name)
        return preferred(found) if found else f"{self.home}/sentences/wav/{utterance.dialogue}/{utterance.name}.wav"

    def orphans(self, used: set[str]) -> list[Aside]:
        """Audio that no annotation names; recordings of dialogues only where utterances are stretches of them."""
        own = self.dialogues if self.has_stretches else self.sentences
        split = SPLITS[self.number]
        if not self.annotations:
            reason = f"for session {self.number} has no annotation"
        else:
            reason = "for no annotation names them"
        asides = []
        for name, paths in own.items():
            taken = preferred(paths)
            if not self.has_stretches:  # dialogues come as video besides
                reason_of_others = f"for {name} is taken from {taken}"
                asides += [Aside(path, reason_of_others, split=split) for path in paths if path != taken]
            if taken not in used:
                asides.append(Aside(taken, reason, split=split))
        return asides


def sessions_in(listing: Listing, notes: list[str]) -> list[Session]:
    """The sessions of a listing; what there is to say of them is added to ``notes``.

    Raises CorpusError where two copies of one are there and neither is the nearer.
    """
    folders: dict[str, list[str]] = {}  # paths of files by their folder
    for path in listing.files:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    return [_session(folders, number, home, notes) for number, home in _homes(listing, folders, notes).items()]


def _homes(listing: Listing, folders: Iterable[str], notes: list[str]) -> dict[str, str]:
    """The folder of each session by its number, the least deep where there are several."""
    found: dict[str, dict[str, bool]] = {}  # of each number the folders, and whether they hold an annotation
    for folder in folders:
        parts = folder.split("/")
        for depth, part in enumerate(parts):
            if match := _FOLDER.fullmatch(part):
                homes = found.setdefault(match.group(1), {})
                home = "/".join(parts[: depth + 1])
                below = [each.lower() for each in parts[depth + 1 :]]
                homes[home] = homes.get(home, False) or below[:2] == ["dialog", "emoevaluation"]
                break
    chosen = {}
    for number in sorted(found):
        homes = sorted(found[number], key=lambda home: (not found[number][home], home.count("/"), home))
        first, *others = homes
        for other in others:
            if (found[number][other], other.count("/")) == (found[number][first], first.count("/")):
                raise CorpusError(f"{listing.root}: holds both {first} and {other}; name the folder of one with --data")
            notes.append(f"session {number} is taken from {first}; {other} is not read")
        chosen[number] = first
    return chosen


def _session(folders: Mapping[str, Sequence[str]], number: str, home: str, notes: list[str]) -> Session:
    annotations: dict[str, str] = {}
    transcripts: dict[str, str] = {}
    sentences: dict[str, list[str]] = {}
    dialogues: dict[str, list[str]] = {}
    for folder, paths in folders.items():
        if not folder.startswith(f"{home}/"):
            continue
        below = folder.removeprefix(f"{home}/").lower().split("/")
        if below in (["dialog", "emoevaluation"], ["dialog", "transcriptions"]):
            # What each annotator said by itself lies in folders below.
            texts = annotations if below[1] == "emoevaluation" else transcripts
            texts |= {stem(path): path for path in paths if path.lower().endswith(".txt") and is_dialogue(stem(path))}
        for path in filter(is_media, paths if below[0] in ("sentences", "dialog") else ()):
            if below[0] == "sentences":
                sentences.setdefault(stem(path), []).append(path)
            elif is_dialogue(stem(path)):
                dialogues.setdefault(stem(path), []).append(path)
    if not annotations:
        notes.append(f"session {number}: {home} has no dialog/EmoEvaluation, so the session is left out as a whole")
    elif not transcripts:
        notes.append(f"session {number}: {home} has no dialog/transcriptions, so its texts are empty")
    return Session(number, home, annotations, transcripts, sentences, dialogues)
