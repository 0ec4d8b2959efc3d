"""People who talk with each other, with emotions that can be told from what they say, how, and when.

What such a corpus rewards, so that every part of a system has something to find:

- *Words* carry the emotion, with overlap: an utterance has a line of its own emotion, small talk, or a line of a
  neighbouring emotion.
- *Prosody* carries it too, with overlap: pitch, melody, rate, effort and hesitation move away from the speaker's own, at
  times flatly, or as those of a neighbouring emotion would. Both are drawn independently, so together they tell more than
  either.
- *Context*: the emotion of a turn depends on those before, by a Markov chain. A speaker tends to stay in an emotion, and
  reacts to that of the speaker before; so what came before helps to recognise a turn, and to predict the next one.
- *Speakers*: each shows some emotions more than others, and has a voice that the others' measure does not fit; so it pays
  to know who speaks.
- *Values*: valence and arousal scatter around those of the emotion; the stronger they are, the clearer are words and voice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from .sentences import LINES, OPENINGS, SMALL_TALK
from .voices import Manner, speech


@dataclass(frozen=True)
class Expression:
    """How an emotion sounds beside a speaker's own manner, and where it lies among all."""

    valence: float
    """-1 unpleasant to 1 pleasant."""

    arousal: float
    """-1 drowsy to 1 excited."""

    pitch: float = 1.0
    """As a multiple of the speaker's own, as are melody and rate."""

    melody: float = 1.0
    rate: float = 1.0

    effort: float = 0.0
    """Beside the speaker's own, as is hesitation."""

    hesitation: float = 0.0


EXPRESSIONS = {
    "anger": Expression(-0.7, 0.7, pitch=1.12, melody=1.2, rate=1.15, effort=0.42),
    "disgust": Expression(-0.6, 0.2, pitch=0.92, melody=1.1, rate=0.84, effort=0.12, hesitation=0.04),
    "fear": Expression(-0.7, 0.5, pitch=1.32, melody=0.7, rate=1.3, effort=-0.08, hesitation=0.12),
    "joy": Expression(0.8, 0.5, pitch=1.22, melody=1.8, rate=1.06, effort=0.16),
    "excited": Expression(0.7, 0.8, pitch=1.32, melody=2.0, rate=1.2, effort=0.32),
    "neutral": Expression(0.0, 0.0),
    "calm": Expression(0.2, -0.4, pitch=0.94, melody=0.8, rate=0.85, effort=-0.12),
    "sadness": Expression(-0.6, -0.5, pitch=0.9, melody=0.5, rate=0.74, effort=-0.28, hesitation=0.14),
    "surprise": Expression(0.2, 0.7, pitch=1.4, melody=2.6, rate=0.96, effort=0.1),
    "frustrated": Expression(-0.5, 0.3, pitch=1.05, melody=0.9, rate=0.94, effort=0.28, hesitation=0.06),
    "boredom": Expression(-0.3, -0.7, pitch=0.86, melody=0.35, rate=0.76, effort=-0.2, hesitation=0.04),
    "other": Expression(0.0, 0.1, melody=1.2, hesitation=0.06),
}
# Other names that corpora have for these emotions.
_ALSO = {
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "happy": "joy",
    "happiness": "joy",
    "sad": "sadness",
    "surprised": "surprise",
    "frustration": "frustrated",
    "bored": "boredom",
}
_LINES_OF = {"excited": "joy", "calm": "neutral"}  # whose lines those without lines of their own say

# How much more often an emotion follows that of the speaker before; 1 where nothing stands.
REACTIONS: Mapping[str, Mapping[str, float]] = {
    "anger": {"anger": 8, "frustrated": 8, "fear": 5, "sadness": 5, "joy": 0.15, "excited": 0.15},
    "disgust": {"anger": 5, "disgust": 3, "surprise": 5, "joy": 0.35},
    "fear": {"fear": 5, "surprise": 3, "sadness": 5, "calm": 5},
    "joy": {"joy": 11, "excited": 8, "surprise": 3, "anger": 0.1, "sadness": 0.15},
    "excited": {"excited": 11, "joy": 8, "surprise": 5, "anger": 0.1, "sadness": 0.1},
    "neutral": {"neutral": 3},
    "sadness": {"sadness": 5, "neutral": 3, "calm": 5, "fear": 3, "joy": 0.1, "excited": 0.03},
    "surprise": {"joy": 8, "excited": 5, "fear": 3, "anger": 3, "surprise": 0.35},
    "frustrated": {"anger": 8, "frustrated": 5, "sadness": 3, "joy": 0.15},
    "boredom": {"frustrated": 5, "neutral": 3, "boredom": 3},
}
_PERSISTENCE = 20.0  # how much more often a speaker stays in an emotion than takes another
_COMMON = {
    "neutral": 3.0,
    "joy": 2.0,
    "anger": 1.2,
    "surprise": 1.2,
    "other": 0.4,
}  # how often an emotion comes by itself, beside 1 of any other
_NEIGHBOURHOOD = 0.7  # distance of valence and arousal at which emotions are taken for each other

