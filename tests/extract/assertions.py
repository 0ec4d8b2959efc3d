"""Files in the format of ConceptNet's assertions, made up."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path


def line(relation: str, start: str, end: str) -> str:
    about = json.dumps({"dataset": "/d/made-up", "weight": 1.0, "surfaceText": "[[a]] is [[b]]"})
    return f"/a/[/r/{relation}/,{start}/,{end}/]\t/r/{relation}\t{start}\t{end}\t{about}\n"


def write(path: Path, assertions: Iterable[tuple[str, str, str]]) -> Path:
    """``assertions`` are relation, start and end; those without a language are of English."""
    lines = (line(relation, _node(start), _node(end)) for relation, start, end in assertions)
    content = "".join(lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def _node(word: str) -> str:
    return word if word.startswith("/c/") else f"/c/en/{word}"
