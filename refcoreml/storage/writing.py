"""Writes files and folders so that, whenever the process ends, there is the old one or the new one, whole.

A file is written under a random name beside its target, brought to the disk, and renamed, which is one step. A folder
is built likewise and changes places with the old one, which is one step on Linux and macOS. Elsewhere, and on file
systems that cannot do it, two renames are needed: the old folder is moved away, the new one takes its place. A process
that is killed between them leaves both under hidden names (``.refcoreml-*``) beside the target.

What replaces a file has the permissions (and, where that is allowed, the owner) of the old one; what is new has those
that the umask leaves. A target behind a link is written where the link leads, and the link stays. A device or a pipe,
such as ``/dev/stdout``, is written to as it is. Other hard links of an old file keep the old content.

A process that is killed leaves its unfinished file ``.refcoreml-*.part``, which may be removed.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from refcoreml.errors import RefCoreMLError, UsageError
from refcoreml.storage.reading import item_parts

__all__ = [
    "NewFolder",
    "Picture",
    "append",
    "check_writable",
    "open_to_append",
    "replacing",
    "replacing_folder",
    "write_file",
    "write_picture",
]

_CHUNK = 2**20
_BINARY = getattr(os, "O_BINARY", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY | getattr(os, "O_NOFOLLOW", 0)
_EXCHANGE = 2  # the value both of Linux's RENAME_EXCHANGE and of macOS' RENAME_SWAP


class Picture(Protocol):
    """What `write_picture` takes: a PIL image."""

    def save(self, fp: BinaryIO, format: str) -> object:
        """Write the picture to a stream."""


def write_file(content: bytes, path: str | os.PathLike[str]) -> None:
    """Write a file; the old one, if any, stays until the new one is complete.

    Raises:
        UsageError: it cannot be written.
    """
    with replacing(path) as stream:
        stream.write(content)


def check_writable(path: str | os.PathLike[str], kind: Literal["file", "folder"] = "file") -> None:
    """Raise what `replacing` or `replacing_folder` would raise about what is there now, before any work.

    Raises:
        UsageError: something that cannot be replaced is in the way.
    """
    with _explained(path):
        old = _look(path)
        if old is None or not (kind == "file" and _is_stream(path, old)):
            _check_old(Path(os.path.realpath(path)), old, kind)


def write_picture(picture: Picture, path: str | os.PathLike[str]) -> None:
    """Write a picture in the format that its ending names, ``.png``, ``.jpg`` or ``.jpeg``; see `write_file`."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG" if Path(path).suffix.lower() == ".png" else "JPEG")
    write_file(buffer.getvalue(), path)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a stream; what is written to it takes the place of the file when the block ends without an error.

    Raises:
        UsageError: it cannot be written.
    """
    with _explained(path):
        old = _look(path)
        if old is not None and _is_stream(path, old):
            with os.fdopen(_open_stream(os.fspath(path)), "wb") as stream:
                yield stream
            return
        target = Path(os.path.realpath(path))
        _check_old(target, old, "file")
        part = target.parent / _hidden_name(".part")
        descriptor = os.open(part, _NEW, 0o666 if old is None else stat.S_IMODE(old.st_mode) & 0o666)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
                _bring_to_disk(stream)
            if old is not None:
                _adopt(part, old)
            os.replace(part, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
        _sync_folder(target.parent)


class NewFolder:
    """A folder that is being built, see `replacing_folder`; items are paths from it, with ``/`` between their parts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, item: str, content: bytes) -> None:
        """Write a file; its folders are made."""
        self.copy(item, io.BytesIO(content))

    def copy(self, item: str, source: BinaryIO) -> None:
        """Write a file with all that is left in a stream."""
        path = self._path.joinpath(*item_parts(item))
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, _NEW, 0o666), "wb") as stream:
            shutil.copyfileobj(source, stream, _CHUNK)
            _bring_to_disk(stream)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[NewFolder]:
    """Yield an empty folder to fill; it takes the place of the old one when the block ends without an error.

    Raises:
        UsageError: it cannot be written.
    """
    with _explained(path):
        old = _look(path)
        target = Path(os.path.realpath(path))
        _check_old(target, old, "folder")
        staging = target.parent / _hidden_name("")
        os.mkdir(staging, 0o700)
        try:
            new = staging / "new"
            os.mkdir(new)
            yield NewFolder(new)
            for folder, _, files in os.walk(new, topdown=False):
                _sync_folder(Path(folder))
                for entry in [*files, ""] if old is not None else []:
                    counterpart = target / os.path.relpath(os.path.join(folder, entry), new)
                    with suppress(FileNotFoundError, NotADirectoryError):
                        _adopt(Path(folder, entry), os.lstat(counterpart))
            _put_in_place(new, target, staging / "old")
        finally:
            _remove(staging)
        _sync_folder(target.parent)


