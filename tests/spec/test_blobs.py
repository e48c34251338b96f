"""Files of weights: every type there and back, against Apple's reader and writer, and every way to damage one."""

from __future__ import annotations

import gc
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcoreml.errors import MalformedModelError, RefCoreMLError, UsageError
from refcoreml.spec.blobs import WEIGHT_FILE, BlobFile, BlobFiles, BlobWriter
from refcoreml.spec.mil_types import DATA_TYPES, DataType

STORED = {element.name: element for element in DATA_TYPES.values() if element.blob is not None}
#: Some numbers of each type, an odd number of them, with its extremes.
NUMBERS = {
    "fp16": [0.0, -1.5, 65504.0, 6e-8, float("inf")],
    "fp32": [0.0, -0.1, 3.4e38, 1e-45, float("-inf")],
    "bf16": [0.0, 1.0, -3.0, float("inf"), 2.0**-130],
    "fp8e4m3fn": [448.0, -0.0, 2.0**-9],
    "fp8e5m2": [57344.0, float("-inf"), 2.0**-16],
    "int4": [-8, 7, -1, 3, 1],
    "uint1": [1, 0, 0, 1, 1, 0, 0, 0, 1],
    "uint2": [3, 1, 0, 2, 1],
    "uint3": [1, 2, 3, 4, 5, 6, 7, 0, 1],
    "uint4": [15, 0, 7],
    "uint6": [1, 2, 3, 63, 5],
    "int8": [-128, 127, 3],
    "uint8": [0, 255, 3],
    "int16": [-32768, 32767, 3],
    "uint16": [0, 65535, 3],
    "int32": [-(2**31), 2**31 - 1, 3],
    "uint32": [0, 2**32 - 1, 3],
}


def numbers(element: DataType) -> Any:
    return np.array(NUMBERS[element.name], np.float64 if element.dtype.kind == "f" else np.int64).astype(element.dtype)


def written(*tensors: Any) -> tuple[bytes, list[int]]:
    writer = BlobWriter()
    offsets = [writer.add(*tensor) if isinstance(tensor, tuple) else writer.add(tensor) for tensor in tensors]
    return writer.to_bytes(), offsets


def changed(data: bytes, place: int, form: str, value: int) -> bytes:
    copy = bytearray(data)
    struct.pack_into(form, copy, place, value)
    return bytes(copy)


def refusal(data: bytes, offset: int = 64) -> MalformedModelError:
    with pytest.raises(MalformedModelError) as caught:
        BlobFile(data, "weight.bin").record(offset)
    assert caught.value.where.startswith("weight.bin")
    return caught.value


@pytest.mark.parametrize("name", STORED)
def test_every_type_there_and_back(name: str) -> None:
    element = STORED[name]
    data, (first, second) = written((numbers(element), element), np.arange(7, dtype=np.float32))
    assert (first, second % 64) == (64, 0)
    with BlobFile(data) as file:
        record = file.record(first)
        assert (record.element, record.count) == (element, len(NUMBERS[name]))
        array = record.array()
        assert array.dtype == element.dtype
        np.testing.assert_array_equal(array, numbers(element))
        np.testing.assert_array_equal(np.signbit(array), np.signbit(numbers(element)))
        np.testing.assert_array_equal(file.record(second).array(), np.arange(7))


def test_there_are_numbers_for_every_type() -> None:
    assert NUMBERS.keys() == STORED.keys()


def test_the_bytes_of_a_file() -> None:
    """As `StorageFormat.hpp` has them."""
    data, offsets = written((np.array([1, 2, 3, 4, 5, 6, 7, 0, 1], np.uint8), DATA_TYPES["uint3"]))
    assert offsets == [64]
    assert data[:64] == struct.pack("<II", 1, 2) + bytes(56)
    assert data[64:128] == struct.pack("<IIQQQ", 0xDEADBEEF, 12, 4, 128, 5) + bytes(32)
    assert data[128:] == bytes.fromhex("d1581f01")


@given(st.sampled_from(sorted(STORED)), st.integers(0, 80), st.integers(0, 2**32 - 1))
def test_any_number_of_elements(name: str, count: int, seed: int) -> None:
    element = STORED[name]
    values = np.random.default_rng(seed).choice(numbers(element), count)
    data, (offset, _) = written((values, element), np.arange(3, dtype=np.float16))
    record = BlobFile(data).record(offset)
    assert record.count == count
    np.testing.assert_array_equal(record.array(), values)


