"""What streams may cost: sizes and counts of what one caller can cause, and what happens there."""

from __future__ import annotations

from typing import Final

FLUSH_BYTES: Final = 1 << 20
"""Bytes of a stream that wait in memory until they are flushed to a part, as in Instant."""

FLUSH_APPENDS: Final = 4_096
"""Appends of a stream that wait in memory until they are flushed, however short they are."""

BUFFER_APPENDS_MAX: Final = 32_768
"""Appends of one stream that may wait while an earlier part is on its way to the disk. One more is
refused, as beyond BUFFER_BYTES_MAX."""

APPEND_OVERHEAD_BYTES: Final = 200
"""About what memory holds for each append besides its text; it counts in the bounds below."""

BUFFER_BYTES_MAX: Final = 8 << 20
"""Bytes of one stream that may wait while an earlier part is on its way to the disk. An append
beyond it is refused, and official clients start the stream again, which waits for the disk."""

BUFFERS_BYTES_MAX: Final = 128 << 20
"""The same for all streams of the process."""

BUFFERS_BYTES_OF_NETWORK_MAX: Final = 32 << 20
"""The same for all streams written from one network."""

CLIENT_ID_CHARS_MAX: Final = 1024
"""Longer names of streams are refused."""

ABORT_REASON_CHARS_MAX: Final = 4096
"""Longer reasons are refused."""

WRITES_OF_SESSION_MAX: Final = 256
"""Streams that one session may be the writer of; one more is refused."""

READS_OF_SESSION_MAX: Final = 256
"""Subscriptions to streams of one session; one more is refused."""

assert FLUSH_APPENDS < BUFFER_APPENDS_MAX
assert FLUSH_BYTES < BUFFER_BYTES_MAX < BUFFERS_BYTES_OF_NETWORK_MAX < BUFFERS_BYTES_MAX
