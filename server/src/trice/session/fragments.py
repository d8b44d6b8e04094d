"""The message that a socket is receiving: its fragments joined, and inflated if it came so. No I/O.

| state  | first, not last | first and last | later, not last | later, last |
|--------|-----------------|----------------|-----------------|-------------|
| none   | open            | a message      | close 1002      | close 1002  |
| open   | close 1002      | close 1002     | open            | a message   |
"""

from __future__ import annotations

from trice import limits
from trice.session.deflate import inflate
from trice.session.socket import PROTOCOL_ERROR, TOO_BIG, MustClose


class Fragments:
    """Holds what has come of one message, at most limits.MESSAGE_BYTES_MAX."""

    def __init__(self) -> None:
        self._is_open = False
        self._begun = 0
        self._is_deflated = False
        self._received = bytearray()

    @property
    def unfinished(self) -> tuple[int, int] | None:
        """Which message is open, as a number of its own, and its bytes so far; None: none is."""
        return (self._begun, len(self._received)) if self._is_open else None

    def take(
        self, payload: bytes, *, is_first: bool, is_last: bool, is_deflated: bool
    ) -> bytes | None:
        """Add the payload of one data frame; the message if that is whole now.

        is_deflated  RSV1 of the frame, which stands on the first of a message for all of them
        raises       MustClose: 1002 for a frame out of order, 1009 for a message too large, and
                     see `inflate`
        """
        if is_first == self._is_open:
            raise MustClose(PROTOCOL_ERROR, "fragment out of order")
        if is_deflated and not is_first:
            raise MustClose(PROTOCOL_ERROR, "RSV1 on a continuation")
        if is_first and is_last:
            return inflate(payload) if is_deflated else payload
        if is_first:
            self._is_open, self._is_deflated = True, is_deflated
            self._begun += 1
        if len(self._received) + len(payload) > limits.MESSAGE_BYTES_MAX:
            raise MustClose(TOO_BIG, "message too big")
        self._received += payload
        if not is_last:
            return None
        received, self._received, self._is_open = self._received, bytearray(), False
        return inflate(received) if self._is_deflated else bytes(received)