def test_equal_tensors_are_stored_once() -> None:
    ones, zeros = np.ones(5, np.float16), np.zeros(5, np.float16)
    data, offsets = written(ones, zeros, ones.copy(), np.ones((5, 1), np.float16))
    assert offsets[0] == offsets[2] == offsets[3] != offsets[1]
    assert struct.unpack_from("<I", data) == (2,)
    # Equal bytes of other types, or another number of elements, are other tensors.
    codes = np.zeros(3, np.uint8)
    _, offsets = written(*((codes, DATA_TYPES[name]) for name in ("uint8", "uint3", "uint1")), zeros[:2], np.int32([0]))
    assert len(set(offsets)) == 5
    _, offsets = written((codes[:2], DATA_TYPES["uint1"]), (codes, DATA_TYPES["uint1"]))
    assert len(set(offsets)) == 2


def test_arrays_that_are_not_contiguous() -> None:
    values = np.arange(2 * 3, dtype=np.int16).reshape(2, 3).T
    data, (offset,) = written(values)
    np.testing.assert_array_equal(BlobFile(data).record(offset).array(), values.reshape(-1))


@pytest.mark.parametrize(
    ("values", "element", "problem"),
    [
        (np.array([True]), None, "cannot hold elements of type bool"),
        (np.array(["a"]), None, "cannot hold elements of type string"),
        (np.array([1.0]), None, "cannot hold elements of type fp64"),
        (np.array([1j]), None, "cannot hold an array of type complex128"),
        (np.array([8], np.int8), "int4", r"integers of 4 bits lie in \[-8, 7\]"),
        (np.array([8], np.uint8), "uint3", r"codes of 3 bits lie in \[0, 7\]"),
        (np.array([1.001], np.float32), "bf16", "would be rounded"),
        (np.array([1.0], np.float32), "fp16", "expected float16 for elements of type fp16"),
    ],
)
def test_what_cannot_be_written(values: Any, element: str | None, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        BlobWriter().add(values, None if element is None else DATA_TYPES[element])


# --- Apple's own ------------------------------------------------------------------------------------------------------

#: Types that Apple's Python module knows, as its functions call them.
APPLE = {name: {"fp32": "float"}.get(name, name) for name in STORED if not name.startswith(("bf", "fp8"))}


@pytest.fixture
def storage() -> Any:
    pytest.importorskip("coremltools")
    return pytest.importorskip("coremltools.libmilstoragepython")


def as_apple_takes_them(name: str) -> Any:
    values = numbers(STORED[name])
    return values.view(np.uint16) if name == "fp16" else values


@pytest.mark.parametrize("name", APPLE)
def test_files_of_apples_writer_are_read(name: str, storage: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "weight.bin")
    writer = storage._BlobStorageWriter(path)
    offsets = [
        getattr(writer, f"write_{APPLE[name]}_data")(as_apple_takes_them(name)),
        writer.write_float_data(np.arange(5, dtype=np.float32)),
    ]
    del writer
    with BlobFile(Path(path).read_bytes()) as file:
        record = file.record(offsets[0])
        assert record.element.name == name
        np.testing.assert_array_equal(record.array(), numbers(STORED[name]))
        np.testing.assert_array_equal(file.record(offsets[1]).array(), np.arange(5))


@pytest.mark.parametrize("name", APPLE)
def test_our_files_are_read_by_apples_reader(name: str, storage: Any, tmp_path: Path) -> None:
    data, offsets = written((numbers(STORED[name]), STORED[name]), np.arange(5, dtype=np.float32))
    path = tmp_path / "weight.bin"
    path.write_bytes(data)
    reader = storage._BlobStorageReader(str(path))
    np.testing.assert_array_equal(
        np.array(getattr(reader, f"read_{APPLE[name]}_data")(offsets[0])), as_apple_takes_them(name)
    )
    np.testing.assert_array_equal(reader.read_float_data(offsets[1]), np.arange(5))


def test_our_files_are_byte_for_byte_apples(storage: Any, tmp_path: Path) -> None:
    path = tmp_path / "weight.bin"
    writer, ours = storage._BlobStorageWriter(str(path)), BlobWriter()
    for name in APPLE:
        offset = getattr(writer, f"write_{APPLE[name]}_data")(as_apple_takes_them(name))
        assert ours.add(numbers(STORED[name]), STORED[name]) == offset
    del writer
    assert ours.to_bytes() == path.read_bytes()


# --- what is wrong ----------------------------------------------------------------------------------------------------

SOUND, (FIRST, SECOND) = written(np.arange(5, dtype=np.float32), (np.arange(7, dtype=np.uint8), DATA_TYPES["uint3"]))

DAMAGED: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 64, "has 0 bytes"),
    "shorter than the header": (SOUND[:63], 64, "has 63 bytes"),
    "version 1": (changed(SOUND, 4, "<I", 1), 64, "version 1"),
    "version 3": (changed(SOUND, 4, "<I", 3), 64, "version 3"),
    "bad sentinel": (changed(SOUND, FIRST, "<I", 0xDEADBEEE), FIRST, "begins with 0xdeadbeee"),
    "type 0": (changed(SOUND, FIRST + 4, "<I", 0), FIRST, "is of type 0, known are 1 to 17"),
    "type 18": (changed(SOUND, FIRST + 4, "<I", 18), FIRST, "is of type 18"),
    "size beyond the file": (changed(SOUND, FIRST + 8, "<Q", 10**6), FIRST, "1000000 bytes at 128"),
    "size that overflows": (changed(SOUND, FIRST + 8, "<Q", 2**64 - 1), FIRST, "18446744073709551615 bytes at 128"),
    "size of no whole number": (changed(SOUND, FIRST + 8, "<Q", 19), FIRST, "19 bytes with 0 bits of padding"),
    "data beyond the file": (changed(SOUND, FIRST + 16, "<Q", len(SOUND) + 1), FIRST, "but the file has"),
    "data offset that overflows": (changed(SOUND, FIRST + 16, "<Q", 2**64 - 8), FIRST, "but the file has"),
    "data in the header": (changed(SOUND, FIRST + 16, "<Q", 32), FIRST, "20 bytes at 32"),
    "data over their metadata": (changed(SOUND, FIRST + 16, "<Q", FIRST + 8), FIRST, "overlap"),
    "padding of 8": (changed(SOUND, SECOND + 24, "<Q", 8), SECOND, "8 bits of padding"),
    "padding that does not divide": (changed(SOUND, SECOND + 24, "<Q", 2), SECOND, "2 bits of padding"),
    "padding of nothing": (
        changed(changed(SOUND, SECOND + 24, "<Q", 3), SECOND + 8, "<Q", 0),
        SECOND,
        "0 bytes with 3 bits",
    ),
    "truncated data": (SOUND[:-1], SECOND, "3 bytes at"),
    "truncated metadata": (SOUND[: SECOND + 63], SECOND, "no record can be there"),
    "offset in the data": (SOUND, FIRST + 64, "begins with 0x0"),
    "offset in the header": (SOUND, 0, "no record can be there"),
    "offset that is not aligned": (SOUND, 65, "a multiple of 64"),
    "offset beyond the file": (SOUND, 64 * 10**9, "no record can be there"),
    "offset of 64 bits": (SOUND, 2**64 - 64, "no record can be there"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(name: str) -> None:
    data, offset, problem = DAMAGED[name]
    assert problem in refusal(data, offset).problem


def test_records_that_overlap() -> None:
    """Two records, the data of the second inside those of the first."""
    data = changed(SOUND, SECOND + 16, "<Q", FIRST + 64)
    file = BlobFile(data, "weight.bin")
    file.record(FIRST)
    for _ in range(2):  # the same words each time
        with pytest.raises(MalformedModelError, match="bytes 128 to 131, which overlap 128 to 148"):
            file.record(SECOND)
    # In the other order, too.
    file = BlobFile(data)
    file.record(SECOND)
    with pytest.raises(MalformedModelError, match="overlap"):
        file.record(FIRST)


def test_what_older_writers_leave_unset_is_not_read() -> None:
    """The padding of elements of whole bytes, and all that is reserved, may hold anything; so may the count."""
    data = changed(changed(changed(SOUND, FIRST + 24, "<Q", 2**63), FIRST + 32, "<Q", 7), 0, "<I", 999)
    np.testing.assert_array_equal(BlobFile(data).record(FIRST).array(), np.arange(5))


@given(st.data())
def test_mutations_are_refused_or_read(data: Any) -> None:
    content = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(SOUND) - 1))] = data.draw(st.integers(0, 255))
    try:
        file = BlobFile(bytes(content))
        for offset in (FIRST, SECOND):
            assert len(file.record(offset).array()) <= 8 * len(SOUND)
    except MalformedModelError:
        pass


