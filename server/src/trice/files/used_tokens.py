"""Which upload URLs were used, until they would have ended: in memory, and in a file that the next
server reads, so that a restart gives none a second use.

The file has a line for each: when it would have ended, in ms, and its nonce.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from trice import file_limits as limits
from trice.errors import Unavailable
from trice.files.threads import FileThreads
from trice.runtime import Runtime


class UsedTokens:
    """Holds nonces of tokens. Whether a token is right is not known here."""

    def __init__(self, path: Path, *, threads: FileThreads, runtime: Runtime) -> None:
        """Read the file, and write it again without those that have ended. raises  OSError"""
        self._path = path
        self._threads = threads
        self._used = _read(path, runtime.now_ms())
        self._lines = 0
        self._lock = threading.Lock()
        self._rewrite()

    def __contains__(self, nonce: str) -> bool:
        return nonce in self._used

    async def add(self, nonce: str, *, ends_ms: int, now_ms: int) -> None:
        """Note a use, durably; in memory at once.

        raises   Unavailable: limits.UPLOAD_URLS_USED_MAX were used lately, or the disk is full
        """
        # They end in the order in which they were used, or not much later.
        while self._used and next(iter(self._used.values())) <= now_ms:
            del self._used[next(iter(self._used))]
        if len(self._used) >= limits.UPLOAD_URLS_USED_MAX:
            raise Unavailable("overloaded", "Too many upload URLs are in use; try again.")
        self._used[nonce] = ends_ms
        await self._threads.run(self._append, f"{ends_ms} {nonce}\n")

    def _append(self, line: str) -> None:
        with self._lock:
            if self._lines >= 2 * limits.UPLOAD_URLS_USED_MAX:
                self._rewrite()
            with self._path.open("a") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            self._lines += 1

    def _rewrite(self) -> None:
        used = dict(self._used)
        unfinished = self._path.with_suffix(".new")
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished.write_text("".join(f"{ends_ms} {nonce}\n" for nonce, ends_ms in used.items()))
        unfinished.replace(self._path)
        self._lines = len(used)


def _read(path: Path, now_ms: int) -> dict[str, int]:
    """What the file has and has not ended; a line that a stop cut off is left out."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return {}
    used: dict[str, int] = {}
    for line in text.splitlines():
        ends_ms, _, nonce = line.partition(" ")
        if ends_ms.isdecimal() and int(ends_ms) > now_ms:
            used[nonce] = int(ends_ms)
    return used
