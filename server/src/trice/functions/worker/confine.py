"""What a process gives up before code of an app runs in it.

Limits are set soft and hard, so that only root could raise them again.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Final

from trice import function_limits as limits

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38


def close_others(kept: Collection[int]) -> None:
    """Close every descriptor that this process was given, but for those it needs."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(int(name))


def become(uid: int) -> None:
    """Give up root, and every group, for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def die_with(parent: int) -> None:
    """End when the server's thread that started this process ends. Called after `become`, which
    would undo it. Nothing that is executed from here on gains rights.

    parent   pid of the server; ends the process at once if it is gone already
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if os.getppid() != parent:
        os._exit(0)


def hide_process() -> None:
    """Nobody of the same user may look into this process: no ptrace, no `/proc/PID/mem`, `environ`
    or `fd`."""
    _prctl(_PR_SET_DUMPABLE, 0)


def limit(*, memory_bytes: int, is_pure: bool) -> None:
    """Bound what this process may take. It must have all threads that it needs.

    is_pure   it may start neither process nor thread; else function_limits.ACTING_PROCESSES_MAX
    """
    _set(resource.RLIMIT_DATA, memory_bytes)
    _set(resource.RLIMIT_NOFILE, limits.DESCRIPTORS_MAX)
    _set(resource.RLIMIT_FSIZE, limits.FILE_BYTES_MAX)
    _set(resource.RLIMIT_CORE, 0)
    most = 0 if is_pure else _count_tasks(os.getuid()) + limits.ACTING_PROCESSES_MAX
    _set(resource.RLIMIT_NPROC, most)
    # Writing beyond RLIMIT_FSIZE raises OSError in place of a signal.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _set(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(which, (most, most))


def _count_tasks(uid: int) -> int:
    """Threads of all processes of a user, which is what RLIMIT_NPROC counts."""
    found = 0
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and folder.stat().st_uid == uid:
                found += len(os.listdir(folder / "task"))
        except OSError:
            continue  # it ended meanwhile
    return found


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
