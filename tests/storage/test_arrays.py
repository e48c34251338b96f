"""Arrays under any name are found again; headers and archives that promise too much are refused before memory is."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refcoreml.errors import UsageError
from refcoreml.storage.arrays import npy_bytes, read_npy, read_npz, write_npy, write_npz

ARRAYS = {
    "file": np.arange(6, dtype=np.int32).reshape(2, 3),
    "allow_pickle": np.float16([[1.5], [2.5]]),
    "args": np.array(["ä", "bcd"]),
    "kwds": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "arr_0": np.zeros((0, 5)),
    "": np.array(3),
    "a/b": np.array([True]),
    "../up": np.arange(4, dtype=">i8")[::-1],
    "x.npy": np.float32([7]),
}


def test_any_name(tmp_path: Path) -> None:
    path = tmp_path / "any.npz"
    write_npz(ARRAYS, path)
    ours = read_npz(path)
    with np.load(path, allow_pickle=False) as theirs:
        assert sorted(theirs.files) == sorted(ours) == sorted(ARRAYS)
        for name, array in ARRAYS.items():
            for found in (ours[name], theirs[name]):
                assert found.dtype == array.dtype
                np.testing.assert_array_equal(found, array)
            assert ours[name].flags.writeable
    assert [entry.name for entry in tmp_path.iterdir()] == ["any.npz"]


def test_equal_arrays_make_equal_files(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        write_npz({"x": np.arange(3)}, tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize("form", [np.savez, np.savez_compressed])
def test_archives_of_numpy(tmp_path: Path, form: Any) -> None:
    form(tmp_path / "x.npz", x=ARRAYS["file"], y=ARRAYS["kwds"])
    found = read_npz(tmp_path / "x.npz")
    np.testing.assert_array_equal(found["x"], ARRAYS["file"])
    np.testing.assert_array_equal(found["y"], ARRAYS["kwds"])


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"a\0b": 1}, "NUL"),
        ({"x": 1, "x.npy": 2}, "two arrays"),
        ([("x", 1), ("x", 2)], "two arrays"),
        ({"\ud800": 1}, "no valid text"),
        ({"x": np.array([{}], object)}, "objects"),
    ],
)
def test_what_cannot_be_stored_leaves_the_old_file(tmp_path: Path, arrays: Any, problem: str) -> None:
    write_npz({"old": 1}, tmp_path / "x.npz")
    with pytest.raises(UsageError, match=problem):
        write_npz(arrays, tmp_path / "x.npz")
    assert list(read_npz(tmp_path / "x.npz")) == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.npz"]


@pytest.mark.parametrize("name", list(ARRAYS))
def test_npy(tmp_path: Path, name: str) -> None:
    write_npy(ARRAYS[name], tmp_path / "x.npy")
    np.testing.assert_array_equal(read_npy(tmp_path / "x.npy"), ARRAYS[name])
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), ARRAYS[name])


def promising(shape: tuple[int, ...]) -> bytes:
    """An array of 3 bytes whose header promises another shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + b"abc"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not in the .npy format"),
        (b"\x93NUMPY", "not in the .npy format"),
        (b"\x93NUMPY\x07\x00" + b" " * 50, "version"),
        (npy_bytes(np.arange(9))[:-1], "declares|ends after"),
        (promising((10**12,)), "declares 1,000,000,000,000 bytes"),
        (promising((2**40, 0, 3)), ""),
        (promising((-3, -1)), "declares"),
    ],
)
def test_damaged_arrays(tmp_path: Path, data: bytes, problem: str) -> None:
    (tmp_path / "x.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", data)
    if not problem:
        assert read_npy(tmp_path / "x.npy").size == 0
        return
    with pytest.raises(ValueError, match=problem):
        read_npy(tmp_path / "x.npy")
    with pytest.raises(ValueError, match=problem):
        read_npz(tmp_path / "x.npz")


def test_objects_are_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="objects"):
        read_npy(tmp_path / "x.npy")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(10**6, np.uint8))
    assert (tmp_path / "x.npz").stat().st_size < 5000
    assert read_npz(tmp_path / "x.npz", 10**6)["x"].size == 10**6
    with pytest.raises(ValueError, match="at most"):
        read_npz(tmp_path / "x.npz", 10**5)


def test_damaged_archives(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.arange(1000), y=np.arange(77.0))
    data = (tmp_path / "x.npz").read_bytes()
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(300):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            broken[at] = rng.integers(256)
        (tmp_path / "broken.npz").write_bytes(broken[: rng.integers(len(data) // 2, len(data) + 1)])
        try:
            read_npz(tmp_path / "broken.npz")
        except ValueError:
            refused += 1
    assert refused > 200


def test_a_header_is_read_again_if_another_thread_was_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPython 3.11 raises SystemError where two threads parse Python at the same time."""
    array = np.arange(12.0).reshape(3, 4)
    write_npz({"first": array, "second": array + 1}, tmp_path / "a.npz")
    write_npy(array, tmp_path / "a.npy")
    read, turns = np.lib.format.read_array_header_1_0, iter([True, True, False] * 9)

    def disturbed(stream: Any) -> Any:
        stream.read(1)
        if next(turns):
            raise SystemError("AST constructor recursion depth mismatch (before=57, after=53)")
        stream.seek(stream.tell() - 1)
        return read(stream)

    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", disturbed)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")["second"], array + 1)


def test_a_header_that_cannot_be_read_at_all_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(stream: Any) -> Any:
        raise SystemError("always")

    write_npy(np.ones(3), tmp_path / "a.npy")
    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", broken)
    with pytest.raises(ValueError, match=r"not in the \.npy format: always"):
        read_npy(tmp_path / "a.npy")
