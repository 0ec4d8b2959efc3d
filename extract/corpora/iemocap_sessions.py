"""The folders of IEMOCAP: where each session is, and which files of it are whose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ...errors import CorpusError
from ...features.splits import TEST, TRAIN, VALIDATION
from .arranging import Listing, is_media, preferred
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

    dialogues: Mapping[str, list[str]] = field(default_factory=dict)
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
            asides += [Aside(path, f"for {name} is taken from {taken}", split=split) for path in paths if path != taken]
            if taken not in used:
                asides.append(Aside(taken, reason, split=split))
        return asides


def homes_in(listing: Listing, notes: list[str]) -> dict[str, str]:
    """The folder of each session by its number, the least deep where there are several."""
    found: dict[str, dict[str, bool]] = {}
    for path in listing.files:
        parts = PurePosixPath(path).parts
        for depth, part in enumerate(parts[:-1]):
            if match := _FOLDER.fullmatch(part):
                below = "/".join(parts[depth + 1 :]).lower()
                homes = found.setdefault(match.group(1), {})
                home = "/".join(parts[: depth + 1])
                homes[home] = homes.get(home, False) or below.startswith("dialog/emoevaluation/")
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


def session_in(listing: Listing, number: str, home: str, notes: list[str]) -> Session:
    annotations: dict[str, str] = {}
    transcripts: dict[str, str] = {}
    sentences: dict[str, list[str]] = {}
    dialogues: dict[str, list[str]] = {}
    for path in listing.files:
        if not path.startswith(f"{home}/"):
            continue
        place = PurePosixPath(path)
        folders = [part.lower() for part in PurePosixPath(path.removeprefix(f"{home}/")).parts[:-1]]
        is_of_dialogue = is_dialogue(place.stem)
        # The folders below EmoEvaluation hold what each annotator said by itself.
        if folders == ["dialog", "emoevaluation"] and place.suffix.lower() == ".txt" and is_of_dialogue:
            annotations[place.stem] = path
        elif folders == ["dialog", "transcriptions"] and place.suffix.lower() == ".txt" and is_of_dialogue:
            transcripts[place.stem] = path
        elif folders[:1] == ["sentences"] and is_media(path):
            sentences.setdefault(place.stem, []).append(path)
        elif folders[:1] == ["dialog"] and is_media(path) and is_of_dialogue:
            dialogues.setdefault(place.stem, []).append(path)
    session = Session(number, home, annotations, transcripts, sentences, dialogues)
    if not annotations:
        notes.append(f"session {number}: {home} has no dialog/EmoEvaluation, so the session is left out as a whole")
    elif not transcripts:
        notes.append(f"session {number}: {home} has no dialog/transcriptions, so its texts are empty")
    return session
