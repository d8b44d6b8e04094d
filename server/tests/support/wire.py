"""What a client of a WebSocket sends, and the server's transport: picows without a network."""

from __future__ import annotations

import asyncio


def masked(first_byte, payload):
    """A frame of a client, with a mask of zeros."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([first_byte]) + length + bytes(4) + payload


HANDSHAKE = (
    b"GET /runtime/session HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Wire(asyncio.Transport):
    """The transport that picows writes to, and asks for the address."""

    def __init__(self, peer):
        super().__init__({"peername": ("127.0.0.1", 1), "socket": peer})
        self.written = b""
        self.is_reading = True
        self.is_closed = False

    def write(self, data):
        self.written += bytes(data)

    def writelines(self, pieces):
        self.write(b"".join(pieces))

    def get_write_buffer_size(self):
        return 0

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True

    def close(self):
        self.is_closed = True

    def abort(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed
