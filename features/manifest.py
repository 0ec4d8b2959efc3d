"""The manifest: what a store says of itself, its segment table and how its rows are sealed, in one checksummed text.

It is what msmt believes. Attributes and columns that plain libraries read hold the same once more: where one of the
two is damaged it is written anew from the other.

    first line    XXH3-128 of all that follows, 32 hexadecimal digits
    the rest      JSON: format, format_version, the head (see head.py), "table", "rows"

A table is {"columns": {name: [kind, values]}} with the kinds of segments.py; NaN is null. "rows" says what a format
has to say of its rows, see zarr_store.py and hdf5_store.py; it is null while a store is being written to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xxhash

from ..errors import DamageError, StoreError
from .head import TO_MEND, UNREADABLE, StoreHead, check_name, reason_of
from .segments import segment_table

FORMAT = "msmt-features"
FORMAT_VERSION = 2
_DIGEST_DIGITS = 32
_KINDS = {"O": "text", "i": "int32", "f": "float64"}


@dataclass(frozen=True)
class Manifest:
    """What a store says of itself."""

    head: StoreHead

    table: pd.DataFrame
    """The segment table."""

    rows: Mapping | None
    """What the format has to say of the rows; None where they may change."""

    def to_bytes(self) -> bytes:
        """The text, in UTF-8."""
        body = json.dumps(
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                **self.head.to_json(),
                "table": {"columns": {name: _column(self.table[name]) for name in self.table.columns}},
                "rows": self.rows,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        return f"{xxhash.xxh3_128_hexdigest(body)}\n".encode() + body

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Manifest:
        """The manifest in ``content``. Raises DamageError, which names ``where`` it was found."""
        digest, body = content[:_DIGEST_DIGITS], content[_DIGEST_DIGITS + 1 :]
        if xxhash.xxh3_128_hexdigest(body).encode() != digest:
            raise DamageError(f"{where}: is damaged: its checksum does not match")
        try:
            fields = json.loads(body)
            if fields["format"] != FORMAT:
                raise DamageError("is not of a feature store of msmt")
            if fields["format_version"] != FORMAT_VERSION:
                raise DamageError(
                    f"has format version {fields['format_version']!r:.20}, this msmt reads up to {FORMAT_VERSION};"
                    " update msmt"
                )
            head = StoreHead.from_json(fields)
            columns = {check_name(name): column[1] for name, column in fields["table"]["columns"].items()}
            table = segment_table(pd.DataFrame(columns), head.tasks)
            rows = fields["rows"]
            if not isinstance(rows, dict | None):
                raise DamageError("says nothing of its rows")
        except UNREADABLE as error:
            raise DamageError(f"{where}: {reason_of(error)}") from error
        return cls(head, table, rows)


def check_head(path: Path, attributes: Mapping) -> None:
    """Raise StoreError unless these attributes are those of a store that this version can read."""
    if attributes.get("format") != FORMAT:
        raise StoreError(f"{path}: is not a feature store of msmt; name one with --store")
    version = attributes.get("format_version")
    if not isinstance(version, int | np.integer) or isinstance(version, bool):
        raise DamageError(f"{path}: has format version {version!r:.20}, which is none; {TO_MEND}")
    if not 1 <= version <= FORMAT_VERSION:
        raise StoreError(f"{path}: has format version {version}, this msmt reads up to {FORMAT_VERSION}; update msmt")


def _column(values: pd.Series) -> list:
    kind = _KINDS[values.dtype.kind]
    plain = values.tolist()
    if kind == "float64":
        plain = [None if np.isnan(value) else value for value in plain]
    return [kind, plain]
