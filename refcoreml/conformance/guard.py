"""Runs a command, and ends whatever it has started when it ends, or when whoever started the guard does.

    python -I -S guard.py closed|relay COMMAND...

With ``relay`` standard input goes on to the command, with ``closed`` the command has none. Either way the end of
standard input, which comes by itself when the process at its other end dies, ends the command. The exit code is the
command's, 128 and the signal if a signal ended it, or `CANNOT_START`.

What is ended: the command's process group; on Linux also processes that left the group or lost their parent, since
they become children of the guard. Needs the standard library alone, because it starts once a case.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

#: The exit codes of a command that cannot be started, as in shells, and of a guard that fails; neither is an outcome.
CANNOT_START, FAILED = 127, 125
_POSIX = os.name != "nt"
#: Seconds in which killed processes must be gone.
_PATIENCE = 5.0
# From <sys/prctl.h>.
_DIE_WITH_PARENT, _ADOPT_ORPHANS = 1, 36
_control = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def main(mode: str, command: list[str]) -> int:
    """Run the command; return the exit code."""
    if _control is not None:
        _control(_ADOPT_ORPHANS, 1, 0, 0, 0)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if mode == "relay" else subprocess.DEVNULL,
            start_new_session=_POSIX,
            preexec_fn=_die_with_guard if _control is not None else None,
        )
    except (OSError, ValueError) as error:
        print(f"cannot be started: {error}", file=sys.stderr, flush=True)
        return CANNOT_START
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    code = child.wait()
    if _POSIX:
        _kill_group(child)
        _end_children()
    return code if code >= 0 else 128 - code


def _die_with_guard() -> None:
    """Request, in the process of the command before it runs, that it is killed with the guard."""
    assert _control is not None
    _control(_DIE_WITH_PARENT, int(signal.SIGKILL), 0, 0, 0)


def _watch(child: subprocess.Popen[bytes]) -> None:
    """Pass standard input on, and end the command when it ends."""
    with contextlib.suppress(OSError):
        while chunk := os.read(0, 1 << 16):
            if child.stdin is not None:
                child.stdin.write(chunk)
                child.stdin.flush()
    if _POSIX:
        _kill_group(child)
    with contextlib.suppress(OSError):
        child.kill()


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)


def _end_children() -> None:
    """Kill the children, among them adopted orphans, whose own children are adopted in turn, until none is left."""
    deadline = time.monotonic() + _PATIENCE
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                for pid in _children():
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.002)


def _children() -> Iterator[int]:
    with contextlib.suppress(OSError):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as file:
                # pid (name) state parent ...; the name may hold anything.
                if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                    yield int(name)


if __name__ == "__main__":
    try:
        status = main(sys.argv[1], sys.argv[2:])
    except BaseException as error:
        print(f"the guard of the command failed: {error!r}", file=sys.stderr, flush=True)
        status = FAILED
    os._exit(status)  # the thread may still be reading
