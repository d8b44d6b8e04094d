"""What many sockets send: what one of them computes of it, the others find. No I/O.

What is kept with a frame or a part goes with it, so nothing has to be dropped by anybody.

deflated   left by the first socket that wants it so (`session/deflate.Deflater`, which alone
           writes it); b"" when that is not smaller; None: nobody asked
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SharedFrame(bytes):
    """A frame for many sockets: bytes to whoever does not care (but orjson, which takes no
    subclasses)."""

    deflated: bytes | None = None


@dataclass(slots=True, eq=False)
class SharedPart:
    """Bytes inside the frames of many sockets: a result in the answer to each who asks."""

    plain: bytes
    deflated: bytes | None = None


class JoinedFrame:
    """A frame for one socket around parts that others get too; `parts` joined are the frame.

    Nobody joins them but who writes them: an answer of 300 KB is not copied on its way.
    """

    __slots__ = ("_size_bytes", "parts")

    def __init__(self, parts: Sequence[bytes | SharedPart]) -> None:
        self.parts = parts
        self._size_bytes = sum(map(len, self.plain_parts()))

    def __len__(self) -> int:
        return self._size_bytes

    def plain_parts(self) -> list[bytes]:
        return [part.plain if isinstance(part, SharedPart) else part for part in self.parts]


Frame = bytes | JoinedFrame
"""One message, encoded."""


def plain(frame: Frame) -> bytes:
    """The bytes of a frame."""
    return b"".join(frame.plain_parts()) if isinstance(frame, JoinedFrame) else frame
