"""Labels for transcripts by a language model, and the csv that fine-tuning takes."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import SettingError
from ...features.durable import write_whole, writer_lock
from ...progress import Track, silent
from ...shown import aligned, as_cell, as_line, counted
from .answering import Answerer
from .asked import Question
from .asking import NO_TEXT, Outcome, Work, ask
from .config import AnnotateOptions
from .journal import SUFFIX, Journal
from .transcripts import LABEL, REASON, Transcripts

_LETTERS_A_TOKEN = 4  # of an estimate, in scripts that part words; of others each character is a token
_WRAPPING_TOKENS = 8  # that a request has around its prompt
_EXAMPLES = 3  # of useless answers that are shown


@dataclass(frozen=True)
class Annotated:
    """What labelling gave."""

    path: Path
    labels: list[str]
    """Of each row; empty where there is none."""

    outcome: Outcome
    question: Question
    lines: list[str]
    """The summary."""

    warnings: list[str]
    """What must not be overlooked."""

    @property
    def is_rubbish(self) -> bool:
        """Whether most answers were outside the classes."""
        settled = len(self.outcome.labels) + self.outcome.outside
        return 2 * self.outcome.outside > settled


def answerer_of(options: AnnotateOptions, for_counting: bool = False) -> Answerer:
    """Who answers; ``for_counting`` it is not loaded, and nothing is sent. Raises MsmtError of several kinds."""
    options.check_backend()
    if options.local:
        from .local import LocalModel

        return LocalModel(options, for_counting)
    from .endpoint import Endpoint

    return Endpoint(options)


def annotate(
    transcripts: Transcripts,
    out: Path,
    options: AnnotateOptions,
    track: Track = silent,
    say: Callable[[str], None] = lambda line: None,
    answerer: Answerer | None = None,
) -> Annotated:
    """Ask about every text that no answer is known of, and write the csv.

    What was asked of another model, or in other words, stays in the journal and counts when it is asked so again.
    Raises EndpointError where nobody answers; the answers that came are kept.
    """
    question = Question(options.template(), options.labels)
    with writer_lock(out):
        journal = Journal(journal_of(out))
        try:
            if journal.damaged:
                say(f"{journal.path}: {counted(journal.damaged, 'damaged line')} passed over; those are asked again")
            answerer = answerer or answerer_of(options)
            for remark in getattr(answerer, "remarks", ()):
                say(remark)
            work = Work.of(transcripts.texts, question, answerer, journal, options.retries_of_answers)
            outcome = ask(work, answerer, track)
        finally:
            journal.close()
        labels = [outcome.labels.get(text.strip(), "") for text in transcripts.texts]
        reasons = [_reason(text.strip(), outcome) for text in transcripts.texts]
        table = transcripts.labelled(labels, reasons).map(as_cell).rename(columns=as_cell)
        buffer = io.StringIO()
        table.to_csv(buffer, index=False)
        write_whole(out, [buffer.getvalue().encode()])
    lines = _summary(out, transcripts, work, outcome, labels)
    return Annotated(out, labels, outcome, question, lines, _warnings(out, work, outcome))


def plan(transcripts: Transcripts, out: Path, options: AnnotateOptions) -> list[str]:
    """What would be asked, in lines; nothing is sent, loaded or written."""
    options.check_backend()
    counter = answerer_of(options, for_counting=True)
    question = Question(options.template(), options.labels)
    work = Work.of(transcripts.texts, question, counter, Journal(journal_of(out)), options.retries_of_answers)
    left = work.open
    counts = [_tokens_of(question.about(item.text), counter) for item in left]
    is_exact = all(exact for _, exact in counts)
    tokens = sum(count for count, _ in counts)
    most = f"at most {len(left) * options.answer_tokens:,}" if options.answer_tokens else "an unlimited number"
    how = (
        "by the model's tokenizer"
        if is_exact
        else f"estimated: a token for {_LETTERS_A_TOKEN} letters, or for each character of a script without spaces"
    )
    rows = len(transcripts.texts)
    blank = sum(not text.strip() for text in transcripts.texts)
    lines = [
        f"{counted(rows, 'row')}, {counted(len(work.items), 'different text')}, {blank:,} without text",
        f"{counter.title}: {counted(len(work.items) - len(left), 'text')} settled by {journal_of(out)},"
        f" {counted(len(left), 'request')} to make",
        f"{tokens:,} tokens of prompts ({how}), {most} of answers;"
        f" up to {work.answers_at_most} times that where answers are outside the classes",
    ]
    return [*lines, "nothing was sent or written"]


def journal_of(out: Path) -> Path:
    """Where the answers are kept that a csv is made of."""
    return out.with_name(out.name + SUFFIX)


def check_out(out: Path, transcripts: Path | None) -> None:
    """Raises SettingError where the output would take the place of the input, or cannot be there."""
    if transcripts is not None and out.resolve() == transcripts.resolve():
        raise SettingError(f"{out}: is what is read; write the labels to another file")
    if out.is_dir():
        raise SettingError(f"{out}: is a folder; name a csv")


def _reason(text: str, outcome: Outcome) -> str:
    return outcome.unusable.get(text, "") if text else NO_TEXT


def _tokens_of(messages: list[dict[str, str]], counter: Answerer) -> tuple[int, bool]:
    """Tokens of a request, and whether they were counted."""
    counted_ = counter.count_tokens(messages)
    if counted_ is not None:
        return counted_, True
    wide = sum(ord(letter) >= 0x2E80 for each in messages for letter in each["content"])
    narrow = sum(len(each["content"]) for each in messages) - wide
    return wide + -(-narrow // _LETTERS_A_TOKEN) + _WRAPPING_TOKENS, False


def _summary(out: Path, transcripts: Transcripts, work: Work, outcome: Outcome, labels: list[str]) -> list[str]:
    rows, blank = len(labels), sum(not text.strip() for text in transcripts.texts)
    counts = Counter(label for label in labels if label)
    table = [["label", "rows", "share"]]
    table += [[as_line(name), f"{counts[name]:,}", _share(counts[name], rows)] for name in work.question.labels]
    table.append(["(unusable)", f"{rows - counts.total():,}", _share(rows - counts.total(), rows)])
    lines = aligned(table).split("\n")
    asked = len(work.items) - outcome.known
    lines.append(
        f"{counted(rows, 'row')}, {counted(len(work.items), 'different text')}: {outcome.known:,} settled before,"
        f" {asked:,} asked now in {counted(outcome.requests, 'request')}"
    )
    if outcome.prompt_tokens or outcome.answer_tokens:
        lines.append(
            f"tokens so far: {outcome.prompt_tokens:,} of prompts, {outcome.answer_tokens:,} of answers, as it counts"
        )
    unusable = [
        f"{counted(outcome.outside, 'text')} with answers outside the classes" if outcome.outside else "",
        f"{outcome.refused:,} refused" if outcome.refused else "",
        f"{counted(blank, 'row')} without text" if blank else "",
    ]
    if any(unusable):
        lines.append(f"unusable: {', '.join(filter(None, unusable))}; the column {REASON} says why")
    return [*lines, f"{out}: columns {LABEL} and {REASON}; answers are kept in {journal_of(out).name}"]


def _warnings(out: Path, work: Work, outcome: Outcome) -> list[str]:
    settled = len(outcome.labels) + outcome.outside
    if 2 * outcome.outside > settled:
        said = [reason for text, reason in outcome.unusable.items()][:_EXAMPLES]
        lines = [
            f"{outcome.outside:,} of {settled:,} answers were outside the classes: the model does not do what it is"
            f" asked, so {out} is not fit to learn from; try another model or --prompt. Some of them:"
        ]
        return lines + [f"  {as_line(reason)[:160]}" for reason in said]
    if len(outcome.labels) > 1 and len(set(outcome.labels.values())) == 1:
        [only] = set(outcome.labels.values())
        return [f"every answer is {as_line(only)}: the model may not read the texts at all"]
    return []


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"
