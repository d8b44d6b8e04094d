"""Compression of WebSocket messages: permessage-deflate without context takeover. No I/O.

Every message is deflated by itself, on both sides. So a frame for many sockets is deflated once
and sent to all clients that agreed, and a silent connection keeps no window (27 KB each otherwise).
Parts that many frames have in common, such as one result in many answers, are deflated once too:
each part ends at a byte, refers to nothing outside itself, and can be joined with others.

source   RFC 7692; measured on refreshes: level 1 makes them 4.5 (4 KB) to 7 times smaller (300 KB)
         at 3.5 µs a KB, level 6 8 times at three times the cost
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from trice import limits
from trice.metrics import DeflateCounts
from trice.protocol.errors import BAD_DATA
from trice.protocol.shared import Frame, JoinedFrame, SharedFrame, SharedPart
from trice.session.socket import MustClose

_NAME: Final = "permessage-deflate"
_ANSWER: Final = f"{_NAME}; server_no_context_takeover; client_no_context_takeover"
_LARGEST_WINDOW: Final = "15"

_TAIL: Final = b"\x00\x00\xff\xff"
"""The end of every flush; left out of a message, and put back to read one (RFC 7692 §7.2)."""
_FINAL_BLOCK_PADDING: Final = b"\x00"
"""It follows a block that is marked as the last. With the tail it is an empty block (§7.2.3.4)."""

_LEVEL: Final = 1
_SMALL_BYTES: Final = 16 * 1024
_SMALL_WINDOW: Final = (-13, 6)
_WINDOW: Final = (-15, 8)
"""Window bits (negative: no zlib header) and memory level. A compressor with a large window takes
13 µs to make, one with a small window 0.5 µs; small frames become the same."""

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_OFFER: Final = re.compile(rf"[ \t]*+({_TOKEN})[ \t]*+")
_PARAMETER: Final = re.compile(
    rf";[ \t]*+({_TOKEN})[ \t]*+(?:=[ \t]*+(?:({_TOKEN})|\"((?:[^\"\\]|\\.)*+)\")[ \t]*+)?"
)
_BITS: Final = re.compile("[89]|1[0-5]")

Parameters = list[tuple[str, str | None]]
"""Name and value of each parameter; None if there is only the name."""


def agree(headers: Iterable[str]) -> str | None:
    """The `Sec-WebSocket-Extensions` of the answer to a handshake.

    headers   the headers of that name in the request; each may hold several offers
    returns   the answer to the first offer that can be kept; None: frames travel plain
    """
    for header in headers:
        for name, parameters in _offers(header):
            if name == _NAME and (answer := _accept(parameters)) is not None:
                return answer
    return None


def _accept(parameters: Parameters) -> str | None:
    """The answer to one offer, None to decline it (RFC 7692 §7.1)."""
    answer = _ANSWER
    seen = set()
    for name, value in parameters:
        if name in seen:
            return None
        seen.add(name)
        match name:
            case "server_no_context_takeover" | "client_no_context_takeover":
                if value is not None:
                    return None
            case "server_max_window_bits":
                # A shared frame has one window: a client that cannot hold the largest gets plain
                # frames.
                if value != _LARGEST_WINDOW:
                    return None
                answer += f"; server_max_window_bits={_LARGEST_WINDOW}"
            case "client_max_window_bits":
                # The server can read any window that the client uses.
                if value is not None and not _BITS.fullmatch(value):
                    return None
            case _:
                return None
    return answer


def _offers(header: str) -> Iterator[tuple[str, Parameters]]:
    """Each extension that a header offers, up to where the header breaks the grammar."""
    position = 0
    while (found := _OFFER.match(header, position)) is not None:
        parameters: Parameters = []
        position = found.end()
        while (parameter := _PARAMETER.match(header, position)) is not None:
            name, token, quoted = parameter.groups()
            value = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.append((name, value))
            position = parameter.end()
        if position < len(header) and header[position] != ",":
            return
        position += 1
        yield found[1], parameters


class Inflating:
    """A deflated message that is being read. It is inflated in two calls, the second of which may
    run on a thread (zlib lets other threads run meanwhile).

    payload   that of the whole message, without the tail
    """

    __slots__ = ("_inflated", "_inflater")

    def __init__(self, payload: bytes | bytearray) -> None:
        self._inflater = zlib.decompressobj(wbits=-15)
        self._inflated = self._inflate(bytes(payload) + _TAIL, limits.MESSAGE_BYTES_ON_LOOP + 1)

    @property
    def head(self) -> bytes:
        """The beginning: limits.MESSAGE_BYTES_ON_LOOP bytes and one more, or all of a shorter
        message."""
        return self._inflated

    @property
    def is_whole(self) -> bool:
        return len(self._inflated) <= limits.MESSAGE_BYTES_ON_LOOP

    def whole(self) -> bytes:
        """The message, or its first MESSAGE_BYTES_MAX bytes and one more.

        raises    MustClose(1007) when the payload cannot be inflated
        cost      3 ms a MB; stops at that size, however long the message would become
        """
        if not self.is_whole:
            rest_bytes = limits.MESSAGE_BYTES_MAX + 1 - len(self._inflated)
            rest = self._inflate(self._inflater.unconsumed_tail, rest_bytes)
            self._inflated += rest
        inflater = self._inflater
        if inflater.eof and inflater.unused_data not in (_TAIL, _FINAL_BLOCK_PADDING + _TAIL):
            raise MustClose(BAD_DATA, "data after the last block")
        return self._inflated

    def _inflate(self, data: bytes, bytes_max: int) -> bytes:
        try:
            return self._inflater.decompress(data, bytes_max)
        except zlib.error as cause:
            raise MustClose(BAD_DATA, "not deflated") from cause


class Deflater:
    """Deflates frames for all sockets that agreed to it. Holds counts. The deflated forms of shared
    frames and parts are kept with these (`protocol/shared.py`)."""

    def __init__(self) -> None:
        self.counts = DeflateCounts()

    def find_deflated(self, frame: Frame) -> bytes | None:
        """The payload to send instead of `frame`, marked with RSV1.

        returns  None to send it plain: it is smaller than limits.DEFLATE_BYTES_MIN, larger than
                 DEFLATE_BYTES_MAX, or would not become smaller
        cost     3.5 µs a KB; for a shared frame or part only once
        """
        if not limits.DEFLATE_BYTES_MIN <= len(frame) <= limits.DEFLATE_BYTES_MAX:
            return None
        match frame:
            case SharedFrame():
                found = self._kept(frame, frame)
            case JoinedFrame():
                found = self._of_parts(frame.parts)
            case _:
                self.counts.deflated += 1
                found = self._deflate(frame)
        if len(found) >= len(frame) or not found:
            return None
        self.counts.sent += 1
        return found

    def _kept(self, shared: SharedFrame | SharedPart, plain: bytes) -> bytes:
        """The deflated form kept with `shared`, made if need be; b"" when it is not smaller."""
        if shared.deflated is None:
            self.counts.deflated += 1
            deflated = self._deflate(plain)
            shared.deflated = deflated if len(deflated) < len(plain) else b""
        return shared.deflated

    def _of_parts(self, parts: Iterable[bytes | SharedPart]) -> bytes:
        """One message made of parts: shared ones as they are kept, the others deflated for it."""
        pieces: list[bytes] = []
        own: list[bytes] = []
        for part in parts:
            if isinstance(part, bytes):
                own.append(part)
                continue
            is_small = len(part.plain) < limits.DEFLATE_BYTES_MIN
            deflated = b"" if is_small else self._kept(part, part.plain)
            if not deflated:
                own.append(part.plain)
                continue
            if own:
                pieces.append(self._deflate(b"".join(own)))
                own = []
            pieces.append(deflated)
        if not pieces:
            self.counts.deflated += 1
        if own:
            pieces.append(self._deflate(b"".join(own)))
        return _TAIL.join(pieces)

    def _deflate(self, data: bytes) -> bytes:
        """Deflate one part of a message, without the tail. It ends at a byte and refers to nothing
        before it."""
        window_bits, memory_level = _SMALL_WINDOW if len(data) <= _SMALL_BYTES else _WINDOW
        deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, window_bits, memory_level)
        deflated = deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)
        deflated = deflated[: -len(_TAIL)]
        self.counts.bytes_before += len(data)
        self.counts.bytes_after += len(deflated)
        return deflated
