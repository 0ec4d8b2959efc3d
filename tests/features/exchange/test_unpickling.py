"""A pickle is followed without running anything: numpy's arrays come back, and whatever else it asks for is refused."""

from __future__ import annotations

import collections
import copyreg
import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from msmt.errors import ExchangeError
from msmt.features.exchange.unpickling import read_pickle
from msmt.tests.features.exchange.made import mmsa_content, write_pickle

NUMBERS = np.arange(60_000, dtype="f4").reshape(100, 200, 3)  # long enough to stay in the file
PLAIN = {
    "array": NUMBERS,
    "by columns": np.asfortranarray(NUMBERS[:3]),
    "not in a row": NUMBERS[:, ::2],
    "other order": np.arange(3, dtype=">f8"),
    "half": np.arange(3, dtype="f2"),
    "texts": np.array(["ab", "第一句"]),
    "objects": np.array(["ab", None, 3], object),
    "empty": np.zeros((0, 3)),
    "truth": np.array([True, False]),
    "scalar": np.float32(2.5),
    "numbers": [1, -5, 2**70, -(2**40), 70_000, 2.5, True, None],
    "text": "é" * 100_000,
    "bytes": b"x" * 100_000,
    "bytearray": bytearray(b"abc"),
    "tuples": ((), (1,), (1, 2), (1, 2, 3, 4)),
    "ordered": collections.OrderedDict(a=1),
    "defaults": collections.defaultdict(list, {1: [2]}),
    "set": {1, 2},
}


class Runs:
    """Pickled, it makes whoever loads it call something."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Sets:
    """The same by the state that it is given."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return collections.OrderedDict, (), {"__setstate__": Runs(*self.call)}


def same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    return one == other


