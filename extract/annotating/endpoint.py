"""A model behind OpenAI's protocol: a server in the next room, or one that is paid for."""

from __future__ import annotations

import email.utils
import os
import random
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from ...errors import SettingError, one_line
from .answering import Answerer, EndpointError, RefusedError, Stopped
from .asked import Messages
from .config import AnnotateOptions
from .journal import Answer

EXTRA = 'openai is not installed: pip install "msmt[annotate]"'
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a request is repeated, unless the server says how many
_LONGEST_ASKED_PAUSE = 600.0  # seconds that a server may ask for; beyond it a later run does better
_NO_KEY = "none"  # sent where there is no key: the client wants one, and servers of one's own need none
_TO_SAY = 200  # characters of what a server says that an error repeats
_PASSES = (408, 409, 425, 429)  # besides 500 and above: what may be another time


class Endpoint(Answerer):
    """Asks a server, and again where it is busy. The key is in the memory of the client alone."""

    def __init__(self, options: AnnotateOptions) -> None:
        """Raises EndpointError where the client is not installed, and SettingError for a key that cannot be one."""
        try:
            import openai
        except ImportError:
            raise EndpointError(EXTRA) from None
        self._openai, self.options = openai, options
        self.title = f"{options.model} at {options.endpoint}"
        self.at_once = options.concurrency
        self.settings = {"model": options.model, "temperature": 0, "answer_tokens": options.answer_tokens}
        self._hides = _Hiding(_key(options.key_variable))
        self._pause = _SharedPause()
        self._client = openai.OpenAI(
            base_url=options.endpoint,
            api_key=self._hides.key or _NO_KEY,
            timeout=options.timeout,
            max_retries=0,  # done here, where all requests wait together
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user should know before anything is sent."""
        parts = urlsplit(self.options.endpoint)
        is_near = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme == "http" and self._hides.key and not is_near:
            return (f"the key in {self.options.key_variable} and all texts go to {parts.hostname} unencrypted (http)",)
        return ()

    def answers(self, questions: Sequence[Messages], ended: threading.Event) -> list[Answer | RefusedError]:
        return [self._answer(messages, ended) for messages in questions]

    def _answer(self, messages: Messages, ended: threading.Event) -> Answer | RefusedError:
        for attempt in range(self.options.retries + 1):
            self._pause.wait(ended)
            try:
                return self._asked_once(messages)
            except self._openai.APIStatusError as error:
                problem = self._of_status(error)
                if isinstance(problem, RefusedError):
                    return problem
                seconds = _asked_pause(error.response.headers.get("retry-after"))
            except self._openai.APITimeoutError:
                problem, seconds = f"gives no answer within {self.options.timeout:g} seconds", None
            except self._openai.APIConnectionError as error:
                reason = self._hides.line(error.__cause__ or error)
                problem, seconds = f"cannot be reached, or drops the connection ({reason})", None
            except (self._openai.OpenAIError, ValueError, AttributeError, TypeError, IndexError) as error:
                problem, seconds = f"answers something else than the protocol's JSON ({self._hides.line(error)})", None
            if attempt < self.options.retries:
                self._pause.for_all(_back_off(attempt) if seconds is None else seconds, is_asked=seconds is not None)
                if seconds is None:
                    _sleep(_back_off(attempt), ended)
        raise EndpointError(f"{self.options.endpoint}: {problem}, {self.options.retries + 1} times; {_LATER}") from None

    def _asked_once(self, messages: Messages) -> Answer:
        most = {"max_tokens": self.options.answer_tokens} if self.options.answer_tokens else {}
        reply = self._client.chat.completions.create(
            model=self.options.model, messages=messages, temperature=0, stream=False, **most
        )
        text = reply.choices[0].message.content
        usage = reply.usage
        counts = [getattr(usage, name, 0) or 0 for name in ("prompt_tokens", "completion_tokens")]
        return Answer(self._hides.text(text or ""), *(count if isinstance(count, int) else 0 for count in counts))

    def _of_status(self, error) -> str | RefusedError:
        """What a status means: words for what may pass, or a refusal of this one text. EndpointError ends it all."""
        status, place = error.status_code, self.options.endpoint
        said = self._hides.line(_message_of(error))
        if status in (401, 403):
            has = "is refused" if self._hides.key else "is not set"
            raise EndpointError(f"{place}: {status}, {said}; the key in {self.options.key_variable} {has}") from None
        if status == 404:
            wants = "check --endpoint, which mostly ends with /v1, and --model"
            raise EndpointError(f"{place}: 404, {said}; {wants}") from None
        if status == 429 and getattr(error, "code", None) == "insufficient_quota":
            raise EndpointError(f"{place}: the account has no quota left ({said}); {_LATER}") from None
        if status in _PASSES or status >= 500:
            asked = _asked_pause(error.response.headers.get("retry-after"))
            if asked is not None and asked > _LONGEST_ASKED_PAUSE:
                raise EndpointError(f"{place}: {status}, asks to wait {asked:,.0f} seconds; {_LATER}") from None
            return f"answers with status {status} ({said})"
        return RefusedError(f"refused with status {status} ({said})")


_LATER = "answers that came are in the journal: run the same command to go on"


class _SharedPause:
    """The moment before which no request is sent: who is told to wait tells the others."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def for_all(self, seconds: float, is_asked: bool) -> None:
        """Have all wait, where the server asked for it."""
        if is_asked:
            with self._lock:
                self._until = max(self._until, time.monotonic() + seconds)

    def wait(self, ended: threading.Event) -> None:
        """Until the moment has come. Raises Stopped."""
        _sleep(self._until - time.monotonic(), ended)


class _Hiding:
    """Takes a key out of whatever is printed or written: servers repeat it in their answers."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __repr__(self) -> str:
        return "a key"

    def text(self, text: str) -> str:
        return text.replace(self.key, "(key)") if self.key else text

    def line(self, said: object) -> str:
        return one_line(self.text(" ".join(str(said).split())), _TO_SAY).rstrip(".") or type(said).__name__


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingError(f"the variable {variable} holds no key: it has spaces or characters that no header may have")
    return key


def _message_of(error) -> object:
    """What a server says of an error, in whatever form."""
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        body = inner.get("message", inner) if isinstance(inner, dict) else inner
    return body or error.response.reason_phrase or "without a reason"


def _asked_pause(header: str | None) -> float | None:
    """Seconds that a Retry-After asks for, which is a number or a date; None for neither."""
    if header is None:
        return None
    try:
        return max(0.0, min(float(header), 1e9))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _back_off(attempt: int) -> float:
    """Twice as long each time, and never at the same moment as others."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * random.uniform(0.75, 1.25)


def _sleep(seconds: float, ended: threading.Event) -> None:
    if seconds > 0 and ended.wait(seconds) or ended.is_set():
        raise Stopped
