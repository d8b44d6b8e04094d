"""Compression of WebSocket messages: permessage-deflate without context takeover. No I/O.

Every message is deflated by itself, on both sides. So a frame for many sockets is deflated once,
its form is sent to all who agreed, and a silent connection keeps no window (27 KB each otherwise).
Parts that many frames have in common, a result in the answers to all who ask the same, are
deflated once too: each part ends at a byte, refers to nothing outside, and is joined with others.

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
"""What every flush ends with; left out of a message, and put back to read one (RFC 7692 §7.2)."""
_FINAL_BLOCK_PADDING: Final = b"\x00"
"""What follows a block that is marked as the last: with the tail, an empty one (§7.2.3.4)."""

_LEVEL: Final = 1
_SMALL_BYTES: Final = 16 * 1024
_SMALL_WINDOW: Final = (-13, 6)
_WINDOW: Final = (-15, 8)
"""Window bits and memory level; negative bits: no zlib header. A compressor of the larger kind
takes 13 µs to make, of the smaller 0.5, and small frames come out the same."""

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_OFFER: Final = re.compile(rf"[ \t]*+({_TOKEN})[ \t]*+")
_PARAMETER: Final = re.compile(
    rf";[ \t]*+({_TOKEN})[ \t]*+(?:=[ \t]*+(?:({_TOKEN})|\"((?:[^\"\\]|\\.)*+)\")[ \t]*+)?"
)
_BITS: Final = re.compile("[89]|1[0-5]")

Parameters = list[tuple[str, str | None]]
"""Name and value of each, None where only the name stands."""


def agree(headers: Iterable[str]) -> str | None:
    """The `Sec-WebSocket-Extensions` to answer to those of a handshake.

    headers   one item for each such header; each may hold several offers
    returns   the first offer that can be kept, as it is kept; None: frames travel plain
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
                # A shared frame has one window: who cannot hold the largest gets plain frames.
                if value != _LARGEST_WINDOW:
                    return None
                answer += f"; server_max_window_bits={_LARGEST_WINDOW}"
            case "client_max_window_bits":
                # Whatever window the client uses can be read.
                if value is not None and not _BITS.fullmatch(value):
                    return None
            case _:
                return None
    return answer


def _offers(header: str) -> Iterator[tuple[str, Parameters]]:
    """Each extension that a header offers; nothing from where it breaks the grammar on."""
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
    """A deflated message on its way to being read: inflated in two calls, the second of which may
    run on a thread (zlib lets others run meanwhile).

    payload   of the whole message, without the tail
    """

    __slots__ = ("_inflated", "_inflater")

    def __init__(self, payload: bytes | bytearray) -> None:
        self._inflater = zlib.decompressobj(wbits=-15)
        self._inflated = self._inflate(bytes(payload) + _TAIL, limits.MESSAGE_BYTES_ON_LOOP + 1)

    @property
    def head(self) -> bytes:
        """The beginning: limits.MESSAGE_BYTES_ON_LOOP bytes and one more, or the whole message."""
        return self._inflated

    @property
    def is_whole(self) -> bool:
        return len(self._inflated) <= limits.MESSAGE_BYTES_ON_LOOP

    def whole(self) -> bytes:
        """The message, or MESSAGE_BYTES_MAX and one byte more of it.

        raises    MustClose(1007) when it is no deflated form
        cost      3 ms a MB; stops at the limit, however much more it would become
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
    """Deflates frames for all sockets that agreed to it. Holds counts; what it makes of what
    is shared is kept there (`protocol/shared.py`)."""

    def __init__(self) -> None:
        self.counts = DeflateCounts()

    def find_deflated(self, frame: Frame) -> bytes | None:
        """The payload to send instead of `frame`, marked with RSV1.

        returns  None to send it plain: it is smaller than limits.DEFLATE_BYTES_MIN, larger than
                 DEFLATE_BYTES_MAX, or would not become smaller
        cost     3.5 µs a KB; for what is shared once
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
        """The form kept with `shared`, made if it is not there; b"" when it is not smaller."""
        if shared.deflated is None:
            self.counts.deflated += 1
            deflated = self._deflate(plain)
            shared.deflated = deflated if len(deflated) < len(plain) else b""
        return shared.deflated

    def _of_parts(self, parts: Iterable[bytes | SharedPart]) -> bytes:
        """One message of parts: the shared ones as they are kept, the others made for it."""
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
        """One part of a message, without the tail: ends at a byte, refers to nothing before it."""
        window_bits, memory_level = _SMALL_WINDOW if len(data) <= _SMALL_BYTES else _WINDOW
        deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, window_bits, memory_level)
        deflated = deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)
        deflated = deflated[: -len(_TAIL)]
        self.counts.bytes_before += len(data)
        self.counts.bytes_after += len(deflated)
        return deflated
