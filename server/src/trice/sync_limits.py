"""What sync tables of one client may cost, and what happens beyond. No I/O."""

from __future__ import annotations

SYNC_TABLES_OF_SESSION_MAX = 16
"""Sync tables of one session. One more is refused with `parameter-limit-exceeded`."""

SYNC_BATCH_ENTITIES = 100
"""Entities in one `sync-load-batch`, as Instant has it. More come in further batches."""

SYNC_UPDATE_TXES_MAX = 100
"""Transactions in one `sync-update-triples`, as Instant has it. More come in further messages."""

SYNC_UPDATE_BYTES = 1_000_000
"""Bytes after which a `sync-update-triples` takes no further transaction."""

SYNC_WAITING_TXES_MAX = 10_000
"""Transactions that wait for a slow client, or are replayed to one that comes back. Beyond it the
sync table ends with `parameter-limit-exceeded`, and the client loads it afresh."""

SYNC_WAITING_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of the same, as JSON; and of the rows of the log that one resync reads."""

SYNC_LOADS_TRIED_MAX = 20
"""How often a load is begun again because its snapshot held transactions that were not published
yet. Then it fails as `overloaded`."""

SYNC_TOKEN_CHARS_MAX = 4_096
"""Length of a token. A longer one is refused."""
