"""Processes that a test kills (SIGKILL), `trice serve` among them.

Each is forked from a process that has imported everything already (the fork server of
`multiprocessing`), so that a start takes a tenth of a second: thousands of kills are played.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from support.patience import WAIT_S

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        *("trice.cli.main", "trice.cli.serve", "trice.server", "uvicorn.loops.uvloop"),
        *("websockets.asyncio.client", "httpx", "orjson"),
    ]
)
READY = re.compile(rb"is ready at (http://\S+)")
OLD_S = 10_000_000
"""A time of modification: some day of 1970."""
END_CODES = (0, -9)
"""A process that is killed may have ended by itself just before."""


class Killed:
    """A process, and what it says through a pipe."""

    def __init__(self, work: Callable[..., None], *given: Any) -> None:
        """Let a process run `work(*given, pipe)`."""
        self.pipe, end = CONTEXT.Pipe(duplex=False)
        self.process: ForkServerProcess = CONTEXT.Process(
            target=work, args=(*given, end), daemon=True
        )
        self.process.start()
        end.close()

    def kill(self) -> None:
        """SIGKILL. What it had said can be read from the pipe still."""
        self.process.kill()
        self.process.join(WAIT_S)
        assert self.process.exitcode in END_CODES, f"it ended by itself: {self.process.exitcode}"

    def said(self) -> list[Any]:
        """What it said and nobody has read; a message that the kill cut off is left out."""
        found: list[Any] = []
        try:
            while self.pipe.poll():
                found.append(self.pipe.recv())
        except (EOFError, OSError):
            pass
        return found


class KilledServer(Killed):
    """`trice serve` on a free port.

    folder   has its data in `data`, its log in `log`, and its address, as long as it runs, in `url`
    """

    def __init__(self, folder: Path) -> None:
        """Return when it is ready."""
        self._address = folder / "url"
        self._address.unlink(missing_ok=True)
        super().__init__(serve, folder)
        printed, found = b"", None
        while found is None or not printed.endswith(b"\n"):
            assert self.pipe.poll(WAIT_S), "the server did not become ready"
            piece = os.read(self.pipe.fileno(), 4096)
            assert piece, f"the server ended:\n{(folder / 'log').read_text()[-3_000:]}"
            printed += piece
            found = READY.search(printed)
        self.url = found.group(1).decode()
        new = folder / "url.new"
        new.write_text(self.url)
        new.replace(self._address)

    def kill(self) -> None:
        self._address.unlink()
        super().kill()


def blobs(folder: Path) -> list[Path]:
    """The bytes of files that a server in `folder` has; each file is called by its hash."""
    return list((folder / "data/files").glob("*-*/*/*"))


def make_old(folder: Path) -> None:
    """Let the sweep at the next start look at all bytes, those of the last hour too."""
    for path in blobs(folder):
        os.utime(path, (OLD_S, OLD_S))


def serve(folder: Path, pipe: Connection) -> None:
    """Run `trice serve`; its output goes to the pipe, its log to a file."""
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(pipe.fileno(), 1)
    os.dup2(log, 2)
    os.environ["TRICE_EPHEMERAL_QUOTAS"] = "0"
    from trice.cli.main import main  # the fork server has imported it

    sys.argv = ["trice", "serve", "--port", "0", "--data-dir", str(folder / "data")]
    main()
