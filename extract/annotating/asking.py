"""Asking about every text that nothing is known of yet, many at once, and keeping each answer as it comes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from ...progress import Track, silent
from .answering import Answerer, RefusedError, Stopped
from .asked import Question, key_of, label_in
from .journal import Answer, Journal

NO_TEXT = "no text"
_REFUSED_IN_A_ROW = 5  # from the start: then it is not the texts


@dataclass(frozen=True)
class Item:
    """A text that is asked about once, however often it occurs."""

    text: str
    key: str


@dataclass
class Outcome:
    """What came of asking."""

    labels: dict[str, str] = field(default_factory=dict)
    """Class by text."""

    unusable: dict[str, str] = field(default_factory=dict)
    """Reason by text."""

    known: int = 0
    """Texts that were settled before, by the journal."""

    requests: int = 0
    """Answers that came now."""

    prompt_tokens: int = 0
    """Of all answers in the journal to these texts, as far as the server counts."""

    answer_tokens: int = 0

    outside: int = 0
    """Texts whose answers named no class, or several."""

    refused: int = 0
    """Texts that were not answered at all."""


@dataclass(frozen=True)
class Work:
    """What there is to ask, and what is known."""

    items: tuple[Item, ...]
    """Each different text once."""

    question: Question
    journal: Journal

    answers_at_most: int
    """To one text: the first, and those to being asked again."""

    @classmethod
    def of(cls, texts: Sequence[str], question: Question, answerer: Answerer, journal: Journal, again: int) -> Work:
        """``again`` is how often it is asked again after an answer that is none of the classes."""
        different = dict.fromkeys(text.strip() for text in texts)
        items = (Item(text, key_of(text, question, answerer.settings)) for text in different if text)
        return cls(tuple(items), question, journal, 1 + again)

    def is_settled(self, item: Item) -> bool:
        """Whether nothing is left to ask about a text."""
        answers = self.journal.of(item.key)
        return self.label_of(item) is not None or len(answers) >= self.answers_at_most

    def label_of(self, item: Item) -> str | None:
        """The class that an answer named."""
        found = (label_in(answer.text, self.question.labels) for answer in self.journal.of(item.key))
        return next((label for label in found if label), None)

    @property
    def open(self) -> list[Item]:
        """The texts that are still to be asked about."""
        return [item for item in self.items if not self.is_settled(item)]


def ask(work: Work, answerer: Answerer, track: Track = silent) -> Outcome:
    """Ask until every text is settled; each answer is in the journal before the next question of its thread.

    Raises EndpointError where nobody answers. Whatever ends it, what came is kept.
    """
    left = work.open
    outcome = Outcome(known=len(work.items) - len(left))
    refusals: dict[str, str] = {}
    if left:
        with track("annotate", total=len(left), unit="texts") as advance:
            for batch, refused in _in_turn(left, work, answerer):
                refusals |= refused
                advance(len(batch))
    outcome.requests = work.journal.added
    for item in work.items:
        answers = work.journal.of(item.key)
        outcome.prompt_tokens += sum(answer.prompt_tokens for answer in answers)
        outcome.answer_tokens += sum(answer.answer_tokens for answer in answers)
        if label := work.label_of(item):
            outcome.labels[item.text] = label
        elif item.text in refusals:
            outcome.refused += 1
            outcome.unusable[item.text] = refusals[item.text]
        else:
            outcome.outside += 1
            outcome.unusable[item.text] = f"{len(answers)} answers outside the classes, last: {answers[-1].text}"
    return outcome


def _in_turn(left: Sequence[Item], work: Work, answerer: Answerer) -> Iterator[tuple[Sequence[Item], dict[str, str]]]:
    """Batches of texts that are settled, and why some of them were refused."""
    if answerer.together > 1:  # of like length, so that little is padded
        left = sorted(left, key=lambda item: len(item.text))
    batches = iter([left[start : start + answerer.together] for start in range(0, len(left), answerer.together)])
    ended, answered = threading.Event(), threading.Event()
    refused_first = 0
    pool = ThreadPoolExecutor(answerer.at_once)
    waiting: dict[Future, Sequence[Item]] = {}

    def start_more() -> None:
        while len(waiting) < answerer.at_once and (batch := next(batches, None)) is not None:
            waiting[pool.submit(_settle, batch, work, answerer, ended)] = batch

    try:
        start_more()
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                batch = waiting.pop(future)
                refused = future.result()
                if len(refused) < len(batch):
                    answered.set()
                elif not answered.is_set():
                    refused_first += len(refused)
                    if refused_first >= min(_REFUSED_IN_A_ROW, len(left)):
                        raise RefusedError(
                            f"{answerer.title}: every request is refused; the last: {[*refused.values()][-1]}"
                        )
                yield batch, refused
            start_more()
    finally:
        ended.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _settle(batch: Sequence[Item], work: Work, answerer: Answerer, ended: threading.Event) -> dict[str, str]:
    """Ask about these texts until each is settled; the reasons of those that are refused, by text."""
    refused: dict[str, str] = {}
    while open_ := [item for item in batch if item.text not in refused and not work.is_settled(item)]:
        if ended.is_set():
            raise Stopped
        before = [[answer.text for answer in work.journal.of(item.key)] for item in open_]
        questions = [work.question.about(item.text, wrong) for item, wrong in zip(open_, before, strict=True)]
        for item, reply in zip(open_, answerer.answers(questions, ended), strict=True):
            if isinstance(reply, Answer):
                work.journal.add(item.key, reply)
            else:
                refused[item.text] = str(reply)
    return refused
