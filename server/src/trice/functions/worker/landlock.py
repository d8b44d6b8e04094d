"""Confines a process to some files, and keeps it from TCP, by the kernel's Landlock.

What is not named here cannot be opened, whatever the rights of its user; nothing lifts it again.
It binds the whole process only if it is done before any thread is started.

source   https://docs.kernel.org/userspace-api/landlock.html (ABI 1: files; 4: TCP)
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ABI_OF_TCP: Final = 4

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every machine
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_EXECUTE, _WRITE, _READ, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_CONNECT_TCP, _BIND_TCP = 1 << 1, 1 << 0
ABI_OF_SCOPES: Final = 6
_SOCKETS, _SIGNALS = 1 << 0, 1 << 1
_ALL_OF_ABI: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_OF_FILES: Final = _EXECUTE | _WRITE | _READ | 1 << 14 | 1 << 15
"""Rights that a rule for a file may have: those of folders are refused there."""


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


@functools.cache
def abi() -> int:
    """What this kernel knows of Landlock; 0: nothing."""
    return max(_syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION)), 0)


def lack() -> str | None:
    """Why this kernel cannot confine processes; None: it can."""
    if abi():
        return None
    off = ctypes.get_errno() == errno.EOPNOTSUPP
    return "has Landlock switched off" if off else "has no Landlock (Linux 5.13 and later have)"


def restrict(
    *, readable: Iterable[Path | str], writable: Iterable[Path | str], has_network: bool
) -> None:
    """Let this process, and what it starts, open these folders and files, and nothing else; where
    the kernel knows how, signal no other process, and reach no socket of one by an abstract name.

    readable      may be read and executed; what is not there is passed over
    writable      may be changed, too
    has_network   else it neither connects nor listens by TCP, if the kernel knows how
    raises        OSError
    """
    version = abi()
    everything = _ALL_OF_ABI[max(each for each in _ALL_OF_ABI if each <= version)]
    keeps_tcp = version >= ABI_OF_TCP and not has_network
    scoped = _SIGNALS | _SOCKETS if version >= ABI_OF_SCOPES else 0
    ruleset = _Ruleset(everything, _CONNECT_TCP | _BIND_TCP if keeps_tcp else 0, scoped)
    size = 24 if scoped else 16 if version >= ABI_OF_TCP else 8
    place = _expect(_syscall(_CREATE, ctypes.byref(ruleset), ctypes.c_size_t(size), 0))
    try:
        for path in readable:
            _allow(place, path, (_EXECUTE | _READ | _READ_FOLDER) & everything)
        for path in writable:
            _allow(place, path, everything)
        _expect(_syscall(_RESTRICT, place, 0))
    finally:
        os.close(place)


def _allow(place: int, path: Path | str, access: int) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        target = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not os.path.isdir(path):
                access &= _OF_FILES
            rule = _Beneath(access, target)
            _expect(_syscall(_ADD, place, _PATH_BENEATH, ctypes.byref(rule), 0))
        finally:
            os.close(target)


def _syscall(number: int, *args: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(ctypes.c_long(number), *args))


def _expect(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
