"""Whatever fails while a file or a folder is written, the old one or the new one is there, whole."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from refcoreml.errors import UsageError
from refcoreml.storage import writing
from refcoreml.storage.writing import open_to_append, replacing, replacing_folder, write_file, write_picture

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")


@pytest.fixture(params=["exchange", "two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "two renames":
        monkeypatch.setattr(writing, "_exchange_call", lambda: None)
    return str(request.param)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_and_replaced_file(tmp_path: Path) -> None:
    write_file(b"old", tmp_path / "file")
    write_file(b"new", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


@posix
def test_permissions(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_file(b"old", tmp_path / "file")
        assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o640
        (tmp_path / "file").chmod(0o604)
        write_file(b"new", tmp_path / "file")
    finally:
        os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o604


@posix
def test_a_private_file_is_private_while_it_is_written(tmp_path: Path) -> None:
    write_file(b"old", tmp_path / "file")
    (tmp_path / "file").chmod(0o600)
    with replacing(tmp_path / "file") as stream:
        stream.write(b"new")
        modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {0o600}


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    write_file(b"old", tmp_path / "file")
    os.chown(tmp_path / "file", 1234, 2345)
    write_file(b"new", tmp_path / "file")
    found = (tmp_path / "file").stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything")
def test_a_protected_file_is_not_replaced(tmp_path: Path) -> None:
    write_file(b"old", tmp_path / "file")
    (tmp_path / "file").chmod(0o444)
    with pytest.raises(UsageError, match="Permission denied"):
        write_file(b"new", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_leads_to_the_new_content(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    real, link = tmp_path / "elsewhere" / "real", tmp_path / "link"
    if exists:
        real.write_bytes(b"old")
    try:
        link.symlink_to(real)
    except OSError as error:
        pytest.skip(f"this system makes no symbolic links here: {error}")
    write_file(b"new", link)
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert names(tmp_path / "elsewhere") == ["real"]


def test_a_link_planted_under_the_former_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    try:
        (tmp_path / ".file.part").symlink_to("victim")
    except OSError as error:
        pytest.skip(f"this system makes no symbolic links here: {error}")
    write_file(b"new", tmp_path / "file")
    assert (tmp_path / "victim").read_bytes() == b"precious"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_written_to_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_file(b"through", tmp_path / "pipe")
    reader.join(10)
    assert found == [b"through"]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="this system has no /dev/null")
def test_a_device_is_written_to_not_replaced() -> None:
    write_file(b"new", "/dev/null")
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="this system has no /dev/stdout")
def test_standard_output_goes_on_where_it_is(tmp_path: Path) -> None:
    code = (
        "from refcoreml.storage.writing import write_file\n"
        "print('before')\n"
        "write_file(b'written\\n', '/dev/stdout')\n"
        "print('after')\n"
    )
    root = str(Path(writing.__file__).parents[2])
    with (tmp_path / "out").open("wb") as stream:
        subprocess.run(
            [sys.executable, "-c", code], stdout=stream, env={**os.environ, "PYTHONPATH": root}, check=True, timeout=60
        )
    assert (tmp_path / "out").read_bytes() == b"before\nwritten\nafter\n"


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "none" / "x", tmp_path / "file" / "x", "a\0b", tmp_path / ("x" * 300)):
        with pytest.raises(UsageError):
            write_file(b"new", path)
    with pytest.raises(UsageError, match="expected a folder"), replacing_folder(tmp_path / "file"):
        pass
    assert names(tmp_path) == ["file", "folder"]


def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    write_file(b"old", tmp_path / "file")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file") as stream:
        stream.write(b"%d" % (1 // 0))
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["picture.png", "picture.jpg", "picture.JPEG"])
def test_pictures(tmp_path: Path, name: str) -> None:
    write_picture(Image.new("RGB", (5, 3), (250, 0, 0)), tmp_path / name)
    with Image.open(tmp_path / name) as found:
        assert found.size == (5, 3)
        assert found.format == ("PNG" if name.endswith("png") else "JPEG")
    assert names(tmp_path) == [name]


def test_appending(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\n"):
        with open_to_append(tmp_path / "journal") as stream:
            stream.write(line)
    with open_to_append(tmp_path / "journal") as stream:
        stream.seek(0)
        assert stream.read() == b"one\ntwo\n"
    with pytest.raises(UsageError):
        open_to_append(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UsageError, match="no regular file"):
            open_to_append(tmp_path / "pipe")


# --- folders ----------------------------------------------------------------------------------------------------------


def write_folder(path: Path, content: bytes) -> None:
    with replacing_folder(path) as new:
        new.write("model", content)
        new.copy("deep/er/weights", io.BytesIO(3 * content))


def content(path: Path) -> tuple[bytes, bytes]:
    return (path / "model").read_bytes(), (path / "deep" / "er" / "weights").read_bytes()


def test_new_and_replaced_folder(tmp_path: Path, way: str) -> None:
    for text in (b"old", b"new"):
        write_folder(tmp_path / "folder", text)
        assert content(tmp_path / "folder") == (text, 3 * text)
        assert names(tmp_path) == ["folder"]
    with replacing_folder(tmp_path / "folder") as new:
        new.write("other", b"1")
    assert names(tmp_path / "folder") == ["other"]


@posix
def test_permissions_in_a_folder(tmp_path: Path, way: str) -> None:
    path = tmp_path / "folder"
    mask = os.umask(0o022)
    try:
        write_folder(path, b"old")
        assert [(path / name).stat().st_mode & 0o777 for name in ("", "model", "deep")] == [0o755, 0o644, 0o755]
        for name, mode in (("model", 0o600), ("deep/er", 0o555), ("", 0o750)):
            (path / name).chmod(mode)
        write_folder(path, b"new")
    finally:
        os.umask(mask)
    assert content(path) == (b"new", b"newnewnew")
    found = [(path / name).stat().st_mode & 0o777 for name in ("", "model", "deep", "deep/er")]
    assert found == [0o750, 0o600, 0o755, 0o555]
    assert names(tmp_path) == ["folder"]


def test_a_link_to_a_folder_stays(tmp_path: Path, way: str) -> None:
    write_folder(tmp_path / "real", b"old")
    try:
        (tmp_path / "link").symlink_to("real")
    except OSError as error:
        pytest.skip(f"this system makes no symbolic links here: {error}")
    write_folder(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "real") == (b"new", b"newnewnew")


def test_items_stay_in_the_folder(tmp_path: Path) -> None:
    for item in ("../x", "/x", ""):
        with pytest.raises(UsageError, match="leads out"), replacing_folder(tmp_path / "folder") as new:
            new.write(item, b"")
    assert names(tmp_path) == []


# --- a full disk at every call ----------------------------------------------------------------------------------------


class Failing:
    """Lets the n-th call of any of some functions of `os` fail, and counts the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
        self.which, self.count, self._open = which, 0, os.open
        for name in ("open", "mkdir", "fsync", "replace", "rename", "chmod"):
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))
        monkeypatch.setattr(writing, "_exchange", self._wrapped(writing._exchange))

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            # A full disk lets files be opened that are there.
            writes = real is not self._open or bool(arguments[1] & os.O_CREAT)
            self.count += writes
            if writes and self.count == self.which:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **options)

        return call


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("old", [True, False])
def test_any_call_may_fail(tmp_path: Path, kind: str, old: bool, way: str) -> None:
    failures = 0
    for which in range(1, 100):
        place = tmp_path / str(which)
        place.mkdir()
        path = place / "target"
        if old:
            write(kind, path, b"old")
        with pytest.MonkeyPatch.context() as patch:
            failing = Failing(patch, which)
            try:
                write(kind, path, b"new")
            except UsageError as error:
                failures += "No space left" in str(error)
                assert found(kind, path) == (b"old" if old else b"")
            else:
                # Nothing failed, or only that the names in the folder were brought to the disk.
                assert found(kind, path) == b"new"
        assert names(place) == ["target"] * path.exists()
        if failing.count < which:
            break
    assert failures >= 3


def write(kind: str, path: Path, text: bytes) -> None:
    if kind == "file":
        write_file(text, path)
    else:
        write_folder(path, text)


def found(kind: str, path: Path) -> bytes:
    if not path.exists():
        return b""
    if kind == "file":
        return path.read_bytes()
    text, longer = content(path)
    assert longer == 3 * text
    return text
