"""A server that runs functions as whoever runs the tests, root included: `trice serve` refuses that
as root, and `trice dev`, whose user wrote the functions, allows it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trice.calls.side import RunsCalls
from trice.calls.workers.opening import open_workers
from trice.calls.workers.starter import OnLine
from trice.config import Settings
from trice.server import Server


class FunctionServer(Server):
    """`trice serve` with the workers of `trice dev`."""

    def make_workers(self, on_line: OnLine) -> RunsCalls:
        return open_workers(self.settings, runtime=self._runtime, on_line=on_line, is_dev=True)


@contextmanager
def serving_functions(data_dir: Path) -> Iterator[str]:
    """The base URL of such a server, a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"import {__name__} as it; it.main({str(data_dir)!r})"],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.communicate()


def main(data_dir: str) -> None:
    """Serve until killed; the first line of the output ends with the URL."""

    def ready(base: str, *_: object) -> None:
        sys.stdout.write(f"ready at {base}\n")
        sys.stdout.flush()

    asyncio.run(FunctionServer(Settings(data_dir=Path(data_dir), port=0)).run(on_ready=ready))