def refused(path, content: bytes) -> str:
    """What is said of a pickle of these bytes."""
    path.write_bytes(content)
    with pytest.raises(ExchangeError) as error:
        read_pickle(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_values_come_back_from_every_protocol(tmp_path, protocol):
    read = read_pickle(write_pickle(tmp_path / "plain.pkl", PLAIN, protocol))
    assert list(read) == list(PLAIN)
    for name, value in PLAIN.items():
        assert same(value, read[name]), name


def test_what_numpy_1_and_python_2_wrote_is_read(tmp_path):
    written = pickle.dumps(PLAIN["array"], 2).replace(b"numpy._core", b"numpy.core")
    (tmp_path / "old.pkl").write_bytes(written)
    assert same(PLAIN["array"], read_pickle(tmp_path / "old.pkl"))
    # Python 2 wrote bytes and texts alike, and arrays as such.
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n(I1\n(I2\ntp6\n"
        b"cnumpy\ndtype\np7\n(S'f4'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'<'\np11\nNNNI-1\nI-1\nI0\ntp12\nbI00\n"
        b"S'\\x00\\x00\\x80?\\x00\\x00\\x00@'\np13\ntp14\nb."
    )
    (tmp_path / "older.pkl").write_bytes(array)
    assert read_pickle(tmp_path / "older.pkl").tolist() == [1.0, 2.0]


def test_an_array_that_occurs_twice_is_one(tmp_path):
    first, second = read_pickle(write_pickle(tmp_path / "twice.pkl", [NUMBERS, {"again": NUMBERS}]))
    assert first is second["again"]


@pytest.mark.parametrize("protocol", (0, 2, 4, 5))
@pytest.mark.parametrize(
    "function, arguments, name",
    [
        (os.system, ("touch RAN",), "posix.system"),
        (eval, ("open('RAN', 'w')",), "eval"),
        (exec, ("open('RAN', 'w')",), "exec"),
        (subprocess.Popen, (["touch", "RAN"],), "Popen"),
        (np.load, ("RAN",), "numpy.load"),
        (getattr, (os, "system"), "getattr"),
        (copyreg._reconstructor, (io.StringIO, object, None), "_reconstructor"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_call_is_named_and_not_made(tmp_path, monkeypatch, protocol, function, arguments, name):
    monkeypatch.chdir(tmp_path)
    arguments = tuple("os" if each is os else each for each in arguments)
    call = Runs(function, *arguments)
    for held in (call, [1, {"deep": (call,)}], np.array([call], object), Sets(function, *arguments), {"x": call}):
        said = refused(tmp_path / "runs.pkl", pickle.dumps(held, protocol))
        assert name in said and "nothing of it was run" in said
    assert [each.name for each in tmp_path.iterdir()] == ["runs.pkl"]


def test_all_names_that_are_refused_are_in_the_line(tmp_path):
    said = refused(tmp_path / "two.pkl", pickle.dumps([Runs(os.system, "x"), Runs(eval, Runs(os.getpid))]))
    assert "posix.system, " in said and "builtins.eval" in said and "posix.getpid" in said


STACK_GLOBAL_BY_MEMO = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94" + b"00" + b"h\x00h\x01\x93\x8c\x09touch RAN\x85R."
TRICKS = {
    "a name from the memo": (STACK_GLOBAL_BY_MEMO, "posix.system"),
    "a persistent object by number": (b"\x80\x02K\x07Q.", "persistent object 7"),
    "a persistent object by line": (b"Pos.system\n.", "persistent object os.system"),
    "an extension": (b"\x80\x02\x82\x05)R.", "extension 5"),
    "a wide extension": (b"\x80\x02\x84\x05\x00\x00\x00)R.", "extension 5"),
    "an instance of old": (b"(S'touch RAN'\niposix\nsystem\n.", "posix.system"),
    "an object of old": (b"(cposix\nsystem\nS'touch RAN'\no.", "posix.system"),
    "a new object": (b"\x80\x02cposix\nsystem\n)\x81.", "posix.system"),
    "a new object of what is read": (b"\x80\x02cnumpy\nndarray\n)\x81.", "an object of a class"),
    "a buffer from outside": (b"\x80\x05\x97.", "a buffer outside the file"),
    "a call of a value": (b"\x80\x02K\x05)R.", "cannot be called"),
    "a call of an array's class": (b"\x80\x02cnumpy\nndarray\n(K\x05tR.", "cannot be called"),
    "a state for a name": (b"\x80\x02cnumpy\ndtype\n}b.", "gives a state to what has none"),
    "objects from bytes": (
        pickle.dumps(np.arange(2), 2).replace(b"i8", b"O8"),
        "has an array of objects without its values",
    ),
    "more values than bytes": (
        pickle.dumps(np.arange(3, dtype="i1"), 2).replace(b"K\x03\x85", b"K\x7f\x85"),
        "in 3 bytes",
    ),
    "records": (pickle.dumps(np.zeros(2, [("a", "f4")]), 2), "of type 'V4'"),
    "a place in memory": (b"\x80\x02K\x05r\xff\xff\xff\xff0K\x06h\x07.", "damaged"),
    "bytes that are not there": (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "cut off"),
    "no end": (b"\x80\x04]", "cut off"),
    "another kind of file": (b"\x1f\x8b\x08\x00", "is no pickle"),
    "an archive": (b"PK\x03\x04 something else", "is a zip archive"),
    "nothing on the stack": (b".", "is no pickle"),
    "a list of itself": (b"\x80\x02]q\x00h\x00a.", ""),
    "a deep one": (b"\x80\x02" + b"]" * 1000 + b"a" * 999 + b".", "nested too deep"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_with_opcodes_are_one_line(tmp_path, monkeypatch, trick):
    monkeypatch.chdir(tmp_path)
    content, said = TRICKS[trick]
    if said:
        assert said in refused(tmp_path / "trick.pkl", content)
    else:
        (tmp_path / "trick.pkl").write_bytes(content)
        assert isinstance(read_pickle(tmp_path / "trick.pkl"), list)
    assert [each.name for each in tmp_path.iterdir()] == ["trick.pkl"]


def test_no_opcode_of_python_is_unknown():
    import pickletools

    from msmt.features.exchange.unpickling import _STEPS, _STOP

    assert {ord(each.code) for each in pickletools.opcodes} == {*_STEPS, _STOP}


def test_a_file_cut_off_anywhere_is_one_line(tmp_path):
    whole = pickle.dumps(mmsa_content(2), 4)
    for end in range(0, len(whole) - 1, max(1, len(whole) // 150)):
        refused(tmp_path / "cut.pkl", whole[:end])


def test_a_file_with_wrong_bytes_is_read_or_is_one_line(tmp_path):
    whole, random = pickle.dumps({"a": np.arange(4), "b": ["x", (1, 2.5)]}, 2), np.random.default_rng(0)
    for _ in range(500):
        content = bytearray(whole)
        for place in random.integers(0, len(whole), random.integers(1, 4)):
            content[place] = random.integers(0, 256)
        (tmp_path / "odd.pkl").write_bytes(content)
        try:
            read_pickle(tmp_path / "odd.pkl")
        except ExchangeError as error:
            assert "\n" not in str(error)


def test_a_missing_file_a_folder_and_a_pipe_are_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none.pkl", tmp_path, tmp_path / "pipe"):
        with pytest.raises(ExchangeError, match="cannot be read"):
            read_pickle(path)


def test_nothing_that_is_named_is_imported(tmp_path):
    content = b"\x80\x02cthis\ns\n."  # a module that prints when it is imported
    assert "this.s" in refused(tmp_path / "this.pkl", content)
    assert "this" not in sys.modules
