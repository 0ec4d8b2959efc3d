"""HDF5 files whose bytes msmt knows: what HDF5 wrote, behind it what msmt says of it, and a seal before and after both.

    bytes 0 to 511     the seal: where the manifest lies, and digests of it and of all that HDF5 wrote (HDF5's user block)
    512 to A           what HDF5 wrote
    A to B             the manifest, see manifest.py, or in a part of an unfinished store what it says of its rows
    B to B + 511       the seal once more

HDF5 does not look at the first bytes, nor behind its own end. A reader that believes the manifest needs nothing that
HDF5 wrote but the rows themselves, so it opens quickly, and a damaged tree cannot lead the HDF5 library astray.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import xxhash

from ..errors import DamageError
from .durable import open_regular, sync_file
from .head import TO_MEND

SEAL_BYTES = 512
_FIRST_LINE = "msmt-features, version 2"
_PATTERN = re.compile(
    rb"msmt-features, version 2\n"
    rb"bytes (\d{1,18}) to (\d{1,18}): what msmt says of this file, XXH3-128 ([0-9a-f]{32})\n"
    rb"bytes 512 to \1: HDF5, XXH3-128 ([0-9a-f]{32})\n"
)
_PIECE = 1 << 24


@dataclass(frozen=True)
class Seal:
    """What is known of the bytes of a file."""

    start: int
    """The manifest's first byte, which is the one after the last that HDF5 wrote."""

    stop: int
    """The byte after the manifest's last."""

    manifest: str
    """XXH3-128 of the manifest."""

    tree: str
    """XXH3-128 of what HDF5 wrote."""

    def to_bytes(self) -> bytes:
        """512 bytes: lines of text, the last of them a checksum of the others."""
        text = (
            f"{_FIRST_LINE}\n"
            f"bytes {self.start} to {self.stop}: what msmt says of this file, XXH3-128 {self.manifest}\n"
            f"bytes {SEAL_BYTES} to {self.start}: HDF5, XXH3-128 {self.tree}\n"
        ).encode()
        return (text + f"XXH3-64 of these lines {xxhash.xxh3_64_hexdigest(text)}\n".encode()).ljust(SEAL_BYTES, b"\0")

    @classmethod
    def from_bytes(cls, content: bytes) -> Seal | None:
        """The seal in 512 bytes; None where there is none, or it is damaged."""
        match = _PATTERN.match(content)
        if not match:
            return None
        start, stop, manifest, tree = match.groups()
        seal = cls(int(start), int(stop), manifest.decode(), tree.decode())
        return seal if seal.to_bytes() == content else None


def seal_of(path: Path) -> tuple[Seal | None, bool]:
    """The seal of a file, and whether both copies of it are whole; None where neither is."""
    with open_regular(path, follow=True) as file:
        first = Seal.from_bytes(file.read(SEAL_BYTES))
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - SEAL_BYTES))
        last = Seal.from_bytes(file.read(SEAL_BYTES))
    return first or last, first is not None and first == last and end == first.stop + SEAL_BYTES


def manifest_in(path: Path, seal: Seal) -> bytes:
    """The bytes of the manifest. Raises DamageError where they are not those that were sealed."""
    with open_regular(path, follow=True) as file:
        there = file.seek(0, os.SEEK_END)
        if not SEAL_BYTES <= seal.start <= seal.stop <= there:
            raise DamageError(f"{path}: is cut off; {TO_MEND}")
        file.seek(seal.start)
        content = file.read(seal.stop - seal.start)
    if xxhash.xxh3_128_hexdigest(content) != seal.manifest:
        raise DamageError(f"{path}: what it says of itself is damaged; {TO_MEND}")
    return content


def tree_is_whole(path: Path, seal: Seal) -> bool:
    """Whether what HDF5 wrote is what was sealed. Reads the whole file."""
    return path.stat().st_size >= seal.start and _digest(path, SEAL_BYTES, seal.start) == seal.tree


def write_seal(path: Path, manifest: bytes) -> None:
    """Seal a file that HDF5 has written, behind a user block of 512 bytes, and that is closed; then it is on the disk."""
    start = path.stat().st_size
    seal = _seal(start, manifest, _digest(path, SEAL_BYTES, start)).to_bytes()
    with open(path, "r+b") as file:
        file.write(seal)
        file.seek(start)
        file.write(manifest)
        file.write(seal)
    sync_file(path)


def sealed(image: bytes, manifest: bytes) -> list[bytes]:
    """The pieces of a sealed file around what HDF5 has made in memory."""
    seal = _seal(SEAL_BYTES + len(image), manifest, xxhash.xxh3_128_hexdigest(image)).to_bytes()
    return [seal, image, manifest, seal]


def _seal(start: int, manifest: bytes, tree: str) -> Seal:
    return Seal(start, start + len(manifest), xxhash.xxh3_128_hexdigest(manifest), tree)


def _digest(path: Path, start: int, stop: int) -> str:
    digest = xxhash.xxh3_128()
    with open(path, "rb") as file:
        file.seek(start)
        left = stop - start
        while left and (piece := file.read(min(_PIECE, left))):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()
