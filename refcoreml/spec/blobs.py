"""Files of weights beside ML Programs: mapped, checked and read without a copy; and written.

A file is a header of 64 bytes and records: 64 bytes of metadata, and data. All numbers are little-endian::

    header    u32 count, u32 version (2), 56 bytes 0
    metadata  u32 0xDEADBEEF, u32 type, u64 size in bytes, u64 offset of the data, u64 bits of padding, 32 bytes 0

A program refers to the offset of a record's metadata. The count of the header is not relied on: some writers leave it.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
import threading
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from refcoreml.errors import MalformedModelError, UsageError, at
from refcoreml.spec.mil_elements import decode_elements, encode_elements
from refcoreml.spec.mil_types import DATA_TYPES, DataType
from refcoreml.storage.reading import Closing, FileRefusedError, Folder, LinkError, item_parts
from refcoreml.types import Array

__all__ = ["WEIGHT_FILE", "BlobFile", "BlobFiles", "BlobRecord", "BlobWriter"]

#: What stands for the folder of the model's file.
MODEL_PATH = "@model_path"
#: Where writers put weights.
WEIGHT_FILE = f"{MODEL_PATH}/weights/weight.bin"

_ALIGNMENT = 64
_SENTINEL = 0xDEADBEEF
_VERSION = 2
_HEADER = struct.Struct("<II56x")
_METADATA = struct.Struct("<IIQQQ32x")
_BY_BLOB = {element.blob: element for element in DATA_TYPES.values() if element.blob is not None}


@dataclass(frozen=True, eq=False)
class BlobRecord:
    """A tensor's elements in a file, which gives no shape.

    Attributes:
        element: their type.
        count: how many they are.
        data: as they are stored: a view of the mapped file that cannot be written to.
    """

    element: DataType
    count: int
    data: memoryview

    def array(self) -> Array:
        """Return the elements as an array [count]: a view where NumPy has their type, else decoded anew."""
        return decode_elements(self.element, self.data, self.count)


class BlobFile(Closing):
    """A file of weights; `record` checks what it returns, and the same place always gives the same object.

    Args:
        content: the mapped file, or its bytes.
        name: for messages.

    Raises:
        MalformedModelError: it does not begin as such files do.
    """

    def __init__(self, content: mmap.mmap | bytes, name: str = "") -> None:
        self.name = name
        self._content = content
        self._view = memoryview(content).toreadonly()
        self._records: dict[int, BlobRecord] = {}
        self._spans: list[tuple[int, int]] = []
        self._lock = threading.Lock()
        try:
            self._check_header()
        except MalformedModelError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file: at once if nobody holds arrays or records of it, else when the last of them has gone."""
        self._records, self._spans = {}, []
        view, content = self._view, self._content
        self._view, self._content = memoryview(b""), b""
        with suppress(BufferError):
            view.release()
            if isinstance(content, mmap.mmap):
                content.close()

    @property
    def size(self) -> int:
        """The size of the file in bytes; 0 when it is closed."""
        return len(self._view)

    def record(self, offset: int) -> BlobRecord:
        """Return the record whose metadata is at an offset.

        Raises:
            MalformedModelError: there is none, or it does not fit the file or the records read before.
        """
        with self._lock, at(f"{self.name}, offset {offset}"):
            found = self._records.get(offset)
            if found is None:
                found = self._records[offset] = self._read(offset)
            return found

    def _check_header(self) -> None:
        with at(self.name):
            if self.size < _HEADER.size:
                raise MalformedModelError(
                    f"has {self.size} bytes, expected a file of weights, whose header alone has {_HEADER.size}"
                )
            _, version = _HEADER.unpack_from(self._view)
            if version != _VERSION:
                raise MalformedModelError(
                    f"says that it is of version {version}, but files of weights of ML Programs are of {_VERSION}",
                    remedy="Version 1 is of compiled neural networks" if version == 1 else "",
                )

    def _read(self, offset: int) -> BlobRecord:
        size = self.size
        if not size:
            raise UsageError("the file of weights is closed", remedy="Load the model again")
        if offset % _ALIGNMENT or not _HEADER.size <= offset <= size - _METADATA.size:
            raise MalformedModelError(
                f"no record can be there, expected a multiple of {_ALIGNMENT}, {_HEADER.size} or more, in a file of"
                f" {size} bytes"
            )
        sentinel, number, length, start, padding = _METADATA.unpack_from(self._view, offset)
        if sentinel != _SENTINEL:
            raise MalformedModelError(f"no record is there: it begins with {sentinel:#x}, expected {_SENTINEL:#x}")
        element = _BY_BLOB.get(number)
        if element is None:
            raise MalformedModelError(f"the record is of type {number}, known are {min(_BY_BLOB)} to {max(_BY_BLOB)}")
        if start < _HEADER.size or start > size or length > size - start:
            raise MalformedModelError(f"the record's data are {length} bytes at {start}, but the file has {size} bytes")
        count = _element_count(element, length, padding)
        self._claim((offset, offset + _METADATA.size), (start, start + length))
        return BlobRecord(element, count, self._view[start : start + length])

    def _claim(self, *spans: tuple[int, int]) -> None:
        """Remember parts of the file as taken; they must overlap neither each other nor those taken before."""
        new = [span for span in spans if span[0] < span[1]]
        for start, end in new:
            index = bisect_right(self._spans, (start, end))
            others = [*self._spans[max(index - 1, 0) : index + 1], *(span for span in new if span != (start, end))]
            for other in others:
                if start < other[1] and other[0] < end:
                    raise MalformedModelError(
                        f"the record takes bytes {start} to {end}, which overlap {other[0]} to {other[1]} of another"
                    )
        for span in new:
            insort(self._spans, span)


