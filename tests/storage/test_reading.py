"""Only regular files of bounded size are read, and inside a package none that a link leads to."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from refcoreml.storage import reading
from refcoreml.storage.reading import FileRefusedError, Folder, open_file, read_file, read_text

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


def link(path: Path, target: Path | str) -> Path:
    try:
        path.symlink_to(target)
    except OSError as error:
        pytest.skip(f"this system makes no symbolic links here: {error}")
    return path


@pytest.fixture(params=["descriptors", "paths"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to find a file in a folder; the second is the one of Windows."""
    if request.param == "descriptors" and not reading._FROM_FOLDERS:
        pytest.skip("this system cannot open files from an open folder")
    if request.param == "paths":
        monkeypatch.setattr(reading, "_FROM_FOLDERS", False)
        monkeypatch.setattr(reading, "_NO_LINK", 0)
    return str(request.param)


def folder(tmp_path: Path) -> Path:
    made = tmp_path / "package"
    (made / "inner" / "deep").mkdir(parents=True)
    (made / "a.bin").write_bytes(b"abc")
    (made / "inner" / "deep" / "b.bin").write_bytes(b"defgh")
    return made


def test_a_file_and_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(FileRefusedError, match="5 bytes, at most 4"):
        read_file(path, 4)
    (tmp_path / "empty").touch()
    assert read_file(tmp_path / "empty", 0) == b""


def test_the_path_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_file(link(tmp_path / "link", "file")) == b"12345"


def test_text_has_line_feeds(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("ä\r\nb\n".encode())
    assert read_text(tmp_path / "text") == "ä\nb\n"


@needs_pipes
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileRefusedError, match="is a pipe, expected a regular file"):
        open_file(tmp_path / "pipe")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_device_is_refused_at_once() -> None:
    with pytest.raises(FileRefusedError, match="is a device"):
        open_file("/dev/zero")


def test_folders_and_sockets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileRefusedError, match="is a folder"):
        open_file(tmp_path)
    if not hasattr(socket, "AF_UNIX"):
        return
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        with pytest.raises(FileRefusedError, match="is a socket"):
            open_file("socket")


def test_a_sparse_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(2**34)
    with pytest.raises(FileRefusedError, match="17,179,869,184 bytes"):
        read_file(tmp_path / "sparse", reading.MODEL_LIMIT)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs a file that says it is empty")
def test_a_file_that_grows_is_read_up_to_the_limit() -> None:
    assert len(read_file("/proc/self/maps")) > 100
    with pytest.raises(FileRefusedError, match="more than 100 bytes"):
        read_file("/proc/self/maps", 100)


def test_a_name_that_changes_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is looked at again when it is open."""
    (tmp_path / "small").write_bytes(b"1")
    (tmp_path / "large").write_bytes(b"1234567")
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest, **more: real(tmp_path / "large", *rest, **more))
    with pytest.raises(FileRefusedError, match="7 bytes"):
        read_file(tmp_path / "small", 3)


# --- inside a folder --------------------------------------------------------------------------------------------------


def test_files_of_a_folder(tmp_path: Path, way: str) -> None:
    with Folder(folder(tmp_path)) as opened:
        assert opened.read("a.bin") == b"abc"
        assert opened.read("inner/deep/b.bin", 5) == b"defgh"
        assert list(opened.files()) == [("a.bin", 3), ("inner/deep/b.bin", 5)]
        assert opened.is_folder("inner/deep")
        assert not opened.is_folder("a.bin")
        assert not opened.is_folder("a.bin/more")
        assert not opened.is_folder("nothing")
        with pytest.raises(FileRefusedError, match=r"inner/deep/b\.bin has 5 bytes"):
            opened.open("inner/deep/b.bin", 4)
        with pytest.raises(FileNotFoundError, match="inner/none"):
            opened.open("inner/none")
        with pytest.raises(FileRefusedError, match="is a folder"):
            opened.open("inner")


def test_no_folder(tmp_path: Path, way: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        Folder(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        Folder(tmp_path / "nothing")


def test_the_folder_itself_may_be_a_link(tmp_path: Path, way: str) -> None:
    with Folder(link(tmp_path / "link", folder(tmp_path))) as opened:
        assert opened.read("a.bin") == b"abc"


@pytest.mark.parametrize("item", ["..", "../x", "inner/../a.bin", "/a.bin", "", ".", "a\0b"])
def test_items_that_lead_out(tmp_path: Path, way: str, item: str) -> None:
    with Folder(folder(tmp_path)) as opened:
        for action in (opened.open, opened.is_folder):
            with pytest.raises(FileRefusedError, match="leads out of the package"):
                action(item)


@pytest.mark.parametrize("item", ["link", "linked/deep/b.bin", "inner/dangling"])
def test_links_inside_are_refused_wherever_they_lead(tmp_path: Path, way: str, item: str) -> None:
    path = folder(tmp_path)
    link(path / "link", "a.bin")
    link(path / "linked", "inner")
    link(path / "inner" / "dangling", "nothing")
    with Folder(path) as opened:
        for action in (opened.open, opened.is_folder):
            with pytest.raises(FileRefusedError, match="link, but a package"):
                action(item)
        with pytest.raises(FileRefusedError, match="is a link"):
            list(opened.files())


@needs_pipes
def test_pipes_inside_are_refused(tmp_path: Path, way: str) -> None:
    path = folder(tmp_path)
    os.mkfifo(path / "inner" / "pipe")
    with Folder(path) as opened:
        with pytest.raises(FileRefusedError, match="inner/pipe is a pipe"):
            opened.open("inner/pipe")
        with pytest.raises(FileRefusedError, match="inner/pipe is a pipe"):
            list(opened.files())


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_ENTRIES", 3)
    with Folder(folder(tmp_path)) as opened, pytest.raises(FileRefusedError, match="more than 3 files"):
        list(opened.files())


@pytest.mark.skipif(not reading._FROM_FOLDERS, reason="this system cannot open files from an open folder")
def test_an_opened_folder_stays_what_it_was(tmp_path: Path) -> None:
    path = folder(tmp_path)
    with Folder(path) as opened:
        assert not opened.was_replaced()
        path.rename(tmp_path / "away")
        assert opened.was_replaced()
        path.mkdir()
        (path / "a.bin").write_bytes(b"another")
        assert opened.was_replaced()
        assert opened.read("a.bin") == b"abc"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs a list of open descriptors")
def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    path = folder(tmp_path)
    link(path / "inner" / "link", "deep")
    before = len(os.listdir("/proc/self/fd"))
    with Folder(path) as opened:
        opened.read("inner/deep/b.bin")
        for item in ("inner/link/b.bin", "inner/none/b.bin", "a.bin/b", "inner/deep", "inner/link"):
            with pytest.raises(OSError):  # noqa: PT011
                opened.open(item)
        with pytest.raises(FileRefusedError):
            list(opened.files())
    assert len(os.listdir("/proc/self/fd")) == before