_OWN_WORDS, _SMALL_TALK = 0.5, 0.26  # probabilities; the rest are words of a neighbouring emotion
_OWN_VOICE, _FLAT_VOICE = 0.65, 0.14  # likewise
_CLEARER = 0.2  # how much likelier one's own are for each unit of strength
_OPENED = 0.3  # probability of an opening
STRENGTHS = (0.5, 1.3)  # of an emotion, all alike often; what stands beside it in words and voice is scaled by it
TURN_GOES_ON = 0.15  # probability that the same speaker says the next turn too
_WOMAN, _MAN = 205.0, 120.0  # hertz
_TRACT = 1.17  # a woman's resonances as multiples of a man's
_QUIET = (-3.2, -2.5)  # powers of ten: the noise of a room


@dataclass(frozen=True)
class Person:
    """A speaker: a voice, and a bent."""

    name: str
    is_female: bool

    pitch: float
    """Hertz, when nothing stirs them; so are the others."""

    melody: float = 2.5
    """Semitones."""

    rate: float = 5.0
    """Syllables per second."""

    effort: float = 0.45
    """0 soft to 1 loud."""

    hesitation: float = 0.03
    """Probability of a pause after a word."""

    leaning: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """By emotion (of EXPRESSIONS) how much more often than others they show it; 1 where nothing stands."""


