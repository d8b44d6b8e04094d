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

NUMBER_DIGITS_MAX = 17
"""A text with more digits is no number to an import: it is an id, or a double would change it."""

FAULT_SAMPLES_MAX = 10
"""Lines that an error names of rows with the same fault, and kinds of faults. More are counted."""
