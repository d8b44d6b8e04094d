"""`trice serve` as a process, for tests of what only a process does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
from websockets.sync import client as websocket

from support.patience import POLL_S, WAIT_S

TRICE = Path(sys.executable).with_name("trice")

# Requests wait for the server longer than the library does by default.
get = partial(httpx.get, timeout=WAIT_S)
post = partial(httpx.post, timeout=WAIT_S)
connect = partial(websocket.connect, open_timeout=WAIT_S)


def until(is_so: Callable[[], object]) -> None:
    """Wait for what another process does."""
    end_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(POLL_S)


Serving = tuple[subprocess.Popen[str], str]


@contextmanager
def serving(
    data_dir: Path, *flags: str, descriptors: int | None = None, **variables: str
) -> Iterator[Serving]:
    """A running server and its base URL; killed at the end if the test did not stop it.

    descriptors   how many files it may have open; it cannot raise this
    """
    command: list[str | Path] = [TRICE, "serve", "--data-dir", data_dir, *flags]
    if descriptors is not None:
        command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("trice is ready at "), line
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()
