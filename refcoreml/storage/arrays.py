"""Arrays in files: ``.npy`` and ``.npz``, read without pickles and without trust in what headers promise.

``numpy.savez`` takes names as keyword arguments, so that no array can be called ``file`` or ``allow_pickle``;
`write_npz` takes any name. ``numpy.load`` believes the sizes that a header or an archive states; `read_npy` and
`read_npz` compare them with the bytes that are there before they allocate memory.
"""

from __future__ import annotations

import io
import math
import os
import threading
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refcoreml.errors import UsageError
from refcoreml.storage.reading import DATA_LIMIT, open_file
from refcoreml.storage.writing import replacing

__all__ = ["COMPRESSED_LIMIT", "npy_bytes", "read_npy", "read_npy_stream", "read_npz", "write_npy", "write_npz"]

#: Shape, whether the first axis varies fastest, type.
Header: TypeAlias = "tuple[tuple[int, ...], bool, np.dtype[Any]]"

_parsing = threading.Lock()
#: So often a header is read again; other threads of the process may parse what is not ours.
_TRIES = 5
#: The most bytes that the arrays of an archive may take in memory beyond the bytes of its file.
COMPRESSED_LIMIT = 2**32


def write_npz(arrays: Mapping[str, ArrayLike] | Iterable[tuple[str, ArrayLike]], path: str | os.PathLike[str]) -> None:
    """Write arrays to an ``.npz``; the old file stays until the new one is complete.

    Args:
        arrays: by name, or pairs of name and array; any name that ``numpy.load`` can find again.
        path: the file.

    Raises:
        UsageError: a name or an array cannot be stored, or the file cannot be written.
    """
    pairs = list(arrays.items() if isinstance(arrays, Mapping) else arrays)
    _check_names([name for name, _ in pairs], path)
    with replacing(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in pairs:
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.external_attr = 0o600 << 16
            with archive.open(entry, "w", force_zip64=True) as member:
                _write(member, array, f"{path}, {name!r}")


def write_npy(array: ArrayLike, path: str | os.PathLike[str]) -> None:
    """Write an array to an ``.npy``; raise what `write_npz` raises."""
    with replacing(path) as stream:
        _write(stream, array, str(path))


def npy_bytes(array: ArrayLike) -> bytes:
    """Return the content of an ``.npy`` file."""
    buffer = io.BytesIO()
    _write(buffer, array, "")
    return buffer.getvalue()


def _write(stream: Any, array: ArrayLike, where: str) -> None:
    value = np.asanyarray(array)
    if value.dtype.hasobject:
        raise UsageError(
            f"an array of Python objects ({type(value.flat[0]).__name__ if value.size else 'none'}) cannot be stored",
            where=where,
        )
    np.lib.format.write_array(stream, value, allow_pickle=False)


def _check_names(names: Sequence[str], path: str | os.PathLike[str]) -> None:
    taken: set[str] = set()
    for name in names:
        problem = ""
        if "\0" in name:
            problem = f"the name {name!r} holds a NUL character, at which an archive would cut it off"
        elif any("\ud800" <= c <= "\udfff" for c in name):
            problem = f"the name {name!r} is no valid text"
        elif name in taken or f"{name}.npy" in names:
            problem = f"two arrays would be found under the name {name!r}"
        taken.add(name)
        if problem:
            raise UsageError(f"{problem}, so the arrays cannot be stored as .npz", where=str(path))


def read_npy(path: str | os.PathLike[str], limit: int = DATA_LIMIT) -> NDArray[Any]:
    """Read an array from a regular ``.npy`` file.

    Raises:
        OSError: it cannot be opened, see `refcoreml.storage.reading.open_file`.
        ValueError: it is no ``.npy`` file, is cut off, or holds objects.
    """
    with open_file(path, limit) as stream:
        return read_npy_stream(stream, os.fstat(stream.fileno()).st_size)


def read_npz(path: str | os.PathLike[str], limit: int = COMPRESSED_LIMIT) -> dict[str, NDArray[Any]]:
    """Read all arrays from a regular ``.npz`` file, by name.

    Args:
        path: the file.
        limit: the most bytes that the arrays may take beyond those of the file, so that a small archive cannot fill
            the memory.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no archive of arrays, is damaged, or its arrays take more than ``limit``.
    """
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        try:
            with zipfile.ZipFile(stream) as archive:
                entries = archive.infolist()
                total = sum(entry.file_size for entry in entries)
                if total > size + limit:
                    raise ValueError(f"its arrays take {total:,} bytes, at most {size + limit:,} are allowed")
                return {entry.filename.removesuffix(".npy"): _member(archive, entry) for entry in entries}
        # RuntimeError: an encrypted archive; zlib and the decoders of other methods have classes of their own.
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise ValueError(f"it is no archive of arrays, or a damaged one: {error}") from error


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    try:
        with archive.open(entry) as stream:
            array = read_npy_stream(stream, entry.file_size)
            stream.read(1)  # reaches the end, where the checksum is compared
            return array
    except ValueError as error:
        raise ValueError(f"the entry {entry.filename!r}: {error}") from error
    except Exception as error:  # zlib.error, lzma.LZMAError, ...: the decoders have no class in common
        if isinstance(error, (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, MemoryError)):
            raise
        raise ValueError(f"the entry {entry.filename!r} is damaged: {error}") from error


def read_npy_stream(stream: Any, size: int) -> NDArray[Any]:
    """Read an array in the ``.npy`` format.

    Args:
        stream: a binary stream.
        size: how many bytes are in it, at most; no more memory than that is allocated.

    Raises:
        ValueError: it is not in the format, is cut off, or holds objects.
    """
    shape, fortran, dtype = _header(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    count = math.prod(shape)
    wanted = count * dtype.itemsize
    if wanted > size or any(length < 0 for length in shape):
        raise ValueError(f"its header declares {wanted:,} bytes, but the file has {size:,}")
    content = bytearray(wanted)
    found = _fill(stream, content)
    if found < wanted:
        raise ValueError(f"it ends after {found:,} of {wanted:,} bytes")
    flat = np.frombuffer(content, dtype, count) if wanted else np.empty(count, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(stream: BinaryIO) -> Header:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            return _undisturbed(np.lib.format.read_array_header_1_0, stream)
        if version == (2, 0):
            return _undisturbed(np.lib.format.read_array_header_2_0, stream)
    except Exception as error:  # a garbled header can make NumPy raise almost anything
        raise ValueError(f"it is not in the .npy format: {str(error)[:200]}") from error
    raise ValueError(f"its format is version {version[0]}.{version[1]}, known are 1.0 and 2.0")


def _undisturbed(read: Callable[[BinaryIO], Header], stream: BinaryIO) -> Header:
    """Read a header, again if another thread was in the way.

    NumPy parses headers as Python literals, and CPython 3.11 counts the depth of its syntax trees for all threads at
    once: where two parse at the same time, one of them may get a SystemError.
    """
    begin = stream.tell()
    for _ in range(_TRIES):
        try:
            with _parsing:
                return read(stream)
        except SystemError:
            stream.seek(begin)
    return read(stream)


def _fill(stream: BinaryIO, content: bytearray) -> int:
    """Fill a buffer from a stream; returns the number of bytes found."""
    view, position = memoryview(content), 0
    while position < len(content):
        # A ZipExtFile has no readinto that takes part of a buffer in one step.
        part = stream.read(min(len(content) - position, 2**24))
        if not part:
            break
        view[position : position + len(part)] = part
        position += len(part)
    return position
