"""A file of assertions in ConceptNet's format about the words of the synthetic corpora, made up here.

Words of one emotion's sentences are related to each other, and few of different emotions are. As in ConceptNet's own
file there are other relations, other languages, parts of speech and senses, which are to be left aside.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

from ..conceptnet import RELATIONS
from ..extractors.function_words import ENGLISH
from .sentences import LINES

NAME = "conceptnet-assertions.csv.gz"
_ABOUT = {"dataset": "/d/made-up", "license": "none: made up for a demo", "sources": [], "weight": 1.0}


def write_conceptnet(folder: Path) -> Path:
    """Write the file into a folder; the same bytes each time."""
    lines = sorted("\t".join((f"/a/[{r}/,{s}/,{e}/]", r, s, e, json.dumps(_ABOUT))) for r, s, e in set(_assertions()))
    path = folder / NAME
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
    return path


def _assertions() -> Iterator[tuple[str, str, str]]:
    """Relation, start and end of each."""
    for emotion, sentences in LINES["en"].items():
        words = sorted({word for line in sentences for word in re.findall("[a-z]+", line.lower())} - ENGLISH)
        words = [word for word in words if len(word) > 2]
        for place, word in enumerate(words):
            yield "/r/HasContext", f"/c/en/{word}", f"/c/en/{emotion}"
            for step, relation in enumerate(RELATIONS, start=1):
                other = words[(place + step) % len(words)]
                yield f"/r/{relation}", f"/c/en/{word}/n", f"/c/en/{other}/n/wn/feeling"
            yield "/r/RelatedTo", f"/c/en/{word}", f"/c/de/{word}"
            yield "/r/IsA", f"/c/fr/{word}", f"/c/fr/{emotion}"
