from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from msmt.extract.layouts.scenario import (
    EXPRESSIONS,
    Utterance,
    dialogue,
    kind_of,
    person,
    utterance,
)
from msmt.tests.extract.layouts.hearing import (
    named,
    prosody,
    prosody_of,
    share_right,
    words,
)

EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
DIALOGUES, TURNS = 60, 8


@dataclasses.dataclass(frozen=True)
class Spoken:
    """Some dialogues of five people, turn by turn."""

    said: list[Utterance]
    dialogues: list[int]
    before: list[str]
    """The emotion of the turn before; empty for the first."""

    own: list[str]
    """That of the same speaker's turn before."""

    @property
    def emotions(self) -> list[str]:
        return [each.emotion for each in self.said]

    @property
    def most_frequent(self) -> float:
        return max(np.unique(self.emotions, return_counts=True)[1]) / len(self.said)

    @property
    def context(self) -> np.ndarray:
        return np.hstack([named(self.before), named(self.own)])

    def right(self, *features: np.ndarray) -> float:
        return share_right(self.emotions, self.dialogues, *features)


@pytest.fixture(scope="module")
def spoken() -> Spoken:
    random = np.random.default_rng(0)
    people = [person(random, f"person {place}", is_female=place % 2 == 0) for place in range(5)]
    made = Spoken([], [], [], [])
    for number in range(DIALOGUES):
        cast = [people[place] for place in random.choice(len(people), 2, replace=False)]
        last: dict[str, str] = {}
        turns = dialogue(random, cast, EMOTIONS, TURNS, rate=8000)
        for place, each in enumerate(turns):
            made.said.append(each)
            made.dialogues.append(number)
            made.before.append(turns[place - 1].emotion if place else "")
            made.own.append(last.get(each.speaker, ""))
            last[each.speaker] = each.emotion
    return made


def test_words_and_voices_each_tell_emotions_and_both_tell_more_than_either(spoken):
    by_words, by_voice = spoken.right(words(spoken.said)), spoken.right(prosody_of(spoken.said))
    by_both = spoken.right(words(spoken.said), prosody_of(spoken.said))
    assert min(by_words, by_voice) > spoken.most_frequent + 0.1
    assert by_both > max(by_words, by_voice) + 0.03
    assert by_both < 0.9  # there is overlap


def test_what_was_said_before_tells_of_what_comes_next(spoken):
    assert spoken.right(spoken.context) > spoken.most_frequent + 0.05
    both = words(spoken.said), prosody_of(spoken.said)
    assert spoken.right(*both, spoken.context) > spoken.right(*both) + 0.01


def test_it_pays_to_know_who_speaks(spoken):
    beside = prosody_of(spoken.said, beside_speaker=True), named([each.speaker for each in spoken.said])
    assert spoken.right(*beside) > spoken.right(prosody_of(spoken.said)) + 0.02


def test_values_go_with_emotions_and_with_what_each_modality_says(spoken):
    valence = np.array([each.valence for each in spoken.said])
    arousal = np.array([each.arousal for each in spoken.said])
    kinds = [EXPRESSIONS[each.emotion] for each in spoken.said]
    assert np.corrcoef(valence, [kind.valence for kind in kinds])[0, 1] > 0.9
    assert np.corrcoef(arousal, [kind.arousal for kind in kinds])[0, 1] > 0.9
    for part in ("words_valence", "voice_valence"):
        told = np.array([getattr(each, part) for each in spoken.said])
        assert 0.3 < np.corrcoef(valence, told)[0, 1] < 0.95
        assert np.abs(told).max() <= 1 and len(np.unique(told)) > 0.5 * len(told)


def test_the_same_generator_gives_the_same_bytes():
    def once() -> list[tuple[str, bytes]]:
        random = np.random.default_rng(3)
        people = [person(random, name, is_female=True) for name in ("a", "b")]
        return [(each.text, each.samples.tobytes()) for each in dialogue(random, people, EMOTIONS, 4)]

    assert once() == once()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "emotion",
    [
        *("anger", "angry", "disgust", "fear", "fearful", "joy", "happy", "happiness", "excited", "neutral", "calm"),
        *("sadness", "sad", "surprise", "surprised", "frustrated", "boredom", "other"),
    ],
)
def test_every_emotion_is_known_by_the_names_of_the_corpora(emotion, language):
    random = np.random.default_rng(0)
    said = utterance(random, person(random, "somebody", is_female=False), emotion, language)
    assert said.emotion == emotion and said.text and 0.5 < said.seconds < 12
    assert said.samples.dtype == np.float32 and said.samples.ndim == 1 and 0 < np.abs(said.samples).max() <= 1
    assert -1 <= said.valence <= 1 and -1 <= said.arousal <= 1 and said.rate == 16000


def test_an_emotion_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="must be one of anger"):
        kind_of("schadenfreude")


def test_a_text_that_is_given_is_said_as_it_is_and_tells_nothing_of_the_emotion():
    random = np.random.default_rng(0)
    somebody = person(random, "somebody", is_female=True)
    said = [utterance(random, somebody, "anger", text="Kids sit on the floor.") for _ in range(8)]
    assert {each.text for each in said} == {"Kids sit on the floor."}
    assert np.abs([each.words_valence for each in said]).max() < 0.5
    assert np.mean([each.voice_valence for each in said]) < -0.3


def test_women_speak_higher_than_men_and_anger_is_louder_than_sadness():
    random = np.random.default_rng(0)
    pitch = {
        is_female: np.median(
            [
                prosody(utterance(random, person(random, "x", is_female), "neutral", text="We all saw her car there."))[
                    1
                ]
                for _ in range(6)
            ]
        )
        for is_female in (True, False)
    }
    assert pitch[True] > pitch[False] + 0.3
    somebody = person(random, "x", is_female=False)
    level = {
        emotion: np.mean([utterance(random, somebody, emotion, text="No.").samples.std() for _ in range(12)])
        for emotion in ("anger", "sadness")
    }
    assert level["anger"] > 1.3 * level["sadness"]


def test_an_emotion_lasts_and_answers_that_of_the_other(spoken):
    emotions, own, before = np.array(spoken.emotions), np.array(spoken.own), np.array(spoken.before)
    share = {each: np.mean(emotions == each) for each in EMOTIONS}
    by_chance = sum(value**2 for value in share.values())
    assert np.mean(emotions[own != ""] == own[own != ""]) > by_chance + 0.1
    assert np.mean(emotions[before == "joy"] == "joy") > 1.5 * share["joy"]
