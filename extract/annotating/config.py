"""Settings of the labelling of transcripts by a language model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import SettingError, shown
from ...values import check_kinds, check_most, check_text

CHOICES = {"device": ("auto", "cpu", "cuda")}

PLACE_OF_TEXT, PLACE_OF_CLASSES = "{text}", "{classes}"
DEFAULT_PROMPT = (
    "Here is what somebody said, as a speech recogniser wrote it down; some words may be wrong.\n\n"
    "{text}\n\n"
    "Which sentiment do these words express: {classes}? Answer with that one word and nothing else."
)

_MOST = {"concurrency": 1000, "retries": 100, "retries_of_answers": 20, "answer_tokens": 100_000, "timeout": 86_400}
_LONGEST_PROMPT = 100_000  # characters of a prompt's file


@dataclass(frozen=True)
class AnnotateOptions:
    """What is asked, of whom, and how patiently."""

    classes: str = "positive,negative,neutral"
    """Labels that an answer may be, with commas between."""

    prompt: str = ""
    """What is asked of each text: {text} stands for it, {classes} for the labels. Unless given, for the sentiment."""

    prompt_file: str = ""
    """File that holds the prompt, which may have several lines."""

    endpoint: str = ""
    """Address of a server that speaks OpenAI's protocol, up to /v1, such as http://localhost:8000/v1."""

    model: str = ""
    """Name of the model that the endpoint is asked for."""

    local: str = ""
    """Folder or hub id of a language model that transformers runs here, instead of an endpoint."""

    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the endpoint's key, which is written nowhere."""

    concurrency: int = 8
    """Requests under way at once; of a local model, texts that are answered together."""

    timeout: float = 60.0
    """Seconds that a request may take."""

    retries: int = 6
    """How often a request is repeated that fails for a reason that may pass: no answer in time, 429, 500 and above."""

    retries_of_answers: int = 2
    """How often the model is asked again, and told so, when its answer is none of the classes."""

    answer_tokens: int = 16
    """Longest answer in tokens; a model that thinks aloud needs more. 0 leaves it to the endpoint."""

    device: str = "auto"
    """Where a local model runs."""

    def __post_init__(self) -> None:
        check_kinds(self)
        check_most(self, _MOST)
        for name in ("retries", "retries_of_answers", "answer_tokens"):
            if getattr(self, name) < 0:
                raise SettingError(f"{name} must be at least 0, but is {getattr(self, name)}")
        if self.concurrency < 1:
            raise SettingError(f"concurrency must be at least 1, but is {self.concurrency}")
        if not self.timeout > 0:
            raise SettingError(f"timeout must be above 0 seconds, but is {self.timeout}")
        if self.prompt and self.prompt_file:
            raise SettingError("prompt and prompt_file are both given; give one")
        if self.prompt and PLACE_OF_TEXT not in self.prompt:
            raise SettingError(
                f"prompt must hold {PLACE_OF_TEXT}, where the transcript goes, but is {shown(self.prompt)}"
            )
        if self.endpoint and not re.fullmatch(r"https?://[^\s@/?#]+(/[^\s@?#]*)?", self.endpoint):
            raise SettingError(
                "endpoint must be an address such as http://localhost:8000/v1, without a user, a query or a fragment"
            )
        if not re.fullmatch(r"[A-Za-z_]\w*", self.key_variable, re.ASCII):
            raise SettingError(f"key_variable must be the name of a variable, but is {shown(self.key_variable)}")
        if self.device not in CHOICES["device"]:
            raise SettingError(f"device must be {', '.join(CHOICES['device'])}, but is {shown(self.device)}")
        self.labels  # noqa: B018  checked when read

    @property
    def labels(self) -> tuple[str, ...]:
        """The names in ``classes``."""
        names = tuple(" ".join(name.split()) for name in self.classes.split(",") if name.strip())
        if len({name.casefold() for name in names}) != len(names) or len(names) < 2:
            raise SettingError(f"classes must name at least two different labels, but is {shown(self.classes)}")
        return names

    def check_backend(self) -> None:
        """Raises SettingError unless it is said who answers."""
        if bool(self.endpoint) == bool(self.local):
            raise SettingError(
                "say who answers: --endpoint URL --model NAME for a server, or --local FOLDER for a model run here"
            )
        if self.endpoint and not self.model:
            raise SettingError("--endpoint needs --model, the name of the model that the server is asked for")
        if self.local and self.model:
            raise SettingError("--model is for --endpoint; a local model is named by --local alone")

    def template(self) -> str:
        """What is asked, with its two places. Raises SettingError for a file that cannot be read or lacks {text}."""
        if not self.prompt_file:
            return self.prompt or DEFAULT_PROMPT
        path = Path(self.prompt_file)
        try:
            text = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise SettingError(f"{path}: there is no such file") from None
        except (OSError, UnicodeDecodeError) as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
            raise SettingError(f"{path}: cannot be read ({reason})") from error
        if len(text) > _LONGEST_PROMPT:
            raise SettingError(f"{path}: has {len(text):,} characters, too many for a prompt")
        for number, line in enumerate(text.splitlines(), start=1):
            check_text(f"{path}: line {number}", line.replace("\t", " "))
        if PLACE_OF_TEXT not in text:
            raise SettingError(f"{path}: must hold {PLACE_OF_TEXT}, where the transcript goes")
        return text
