"""How long tests wait for what must come: the one place that says so.

No wait may end a correct test, however slow the machine is; waits only make a failing test end.
`TRICE_TEST_PATIENCE=4` makes every wait four times as long: here, in the suites in Node
(`interop/support/wait.mjs`) and in the browser (`e2e/playwright.config.ts`).
"""

from __future__ import annotations

import os


def patient(seconds: float) -> float:
    """`seconds`, times `TRICE_TEST_PATIENCE` where that is set."""
    return seconds * float(os.environ.get("TRICE_TEST_PATIENCE", "1"))


WAIT_S = patient(60)
"""For one thing: an answer, a frame, the start or the end of a process."""

SUITE_WAIT_S = patient(1_200)
"""For a suite that runs as a process of its own."""

POLL_S = 0.01
"""Between two looks at what another process does, where nothing tells of it."""
