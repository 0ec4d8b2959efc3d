"""The layouts of EMO-DB, RAVDESS and CREMA-D: wav files whose names say who acts what, and what lies about beside them.

Everybody says the same sentences in each emotion, so the voice alone tells it. Of the larger corpora there are only
some speakers, so chosen that each split and each fold has a woman and a man.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..corpora.acted import item_name
from ..corpora.acted_names import CREMA_D, EMODB, FEMALE, RAVDESS, ActedCorpus
from .scenario import Person, person, utterance
from .writing import truncate, write_wav

RAVDESS_ACTORS = tuple(RAVDESS.sexes)[:12]
CREMA_ACTORS = tuple(str(number) for number in (*range(1001, 1010), 1011, *range(1014, 1018)))
_STUDIO, _SPEECH = 48000, 16000  # hertz, of RAVDESS and of the others
_STRONG = 0.2  # louder, of 1, where an emotion is acted strongly
_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 72862\n"
_MAC = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "


def write(layout: str, folder: Path, random: np.random.Generator) -> None:
    """Write one of the three, with a few things of the kind that their users find in them."""
    writers: dict[str, Callable[[Path, np.random.Generator], None]] = {
        EMODB.name: _write_emodb,
        RAVDESS.name: _write_ravdess,
        CREMA_D.name: _write_crema,
    }
    writers[layout](folder, random)


def _write_emodb(folder: Path, random: np.random.Generator) -> None:
    people = _people(EMODB, EMODB.sexes, random)
    sentences = tuple(EMODB.sentences)
    wavs = folder / "wav"
    wavs.mkdir()
    for speaker, who in people.items():
        for emotion in EMODB.emotions:
            if not EMODB.expected[speaker][EMODB.emotions[emotion]]:
                continue  # of speaker 08 no disgust was recognised
            for place in random.choice(len(sentences), 2, replace=False):
                codes = {"speaker": speaker, "emotion": emotion, "sentence": sentences[place], "take": "a"}
                _say(EMODB, wavs, codes, who, random, _SPEECH)
    taken = sorted(wavs.iterdir())
    truncate(taken[1])
    shutil.copyfile(taken[0], wavs / f"{taken[0].stem} (1).wav")  # downloaded twice
    (folder / "erklaerung.txt").write_text("Made by msmt demo.\n")
    (folder / "lablaut").mkdir()
    (folder / "lablaut" / f"{taken[0].stem}xx.lablaut").write_text("Made by msmt demo.\n")


def _write_ravdess(folder: Path, random: np.random.Generator) -> None:
    people = _people(RAVDESS, RAVDESS_ACTORS, random)
    for actor, who in people.items():
        home = folder / f"Actor_{actor}"
        home.mkdir()
        for order, emotion in enumerate(RAVDESS.emotions):
            for sentence in RAVDESS.sentences:
                is_strong = (order + int(actor) + int(sentence)) % 2 == 0 and RAVDESS.emotions[emotion] != "neutral"
                codes = {"speaker": actor, "emotion": emotion, "sentence": sentence, "take": "01"}
                codes["intensity"] = "02" if is_strong else "01"
                spoken_by = dataclasses.replace(who, effort=who.effort + _STRONG) if is_strong else who
                _say(RAVDESS, home, codes, spoken_by, random, _STUDIO)
    first = sorted((folder / "Actor_01").iterdir())
    # A second copy, as one of the places has it that it is downloaded from; a file cut off; a song; what a Mac leaves.
    shutil.copytree(folder / "Actor_01", folder / "audio_speech_actors_01-24" / "Actor_01")
    truncate(sorted((folder / "Actor_05").iterdir())[3])
    songs = folder / "Audio_Song_Actors_01-24" / "Actor_01"
    songs.mkdir(parents=True)
    shutil.copyfile(first[4], songs / first[4].name.replace("03-01-", "03-02-", 1))
    for path in first[:3]:
        (path.parent / f"._{path.name}").write_bytes(_MAC)
    shouted = sorted((folder / "Actor_06").iterdir())[0]
    shouted.rename(shouted.with_suffix(".WAV"))


def _write_crema(folder: Path, random: np.random.Generator) -> None:
    people = _people(CREMA_D, CREMA_ACTORS, random)
    wavs = folder / "AudioWAV"
    wavs.mkdir()
    levels = [level for level in CREMA_D.intensities if level != "XX"]
    others = [sentence for sentence in CREMA_D.sentences if sentence != "IEO"]
    for actor, who in people.items():
        for emotion in CREMA_D.emotions:
            level = "XX" if emotion == "NEU" else str(random.choice(levels))
            for sentence, intensity in (("IEO", level), (str(random.choice(others)), "XX")):
                codes = {"speaker": actor, "emotion": emotion, "sentence": sentence, "intensity": intensity}
                louder = _STRONG * (intensity == "HI") - _STRONG * (intensity == "LO")
                _say(CREMA_D, wavs, codes, dataclasses.replace(who, effort=who.effort + louder), random, _SPEECH)
    # What the release has: two names for one sound, silence, and files that were left in the repository.
    same = {"speaker": "1017", "sentence": "IWW", "emotion": "ANG", "intensity": "XX"}
    _say(CREMA_D, wavs, same, people["1017"], random, _SPEECH)
    shutil.copyfile(wavs / "1017_IWW_ANG_XX.wav", wavs / "1017_IWW_FEA_XX.wav")
    write_wav(wavs / "1076_MTI_SAD_XX.wav", np.zeros(int(2.5 * _SPEECH)), _SPEECH)
    (wavs / "1005_DFA_ANG_XX.wav").write_text(_POINTER.format(digest=64 * "0"))
    (folder / "AudioMP3").mkdir()
    (folder / "AudioMP3" / "1001_IEO_NEU_XX.mp3").write_text(_POINTER.format(digest=64 * "1"))


def _people(
    corpus: ActedCorpus, speakers: Sequence[str] | Mapping[str, str], random: np.random.Generator
) -> dict[str, Person]:
    return {speaker: person(random, speaker, corpus.sexes[speaker] == FEMALE) for speaker in speakers}


def _say(
    corpus: ActedCorpus, folder: Path, codes: Mapping[str, str], who: Person, random: np.random.Generator, rate: int
) -> None:
    """Write what somebody says, under the name that these codes give it."""
    text, emotion = corpus.sentences[codes["sentence"]], corpus.emotions[codes["emotion"]]
    said = utterance(random, who, emotion, "de" if corpus is EMODB else "en", rate, text, corpus.classes)
    write_wav(folder / f"{item_name(corpus, codes)}.wav", said.samples, rate)
