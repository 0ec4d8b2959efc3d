"""Ways to damage a store on the disk. Each draws what it needs and says what it did.

They know Zarr, HDF5 and the names of a store's tree (see features/store.py), but not where in a file msmt keeps what.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

STATES = ("length", "checksum", "identity")
_ODD = (
    *(None, True, False, -1, 0, 1, 7, 10**9, -(2**31), 2**31, 2**63, 2**64, 10**30, 0.5, 1e308, float("nan"), "", "x"),
    *("..", "../../outside", "/", "1", "float64", "string", "\x1b[31mred", "a\nb", "=1+1", "\ud800", "é" * 300),
    *([], {}, [[]], [None], ["A", "A"], {"a": {}}, [1, 2, 3, 4]),
)
_ODD_LENGTHS = (10**9, -5, -(2**31), 2**31 - 1, -2, -1, 0, 1, 1000)


class NotApplicable(Exception):
    """There is nothing in this store that could be damaged so."""


@dataclass(frozen=True)
class Victim:
    """A store to damage, alone in a folder, and what lies outside of it."""

    path: Path

    outside: Path
    """A folder that no command has a reason to touch."""

    @property
    def is_zarr(self) -> bool:
        return self.path.suffix == ".zarr"

    @property
    def parts(self) -> Path:
        """The folder beside an unfinished HDF5 store."""
        return self.path.with_name(self.path.name + ".parts")

    @property
    def top(self) -> list[Path]:
        """The store's own files and folders."""
        return [path for path in (self.path, self.parts) if path.exists()]

    def files(self) -> list[Path]:
        found = [path for top in self.top for path in ([top] if top.is_file() else sorted(top.rglob("*")))]
        return [path for path in found if path.is_file() and not path.is_symlink()]

    def folders(self) -> list[Path]:
        return [path for top in self.top if top.is_dir() for path in sorted(top.rglob("*")) if path.is_dir()]

    def any_file(self, random: random.Random) -> Path:
        """Each kind of file as often as another, however many there are of it."""
        kinds: dict[str, list[Path]] = {}
        for path in self.files():
            kinds.setdefault(_kind_of(path, self.path), []).append(path)
        if not kinds:
            raise NotApplicable
        return random.choice(kinds[random.choice(sorted(kinds))])

    def shown(self, path: Path) -> str:
        return str(path.relative_to(self.path.parent))


Damage = Callable[[random.Random, Victim], str]


def _kind_of(path: Path, store: Path) -> str:
    if path.name == "zarr.json":
        return "metadata"
    parts = path.relative_to(store.parent).parts
    known = [part for part in parts if part in ("segments", "features", *STATES)]
    return known[-1] if known else re.sub(r"\d+", "", parts[1] if len(parts) > 1 else parts[0])


# ------------------------------------------------------------------------------------------------ bytes


def _place(random: random.Random, content: bytes, size: int) -> int:
    """An offset; as often near the beginning or the end, where formats keep what they need, as anywhere."""
    last = max(len(content) - size, 0)
    low, high = random.choice([(0, last), (0, min(last, 24_000)), (max(last - 12_000, 0), last)])
    return random.randint(low, high)


def _rewritten(random: random.Random, victim: Victim, change: Callable[[bytearray], str]) -> str:
    path = victim.any_file(random)
    content = bytearray(path.read_bytes())
    before = bytes(content)
    said = change(content)
    if bytes(content) == before:
        raise NotApplicable
    path.write_bytes(content)
    return f"{victim.shown(path)} ({len(before)} bytes): {said}"


def _put(random: random.Random, victim: Victim, size: int, fill: Callable[[int], bytes]) -> str:
    def change(content: bytearray) -> str:
        at = _place(random, content, size)
        content[at : at + size] = fill(len(content[at : at + size]))
        return f"{size} bytes at {at}"

    return _rewritten(random, victim, change)


def flipped_bits(random: random.Random, victim: Victim) -> str:
    def change(content: bytearray) -> str:
        if not content:
            raise NotApplicable
        places = [_place(random, content, 1) for _ in range(random.choice([1, 1, 1, 8]))]
        for at in places:
            content[at] ^= 1 << random.randrange(8)
        return f"bits flipped at {places}"

    return _rewritten(random, victim, change)