# --- mapped files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "Data" / "weights").mkdir(parents=True)
    (tmp_path / "Data" / "weights" / "weight.bin").write_bytes(SOUND)
    return tmp_path


def test_the_same_place_gives_the_same_object(package: Path) -> None:
    with BlobFiles.in_folder(package, "Data") as files:
        found = files.record(WEIGHT_FILE, FIRST)
        assert files.record("@model_path/weights/./weight.bin", FIRST) is found
        np.testing.assert_array_equal(found.array(), np.arange(5))


def test_arrays_are_views_that_cannot_be_written_to(package: Path) -> None:
    with BlobFiles.in_folder(package, "Data") as files:
        record = files.record(WEIGHT_FILE, FIRST)
        assert np.shares_memory(record.array(), record.array())
        with pytest.raises(ValueError, match="read-only"):
            record.array()[0] = 1


def test_files_in_memory() -> None:
    files = BlobFiles.of_bytes({"weights/weight.bin": SOUND})
    assert files.record(WEIGHT_FILE, FIRST).count == 5
    with pytest.raises(MalformedModelError, match="is not there"):
        files.record("@model_path/other.bin", FIRST)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("weights/weight.bin", "expected one that begins with '@model_path/'"),
        ("/etc/passwd", "expected one that begins with"),
        ("@model_path/../../secret.bin", "leads out of the package"),
        ("@model_path/weights/../weights/weight.bin", "leads out of the package"),
        ("@model_path//etc/passwd", "leads out of the package"),
        ("@model_path/", "leads out of the package"),
        ("@model_path/weights/\0", "leads out of the package"),
        ("@model_path/weights/missing.bin", "is not there"),
        ("@model_path/weights", "a folder"),
        ("@model_path/weights/weight.bin/inside", "is not there"),
        ("@model_path/empty.bin", "is empty"),
    ],
)
def test_paths_that_are_refused(path: str, problem: str, package: Path) -> None:
    (package / "secret.bin").write_bytes(SOUND)
    (package / "Data" / "empty.bin").write_bytes(b"")
    with BlobFiles.in_folder(package, "Data") as files, pytest.raises(MalformedModelError, match=problem):
        files.record(path, FIRST)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_in_a_package_are_refused(package: Path) -> None:
    (package / "outside.bin").write_bytes(SOUND)
    (package / "Data" / "link.bin").symlink_to(package / "outside.bin")
    (package / "Data" / "behind").symlink_to(package)
    with BlobFiles.in_folder(package, "Data") as files:
        for path in ("@model_path/link.bin", "@model_path/behind/outside.bin"):
            with pytest.raises(MalformedModelError, match=r"link.*a package must hold its files itself"):
                files.record(path, FIRST)


