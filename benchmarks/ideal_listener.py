"""How well emotions of the made dialogues can be told at best: by a listener who lacks nothing, and by those who lack a part.

    python benchmarks/ideal_listener.py [--dialogues 1000] [--seed 0] [--json FILE]

The listener knows how ``msmt demo --layout`` makes its dialogues, hears which emotion the words and the voice of each
turn show, if any, and works out by Bayes' rule what each speaker feels now, from this turn and those before, and what the
next turn will be. No system can do better on turns up to its own. A listener without words does not hear those; one
without context takes each turn by itself; one without speakers knows what was felt before, not by whom, and one without
persons tells speakers apart, but not how each of them leans.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msmt.extract.layouts import scenario
from msmt.extract.layouts.meld import EMOTIONS
from msmt.extract.layouts.scenario import Person

FRIENDS = 6
UNKNOWN = len(EMOTIONS)  # in the place of an emotion: nobody has shown one
DRAWS = 20_000  # for each emotion, to count what words and voice show


@dataclass(frozen=True)
class Turn:
    """One turn of a dialogue, emotions by their numbers."""

    speaker: int
    """Place among those who take part."""

    emotion: int
    words: int
    voice: int


@dataclass(frozen=True)
class Listener:
    """What a listener has."""

    words: bool = True
    voice: bool = True
    context: bool = True
    speakers: bool = True
    persons: bool = True


LISTENERS = {
    "lacks nothing": Listener(),
    "no words": Listener(words=False),
    "no prosody": Listener(voice=False),
    "no context": Listener(context=False, speakers=False, persons=False),
    "no speakers": Listener(speakers=False, persons=False),
    "no persons": Listener(persons=False),
}


def shown(random: np.random.Generator, emotion: int) -> tuple[int, int]:
    """The emotions that words and voice of a turn show."""
    strength = random.uniform(*scenario.STRENGTHS)
    ways = (scenario.words_shown, scenario.voice_shown)
    found = [way(random, EMOTIONS[emotion], EMOTIONS, strength) for way in ways]
    return tuple(EMOTIONS.index(each) if each else UNKNOWN for each in found)


def talk(random: np.random.Generator, weights: Sequence[np.ndarray], turns: int) -> list[Turn]:
    """A dialogue as ``scenario.dialogue`` makes it, without its sound, of speakers with these ``weights_of`` them."""
    said: list[Turn] = []
    own, speaker, before = {}, int(random.integers(len(weights))), UNKNOWN
    for _ in range(turns):
        chances = weights[speaker][own.get(speaker, UNKNOWN), before]
        emotion = int(random.choice(len(EMOTIONS), p=chances))
        said.append(Turn(speaker, emotion, *shown(random, emotion)))
        own[speaker] = before = emotion
        if random.random() >= scenario.TURN_GOES_ON:
            speaker = int(random.choice([place for place in range(len(weights)) if place != speaker]))
    return said


def weights_of(person: Person) -> np.ndarray:
    """(8, 8, 7) the probabilities of an emotion, by the speaker's last and by that of the turn before."""
    names = (*EMOTIONS, "")
    weights = [
        [[scenario.weight_of(emotion, person, own, before) for emotion in EMOTIONS] for before in names]
        for own in names
    ]
    return np.array(weights) / np.sum(weights, axis=2, keepdims=True)


