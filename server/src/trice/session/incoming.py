"""A long message as a transport hands it over. No I/O.

Short messages are `bytes` from the socket to the decoder. A message larger than
limits.MESSAGE_BYTES_ON_LOOP, once inflated, is an `Incoming` until a thread has read it.
"""

from __future__ import annotations

from dataclasses import dataclass

from trice import limits
from trice.errors import LimitExceeded
from trice.protocol.up import Up
from trice.session.deflate import Inflating


class Incoming:
    """One message that takes long to read.

    size_bytes  its size as it came over the wire
    """

    __slots__ = ("_content", "size_bytes")

    def __init__(self, content: bytes | Inflating, *, size_bytes: int) -> None:
        """
        content   the text, its deflated form, or the beginning of a text that is too big
        """
        self._content = content
        self.size_bytes = size_bytes

    def __len__(self) -> int:
        """The memory that keeping it takes; always more than the size that is read on the loop."""
        return max(self.size_bytes, limits.MESSAGE_BYTES_ON_LOOP + 1)

    def text(self) -> bytes:
        """The whole message.

        raises   TooBig, MustClose
        cost     3 ms a MB if it is deflated
        """
        if isinstance(self._content, bytes):
            text, size_bytes = self._content, self.size_bytes
        else:
            text = self._content.whole()
            size_bytes = len(text)
        if size_bytes > limits.MESSAGE_BYTES_MAX:
            raise TooBig(text[: limits.MESSAGE_HEAD_BYTES])
        return text


class TooBig(LimitExceeded):
    """The message is larger than a message may be.

    head   its first limits.MESSAGE_HEAD_BYTES
    """

    def __init__(self, head: bytes) -> None:
        super().__init__(
            "message-too-big",
            f"The message is larger than {limits.MESSAGE_BYTES_MAX:,} bytes, which is the most "
            "that is accepted. Send it in several.",
            {"bytes-max": limits.MESSAGE_BYTES_MAX},
        )
        self.head = head


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of a long message that was read.

    echo        the part that errors repeat
    size_bytes  length of its text
    digest      digest of the steps of a transaction, else None
    """

    message: Up
    echo: bytes
    size_bytes: int
    digest: str | None
