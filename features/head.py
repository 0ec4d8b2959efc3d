"""What a store says of itself before any row is read, and how that is written down and read back.

Whatever was read from a file is checked here: a name becomes part of a path, a size becomes an allocation.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import DamageError, MsmtError
from .spec import FeatureSpec
from .tasks import Task

TO_MEND = "run msmt verify --repair, then msmt extract"  # the remedy of whatever is damaged
RESERVED = ("segments", "manifest")  # names in a store that no feature may have
# Of features and columns: no dot and no slash, so that no name leads out of a store.
_NAME = re.compile(r"[\w-]{1,200}")


@dataclass(frozen=True)
class FeatureHead:
    """What a store says of one feature before any row is read."""

    spec: FeatureSpec
    chunk_rows: int
    """Frames or tokens in a chunk."""

    def to_json(self) -> dict:
        """A plain dictionary that ``from_json`` turns back into this."""
        return {"spec": self.spec.to_json(), "fingerprint": self.spec.fingerprint, "chunk_rows": self.chunk_rows}

    @classmethod
    def from_json(cls, fields: Mapping) -> FeatureHead:
        """Raises DamageError for what no feature can be like."""
        spec, chunk_rows = FeatureSpec.from_json(fields["spec"]), fields["chunk_rows"]
        if fields["fingerprint"] != spec.fingerprint:
            raise DamageError("a spec is not the one that its fingerprint was taken of")
        _check_writable(fields["spec"])
        if type(chunk_rows) is not int or not 1 <= chunk_rows <= spec.max_rows:
            raise DamageError(f"chunk_rows must be between 1 and {spec.max_rows}, but is {chunk_rows!r}")
        return cls(spec, chunk_rows)


@dataclass(frozen=True)
class StoreHead:
    """What a store says of itself."""

    dataset: str
    tasks: tuple[Task, ...]
    created: str
    """ISO 8601, UTC."""

    msmt_version: str
    features: Mapping[str, FeatureHead]

    facts: Mapping[str, object] = field(default_factory=dict)
    """What else whoever reads the store should know of its corpus, in JSON's types, such as that splits share audio."""

    def to_json(self) -> dict:
        """A plain dictionary that ``from_json`` turns back into this."""
        return {
            "dataset": self.dataset,
            "tasks": [task.to_json() for task in self.tasks],
            "created": self.created,
            "msmt_version": self.msmt_version,
            "facts": dict(self.facts),
            "features": {name: feature.to_json() for name, feature in self.features.items()},
        }

    @property
    def digest(self) -> str:
        """A hash of all of it, which goes beside its second copy."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:32]

    @classmethod
    def from_json(cls, fields: Mapping) -> StoreHead:
        """Raises DamageError, KeyError, TypeError or MsmtError for what no store can say of itself.

        Where there is a ``digest`` among the fields, it must be that of the rest.
        """
        texts = {name: fields[name] for name in ("dataset", "created", "msmt_version")}
        for name, text in texts.items():
            if type(text) is not str:
                raise DamageError(f"{name} must be a text, but is {text!r:.80}")
        tasks = tuple(Task.from_json(task) for task in fields["tasks"])
        features = {check_name(name): _feature_head(name, feature) for name, feature in fields["features"].items()}
        facts = fields.get("facts", {})
        if not isinstance(facts, dict) or len({task.name for task in tasks}) < len(tasks):
            raise DamageError("its tasks or facts are not what a store says of itself")
        for task in tasks:
            check_name(task.column)
        head = cls(tasks=tasks, features=features, facts=facts, **texts)
        _check_writable(head.to_json())
        if fields.get("digest", head.digest) != head.digest:
            raise DamageError("tasks, features or what else it says of itself are not what was written")
        return head


def _check_writable(fields: Mapping) -> None:
    """Raise DamageError for texts that cannot be written down again, as halves of characters cannot."""
    try:
        json.dumps(dict(fields), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DamageError(f"it says {error.object[error.start]!a}, which is half a character") from error


def _feature_head(name: str, fields: Mapping) -> FeatureHead:
    try:
        return FeatureHead.from_json(fields)
    except (MsmtError, TypeError, LookupError) as error:
        raise DamageError(f"feature {name}: {reason_of(error)}") from error


def check_name(name: str) -> str:
    """The name of a feature or of a column. Raises DamageError for one that msmt would not give."""
    if type(name) is not str or not _NAME.fullmatch(name) or name in RESERVED:
        raise DamageError(f"{name!r:.80} cannot be the name of a feature or of a column")
    return name


# What goes wrong in reading something that was written well and then damaged, or made by a stranger.
UNREADABLE = (
    MsmtError,
    OSError,
    ValueError,  # of JSON and of Unicode too
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,  # of HDF5, and of Python for what is nested too deeply
    MemoryError,
)


def without_remedy(error: object) -> str:
    """What an error says before it says what to do, for those who do it."""
    return str(error).split("; run msmt")[0]


def reason_of(error: BaseException) -> str:
    """What an exception says, in one line that is not too long; its kind where it says nothing."""
    said = " ".join(str(error.args[0] if error.args and not isinstance(error, OSError) else error).split())
    kind = "" if isinstance(error, MsmtError | OSError) else f"{type(error).__name__}: "
    return f"{kind}{said[:200]}" if said else type(error).__name__
