"""A noisy app: many sockets from many addresses that write, ask and listen as fast as they are
answered. A process of its own, so that it takes no time of the loop that measures.

    python flood.py URL APP_ID SOCKETS        until it is killed; prints "flooding" once it is

Of four sockets, two write (four transactions in flight each), one asks queries that nobody asked
before, and one listens to what the writers change.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable

import uvloop

from connection import Connection
from data import Writer, add_query, new_ids

IN_FLIGHT = 4
ADDRESSES = 20
"""On loopback; a client's network is an address, and has bounds of its own."""

_ACK = b'"transact-ok"'
_ANSWER = b'"add-query-ok"'
_ERROR = b'"error"'


async def flood(url: str, app_id: str, sockets: int) -> None:
    connections = [
        await Connection.open(url, app_id, address=f"127.0.1.{1 + n % ADDRESSES}")
        for n in range(sockets)
    ]
    numbers = itertools.count()
    writer = Writer(connections[0].attrs)
    for n, connection in enumerate(connections):
        if n % 4 == 3:
            shown = {"todos": {"$": {"where": {"priority": {"$gt": 0}}, "limit": 10 + n}}}
            connection.on_message = lambda _: None
            connection.send(add_query(shown))
        elif n % 4 == 2:
            connection.on_message = _asker(connection, numbers)
            connection.send(_question(next(numbers)))
        else:
            connection.on_message = _writer(connection, writer, numbers)
            for _ in range(IN_FLIGHT):
                connection.send(writer.create(next(numbers)))
    sys.stdout.write("flooding\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def _writer(
    connection: Connection, writer: Writer, numbers: itertools.count[int]
) -> Callable[[bytes], None]:
    """Sends the next write for each that is answered, be it refused."""

    def on_message(payload: bytes) -> None:
        for _ in range(payload.count(_ACK) + payload.count(_ERROR)):
            connection.send(writer.create(next(numbers)))

    return on_message


def _asker(connection: Connection, numbers: itertools.count[int]) -> Callable[[bytes], None]:
    """Asks the next query when one is answered, and ends that."""
    asked = 0

    def on_message(payload: bytes) -> None:
        nonlocal asked
        for _ in range(payload.count(_ANSWER) + payload.count(_ERROR)):
            connection.send(b'{"op":"remove-query","q":%b}' % _source(asked))
            asked = next(numbers)
            connection.send(_question(asked))

    return on_message


def _source(number: int) -> bytes:
    return b'{"todos":{"$":{"where":{"priority":{"$gt":%d}},"limit":100}}}' % number


def _question(number: int) -> bytes:
    (event_id,) = new_ids(1)
    return b'{"op":"add-query","client-event-id":"%b","q":%b}' % (
        event_id.encode(),
        _source(number),
    )


if __name__ == "__main__":
    uvloop.run(flood(sys.argv[1], sys.argv[2], int(sys.argv[3])))
