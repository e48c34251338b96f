"""Opens files for reading: regular ones of bounded size only, and inside a package none that a link leads to.

A path that the user gives may be a link, as everywhere. What lies inside a package, or in the folder of a conformance
case, was put there by whoever made it: a link there could lead to anything. Pipes and devices are refused, because
reading them may never end.

Needs the standard library alone, so that it can be copied together with ``conformance/cases.py``.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

__all__ = [
    "DATA_LIMIT",
    "MODEL_LIMIT",
    "TEXT_LIMIT",
    "FileRefusedError",
    "Folder",
    "LinkError",
    "map_file",
    "open_file",
    "read_file",
    "read_json",
    "read_text",
]

#: The most bytes of a protobuf message, and so of a model's file.
MODEL_LIMIT = 2**31 - 1
#: The most bytes of a manifest, a plan, a list of labels.
TEXT_LIMIT = 2**26
#: The most bytes of a file of arrays or of weights, which are not read at once.
DATA_LIMIT = 2**36

_MOST_ENTRIES = 100_000
_DEEPEST = 64
_CHUNK = 2**20

# O_NONBLOCK: the opening of a pipe must not wait for someone who writes to it.
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
#: Whether files can be opened from an open folder on; elsewhere (Windows) each part of a path is looked at by itself.
_FROM_FOLDERS = {os.open, os.stat} <= os.supports_dir_fd and os.scandir in os.supports_fd and bool(_NO_LINK)

_KINDS = [
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
]


class FileRefusedError(OSError):
    """The file is there, but must not be read: a pipe, a device, a link inside a package, or larger than allowed."""

    def __init__(self, problem: str, name: str = "") -> None:
        super().__init__(errno.EINVAL, problem, name)

    def __str__(self) -> str:
        return f"{self.filename} {self.strerror}" if self.filename else str(self.strerror)


class LinkError(FileRefusedError):
    """Something inside a package is a link, or behind one, but a package must hold its files itself."""

    def __str__(self) -> str:
        return f"{super().__str__()}, but a package must hold its files itself"


def open_file(path: str | os.PathLike[str], limit: int = DATA_LIMIT) -> BinaryIO:
    """Open a regular file of at most ``limit`` bytes; the path itself may be a link.

    Raises:
        FileRefusedError: it is no regular file, or larger.
        OSError: it cannot be opened.
        ValueError: the path holds a NUL character.
    """
    # Looked at before it is opened: opening a device may already do something.
    _check(os.stat(path), limit)
    return _opened(os.open(path, _FLAGS), limit)


def read_file(path: str | os.PathLike[str], limit: int = DATA_LIMIT) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes; raise what `open_file` raises."""
    with open_file(path, limit) as stream:
        return _content(stream, limit)


def map_file(path: str | os.PathLike[str], limit: int = DATA_LIMIT) -> mmap.mmap:
    """Map a regular file into memory, to be read only; raise what `open_file` raises.

    Nothing is read before it is used. Where the system (Windows) keeps files that are mapped from being replaced, this
    one is kept until the map is closed, or nothing refers to it any more.
    """
    with open_file(path, limit) as stream:
        return _mapped(stream)


def read_text(path: str | os.PathLike[str], limit: int = TEXT_LIMIT) -> str:
    """Return the content of a UTF-8 file, its lines ended by line feeds; raise `UnicodeDecodeError`, too."""
    return read_file(path, limit).decode("utf-8").replace("\r\n", "\n")


def read_json(path: str | os.PathLike[str], limit: int = TEXT_LIMIT) -> Any:
    """Return the content of a JSON file; raise `ValueError` for what is none, and what `open_file` raises."""
    text = read_text(path, limit)
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("its lists or objects are nested too deeply") from error


class Closing(ABC):
    """What is closed at the end of a ``with`` statement."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds."""

    def __enter__(self: _Closing) -> _Closing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_Closing = TypeVar("_Closing", bound=Closing)


