"""Every bound of backups. `limits` has all others.

The operator decides how large a backup is; these bound what it takes of the server meanwhile, and
what a damaged backup can do.
"""

from __future__ import annotations

STEP_PAGES = 256
"""Pages of a database that are copied at a time (1 MiB). Between two steps the work may be ended.
Writers are never held: the copy reads one snapshot."""

PIECE_BYTES = 1024**2
"""Bytes of a file that are read, hashed or written at a time."""

BLOBS_AT_ONCE = 8
"""Files whose bytes are put or read at the same time; each waits for the disk, or a bucket."""

BUCKET_READ_BYTES = 8 * 1024**2
"""Bytes of an object that one request asks a bucket for."""

MANIFEST_BYTES_MAX = 256 * 1024**2
"""A manifest, which is held in memory: 500,000 apps. A longer one is refused."""

TRIES_MAX = 3
"""How often the database of an app is copied when bytes that the copy names are deleted before they
are read. Bytes that are missing after that are noted as missing: the app lost them itself."""

LOCK_MS = 5 * 60_000
"""How long a claim on a bucket counts without being renewed: for so long a killed backup keeps the
next one away. In a folder the claim ends with the process."""

LOCK_RENEW_MS = 60_000

SWEEP_HASHES_MAX = 500_000
"""Hashes that a sweep holds in memory (50 MB). A place with more is swept in several passes."""

DELETED_AT_ONCE = 1_000
"""Objects that one request deletes."""

CHECK_MS = 30_000
"""How often a server asks whether a backup is due. A failed one is tried again after this, and
later each time (limits.BACKGROUND_WAIT_MS_MAX)."""

EVERY_MS_MIN = 60_000
EVERY_MS_MAX = 366 * 86_400_000
KEEP_MAX = 10_000

SHIP_MS = 3_000
"""How often a server ships what was written since: so much, and the time it takes, is lost with the
disk."""

SHIP_ROWS_MAX = 5_000
SHIP_BYTES_MAX = 8 * 1024**2
"""Rows of the log that one object has, and are held in memory, whichever comes first."""

SEGMENT_BYTES_MAX = 256 * 1024**2
"""An object with rows of the log; a longer one is refused. One row is as large as a transaction."""

BASE_WAIT_MS = 30_000
BASE_WAIT_TIMES = 20
"""After a change of its schema an app is copied anew: not sooner than this after the last time, nor
sooner than so many times as long as that took. Until then its log is not shipped."""

PROBLEMS_TOLD_MAX = 1_000
"""What is wrong with a backup; of more problems these many are told."""

RESTORED_TX_GAP = 10**9
"""How much higher transaction ids of a restored app are. A client keeps its own writes on top of
answers until these are of a transaction that is not older than the write. It may have writes from
after the backup, whose ids must therefore be lower."""

assert LOCK_RENEW_MS * 3 <= LOCK_MS, "a claim outlives some renewals that fail"
