"""Every bound of imports into a running server. `archive_limits` has those of archives themselves.

Whoever may make apps may import, so archives come from people that the operator let in, and are as
hostile as any. Beyond a bound a request is refused, or the import ends with an error and leaves
nothing.
"""

from __future__ import annotations

from typing import Final

UNFINISHED_MAX: Final = 50
"""Imports that are uploaded, wait or run. One more is refused."""

UNFINISHED_OF_CALLER_MAX: Final = 3
"""The same of one account."""

RUNNING_MAX: Final = 1
"""Imports that run at once; the others wait in the order in which they were started. Each has a
process that takes a core, up to MEMORY_BYTES_MAX, and the disk."""

PIECE_BYTES_MAX: Final = 16 * 1024**2
"""Bytes of one request that uploads. They go to disk as they come."""

WRITE_BYTES: Final = 1024**2
"""Bytes of an upload that are collected before a thread writes them."""

ARCHIVE_BYTES_MAX: Final = 1024**4
"""Bytes of an archive; what the disk has left bounds it before that."""

DISK_RESERVE_BYTES: Final = 256 * 1024**2
"""What uploads and imports leave free of the disk: the apps of the server go on writing. An upload
that would take more is refused before it begins, an import that comes there ends."""

ATTRS_MAX: Final = 100_000
"""Attrs whose ids a caller gives."""

NAME_CHARS_MAX: Final = 200
"""Characters of the name that a caller gives an archive, for messages."""

UPLOAD_MS: Final = 24 * 3_600_000
"""How long an upload may rest. After that its bytes are deleted."""

TOLD_MS: Final = 24 * 3_600_000
"""How long it is told what became of an import."""

TOLD_MAX: Final = 200
"""Finished imports that are told of; the oldest are forgotten first."""

SWEEP_INTERVAL_MS: Final = 10 * 60_000

MEMORY_BYTES_MAX: Final = 4 * 1024**3
"""Address space of the process of an import. It takes 200 MB by itself, and 20 times the longest
line (archive_limits.LINE_BYTES_MAX). Beyond it the import ends with an error."""

NICENESS: Final = 10
"""How much the process of an import stands back, in nice levels: a server that has work takes the
core first."""

PROGRESS_MS: Final = 200
"""How often the process of an import says how far it is, and looks at the disk, at most."""

MESSAGE_BYTES_MAX: Final = 64 * 1024**2
"""One line from the process of an import; the last one has the rules and the report."""

TRIES_MAX: Final = 3
"""How often the process of an import is started again when it ends without a word, as when the
system kills it for its memory. Each one goes on where the one before kept."""

RETRY_MS: Final = 2_000
"""Between two tries."""

FORMER_TRIES: Final = 40
FORMER_WAIT_MS: Final = 250
"""How often, and how long each time, a process waits for one of a server that was killed, which
ends by itself."""
