"""The message that a socket is receiving: its fragments are joined, and inflated if deflated. No
I/O.

| state  | first, not last | first and last | later, not last | later, last |
|--------|-----------------|----------------|-----------------|-------------|
| none   | open            | a message      | close 1002      | close 1002  |
| open   | close 1002      | close 1002     | open            | a message   |

If a message is too big, its beginning is kept, and the rest is skipped as it comes. The session
answers it with an error and goes on.
"""

from __future__ import annotations

from trice import limits
from trice.protocol.errors import PROTOCOL_ERROR
from trice.session.deflate import Inflating
from trice.session.incoming import Incoming
from trice.session.socket import MustClose


class Fragments:
    """Holds what came of one message, at most limits.MESSAGE_BYTES_MAX and one byte."""

    def __init__(self) -> None:
        self._is_open = False
        self._begun = 0
        self._is_deflated = False
        self._received = bytearray()
        self._received_bytes = 0

    @property
    def unfinished(self) -> tuple[int, int] | None:
        """The number of the open message, and its bytes so far; None if no message is open."""
        return (self._begun, len(self._received)) if self._is_open else None

    def take(
        self, payload: bytes, *, is_first: bool, is_last: bool, is_deflated: bool
    ) -> bytes | Incoming | None:
        """Add the payload of one data frame; return the message if it is whole now, else None.

        is_deflated  RSV1 of the frame; the first frame of a message has it for all of them
        returns      bytes of any size as they came; Incoming for a message that is large once
                     inflated, or too big
        raises       MustClose: 1002 for a frame out of order, 1007 if it cannot be inflated
        """
        if is_first == self._is_open:
            raise MustClose(PROTOCOL_ERROR, "fragment out of order")
        if is_deflated and not is_first:
            raise MustClose(PROTOCOL_ERROR, "RSV1 on a continuation")
        if is_first and is_last:
            return _inflated(payload, len(payload)) if is_deflated else payload
        if is_first:
            self._is_open, self._is_deflated = True, is_deflated
            self._begun += 1
        self._keep(payload)
        if not is_last:
            return None
        received, received_bytes = bytes(self._received), self._received_bytes
        self._received, self._received_bytes, self._is_open = bytearray(), 0, False
        if self._is_deflated:
            return _inflated(received, received_bytes)
        if received_bytes > limits.MESSAGE_BYTES_MAX:
            return Incoming(received, size_bytes=received_bytes)
        return received

    def _keep(self, payload: bytes) -> None:
        self._received_bytes += len(payload)
        if self._received_bytes <= limits.MESSAGE_BYTES_MAX:
            self._received += payload
            return
        missing_bytes = max(limits.MESSAGE_HEAD_BYTES - len(self._received), 0)
        self._received += payload[:missing_bytes]
        del self._received[limits.MESSAGE_HEAD_BYTES :]


def _inflated(payload: bytes, size_bytes: int) -> bytes | Incoming:
    """The message with this deflated form, or its beginning.

    size_bytes  length of the whole form; more than that of `payload` if this was cut
    """
    inflating = Inflating(payload)
    if size_bytes > limits.MESSAGE_BYTES_MAX:
        return Incoming(inflating.head, size_bytes=size_bytes)
    if inflating.is_whole:
        return inflating.whole()
    return Incoming(inflating, size_bytes=size_bytes)