def overwritten_4(random: random.Random, victim: Victim) -> str:
    return _put(random, victim, 4, random.randbytes)


def overwritten_1024(random: random.Random, victim: Victim) -> str:
    return _put(random, victim, 1024, random.randbytes)


def zeroed_4(random: random.Random, victim: Victim) -> str:
    return _put(random, victim, 4, bytes)


def zeroed_1024(random: random.Random, victim: Victim) -> str:
    return _put(random, victim, 1024, bytes)


def set_4(random: random.Random, victim: Victim) -> str:
    return _put(random, victim, 4, lambda size: b"\xff" * size)


def truncated(random: random.Random, victim: Victim) -> str:
    def change(content: bytearray) -> str:
        left = random.choice([0, len(content) - 1, len(content) // 2, random.randrange(len(content) or 1)])
        del content[max(left, 0) :]
        return f"cut to {left} bytes"

    return _rewritten(random, victim, change)


def extended(random: random.Random, victim: Victim) -> str:
    def change(content: bytearray) -> str:
        size = random.choice([1, 4, 1024, 4096])
        more = random.choice([bytes(size), random.randbytes(size), bytes(content[:size])])
        content.extend(more)
        return f"{len(more)} bytes added"

    return _rewritten(random, victim, change)


def heap_zeroed(random: random.Random, victim: Victim) -> str:
    """Zeros within the collections in which HDF5 keeps strings."""
    files = [path for path in victim.files() if b"GCOL" in path.read_bytes()] if not victim.is_zarr else []
    if not files:
        raise NotApplicable
    path = random.choice(files)
    content = bytearray(path.read_bytes())
    heap = random.choice([found.start() for found in re.finditer(b"GCOL", content)])
    at = heap + random.choice([0, 8, 16, random.randrange(4096)])
    size = random.choice([16, 1024])
    content[at : at + size] = bytes(len(content[at : at + size]))
    path.write_bytes(content)
    return f"{victim.shown(path)}: {size} bytes at {at} of the string heap at {heap} zeroed"


# ------------------------------------------------------------------------------------ files and folders


def removed_file(random: random.Random, victim: Victim) -> str:
    path = victim.any_file(random)
    if path == victim.path:
        raise NotApplicable
    path.unlink()
    return f"{victim.shown(path)} removed"


def removed_folder(random: random.Random, victim: Victim) -> str:
    folders = [*victim.folders(), *([victim.parts] if victim.parts.exists() else [])]
    if not folders:
        raise NotApplicable
    path = random.choice(folders)
    shutil.rmtree(path)
    return f"{victim.shown(path)} removed"


def swapped_files(random: random.Random, victim: Victim) -> str:
    """Two files of one kind change places: shards, chunks of states or of columns, metadata, parts."""
    one = victim.any_file(random)
    kind = _kind_of(one, victim.path)
    others = [
        path
        for path in victim.files()
        if path != one and _kind_of(path, victim.path) == kind and path.read_bytes() != one.read_bytes()
    ]
    if not others:
        raise NotApplicable
    # Files of the same name or folder are the likeliest to be taken for each other.
    close = [path for path in others if path.parent == one.parent or path.name == one.name]
    other = random.choice(close if close and random.random() < 0.7 else others)
    is_copy = random.random() < 0.3
    content = one.read_bytes(), other.read_bytes()
    other.write_bytes(content[0])
    if not is_copy:
        one.write_bytes(content[1])
    return f"{victim.shown(one)} {'copied over' if is_copy else 'swapped with'} {victim.shown(other)}"


def swapped_folders(random: random.Random, victim: Victim) -> str:
    """Two columns, arrays or features of a Zarr store change places."""
    folders = [path for path in victim.folders() if (path / "zarr.json").exists()]
    one = random.choice(folders) if folders else None
    others = [path for path in folders if one and path != one and path.parent == one.parent]
    if not others:
        raise NotApplicable
    other = random.choice(others)
    aside = victim.path.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    return f"{victim.shown(one)} swapped with {victim.shown(other)}"


def _moved_out(victim: Victim, path: Path) -> Path:
    target = victim.outside / "moved" / path.name
    target.parent.mkdir(exist_ok=True)
    path.rename(target)
    return target


def linked_file(random: random.Random, victim: Victim) -> str:
    """A file moves out of the store, and a symbolic link leads to it: the content is right, the place is not."""
    path = victim.any_file(random)
    if path == victim.path:
        raise NotApplicable
    path.symlink_to(_moved_out(victim, path))
    return f"{victim.shown(path)} is a link to a file outside"


def linked_folder(random: random.Random, victim: Victim) -> str:
    folders = victim.folders() or ([victim.parts] if victim.parts.exists() else [])
    if not folders:
        raise NotApplicable
    path = random.choice(folders)
    path.symlink_to(_moved_out(victim, path))
    return f"{victim.shown(path)} is a link to a folder outside"


def lost_link(random: random.Random, victim: Victim) -> str:
    path = victim.any_file(random) if random.random() < 0.5 or not victim.folders() else random.choice(victim.folders())
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    target = random.choice([victim.outside / "created", Path(path.name), Path("..") / path.parent.name])
    path.symlink_to(target)
    return f"{victim.shown(path)} is a link to {target}, which is not there or leads in a circle"


def linked_lock(random: random.Random, victim: Victim) -> str:
    """The file that writers lock is a symbolic link to a file that is not theirs."""
    lock = victim.path.with_name(f".{victim.path.name}.lock")
    lock.unlink(missing_ok=True)
    lock.symlink_to(victim.outside / "secret.txt")
    return f"{lock.name} is a link to a file outside"


def wrong_kind_of_file(random: random.Random, victim: Victim) -> str:
    """A folder or a pipe where a file should be, or a file where a folder should be."""
    if random.random() < 0.3 and victim.folders():
        path = random.choice(victim.folders())
        shutil.rmtree(path)
        path.write_bytes(b"{}")
        return f"{victim.shown(path)} is a file"
    path = victim.any_file(random)
    path.unlink()
    if random.random() < 0.5:
        path.mkdir()
        return f"{victim.shown(path)} is a folder"
    os.mkfifo(path)
    return f"{victim.shown(path)} is a pipe"


# --------------------------------------------------------------------------------------------- metadata


def _mutated(random: random.Random, document):
    """A change of one place within what JSON can hold; what it is and what was done."""
    places = list(_places(document))
    if not places:
        raise NotApplicable
    holder, key = random.choice(places)
    old = holder[key]
    ways = ["odd", "odd", "removed", "near"]
    if isinstance(old, list) and len({json.dumps(each) for each in old}) > 1:
        ways += ["swapped"] * 4
    match random.choice(ways):
        case "removed":
            del holder[key]
            return f"{key} removed"
        case "swapped":
            one, other = random.sample(range(len(old)), 2)
            if old[one] == old[other]:
                raise NotApplicable
            old[one], old[other] = old[other], old[one]
            return f"{old[one]} and {old[other]} of {key} swapped"
        case "near" if type(old) in (int, float, str, bool):
            holder[key] = {int: old + 1, float: old * 2, bool: not old, str: f"{old}x"}[type(old)] if old != "" else "x"
        case _:
            holder[key] = random.choice(_ODD)
    if _same(old, holder[key]):
        raise NotApplicable
    return f"{key} {str(old)[:80]!r} -> {str(holder[key])[:80]!r}"


def _places(document) -> Iterator[tuple]:
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield document, key
        yield from _places(document[key])


def _same(one, other) -> bool:
    return type(one) is type(other) and json.dumps(one) == json.dumps(other)


def metadata_changed(random: random.Random, victim: Victim) -> str:
    """A value that a store says of itself is another: a shape, a type, a fill value, a class, a spec."""
    if victim.is_zarr:
        path = random.choice([path for path in victim.files() if path.name == "zarr.json"])
        document = json.loads(path.read_text())
        of_group = document.get("attributes")
        said = _mutated(random, of_group if of_group and random.random() < 0.7 else document)
        path.write_text(json.dumps(document, indent=2))
        return f"{victim.shown(path)}: {said}"
    with _opened(random, victim) as (file, name):
        holders = [item for item in _objects(file) if len(item.attrs)]
        if not holders:
            raise NotApplicable
        holder = random.choice(holders)
        attribute = random.choice(sorted(holder.attrs))
        value = holder.attrs[attribute]
        if isinstance(value, str) and value[:1] in "[{" and random.random() < 0.9:
            document = json.loads(value)
            said = _mutated(random, document)
            holder.attrs[attribute] = json.dumps(document)
        elif random.random() < 0.3:
            del holder.attrs[attribute]
            said = "removed"
        else:
            odd = random.choice([1, -1, 2**31, 1e308, "", "x", "{}", "[]", "null", np.arange(3), b"\xff\xfe"])
            holder.attrs[attribute] = odd
            said = f"-> {odd!r}"
        return f"{name}{holder.name}: attribute {attribute} {said}"


def _objects(file: h5py.File) -> list:
    found = [file]
    file.visititems(lambda _, item: found.append(item))
    return found


@contextmanager
def _opened(random: random.Random, victim: Victim) -> Iterator[tuple[h5py.File, str]]:
    files = [path for path in victim.files() if path.suffix == ".h5"]
    if victim.is_zarr or not files:
        raise NotApplicable
    path = random.choice(files) if random.random() < 0.5 else files[0]
    with h5py.File(path, "r+") as file:
        yield file, victim.shown(path)


def array_changed(random: random.Random, victim: Victim) -> str:
    """An array of an HDF5 store is gone, of another shape or type, or in the place of another."""
    with _opened(random, victim) as (file, name):
        arrays = [item for item in _objects(file) if isinstance(item, h5py.Dataset)]
        one = random.choice(arrays)
        way = random.choice(["removed", "swapped", "longer", "shorter", "float", "group", "group removed"])
        called = one.name
        if way == "swapped":
            other = random.choice(arrays)
            if one.name == other.name:
                raise NotApplicable
            file.move(one.name, "/aside")
            file.move(other.name, called)
            file.move("/aside", other.name if other.name != called else called)
            return f"{name}{called} swapped with another"
        if way == "group removed":
            called = one.parent.name
            if called == "/":
                raise NotApplicable
            del file[called]
            return f"{name}{called} removed"
        values = one[:] if one.size < 10**7 else None
        del file[called]
        if way == "group":
            file.create_group(called)
        elif way != "removed" and values is not None:
            kind = h5py.string_dtype() if values.dtype == object else values.dtype
            if way == "float" and kind.kind in "iuf":
                kind = np.dtype("<f8")
            values = {"longer": np.concatenate([values, values[:1]]), "shorter": values[:-1]}.get(way, values)
            file.create_dataset(called, data=values, dtype=kind)
        return f"{name}{called}: {way}"


def cell_changed(random: random.Random, victim: Victim) -> str:
    """One cell of the segment table, or one number of the states, written by the format's own library."""
    if victim.is_zarr:
        import zarr

        group = zarr.open_group(str(victim.path), mode="r+")
        names = sorted(name for name, item in group.members(max_depth=None) if hasattr(item, "shape"))
        names = [name for name in names if not name.endswith("/features")]
        name = random.choice(names)
        values = group[name][...]
        said = _other_cell(random, values)
        group[name][...] = values
        return f"{name}: {said}"
    with _opened(random, victim) as (file, where):
        arrays = [item for item in _objects(file) if isinstance(item, h5py.Dataset) and item.ndim < 3 and item.size]
        arrays = [item for item in arrays if not item.is_virtual]
        if not arrays:
            raise NotApplicable
        one = random.choice(arrays)
        values = one.asstr()[...] if h5py.check_string_dtype(one.dtype) else one[...]
        said = _other_cell(random, values)
        one[...] = values
        return f"{where}{one.name}: {said}"


def _other_cell(random: random.Random, values: np.ndarray) -> str:
    if values.ndim != 1 or not len(values):
        raise NotApplicable
    one, other = random.randrange(len(values)), random.randrange(len(values))
    old = values[one]
    if random.random() < 0.5 and not _same_cell(old, values[other]):
        values[one], values[other] = values[other], old
        return f"rows {one} and {other} swapped"
    if values.dtype.kind in "iu":
        values[one] = old + 1 if random.random() < 0.5 or old == 0 else 0
    elif values.dtype.kind == "f":
        values[one] = random.choice([-1.0, 1e308, np.inf, 0.25])
    else:
        values[one] = random.choice(["", "x", "train", "../../outside/secret.wav", "\x1b[31mred", f"{old}x"])
    if _same_cell(old, values[one]):
        raise NotApplicable
    return f"row {one} {old!r} -> {values[one]!r}"


def _same_cell(one, other) -> bool:
    return one == other or (one != one and other != other)


def odd_length(random: random.Random, victim: Victim) -> str:
    """A length that no row can have, or that this row has not."""
    length = random.choice([*_ODD_LENGTHS, random.randrange(30)])
    if victim.is_zarr:
        chunks = [path for path in victim.files() if path.parent.parent.name == "length"]
        if not chunks:
            raise NotApplicable
        path = random.choice(chunks)
        content = np.frombuffer(path.read_bytes(), "<i4").copy()
        row, where = random.randrange(min(len(content), 24)), victim.shown(path)
        old, content[row] = content[row], length
        path.write_bytes(content.tobytes())
    else:
        with _opened(random, victim) as (file, where):
            arrays = [item for item in _objects(file) if item.name.endswith("/length") and not item.is_virtual]
            if not arrays:
                raise NotApplicable
            array = random.choice(arrays)
            row, where = random.randrange(len(array)), where + array.name
            old, array[row] = array[row], length
    if old == length:
        raise NotApplicable
    return f"{where}: length of row {row} {old} -> {length}"


# --------------------------------------------------------------------------------------- hostile content


def odd_group(random: random.Random, victim: Victim) -> str:
    """A feature more, under a name that is no name for a file."""
    if victim.is_zarr:
        source = victim.path / random.choice(["hubert", "roberta"])
        name = random.choice(["\x1b[31mred", "-rf", "=1+1", "con", "a\nb", "hubert ", "\N{RIGHT-TO-LEFT OVERRIDE}x"])
        shutil.copytree(source, victim.path / name)
        return f"{source.name} is there a second time as {name!r}"
    name = random.choice(["..", "..", "..", ".. ", "\x1b[31mred", "a\nb", "=1+1", "x" * 300, "segments.aside"])
    with h5py.File(victim.path, "r+") as file:
        source = random.choice([group for group in file if group != "segments"])
        h5py.h5o.copy(file.id, source.encode(), file.id, name.encode())
    return f"{source} is there a second time as {name!r}"


def led_outside(random: random.Random, victim: Victim) -> str:
    """A group or an array of an HDF5 store lies, with the right content, in a file outside."""
    if victim.is_zarr:
        raise NotApplicable
    other = victim.outside / "other.h5"
    way = random.choice(["external link", "external storage", "virtual dataset"])
    with h5py.File(victim.path, "r+") as file:
        groups = [name for name in file if isinstance(file[name], h5py.Group)]
        group = random.choice(groups)
        arrays = sorted(name for name in file[group] if file[group][name].dtype != object)
        name = random.choice([group, f"{group}/{random.choice(arrays)}"])
        if way == "external link":
            with h5py.File(other, "w") as target:
                file.copy(file[name], target, name="moved")
            del file[name]
            file[name] = h5py.ExternalLink(
                random.choice([str(other), f"../../{victim.outside.name}/other.h5"]), "/moved"
            )
            return f"{name} is an {way}"
        name = f"{group}/{random.choice(arrays)}"
        values = file[name][...]
        del file[name]
        if way == "external storage":
            raw = victim.outside / "raw"
            raw.write_bytes(values.tobytes())
            file.create_dataset(name, values.shape, values.dtype, external=[(str(raw), 0, values.nbytes)])[...] = values
        else:
            with h5py.File(other, "w") as target:
                target["moved"] = values
            layout = h5py.VirtualLayout(values.shape, values.dtype)
            layout[...] = h5py.VirtualSource(str(other), "moved", values.shape, values.dtype)
            file.create_virtual_dataset(name, layout)
        return f"{name} has {way}"


LEADING_OUTSIDE = (linked_file, linked_folder, led_outside)
"""Damages that leave the right content within reach, in a place that a store may not lead to."""

ALL: dict[str, Damage] = {
    damage.__name__.replace("_", "-"): damage
    for damage in (
        flipped_bits,
        overwritten_4,
        overwritten_1024,
        zeroed_4,
        zeroed_1024,
        set_4,
        truncated,
        extended,
        heap_zeroed,
        removed_file,
        removed_folder,
        swapped_files,
        swapped_folders,
        linked_file,
        linked_folder,
        lost_link,
        linked_lock,
        wrong_kind_of_file,
        metadata_changed,
        array_changed,
        cell_changed,
        odd_length,
        odd_group,
        led_outside,
    )
}
