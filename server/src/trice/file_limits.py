"""Every bound of keeping the bytes of files. `limits` has all others."""

from __future__ import annotations

PIECE_BYTES = 256 * 1024
"""The largest piece in which bytes are read."""

SPOOL_WRITE_BYTES = 1024 * 1024
"""Bytes that an upload collects in memory before a thread hashes and writes them. A thread takes
some milliseconds for them, and a switch to it 0.1."""

SPOOLINGS_MAX = 200
"""Uploads that are spooled at a time, each with an open file and up to two SPOOL_WRITE_BYTES in
memory. More: `overloaded`."""

FILE_THREADS = 4
"""Threads that read and write files. Work for more waits."""

LIST_PAGE_BLOBS = 500
"""Blobs that are listed, and compared with rows, at a time."""

FILE_GRACE_MS = 3_600_000
"""How old bytes without a row must be before a sweep deletes them. Pins protect the uploads of this
process; the time protects those that another process copies (`trice files move`)."""

FILE_SWEEP_INTERVAL_MS = 24 * 3_600_000
"""From the end of one sweep to the next."""