@dataclass(frozen=True)
class Utterance:
    """What one person says in one turn."""

    speaker: str
    text: str

    emotion: str
    """By the name under which it was asked for."""

    valence: float
    """-1 to 1, of this utterance."""

    arousal: float
    """-1 to 1, of this utterance."""

    samples: np.ndarray
    """(n,) float32 within -1 and 1, mono."""

    rate: int
    """Hertz."""

    words_valence: float
    """-1 to 1: what the words alone say, for corpora that label each modality."""

    voice_valence: float
    """-1 to 1: what the voice alone says."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def person(random: np.random.Generator, name: str, is_female: bool) -> Person:
    """Somebody with a voice and a bent of their own."""
    return Person(
        name,
        is_female,
        pitch=(_WOMAN if is_female else _MAN) * np.exp(random.normal(0, 0.1)),
        melody=2.5 * np.exp(random.normal(0, 0.2)),
        rate=5.0 * np.exp(random.normal(0, 0.1)),
        effort=float(np.clip(random.normal(0.45, 0.08), 0.2, 0.7)),
        hesitation=float(np.clip(random.normal(0.03, 0.02), 0, 0.1)),
        leaning={emotion: float(np.exp(random.normal(0, 0.5))) for emotion in EXPRESSIONS},
    )


def dialogue(
    random: np.random.Generator,
    people: Sequence[Person],
    emotions: Sequence[str],
    turns: int,
    language: str = "en",
    rate: int = 16000,
) -> list[Utterance]:
    """What some people say to each other in ``turns`` turns; see above for what their emotions depend on."""
    said: list[Utterance] = []
    own: dict[str, str] = {}  # the last emotion of each speaker
    speaker, before = people[int(random.integers(len(people)))], ""
    for _ in range(turns):
        weights = [weight_of(emotion, speaker, own.get(speaker.name, ""), before) for emotion in emotions]
        emotion = str(random.choice(emotions, p=np.array(weights) / sum(weights)))
        said.append(utterance(random, speaker, emotion, language, rate, among=emotions))
        own[speaker.name] = before = emotion
        others = [each for each in people if each is not speaker]
        if others and random.random() >= TURN_GOES_ON:
            speaker = others[int(random.integers(len(others)))]
    return said


def utterance(
    random: np.random.Generator,
    person: Person,
    emotion: str,
    language: str = "en",
    rate: int = 16000,
    text: str | None = None,
    among: Sequence[str] = (),
) -> Utterance:
    """What one person says in an emotion; with a ``text`` that is given the words tell nothing of it.

    Words and voice may be those of a neighbouring emotion: one ``among`` these, or of all.
    """
    kind = kind_of(emotion)
    kinds = list(dict.fromkeys(kind_of(each) for each in among)) or list(EXPRESSIONS)
    strength = random.uniform(*STRENGTHS)
    by_words = ""
    if text is None:
        by_words = words_shown(random, kind, kinds, strength)
        text = _line(random, by_words, language)
    by_voice = voice_shown(random, kind, kinds, strength)
    felt, in_words, in_voice = (EXPRESSIONS[each or "neutral"] for each in (kind, by_words, by_voice))
    spoken = re.sub(r"\W", "", text) if language == "zh" else text
    sound = speech(spoken, _manner(random, person, in_voice, strength), random, rate, language)
    edges = [np.zeros(int(rate * random.uniform(0.08, 0.25))) for _ in range(2)]
    sound = np.concatenate([edges[0], sound, edges[1]])
    sound += 10 ** random.uniform(*_QUIET) * random.standard_normal(len(sound))

    def scattered(value: float) -> float:
        return float(np.clip(value * strength + random.normal(0, 0.08), -1, 1))

    return Utterance(
        person.name,
        text,
        emotion,
        scattered(felt.valence),
        scattered(felt.arousal),
        np.clip(sound, -1, 1).astype(np.float32),
        rate,
        scattered(in_words.valence),
        scattered(in_voice.valence),
    )


def kind_of(emotion: str) -> str:
    """The emotion among EXPRESSIONS that a corpus calls ``emotion``."""
    kind = _ALSO.get(emotion.lower(), emotion.lower())
    if kind not in EXPRESSIONS:
        raise ValueError(f"emotion must be one of {', '.join([*EXPRESSIONS, *_ALSO])}, but is {emotion!r}")
    return kind


def weight_of(emotion: str, speaker: Person, own: str, before: str) -> float:
    """How often a speaker takes an emotion, beside others; ``own`` was their last, ``before`` the last of anybody."""
    kind = kind_of(emotion)
    weight = _COMMON.get(kind, 1.0) * speaker.leaning.get(kind, 1.0)
    weight *= _PERSISTENCE if emotion == own else 1.0
    return weight * (REACTIONS.get(kind_of(before), {}).get(kind, 1.0) if before else 1.0)


def words_shown(random: np.random.Generator, kind: str, kinds: Sequence[str], strength: float) -> str:
    """The emotion whose words are said in one of a strength; ``""`` for small talk."""
    return _shown(random, kind, kinds, _OWN_WORDS + _CLEARER * (strength - np.mean(STRENGTHS)), _SMALL_TALK)


def voice_shown(random: np.random.Generator, kind: str, kinds: Sequence[str], strength: float) -> str:
    """The emotion that the voice has in one of a strength; ``""`` for none."""
    return _shown(random, kind, kinds, _OWN_VOICE + _CLEARER * (strength - np.mean(STRENGTHS)), _FLAT_VOICE)


def _shown(random: np.random.Generator, kind: str, kinds: Sequence[str], own: float, none: float) -> str:
    """The emotion that words or a voice show: one's own, ``""`` for none, or that of a neighbour."""
    drawn = random.random()
    if drawn < own:
        return kind
    others = [other for other in kinds if other != kind]
    if drawn < own + none or not others:
        return ""
    here = EXPRESSIONS[kind]
    away = [
        np.hypot(EXPRESSIONS[other].valence - here.valence, EXPRESSIONS[other].arousal - here.arousal)
        for other in others
    ]
    near = np.exp(-np.square(np.array(away) / _NEIGHBOURHOOD))
    return str(random.choice(others, p=near / near.sum()))


def _line(random: np.random.Generator, kind: str, language: str) -> str:
    lines = LINES[language].get(_LINES_OF.get(kind, kind), SMALL_TALK[language])
    line = str(random.choice(lines))
    if random.random() >= _OPENED:
        return line
    opening = str(random.choice(OPENINGS[language]))
    if language != "en":
        return opening + line
    is_name = re.match(r"I\b", line)
    return f"{opening} {line if is_name else line[0].lower() + line[1:]}"


def _manner(random: np.random.Generator, person: Person, shown: Expression, strength: float) -> Manner:
    """How a person speaks in an utterance: their own manner, moved by the emotion, with the scatter of every day."""
    return Manner(
        pitch=person.pitch * shown.pitch**strength * np.exp(random.normal(0, 0.06)),
        melody=person.melody * shown.melody**strength * np.exp(random.normal(0, 0.2)),
        rate=person.rate * shown.rate**strength * np.exp(random.normal(0, 0.08)),
        effort=float(np.clip(person.effort + strength * shown.effort + random.normal(0, 0.07), 0, 1)),
        hesitation=float(np.clip(person.hesitation + strength * shown.hesitation, 0, 1)),
        tract=_TRACT if person.is_female else 1.0,
    )
