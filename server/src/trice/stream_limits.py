"""What streams may cost: sizes and counts of what one caller can cause, and what happens there."""

from __future__ import annotations

from typing import Final

from trice.rate_limit import RateLimit

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

APPEND_RATE: Final = RateLimit(capacity=1 << 30, refill_amount=64 << 20, period_ms=1_000)
"""Bytes that may be appended from one network, and START_BYTES for each `start-stream` and request
that appends. More: `rate-limited`. Official clients then start the stream again, and if that is
refused too, give up."""

START_BYTES: Final = 16 << 10
"""What a start or a request costs of APPEND_RATE besides its bytes: about a transaction."""

PARTS_MAX: Final = 32_768
"""Parts of one stream, 32 GiB at least with parts of FLUSH_BYTES. A stream with more can be read no
further, so appends are refused before: `parameter-limit-exceeded`."""

PARTS_READ_AT_ONCE: Final = 100
"""Rows of parts read in one turn of the loop while a stream is loaded, 10 µs each."""

NEWS_PARTS_MAX: Final = 64
"""Parts in one message to a reader, whose URLs are signed in one turn. More come in others."""

MERGED_PARTS_MIN: Final = 16
"""Small parts at the end of a stream that are merged into one in the background."""

STORES_AT_ONCE: Final = 32
"""Streams that are stored at a time, each with up to BUFFER_BYTES_MAX twice in memory. More wait,
and networks take turns: thousands of writers may leave at once."""

MERGES_AT_ONCE: Final = 4
"""Streams whose parts are merged at a time, with some MiB in memory each. More wait."""

SMALL_PART_BYTES: Final = 1 << 20
"""A part of so many bytes is not small: it is never merged."""

IDLE_STREAMS_MAX: Final = 256
"""Streams that nobody uses, kept in memory so that the next request need not load them. Beyond it
those unused for longest are forgotten."""

IDLE_PARTS_MAX: Final = 32_768
"""Parts of all those streams together, 250 bytes each."""

SUBSCRIBE_DELAY_MS: Final = 20
"""How long the first word about a stream waits after `subscribe-stream`. The client for Python
drops what its event stream brings before its push is answered, which takes another connection."""

REQUEST_BYTES_MAX: Final = 1 << 30
"""A longer request that appends is refused; what came before stays. More go into several."""

WHOLE_BYTES_MAX: Final = 1 << 20
"""A request that says it has at most so many bytes is appended whole or not at all. Others are
appended as they come."""

READ_PIECE_BYTES: Final = 64 << 10
"""Bytes that an answer takes from memory at once."""

LONG_POLL_MS: Final = 20_000
"""How long a long poll waits for bytes. Then it is answered with 204."""

SSE_MS: Final = 60_000
"""How long an answer of events lasts. Clients then ask again from where they are."""

KEEP_ALIVE_MS: Final = 15_000
"""After so long without bytes an answer of events sends a comment, so that proxies keep it."""

FOLLOW_IDLE_MS: Final = 300_000
"""After so long without bytes a chunked answer that follows a stream is cut off: its client may be
gone for long. The client sees that it is not the end."""

assert FLUSH_APPENDS < BUFFER_APPENDS_MAX
assert 4 * FLUSH_BYTES < BUFFER_APPENDS_MAX * APPEND_OVERHEAD_BYTES, "requests wait before"
assert IDLE_STREAMS_MAX > 0 and PARTS_MAX <= IDLE_PARTS_MAX, "what was loaded stays for a turn"
assert WHOLE_BYTES_MAX <= FLUSH_BYTES and SMALL_PART_BYTES <= FLUSH_BYTES
assert FLUSH_BYTES < BUFFER_BYTES_MAX < BUFFERS_BYTES_OF_NETWORK_MAX < BUFFERS_BYTES_MAX