class Folder(Closing):
    """A package's folder, opened: its files are found from there on, never through a link.

    Where the system allows it, the folder stays the one that was opened, even if another takes its place meanwhile.

    Args:
        path: the folder, which may itself be behind a link.

    Attributes:
        path: as given.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._descriptor = os.open(path, _FOLDER) if _FROM_FOLDERS else None
        self._self = os.stat(path) if self._descriptor is None else os.fstat(self._descriptor)
        if not stat.S_ISDIR(self._self.st_mode):
            self.close()
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))

    def close(self) -> None:
        """Close the folder; files that were opened from it stay open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def was_replaced(self) -> bool:
        """Return whether another folder, or none, is at the path by now."""
        try:
            return not os.path.samestat(self._self, os.stat(self.path))
        except OSError:
            return True

    def open(self, item: str, limit: int = DATA_LIMIT) -> BinaryIO:
        """Open a regular file of at most ``limit`` bytes.

        Args:
            item: its path from the folder, with ``/`` between its parts.
            limit: the most bytes.

        Raises:
            FileRefusedError: the path leads out of the folder or through a link, or the file is not regular or larger.
            OSError: it cannot be opened.
        """
        parts = item_parts(item)
        try:
            with self._inside(parts[:-1]) as place:
                found = place.stat(parts[-1])
                _check(found, limit)
                return _opened(place.open(parts[-1], _FLAGS), limit, found)
        except OSError as error:
            raise _named(error, item) from error

    def read(self, item: str, limit: int = DATA_LIMIT) -> bytes:
        """Return the content of a file; raise what `open` raises."""
        with self.open(item, limit) as stream:
            return _content(stream, limit)

    def map(self, item: str, limit: int = DATA_LIMIT) -> mmap.mmap:
        """Map a file into memory, as `map_file` does; raise what `open` raises."""
        with self.open(item, limit) as stream:
            try:
                return _mapped(stream)
            except OSError as error:
                raise _named(error, item) from error

    def is_folder(self, item: str) -> bool:
        """Return whether a folder is at the item's path, without links; raise `FileRefusedError` for a link."""
        parts = item_parts(item)
        try:
            with self._inside(parts[:-1]) as place:
                found = place.stat(parts[-1])
                if stat.S_ISLNK(found.st_mode):
                    raise LinkError("is a link")
                return stat.S_ISDIR(found.st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _named(error, item) from error

    def files(self) -> Iterator[tuple[str, int]]:
        """Yield each file at any depth, sorted, with its size in bytes.

        Raises:
            FileRefusedError: something is neither a regular file nor a folder, or there are more than 100,000 entries.
        """
        count = 0
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            parts = waiting.pop()
            for name, found in self._entries(parts):
                count += 1
                path = (*parts, name)
                item = "/".join(path)
                if count > _MOST_ENTRIES or len(path) > _DEEPEST:
                    raise FileRefusedError(f"holds more than {_MOST_ENTRIES:,} files or {_DEEPEST} levels of folders")
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(path)
                else:
                    try:
                        _check(found, DATA_LIMIT)
                    except OSError as error:
                        raise _named(error, item) from error
                    yield item, found.st_size

    def _entries(self, parts: tuple[str, ...]) -> list[tuple[str, os.stat_result]]:
        with self._inside(parts) as place, os.scandir(place.here) as entries:
            return sorted((entry.name, _seen(entry.stat(follow_symlinks=False))) for entry in entries)

    def _inside(self, parts: tuple[str, ...]) -> _Place:
        place = _Place(self.path if self._descriptor is None else os.dup(self._descriptor))
        for part in parts:
            place.enter(part)
        return place


class _Place:
    """A folder inside a package, reached part by part: a descriptor, or a path where there are none."""

    def __init__(self, here: int | Path) -> None:
        self.here = here

    def __enter__(self) -> _Place:
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self.here, int):
            os.close(self.here)

    def stat(self, name: str) -> os.stat_result:
        """Look at an entry without following it."""
        if isinstance(self.here, int):
            return os.stat(name, dir_fd=self.here, follow_symlinks=False)
        return _seen(os.lstat(self.here / name))

    def open(self, name: str, flags: int) -> int:
        """Open an entry, but no link."""
        if isinstance(self.here, int):
            return os.open(name, flags | _NO_LINK, dir_fd=self.here)
        return os.open(self.here / name, flags | _NO_LINK)

    def enter(self, name: str) -> None:
        """Go on to a folder in this one; closes the place if that fails."""
        try:
            if stat.S_ISLNK(self.stat(name).st_mode):
                raise LinkError("is behind a link")
            if isinstance(self.here, int):
                inner = self.open(name, _FOLDER)
                os.close(self.here)
                self.here = inner
            else:
                self.here = self.here / name
        except BaseException:
            self.__exit__()
            raise


def item_parts(item: str) -> tuple[str, ...]:
    """Return the parts of a path inside a package; raise `FileRefusedError` for one that leads out of it."""
    parts = PurePosixPath(item).parts
    # On Windows a backslash separates, too, and a colon names a drive or a stream.
    forbidden = "\0\\:" if os.name == "nt" else "\0"
    if not parts or parts[0].startswith("/") or ".." in parts or any(c in item for c in forbidden):
        raise FileRefusedError("leads out of the package", repr(item))
    return parts


def _named(error: OSError, item: str) -> OSError:
    """Return the error with the item's path in it."""
    if isinstance(error, FileRefusedError):
        return type(error)(str(error.strerror), item)
    return type(error)(error.errno, error.strerror, item)


def _seen(found: os.stat_result) -> os.stat_result:
    """Return what was found, unless it is one of the links of Windows that are none by their mode."""
    if getattr(found, "st_reparse_tag", 0) == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1):
        raise LinkError("is a junction")
    return found


def _check(found: os.stat_result, limit: int) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise LinkError("is a link")
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "something else")
        raise FileRefusedError(f"is {kind}, expected a regular file")
    if found.st_size > limit:
        raise FileRefusedError(f"has {found.st_size:,} bytes, at most {limit:,} are allowed")


def _opened(descriptor: int, limit: int, expected: os.stat_result | None = None) -> BinaryIO:
    """Return the open file as a stream; checked again, because its name may stand for another one by now."""
    try:
        found = os.fstat(descriptor)
        _check(found, limit)
        if expected is not None and not _FROM_FOLDERS and not os.path.samestat(found, expected):
            raise FileRefusedError("was replaced while it was opened")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _content(stream: BinaryIO, limit: int) -> bytes:
    """Return all of a file, which may grow meanwhile, as files of ``/proc`` do from a size of 0."""
    parts, count = [], 0
    wanted = max(os.fstat(stream.fileno()).st_size, _CHUNK) + 1
    while part := stream.read(min(wanted, limit + 1 - count)):
        parts.append(part)
        count += len(part)
        if count > limit:
            raise FileRefusedError(f"has more than {limit:,} bytes, at most {limit:,} are allowed")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _mapped(stream: BinaryIO) -> mmap.mmap:
    try:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError as error:  # there is no map of nothing
        raise FileRefusedError("is empty") from error
    except OverflowError as error:
        raise FileRefusedError("is too large for the memory of this system") from error
