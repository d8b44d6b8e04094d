"""What sync tables of one client may cost, and what happens beyond. No I/O."""

from __future__ import annotations

SYNC_TABLES_OF_SESSION_MAX = 16
"""Sync tables of one session. One more is refused with `parameter-limit-exceeded`."""

SYNC_TABLES_OF_APP_MAX = 500
"""Sync tables of all sessions of an app, each of which is told of each commit, 2 µs. One more is
refused in the same way."""

SYNC_STARTING_MAX = 32
"""Starts and resumptions of one session that are under way, also of tables that were removed since.
One more is refused in the same way."""

SYNC_LOADS_OF_APP_MAX = 8
"""Tables of an app that are loaded at a time, one of each session; others wait. Each load looks at
each entity that changes meanwhile, 2 µs each."""

SYNC_LOADING_ENTITIES_MAX = 2_000
"""Entities of the namespace in one transaction that commits during a load. At a larger one the load
ends with `parameter-limit-exceeded`, and the client begins it again."""

SYNC_PAGE_TIMEOUT_MS = 60_000
"""How long a page may wait for its client. Then the load ends in the same way, so that it does not
keep others waiting."""

SYNC_ENTITIES_AT_ONCE = 150
"""Entities whose changes are encoded in one turn of the loop, 20 µs each. Those of a larger
transaction take several turns."""

SYNC_UNENCODED_MAX = 300_000
"""Entities whose changes wait for that, in an app. The tables that would wait for more end with
`parameter-limit-exceeded`, and their clients load them afresh."""

SYNC_BATCH_ENTITIES = 100
"""Entities in one `sync-load-batch`, as Instant has it. More come in further batches."""

SYNC_PAGE_ENTITIES = 500
"""Entities that are read at once while a table is loaded. The next are read when these were handed
to the socket."""

SYNC_PAGE_BYTES = 1_000_000
"""Bytes of JSON after which a page takes no further entity, so that it is at most this and one
entity more. Such entities are read fewer at a time."""

SYNC_UPDATE_TXES_MAX = 100
"""Transactions in one `sync-update-triples`, as Instant has it. More come in further messages."""

SYNC_UPDATE_BYTES = 1_000_000
"""Bytes after which a `sync-update-triples` takes no further transaction."""

SYNC_WAITING_TXES_MAX = 10_000
"""Transactions that wait for a slow client, or are replayed to one that comes back. Beyond it the
sync table ends with `parameter-limit-exceeded`, and the client loads it afresh."""

SYNC_MOVED_MAX = 20_000
"""Entities whose places in the order change while a table is loaded, about 100 bytes each.
Beyond it the table ends as above."""

SYNC_WAITING_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of the same as JSON, for all tables of a session together: the one with most of them ends.
And of the rows of the log that one resync reads; a session reads it for one table at a time."""

SYNC_LOADS_TRIED_MAX = 20
"""How often a page is read again because its snapshot held transactions that were not published
yet. Then the read counts as failed."""

SYNC_READS_TRIED_MAX = 5
"""How often a page is asked for while the readers are busy. Then the load ends with that error."""

SYNC_RETRY_MS = 200
"""Time before the second attempt; one such time more before each further one."""

SYNC_TOKEN_CHARS_MAX = 4_096
"""Length of a token. A longer one is refused."""
