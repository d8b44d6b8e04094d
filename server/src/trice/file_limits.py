"""Every bound of keeping the bytes of files. `limits` has all others."""

from __future__ import annotations

PIECE_BYTES = 256 * 1024
"""The largest piece in which bytes are read."""

SPOOL_WRITE_BYTES = 1024 * 1024
"""Bytes that an upload collects in memory before a thread hashes and writes them. A thread takes
some milliseconds for them, and a switch to it 0.1."""

SPOOL_SYNC_BYTES = 4 * 1024 * 1024
"""Bytes of an upload that wait to be synced to the disk. The next piece waits for them, so that a
commit waits for so many at worst, and not for gigabytes at the end of a large file."""

SPOOLINGS_MAX = 200
"""Uploads that are spooled at a time, each with an open file and up to two SPOOL_WRITE_BYTES in
memory. More: `overloaded`."""

KEPT_AT_ONCE = 32
"""Parts of streams that are put at a time. More wait."""

FILE_THREADS = 16
"""Threads that write files: uploads, parts of streams, sweeps. Work for more waits. Most of them
wait for the disk, which syncs for all who wait at once: with 4, small files came half as fast."""

FILE_HASHES_AT_ONCE = 4
HASHED_ALONE_BYTES = 128 * 1024
"""How many of them may hash more bytes than the second at a time, so that they leave the processors
to the event loop. More wait."""

FILE_READ_THREADS = 4
"""Threads that read files for downloads, and those of image variants. Work for more waits: a disk
that hangs holds up other downloads, and neither uploads nor work that is not about files."""

LIST_PAGE_BLOBS = 500
"""Blobs that are listed, and compared with rows, at a time."""

FILE_GRACE_MS = 3_600_000
"""How old bytes without a row must be before a sweep deletes them. Pins protect the uploads of this
process; the time protects those that another process copies (`trice files move`)."""

FILE_SWEEP_INTERVAL_MS = 24 * 3_600_000
"""From the end of one sweep to the next."""

PATH_BYTES_MAX = 1024
"""UTF-8 of a file's path, as in buckets. More: `validation-failed`."""

HEADER_CHARS_MAX = 512
"""Characters of a content type or disposition. More: `param-malformed`."""

FILE_BYTES_MAX = 5 * 1024**3
"""Bytes of one file, unless `--file-bytes-max` says otherwise. More: `message-too-big`."""

EPHEMERAL_FILE_BYTES_MAX = 20 * 1024**2
"""Bytes of one file of a throw-away app. More: `message-too-big`."""

EPHEMERAL_FILES_BYTES_MAX = 100 * 1024**2
"""Bytes of all files of a throw-away app. More: `app-quota-exceeded`."""

QUOTA_APPS_MAX = 10_000
"""Throw-away apps whose bytes are known without summing them up (20 ms for 50,000 files)."""

UPLOADS_MAX = 150
UPLOADS_OF_NETWORK_MAX = 30
"""Uploads under way in all, and from one network. More: `overloaded`."""

DELETED_AT_ONCE_MAX = 1_000
"""Paths of one request that deletes files. More: `validation-failed`."""

FILE_BODY_BYTES_MAX = 50 * 1024**4
"""Bytes of a body that is a file: the most that `--file-bytes-max` may say. Routes have it; `Files`
holds each app to its own bound."""

UPLOAD_URL_MS = 5 * 60_000
"""How long a signed upload URL works."""

UPLOAD_URLS_USED_MAX = 100_000
"""Signed upload URLs that were used and have not ended. More: `overloaded`."""

COLLECT_INTERVAL_MS = 5_000
"""Between two deletions of bytes that commits let go of."""

DAY_MS = 24 * 3_600_000

URL_CHECK_INTERVAL_MS = 3_600_000
"""How often a server looks whether the day has turned. URLs live for seven days, so that answers
which are renewed once a day never show an old one."""

# --- uploads in parts ------------------------------------------------------------------------

PARTIAL_MS = 24 * 3_600_000
"""How long an unfinished upload waits for its next part. Longer: it is deleted."""

PARTIALS_MAX = 5_000
PARTIALS_OF_APP_MAX = 2_000
PARTIALS_OF_NETWORK_MAX = 200
"""Unfinished uploads, each 5 kB of memory at most, in all, of one app, and made from one network.
More: `overloaded`."""

PARTIAL_FILES_MAX = 16
PARTIAL_FILES_OF_APP_MAX = 8
PARTIAL_FILES_OF_NETWORK_MAX = 2
"""What unfinished uploads take on disk, as a multiple of `--file-bytes-max`. More: `overloaded`."""

PARTIAL_SYNC_BYTES = 16 * 1024 * 1024
PARTIAL_SYNC_MS = 2_000
"""A part is synced to disk after so many bytes, or when more come after so long. A stop loses no
more than these."""

PARTIAL_WAIT_MS = 20_000
"""How long a request waits for another one that stores the same upload. Longer: `upload-busy`."""

PARTIAL_SWEEP_MS = 600_000
"""Between two looks for uploads that expired."""

STORED_PARTIAL_MS = 3_600_000
STORED_PARTIALS_MAX = 5_000
"""How long, and for how many, the server can tell that an upload was stored, to a client that lost
the answer. More: the oldest is forgotten, and such a client uploads again."""

HASH_BYTES = 16 * 1024 * 1024
"""Bytes that a thread hashes at a time when an upload went on after a restart (10 ms)."""

METADATA_CHARS_MAX = 4_096
"""The header Upload-Metadata. Longer: `param-malformed`."""

assert EPHEMERAL_FILE_BYTES_MAX <= EPHEMERAL_FILES_BYTES_MAX
assert UPLOADS_OF_NETWORK_MAX < UPLOADS_MAX
assert UPLOADS_MAX + KEPT_AT_ONCE <= SPOOLINGS_MAX
assert PARTIALS_OF_NETWORK_MAX < PARTIALS_OF_APP_MAX < PARTIALS_MAX
assert 1 < PARTIAL_FILES_OF_NETWORK_MAX < PARTIAL_FILES_OF_APP_MAX < PARTIAL_FILES_MAX
assert SPOOL_WRITE_BYTES <= PARTIAL_SYNC_BYTES
assert FILE_HASHES_AT_ONCE < FILE_THREADS
# --- buckets ---------------------------------------------------------------------------------

S3_CONNECT_MS = 5_000
S3_REQUEST_MS = 60_000
"""One connection, one request. Longer: tried again."""

S3_RETRIES_MAX = 3
S3_RETRY_MS = 30_000
"""How often, and for how long, a request is tried again. After that: `overloaded`."""

S3_PART_BYTES = 8 * 1024 * 1024
S3_PARTS_AT_ONCE = 4
"""Parts in which a file is sent, and how many of them are in memory. Smaller files are one."""

S3_PARTS_MAX = 9_000
"""Parts of one file; S3 takes 10,000. Larger files have larger parts."""

S3_READ_BYTES = 1024 * 1024
"""Bytes of one request that reads, which a reader holds. Buckets take some 20 ms to answer."""

S3_REASON_CHARS_MAX = 500
"""What the log repeats of a failure of the bucket."""

assert PIECE_BYTES <= S3_READ_BYTES
assert S3_PARTS_MAX < 10_000
