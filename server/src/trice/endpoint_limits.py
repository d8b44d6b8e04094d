"""Every bound of HTTP endpoints: what one request and one answer may cost. See also
`function_limits` and `limits`.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

BODY_BYTES_MAX: Final = 8 * MIB
"""The body of a request. A larger one is refused: by its `content-length` before any of it is read,
or once more has come. More: `message-too-big`."""

ANSWER_BYTES_MAX: Final = 8 * MIB
"""The body of an answer that is no stream. More: `call-too-big`."""

PIECE_BYTES_MAX: Final = 64 * KIB
"""One piece of a stream; the worker cuts longer ones. The next is made when the socket took it."""

REQUEST_FREE_BYTES: Final = 64 * KIB
"""How much of each request is not counted in the bounds below, so that a small one gets through
whatever others send."""

REQUESTS_BYTES_MAX: Final = 128 * MIB
REQUESTS_OF_APP_BYTES_MAX: Final = 32 * MIB
REQUESTS_OF_NETWORK_BYTES_MAX: Final = 16 * MIB
"""Headers and bodies in memory until their calls have ended: of the server, of an app, and of one
network in an app. One more is `overloaded`. Those of an app are well below
`function_limits.UNREAD_BYTES_MAX`, so that a process which was given all of them at once is not
taken for one that does not read."""

PATH_CHARS_MAX: Final = 512
PATH_SEGMENTS_MAX: Final = 16
"""The path of an endpoint. More: a load error. A request with more segments meets no endpoint."""

ORIGINS_MAX: Final = 100
"""Origins in `cors=` of one endpoint."""

HEADERS_MAX: Final = 100
HEADERS_BYTES_MAX: Final = 32 * KIB
"""Headers of an answer, and their bytes together. More: the answer is refused."""

CORS_AGE_S: Final = 600
"""How long a browser may keep the answer of a preflight."""