def test_a_closed_file_says_so() -> None:
    file = BlobFile(SOUND)
    file.close()
    file.close()
    with pytest.raises(UsageError, match="closed"):
        file.record(FIRST)


def maps_of(path: Path) -> int:
    return sum(str(path) in line for line in Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks at the maps that Linux shows")
def test_the_file_is_let_go_of(package: Path) -> None:
    path = package / "Data" / "weights" / "weight.bin"
    files = BlobFiles.in_folder(package, "Data")
    assert not maps_of(path)
    array = files.record(WEIGHT_FILE, FIRST).array()
    assert maps_of(path) == 1
    files.close()
    np.testing.assert_array_equal(array, np.arange(5))  # an array that is still held stays good
    del array
    gc.collect()
    assert not maps_of(path)
    files.record(WEIGHT_FILE, FIRST)  # nobody holds an array: at once
    files.close()
    assert not maps_of(path)


def test_threads_get_the_same_record(package: Path) -> None:
    with BlobFiles.in_folder(package, "Data") as files:
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(files.record(WEIGHT_FILE, FIRST))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, found))) == 1


_LARGE = """
import resource, sys, time
from pathlib import Path
from refcoreml.spec.blobs import BlobFiles
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
files = BlobFiles.in_folder(Path(sys.argv[1]))
arrays = [files.record("@model_path/large.bin", 64).array()]
assert arrays[0].size == 2**28
print(time.process_time() - started, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="measures memory as Linux shows it, with a file that is sparse there"
)
def test_a_gigabyte_is_neither_read_nor_copied(tmp_path: Path) -> None:
    with open(tmp_path / "large.bin", "wb") as stream:
        stream.write(struct.pack("<II56xIIQQQ32x", 1, 2, 0xDEADBEEF, 2, 2**30, 128, 0))
        stream.truncate(128 + 2**30)
    child = subprocess.run(
        [sys.executable, "-c", _LARGE, str(tmp_path)], check=True, capture_output=True, text=True, timeout=60
    )
    seconds, megabytes = map(float, child.stdout.split())
    assert seconds < 1
    assert megabytes < 20


def test_many_records_take_time_in_proportion() -> None:
    writer = BlobWriter()
    offsets = [writer.add(np.array([value], np.int32)) for value in range(20_000)]
    file = BlobFile(writer.to_bytes())
    started = time.process_time()
    for offset in reversed(offsets):
        file.record(offset)
    assert time.process_time() - started < 5


#: Each refusal names a place; none is anything but ours.
@pytest.mark.parametrize("act", [lambda: BlobFile(b"x" * 64), lambda: BlobFile(SOUND).record(-64)])
def test_errors_are_ours(act: Callable[[], Any]) -> None:
    with pytest.raises(RefCoreMLError):
        act()
