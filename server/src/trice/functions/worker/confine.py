"""What a process gives up before code of an app runs in it.

Limits are set soft and hard, so that only root could raise them again.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

from trice import function_limits as limits
from trice.functions.worker import landlock

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_SYSTEM: Final = (
    *("/usr", "/lib", "/lib64", "/bin", "/etc/ssl", "/etc/pki", "/etc/ca-certificates"),
    *("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services"),
    *("/etc/localtime", "/etc/timezone", "/etc/ld.so.cache", "/etc/mime.types"),
    *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"),
)
"""What libraries read of the machine: themselves, names of hosts, certificates, time zones."""


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


def confine_files(*, bundle: str, packages: str | None, scratch: str, is_pure: bool) -> None:
    """Let this process open Python, its bundle and packages, what libraries read of the system, and
    write its scratch folder alone. Queries and mutations lose TCP. It must have one thread.

    raises   OSError
    """
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    python = {sys.prefix, sys.base_prefix, os.path.realpath(sys.executable), *sys.path}
    readable = {*python, bundle, *_SYSTEM, *([] if packages is None else [packages])} - {""}
    readable |= {"/proc/self", f"/proc/{os.getpid()}"}
    landlock.restrict(
        readable=sorted(readable), writable=(scratch, "/dev/null"), has_network=not is_pure
    )


def limit(*, memory_bytes: int, is_pure: bool, tasks: int) -> None:
    """Bound what this process may take. It must have all threads that it needs.

    tasks     as `count_tasks`, with its threads
    is_pure   it may start neither process nor thread; else function_limits.ACTING_PROCESSES_MAX
    """
    _set(resource.RLIMIT_DATA, memory_bytes)
    _set(resource.RLIMIT_NOFILE, limits.DESCRIPTORS_MAX)
    _set(resource.RLIMIT_FSIZE, limits.FILE_BYTES_MAX)
    _set(resource.RLIMIT_CORE, 0)
    most = 0 if is_pure else tasks + limits.ACTING_PROCESSES_MAX
    _set(resource.RLIMIT_NPROC, most)
    # Writing beyond RLIMIT_FSIZE raises OSError in place of a signal.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _set(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(which, (most, most))


def count_tasks() -> int:
    """Threads of all processes of this user, which is what RLIMIT_NPROC counts."""
    uid, found = os.getuid(), 0
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
