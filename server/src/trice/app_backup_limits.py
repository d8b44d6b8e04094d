"""Every bound of the backups that developers make of their apps. `limits` has all others."""

from __future__ import annotations

APP_WAIT_MS = 5 * 60_000
"""How long after a backup of an app was asked for another one may be (instant-http §6.6). Sooner:
`rate-limited`."""

NETWORK_PER_WAIT = 2
"""Backups that one network may ask for in that time, of whatever apps."""

RUNNING = 1
"""Backups that are made at the same time; each takes one thread and reads a copy of its app."""

WAITING_MAX = 100
"""Backups that are made or wait for their turn. More: `overloaded`."""

KEPT_MAX = 40
"""Backups that somebody asked for and that one app keeps. More: `app-quota-exceeded` until one is
deleted or ends."""

AUTOMATIC_KEPT_MAX = 7
"""Backups that one app keeps of those that the server made by itself. The oldest ones make room."""

TRIPLES_MAX = 25_000_000
"""Values of an app that can be backed up (instant-http §6.6). With more the job is errored."""

FREE_BYTES_MIN = 512 * 1024**2
"""Room on the disk that a backup must leave, besides a copy of the app's database and as much again
for what is made of it. With less the job is errored."""

DESCRIPTION_CHARS_MAX = 500
"""What a developer says about a backup. A longer text is `param-malformed`."""

ASKED_DAYS = 30
"""How long a backup that somebody asked for is kept (instant-http §6.6)."""

AUTOMATIC_DAYS = 7
"""How long one is kept that the server made by itself; at least until the next but one is due."""

JOBS_KEPT = 500
"""Jobs that are over, of all apps, which can still be asked for. The oldest ones make room."""

MANIFEST_BYTES_MAX = 16 * 1024**2
"""What says all that one backup has: 100 bytes a namespace. A longer one is refused."""

GZIP_LEVEL = 5
"""How hard parts are compressed: JSON to a fifth, at 60 MB/s."""

WRITE_BYTES = 128 * 1024
"""Bytes of a part that are compressed at a time."""

LINES_AT_ONCE = 500
"""Files that one step of the list of files has."""

PART_URL_S = 3600
"""How long the URL of a part works (instant-http §6.6)."""

FILE_URL_S = 12 * 3600
"""How long the URL of a file works: the client gets all of them before it fetches the first."""

CHECK_MS = 5 * 60_000
"""How often a server asks which backups are due by itself."""

SWEEP_MS = 3_600_000
"""How often backups that ended are deleted."""

assert NETWORK_PER_WAIT <= WAITING_MAX, "one network alone does not fill the queue"