class Belief:
    """What a listener thinks that each speaker of a dialogue felt last: an axis each, of seven emotions and none."""

    def __init__(self, weights: Sequence[np.ndarray]) -> None:
        self.weights = weights
        self.last: int | None = None  # who spoke last
        self.of_all = np.zeros((UNKNOWN + 1,) * len(weights))
        self.of_all[(UNKNOWN,) * len(weights)] = 1

    def before(self, speaker: int) -> np.ndarray:
        """(7, ...) of the emotion that ``speaker`` has next, and of what the others felt last."""
        weights = self.weights[speaker]
        if self.last in (None, speaker):
            same = weights[:, UNKNOWN] if self.last is None else weights[np.arange(UNKNOWN + 1), np.arange(UNKNOWN + 1)]
            return np.einsum("s...,se->e...", np.moveaxis(self.of_all, speaker, 0), same)
        ordered = np.moveaxis(self.of_all, (speaker, self.last), (0, 1))
        after = np.einsum("sp...,spe->ep...", ordered, weights)
        others = [place for place in range(len(self.weights)) if place != speaker]
        return np.moveaxis(after, 1, 1 + others.index(self.last))

    def hear(self, speaker: int, likelihood: np.ndarray) -> np.ndarray:
        """(7,) of the emotion that ``speaker`` has in the next turn, after words and voice of these likelihoods."""
        after = self.before(speaker) * likelihood.reshape(-1, *[1] * (len(self.weights) - 1))
        after /= after.sum()
        self.of_all = np.moveaxis(np.concatenate([after, np.zeros_like(after[:1])]), 0, speaker)
        self.last = speaker
        return after.reshape(UNKNOWN, -1).sum(1)

    def next(self) -> np.ndarray:
        """(7,) of the emotion of the turn to come, whoever speaks."""
        places = range(len(self.weights))
        chances = [
            scenario.TURN_GOES_ON if place == self.last else (1 - scenario.TURN_GOES_ON) / (len(places) - 1)
            for place in places
        ]
        each = [self.before(place).reshape(UNKNOWN, -1).sum(1) for place in places]
        return np.array(chances) @ np.array(each)


class Chain:
    """What a listener thinks who takes a dialogue for one speaker's: emotions follow each other as they do on average."""

    def __init__(self, often: np.ndarray, follows: np.ndarray, remembers: bool) -> None:
        self.often, self.follows, self.remembers = often, follows, remembers
        self.coming = often

    def hear(self, speaker: int, likelihood: np.ndarray) -> np.ndarray:
        now = (self.coming if self.remembers else self.often) * likelihood
        self.coming = (now / now.sum()) @ self.follows
        return now / now.sum()

    def next(self) -> np.ndarray:
        return self.coming


def correct(listener: Listener, talks, averages, heard) -> Iterator[tuple[bool, bool | None]]:
    """Whether each turn was told rightly, and the one after it; None of the last."""
    often, follows = averages
    anybody = weights_of(Person("", False, 0.0))
    for weights, turns in talks:
        if not (listener.context and listener.speakers):
            belief = Chain(often, follows, remembers=listener.context)
        else:
            belief = Belief(weights if listener.persons else [anybody] * len(weights))
        for place, turn in enumerate(turns):
            likelihood = np.ones(UNKNOWN)
            if listener.words:
                likelihood = likelihood * heard[0][:, turn.words]
            if listener.voice:
                likelihood = likelihood * heard[1][:, turn.voice]
            now = belief.hear(turn.speaker, likelihood)
            coming = belief.next() if place + 1 < len(turns) else None
            right_next = None if coming is None else int(coming.argmax()) == turns[place + 1].emotion
            yield int(now.argmax()) == turn.emotion, right_next


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--dialogues", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    friends = [weights_of(scenario.person(random, f"friend{number}", number % 2 == 0)) for number in range(FRIENDS)]

    def some() -> list[tuple[list[np.ndarray], list[Turn]]]:
        casts = [
            [friends[place] for place in random.choice(FRIENDS, int(random.integers(2, 4)), replace=False)]
            for _ in range(options.dialogues)
        ]
        return [(cast, talk(random, cast, int(random.integers(6, 13)))) for cast in casts]

    heard = np.zeros((2, UNKNOWN, UNKNOWN + 1))
    for emotion in range(UNKNOWN):
        for _ in range(DRAWS):
            for which, what in enumerate(shown(random, emotion)):
                heard[which, emotion, what] += 1 / DRAWS
    follows = np.ones((UNKNOWN, UNKNOWN))
    for _, turns in some():
        for one, other in zip(turns, turns[1:], strict=False):
            follows[one.emotion, other.emotion] += 1
    averages = follows.sum(0) / follows.sum(), follows / follows.sum(1, keepdims=True)
    talks, result = some(), {}
    print(f"{sum(len(turns) for _, turns in talks)} turns of {options.dialogues} dialogues; accuracy in per cent")
    print(f"{'':<16}{'this turn':>12}{'the next':>12}")
    for name, listener in LISTENERS.items():
        now, then = zip(*correct(listener, talks, averages, heard), strict=True)
        result[name] = [100 * np.mean(now), 100 * np.mean([each for each in then if each is not None])]
        print(f"{name:<16}{result[name][0]:>12.1f}{result[name][1]:>12.1f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
