"""Frames as bytes: each behind its length in 4 bytes. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

import msgspec

from trice.functions.frames import FRAME_BYTES_MAX, ToServer, ToWorker

F = TypeVar("F")

_HEAD_BYTES: Final = 4
_encoder: Final = msgspec.msgpack.Encoder()


class BadFrameError(Exception):
    """What came is no frame."""


def dump_frame(frame: ToServer | ToWorker) -> bytes:
    """raises   BadFrameError if it is longer than FRAME_BYTES_MAX"""
    # The head is put in place afterwards: one buffer, no copy of the body.
    buffer = bytearray(_HEAD_BYTES)
    _encoder.encode_into(frame, buffer, _HEAD_BYTES)
    size = len(buffer) - _HEAD_BYTES
    if size > FRAME_BYTES_MAX:
        raise BadFrameError(f"a frame has {size} bytes; {FRAME_BYTES_MAX} is the most")
    buffer[:_HEAD_BYTES] = size.to_bytes(_HEAD_BYTES, "big")
    return bytes(buffer)


class FrameReader(Generic[F]):
    """Puts bytes together to frames of one direction. Holds at most one frame that is not whole.

    decoder   of that direction
    """

    def __init__(self, decoder: msgspec.msgpack.Decoder[F]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[F, int]]:
        """The frames that are whole with `data`, each with its bytes.

        raises   BadFrameError, after the frames before it
        """
        self._buffer += data
        begin = 0
        try:
            while (size := self._size_at(begin)) is not None:
                end = begin + _HEAD_BYTES + size
                if end > len(self._buffer):
                    break
                with memoryview(self._buffer) as view, view[begin + _HEAD_BYTES : end] as body:
                    frame = self._decode(body)
                begin = end
                yield frame, size
        finally:
            del self._buffer[:begin]

    def _size_at(self, place: int) -> int | None:
        if len(self._buffer) - place < _HEAD_BYTES:
            return None
        size = int.from_bytes(self._buffer[place : place + _HEAD_BYTES], "big")
        if size > FRAME_BYTES_MAX:
            raise BadFrameError(f"a frame has {size} bytes; {FRAME_BYTES_MAX} is the most")
        return size

    def _decode(self, body: memoryview) -> F:
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, ValueError, RecursionError) as cause:
            raise BadFrameError("what came is no frame of this direction") from cause


def server_reader() -> FrameReader[ToServer]:
    """Reads what a worker sends."""
    return FrameReader(msgspec.msgpack.Decoder(ToServer))


def worker_reader() -> FrameReader[ToWorker]:
    """Reads what the server sends."""
    return FrameReader(msgspec.msgpack.Decoder(ToWorker))
