"""What is asked of a language model about one text, and which class its answer names."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .config import PLACE_OF_CLASSES, PLACE_OF_TEXT

Messages = list[dict[str, str]]

_THOUGHTS = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_DENIED = re.compile(
    r"(\b(not|no|non|nor|neither|never|cannot be|isn't|isn’t|n't|n’t)|不是|不|非|并非)[\s\-\"'*]*(a |an |the )?\Z"
)
_WITHOUT_SPACES = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")  # scripts that part no words


@dataclass(frozen=True)
class Question:
    """One prompt, for any text."""

    template: str
    """With the places of text and classes."""

    labels: tuple[str, ...]

    def about(self, text: str, wrong: Sequence[str] = ()) -> Messages:
        """The messages that ask for a text's label; ``wrong`` are the answers so far, which named no class."""
        parts = {PLACE_OF_TEXT: text, PLACE_OF_CLASSES: listed(self.labels)}
        # In one pass: a transcript that holds {classes} stays as it is.
        filled = re.sub(r"\{text\}|\{classes\}", lambda found: parts[found[0]], self.template)
        messages = [{"role": "user", "content": filled}]
        for answer in wrong:
            messages.append({"role": "assistant", "content": answer or "…"})
            messages.append(
                {"role": "user", "content": f"Answer with one of these words alone: {listed(self.labels)}."}
            )
        return messages


def listed(labels: Sequence[str]) -> str:
    """``positive, negative or neutral``"""
    return f"{', '.join(labels[:-1])} or {labels[-1]}"


def key_of(text: str, question: Question, settings: Mapping[str, object]) -> str:
    """The digest of all that an answer depends on: the text, the prompt, the classes, the model and its settings."""
    said = [text, question.template, list(question.labels), dict(settings)]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def label_in(answer: str, labels: Sequence[str]) -> str | None:
    """The one class that an answer names, in whatever case and among whatever punctuation; None for none or several.

    A class that is denied ("not positive") makes an answer useless, and so does a class beside another. What a model
    thinks aloud between marks of thought does not count. The longest name wins where one is part of another.
    """
    words = _plain(_THOUGHTS.sub(" ", answer))
    by_plain = {_plain(label).strip(): label for label in labels}
    patterns = [_pattern(name) for name in sorted(by_plain, key=len, reverse=True)]
    found = set()
    for match in re.finditer("|".join(patterns), words):
        if _DENIED.search(words[: match.start()]):
            return None
        found.add(by_plain[match[0]])
    return found.pop() if len(found) == 1 else None


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _pattern(name: str) -> str:
    if _WITHOUT_SPACES.search(name):
        return re.escape(name)
    return rf"(?<!\w){re.escape(name)}(?!\w)"
