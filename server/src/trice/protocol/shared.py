"""What many sockets send: what one of them computes of it, the others find. No I/O.

A frame is bytes to whoever does not care (but to orjson, which takes no subclasses). What is kept
with a frame or a part goes with it, so nothing has to be dropped by anybody.

deflated   left by the first socket that wants it so (`session/deflate.Deflater`, which alone
           writes it); b"" when that is not smaller; None: nobody asked
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SharedFrame(bytes):
    """A frame for many sockets."""

    deflated: bytes | None = None


@dataclass(slots=True, eq=False)
class SharedPart:
    """Bytes inside the frames of many sockets: a result in the answer to each who asks."""

    plain: bytes
    deflated: bytes | None = None


class JoinedFrame(bytes):
    """A frame for one socket around parts that others get too; `parts` joined are the frame."""

    parts: tuple[bytes | SharedPart, ...]


def join(parts: Sequence[bytes | SharedPart]) -> bytes:
    """The frame made of `parts`, which remembers them if one is shared."""
    whole = b"".join([part.plain if isinstance(part, SharedPart) else part for part in parts])
    if not any(isinstance(part, SharedPart) for part in parts):
        return whole
    frame = JoinedFrame(whole)
    frame.parts = tuple(parts)
    return frame