def _element_count(element: DataType, length: int, padding: int) -> int:
    """Return the number of elements of a record; only those of less than a byte depend on the padding's content."""
    if element.bits >= 8:
        padding = 0
    bits = 8 * length - padding
    if padding >= 8 or bits < 0 or bits % element.bits:
        raise MalformedModelError(
            f"the record has {length} bytes with {padding} bits of padding, which is not an integral number of elements"
            f" of type {element}"
        )
    return bits // element.bits


class BlobFiles(Closing):
    """The files of weights of one model, each mapped when it is first needed.

    Args:
        open_file: gives the content of a file by its path from the folder of the model's file.
    """

    def __init__(self, open_file: Callable[[str], mmap.mmap | bytes]) -> None:
        self._open = open_file
        self._files: dict[str, BlobFile] = {}
        self._lock = threading.Lock()

    @staticmethod
    def in_folder(root: Path, inside: str = "") -> BlobFiles:
        """Return the files of a package.

        Args:
            root: the package's folder, which no path leaves.
            inside: the folder of the model's file, as a path from there.
        """

        def open_file(item: str) -> mmap.mmap:
            with Folder(root) as folder:
                return folder.map(f"{inside}/{item}" if inside else item)

        return BlobFiles(open_file)

    @staticmethod
    def of_bytes(contents: Mapping[str, bytes]) -> BlobFiles:
        """Return files that are in memory, by their path from the folder of the model's file."""

        def open_file(item: str) -> bytes:
            if item not in contents:
                raise FileNotFoundError
            return contents[item]

        return BlobFiles(open_file)

    def close(self) -> None:
        """Let go of all files, see `BlobFile.close`; what is needed after that is mapped again."""
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files = {}

    @property
    def are_open(self) -> bool:
        """Whether a file is mapped."""
        return bool(self._files)

    def record(self, path: str, offset: int) -> BlobRecord:
        """Return the record at an offset of a file, by the path that a program gives.

        Raises:
            MalformedModelError: there is no such file or record, or the path leads out of the package.
        """
        with self._lock:
            item = _item(path)
            file = self._files.get(item)
            if file is None:
                file = self._files[item] = BlobFile(self._content(item), path)
        return file.record(offset)

    def _content(self, item: str) -> mmap.mmap | bytes:
        place = f"{MODEL_PATH}/{item}"
        try:
            return self._open(item)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MalformedModelError(
                "the program refers to this file of weights, which is not there",
                where=place,
                remedy="Copy the package as a whole, or load it by its path",
            ) from error
        except FileRefusedError as error:
            link = isinstance(error, LinkError)
            remedy = "Copy the package with what its links lead to ('cp -RL')" if link else ""
            raise MalformedModelError(f"the file of weights {error}", where=place, remedy=remedy) from error
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or error
            raise MalformedModelError(f"the file of weights cannot be read: {problem}", where=place) from error


def _item(path: str) -> str:
    """Return the path from the folder of the model's file."""
    prefix = f"{MODEL_PATH}/"
    if not path.startswith(prefix):
        raise MalformedModelError(
            f"the path of a file of weights is {path!r}, expected one that begins with {prefix!r}"
        )
    try:
        return "/".join(item_parts(path[len(prefix) :]))
    except FileRefusedError as error:
        raise MalformedModelError(f"the path {path!r} of a file of weights leads out of the package") from error


class BlobWriter:
    """Collects tensors for a file of weights, and writes it; equal ones are stored once.

    Offsets are known before anything is written, so that a program can be made first. An array is not copied: it must
    not change before `write`.
    """

    def __init__(self) -> None:
        self._offsets: dict[bytes, int] = {}
        self._records: list[tuple[int, DataType, memoryview, int]] = []
        self._size = _HEADER.size

    @property
    def size(self) -> int:
        """The size of the file so far, in bytes."""
        return self._size

    def __len__(self) -> int:
        return len(self._records)

    def add(self, values: Array, element: DataType | None = None) -> int:
        """Return the offset at which a program will find the tensor.

        Args:
            values: of type ``element.dtype``.
            element: how they are to be stored; by default as they are.

        Raises:
            UsageError: such files cannot hold the type, or the type does not have one of the numbers.
        """
        element = element or _stored_as_is(values)
        if element.blob is None:
            raise UsageError(f"a file of weights cannot hold elements of type {element}")
        data = encode_elements(element, values)
        digest = hashlib.sha256(f"{element} {values.size} ".encode())
        digest.update(data)
        found = self._offsets.get(digest.digest())
        if found is not None:
            return found
        offset = -(-self._size // _ALIGNMENT) * _ALIGNMENT
        padding = 8 * len(data) - element.bits * values.size
        self._records.append((offset, element, data, padding))
        self._size = offset + _METADATA.size + len(data)
        self._offsets[digest.digest()] = offset
        return offset

    def write(self, stream: BinaryIO) -> None:
        """Write the file."""
        for part in self._parts():
            stream.write(part)

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return b"".join(self._parts())

    def _parts(self) -> Iterator[bytes | memoryview]:
        yield _HEADER.pack(len(self._records), _VERSION)
        end = _HEADER.size
        for offset, element, data, padding in self._records:
            start = offset + _METADATA.size
            yield bytes(offset - end)
            yield _METADATA.pack(_SENTINEL, element.blob, len(data), start, padding)
            yield data
            end = start + len(data)


def _stored_as_is(values: Array) -> DataType:
    try:
        return DataType.of(values.dtype)
    except (KeyError, TypeError) as error:
        raise UsageError(f"a file of weights cannot hold an array of type {values.dtype}") from error