def open_to_append(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file to read it and to `append` to it; it is made if it is missing.

    Raises:
        UsageError: it cannot be written, or is no regular file.
    """
    with _explained(path):
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY | getattr(os, "O_NONBLOCK", 0)
        old = _look(path)
        if old is not None and not stat.S_ISREG(old.st_mode):
            raise UsageError("is no regular file", where=str(path))
        # Without a buffer, so that what cannot be written is not tried again when the file is closed.
        return open(path, "a+b", buffering=0, opener=lambda name, _: os.open(name, flags, 0o666))


def append(stream: BinaryIO, content: bytes) -> None:
    """Write to the end of what `open_to_append` has opened; return when it is on the disk.

    Raises:
        UsageError: it cannot be written; nothing of it is in the file then.
    """
    with _explained(stream.name):
        end = stream.seek(0, os.SEEK_END)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[stream.write(rest) :]
            os.fsync(stream.fileno())
        except BaseException:
            stream.truncate(end)
            raise


@contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of the system into one that says what could not be written."""
    if not os.fspath(path):
        raise UsageError('the path is empty; the current folder is "."')
    try:
        yield
    except RefCoreMLError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        problem = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot be written: {problem}", where=str(path)) from error


def _look(path: str | os.PathLike[str]) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _is_stream(path: str | os.PathLike[str], found: os.stat_result) -> bool:
    """Return whether to write into an existing file: devices, pipes, and files open as a process's output."""
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
        return str(os.fspath(path)).startswith(("/dev/std", "/dev/fd/", "/proc/"))
    return True


def _open_stream(path: str) -> int:
    """Open a device or a pipe; a standard stream goes on where it is, which matters if it is a file."""
    standard = {"/dev/stdout": sys.stdout, "/dev/stderr": sys.stderr}.get(path)
    if standard is None:
        return os.open(path, os.O_WRONLY | os.O_APPEND | _BINARY)
    standard.flush()
    return os.dup(1 if path == "/dev/stdout" else 2)


def _check_old(target: Path, old: os.stat_result | None, kind: str) -> None:
    """Refuse what is in the way: the other kind, or something that is not to be written."""
    if old is None:
        return
    if stat.S_ISDIR(old.st_mode) != (kind == "folder"):
        raise UsageError(f"something of the other kind is in the way, expected a {kind}", where=str(target))
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _hidden_name(suffix: str) -> str:
    """Return a name that nobody can foresee, so that nothing can be planted there."""
    return f".refcoreml-{secrets.token_hex(8)}{suffix}"


def _adopt(path: Path, old: os.stat_result) -> None:
    """Give a new file or folder the owner and the permissions of the one that it replaces."""
    new = os.lstat(path)
    if stat.S_IFMT(new.st_mode) != stat.S_IFMT(old.st_mode):
        return
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid) and hasattr(os, "chown"):
        with suppress(OSError):  # only root may give files away
            os.chown(path, old.st_uid, old.st_gid)
    os.chmod(path, stat.S_IMODE(old.st_mode) & 0o777)


def _bring_to_disk(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put_in_place(new: Path, target: Path, aside: Path) -> None:
    if not target.exists():
        try:
            os.rename(new, target)
            return
        except OSError:
            if not target.exists():  # otherwise another process was faster
                raise
    if _exchange(new, target):
        return
    os.rename(target, aside)
    try:
        os.rename(new, target)
    except BaseException:
        os.rename(aside, target)
        raise


def _exchange(first: Path, second: Path) -> bool:
    """Swap two paths in one step; return False where the system or the file system cannot."""
    call = _exchange_call()
    if call is None:
        return False
    if call(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM):
        return False
    raise OSError(code, os.strerror(code))


def _exchange_call() -> Callable[[bytes, bytes], int] | None:
    """Return the system's call that swaps two paths, if it has one."""
    if sys.platform not in ("linux", "darwin"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    call = getattr(library, "renameat2" if sys.platform == "linux" else "renameatx_np", None)
    if call is None:
        return None
    here = -100 if sys.platform == "linux" else -2  # AT_FDCWD: paths count from the current folder

    def exchange(first: bytes, second: bytes) -> int:
        return int(call(here, first, here, second, _EXCHANGE))

    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return exchange


def _remove(folder: Path) -> None:
    """Remove a folder of our own, with an old one in it, whose folders may be protected from writing."""
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                with suppress(OSError):
                    os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
