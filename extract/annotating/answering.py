"""Who answers: what asking needs to know of a model, wherever it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from threading import Event

from ...errors import MsmtError
from .asked import Messages
from .journal import Answer


class EndpointError(MsmtError):
    """Whoever should answer does not: it is not there, refuses, or is too slow."""


class RefusedError(MsmtError):
    """One request was refused for what it holds; others need not be."""


class Stopped(Exception):
    """Asking has ended meanwhile, so a request need not be repeated."""


class Answerer(ABC):
    """A model that is asked."""

    title: str
    """Who it is, in words, without anything secret."""

    settings: Mapping[str, object]
    """All that its answers depend on besides the messages."""

    together: int = 1
    """Questions that one call of ``answers`` takes."""

    at_once: int = 1
    """Calls of ``answers`` that may be under way at once."""

    @abstractmethod
    def answers(self, questions: Sequence[Messages], ended: Event) -> list[Answer | RefusedError]:
        """An answer to each of the questions, which are asked again where they fail for a reason that may pass.

        Raises EndpointError where there is no use in asking on, and Stopped once ``ended`` is set.
        """

    def count_tokens(self, messages: Messages) -> int | None:
        """Tokens of a request; None where only the server knows."""
        return None
