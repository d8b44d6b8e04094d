"""Every bound of reading and writing Instant archives. `limits` has all others.

An archive comes from anybody. Beyond a bound the command ends with an error that names the place,
and leaves nothing.
"""

from __future__ import annotations

DIRECTORY_BYTES_MAX = 32 * 1024**2
"""The list of entries at the end of a zip file, which is read whole: 300,000 files. In memory it
takes ten times as much."""

CONFIG_BYTES_MAX = 16 * 1024**2
"""`config.json`: schema and rules. It is held in memory."""

LINE_BYTES_MAX = 32 * 1024**2
"""One line: an entity with all of its links, held in memory, where JSON takes up to 20 times as
much. Links to a million entities take 39 MB. An export that would write a longer line ends too:
nobody could import it."""

RATIO_MAX = 200
"""How many times larger than the archive its content may be; lines of real data compress 5 to 20
times. Up to RATIO_FREE_BYTES nobody counts."""

RATIO_FREE_BYTES = 256 * 1024**2

FILE_ENTRY_BYTES_MAX = 50 * 1024**4
"""Bytes of one file: as many as a server may be told to accept."""

REPLACED_APP_WAIT_MS = 5_000
"""How long an import that replaces an app waits for the requests that the old one is answering. New
ones wait meanwhile, for the new app. What takes longer is told to come again."""

PIECE_BYTES = 1024**2
"""Bytes of an entry that are unpacked at a time."""

BATCH_ROWS = 1_000
BATCH_BYTES = 8 * 1024**2
"""Lines that are turned into rows and stored at a time, whichever comes first."""

FILES_AT_ONCE = 8
"""Files whose bytes are put in place at the same time; each waits for the disk, or a bucket."""

PAGE_ROWS = 500
"""Rows that an export, or a comparison, reads at a time."""

LINKS_AT_ONCE_MAX = 300_000
"""Links of one attr that an export, or a comparison, holds at a time for several entities: 60 MB.
More: fewer entities are read at a time."""

LINKS_OF_ENTITY_MAX = 900_000
"""Links of one attr of one entity; a line takes fewer (LINE_BYTES_MAX)."""

KEEP_BYTES = 64 * 1024**2
"""Bytes of an archive that an import reads between two moments from which the next one can go on; a
stop costs the work on as many. At each of them what was read since is written to disk."""

LOADING_KEPT_MS = 3 * 24 * 3_600_000
"""How long the rest of an import that was stopped stays on disk, to be gone on with. It takes as
much as the app would. The first command or server that starts after that removes it."""

WEBHOOKS_READ_MAX = 1_000
"""Webhooks of an archive that are looked at; more are counted as refused."""

LOAD_CACHE_KIB = 64 * 1024
"""Pages of a database that stay in memory while it is filled."""

NOTES_MAX = 50
"""Samples that a report shows of one kind. The rest is counted."""

DROPPED_LABELS_MAX = 1_000
"""Labels without an attr that a report tells apart; values of more are counted together."""

SAMPLES_PER_NAMESPACE = 2_000
"""Entities of each namespace that `trice doctor` compares by value, evenly spread."""

READ_TIMEOUT_MS = 24 * 3_600_000
"""How long an export may read one snapshot. Only the command waits for it."""

# --- tables: JSON Lines and CSV -------------------------------------------------------------------

TABLES_MAX = 200
"""Files of one import; each becomes a namespace."""

TABLE_COLUMNS_MAX = 800
"""Columns of a file. Fewer than the attrs of a namespace, which need room for links from others."""

TABLE_ROW_BYTES_MAX = 8 * 1024**2
"""One row of CSV, over all of its lines; a quote that is never closed ends here. Each empty cell
takes eight bytes of memory. A line of JSON may have LINE_BYTES_MAX."""

TABLE_ROOM = 2
"""How many times its files a table's app may take on disk while it is made: rows, indexes, keys."""

NUMBER_DIGITS_MAX = 17
"""A text with more digits is no number to an import: it is an id, or a double would change it."""

FAULT_SAMPLES_MAX = 10
"""Lines that an error names of rows with the same fault, and kinds of faults. More are counted."""

# --- exports of other systems ---------------------------------------------------------------------

ID_SAMPLES = 30
"""Ids of a column of a Convex table. One of them must be a row's, or the column is no link."""

COLLECTIONS_MAX = 1_000
"""Collections of a PocketBase database, those of its own included; TABLES_MAX may come. Their
descriptions take CONFIG_BYTES_MAX at most."""

LOCK_WAIT_MS = 5_000
"""How long PocketBase may hold its database before an import gives up."""

ATTRIBUTES_BYTES_MAX = 64 * 1024
"""The file beside a file of PocketBase that says its content type. A longer one is not read."""
