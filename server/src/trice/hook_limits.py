"""Every bound of hooks: functions that follow changes (`@on_change`). See also `job_limits`."""

from __future__ import annotations

from typing import Final

from trice.limits import TX_LOG_ROWS_MAX

HOOKS_MAX: Final = 32
"""Functions of an app that follow changes. Each runs for one change at a time."""

HOOK_FAILURES_MAX: Final = 10
"""After so many failures a change is parked, or the hook waits (`stop=True`)."""

HOOK_LAG_MAX: Final = TX_LOG_ROWS_MAX
"""Transactions that the log keeps for a hook. One that is further behind is broken."""

HOOK_PLACE_LAG: Final = 1_000
"""So many transactions that do not concern a hook are read again after a restart, at most."""

HOOK_ROWS_AT_ONCE: Final = 200
HOOK_BYTES_AT_ONCE: Final = 1024 * 1024
"""Transactions, and bytes of the log, that are read at a time; one is always read."""

HOOK_CHANGES_AT_ONCE: Final = 100
HOOK_CHANGES_BYTES: Final = 4 * 1024 * 1024
"""Changes, and JSON of them, that a hook holds in memory; one may be longer."""

HOOK_READS_AT_ONCE: Final = 4
"""Hooks of all apps whose log is read at a time; the others wait a moment."""

HOOK_CHAIN_MAX: Final = 16
"""Hooks that one after the other write what the next one follows. The change of the last is parked,
or its hook waits (`stop=True`)."""

HOOK_CHAIN_TOLD: Final = 3
"""Of these, how many are named."""

HOOK_ENTITIES_HEARD: Final = 64
"""Rows of a commit that are looked at one by one while it is told; of more it is known only which
namespaces they are of, and the log says the rest."""
