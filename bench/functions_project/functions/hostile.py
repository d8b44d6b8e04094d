"""What should take nothing from anybody else. Each is bounded here as well: a server whose bounds
fail must not take the machine along."""

from __future__ import annotations

import os
import time

from schema import Db
from trice.functions import Action, Query, action, query

SPIN_S = 20
FORKS = 200
FORK_S = 5
LINE = "x" * 4_000


@query
async def spin(ctx: Query[Db]) -> int:
    """Compute, and never let others run."""
    ends, rounds = time.monotonic() + SPIN_S, 0
    while time.monotonic() < ends:
        rounds += 1
    return rounds


@query
async def hog(ctx: Query[Db]) -> int:
    """Take ten gigabytes, and write to each page."""
    taken = [bytearray(b"x") * (64 << 20) for _ in range(160)]
    return len(taken)


@action
async def fork(ctx: Action[Db]) -> int:
    """Start processes that compute, as many as it gets."""
    started = 0
    for _ in range(FORKS):
        try:
            child = os.fork()
        except OSError:
            break
        if child == 0:
            ends = time.monotonic() + FORK_S
            while time.monotonic() < ends:
                pass
            os._exit(0)
        started += 1
    return started


@action
async def shout(ctx: Action[Db]) -> None:
    """Print a gigabyte."""
    for _ in range(250_000):
        print(LINE)  # noqa: T201  # that is what it tries


@query
async def large(ctx: Query[Db]) -> str:
    """Return a hundred megabytes."""
    return "x" * (100 << 20)
