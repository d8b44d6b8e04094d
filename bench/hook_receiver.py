"""A receiver of webhooks, in a process of its own: counts deliveries by path.

    POST /fast/…   200 at once        POST /slow/…   200 after three seconds
    GET /count     {"fast": 17, …}

Prints its port, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

SLOW_S = 3


async def main() -> None:
    counts: Counter[str] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, _ = head.split(" ", 2)
            body = b""
            if method == "POST":
                size = int(head.lower().split("content-length:")[1].split("\r\n")[0])
                await reader.readexactly(size)
                kind = path.split("/")[1]
                if kind == "slow":
                    await asyncio.sleep(SLOW_S)
                counts[kind] += 1
            else:
                body = json.dumps(counts).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=500)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
