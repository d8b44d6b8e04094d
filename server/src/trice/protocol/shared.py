"""Frames and parts that many sockets send. They keep for all sockets what one computed. No I/O.

What a frame or part keeps is freed with it, so no cache has to be cleared.

deflated   the deflated form, made for the first socket that wants it. b"": it is not smaller than
           the plain one; None: not asked for. Only `session/deflate.Deflater` writes it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


class SharedFrame(bytes):
    """A frame for many sockets. It can be used as bytes, but not by orjson, which takes no
    subclasses."""

    deflated: bytes | None = None


@dataclass(slots=True, eq=False)
class SharedPart:
    """Bytes inside the frames of many sockets, such as a result in several answers."""

    plain: bytes
    deflated: bytes | None = None


@dataclass(slots=True, eq=False)
class SharedNews(SharedPart):
    """News that many sockets are sent alone, in a frame of the same label.

    framed   that frame, with its label, once a socket was sent it: the newest one
    """

    framed: tuple[int, SharedFrame] | None = None

    def frame(self, label: int, make: Callable[[], JoinedFrame]) -> SharedFrame:
        """The frame that says nothing else; `make` makes it for the first who asks."""
        if self.framed is None or self.framed[0] != label:
            self.framed = (label, SharedFrame(plain(make())))
        return self.framed[1]


class JoinedFrame:
    """A frame for one socket around parts that other sockets get too: its `parts`, joined.

    Only the code that writes to the socket joins them, so an answer of 300 KB is not copied before.
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
