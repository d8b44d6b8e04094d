"""Which random histories a property test plays."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence


def seeds(
    fixed: Sequence[int], *, group: int = 0, groups: int = 1, loops: int = 1
) -> Iterator[int]:
    """The fixed seeds of a group; with `TRICE_FUZZ_SECONDS`, fresh ones until its share is used up.

    fixed    the seeds of every run; the commit that mends a failure adds its seed
    group    which of the `groups` tests calls: each plays other seeds
    loops    how many tests of the file share the time, without counting groups
    source   `TRICE_FUZZ_SEED` is the first of the fresh seeds; without it the clock gives it
    """
    budget_s = float(os.environ.get("TRICE_FUZZ_SECONDS", "0"))
    if not budget_s:
        yield from fixed[group::groups]
        return
    deadline = time.monotonic() + budget_s / (loops * groups)
    seed = int(os.environ.get("TRICE_FUZZ_SEED", str(time.time_ns() % 10**9)))
    while time.monotonic() < deadline:
        yield seed * groups + group
        seed += 1
