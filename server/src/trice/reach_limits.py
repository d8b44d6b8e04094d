"""Every bound of what actions reach: HTTP, mail, files, streams. What is about calls themselves is
in `function_limits`.
"""

from __future__ import annotations

from typing import Final

MIB: Final = 1024 * 1024

# --- ctx.http -------------------------------------------------------------------------------------

HTTP_MS: Final = 10_000
"""How long a request may take unless it says, its body and redirects included."""

HTTP_BYTES_MAX: Final = 10 * MIB
"""Bytes of an answer that is kept whole, unpacked. More: `httpx.ReadError`."""

HTTP_PIECES_BYTES_MAX: Final = 1024 * MIB
"""Bytes of a body that is read, or sent, piece by piece. More: `httpx.ReadError`, `WriteError`."""

HTTP_BYTES_MAX_KEY: Final = "trice-bytes-max"
"""The extension of a request of httpx that says how many bytes its answer may have."""

HTTP_ASK_KEY: Final = "trice-ask"
"""The extension with what asks the server, for requests that a test answers."""

HTTP_UNPACKED_BYTES: Final = MIB
"""What is unpacked of a compressed answer at once."""

HTTP_REDIRECTS_MAX: Final = 5
"""Redirects that a request follows, if it is told to."""

HTTP_AT_ONCE: Final = 8
"""Requests of one call that are under way; others wait, within their own time."""

HTTP_CONNECTIONS_MAX: Final = 32
HTTP_CONNECTIONS_KEPT: Final = 8
HTTP_KEPT_MS: Final = 30_000
"""Connections of a process, of which `function_limits.DESCRIPTORS_MAX` bounds all descriptors; how
many stay open while nobody uses them, and for how long."""

HTTP_ADDRESSES_TRIED: Final = 3
"""Addresses of a host that are connected to, one after the other."""

HTTP_LOOKUPS: Final = 4
"""Names that a process looks up at a time; a look-up cannot be stopped."""

# --- ctx.mail -------------------------------------------------------------------------------------

MAIL_BURST: Final = 100
MAIL_PER_HOUR: Final = 500
"""E-mails of an app: at once after a quiet time, and an hour. More: `rate-limited`."""

MAIL_PER_HOUR_OF_RECIPIENT: Final = 20
"""E-mails of an app to one address, an hour. More: `rate-limited`."""

MAIL_SUBJECT_CHARS_MAX: Final = 200
MAIL_BODY_BYTES_MAX: Final = 256 * 1024
"""Subject, and each of text and HTML. More: `bad-args`."""

# --- ctx.files ------------------------------------------------------------------------------------

FILE_PIECE_BYTES: Final = 512 * 1024
"""Bytes of a file in one frame. The next follows when they are on the disk, or taken."""

FILES_OF_CALL_MAX: Final = 4
"""Files that a call uploads at a time. More: `parameter-limit-exceeded`."""

FILE_READ_BYTES_MAX: Final = 32 * MIB
"""Bytes of a file that `ctx.files.read` keeps whole. More: `call-too-big`."""

# --- ctx.stream -----------------------------------------------------------------------------------

STREAMS_OF_CALL_MAX: Final = 8
"""Streams that a call writes at a time. More: `parameter-limit-exceeded`."""

STREAM_TEXT_CHARS: Final = 64 * 1024
"""Text of a stream in one frame. The next follows when it was taken."""

STREAM_VALUES_MAX: Final = 64
"""Attributes and links of the row of a stream."""

# --- ctx.settle -----------------------------------------------------------------------------------

SETTLE_MAX: Final = 100
"""What one `ctx.settle` waits for."""

assert HTTP_AT_ONCE <= HTTP_CONNECTIONS_MAX
assert HTTP_CONNECTIONS_KEPT <= HTTP_CONNECTIONS_MAX
