"""How long tests wait for what must come: the one place that says so.

No wait ends a test that is right, however slow the machine: it is there so that one that is wrong
ends at all. `TRICE_TEST_PATIENCE=4` makes every wait four times as long, here, in the suites in
Node (`interop/support/wait.mjs`) and in the browser (`e2e/playwright.config.ts`).
"""

from __future__ import annotations

import os


def patient(seconds: float) -> float:
    """So many seconds on this machine; more on one that is told to be slow."""
    return seconds * float(os.environ.get("TRICE_TEST_PATIENCE", "1"))


WAIT_S = patient(60)
"""For one thing: an answer, a frame, the start or the end of a process."""

SUITE_WAIT_S = patient(1_200)
"""For a suite that runs as a process of its own."""
