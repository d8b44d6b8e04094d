"""What a stranger's message makes the loop do, metered in lines of Python: no clock is involved.

A line takes 30 to 100 ns, so as many as LINES_MAX take 20 ms. What C does in one call on the loop
is bounded by the size of what it is given (P110).
"""

from __future__ import annotations

import sys
import zlib

import pytest

from trice import limits
from trice.session.deflate import Inflating
from trice.session.incoming import Incoming

pytestmark = pytest.mark.interpreted("lines of Python are counted")

T1 = "e1000000-0000-4000-8000-000000000001"
LINES_MAX = 250_000
SHORT = limits.MESSAGE_BYTES_ON_LOOP - 300
LONG = 100_000
HUGE = limits.MESSAGE_BYTES_MAX - 300


class Meter:
    """Counts the lines that run on this thread."""

    def __init__(self):
        self.lines = 0

    def __enter__(self):
        sys.settrace(self._called)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _called(self, *_):
        return self._ran

    def _ran(self, frame, event, argument):
        self.lines += event == "line"
        return self._ran


def listed(unit, size):
    return "[" + ",".join([unit] * (size // (len(unit) + 1))) + "]"


def members(size):
    return "{" + ",".join(f'"k{n}":{{}}' for n in range(size // 12)) + "}"


VALUES = {
    "lists": lambda size: listed("[]", size),
    "nested lists": lambda size: listed("[[[[1]]]]", size),
    "objects": lambda size: listed('{"a":1}', size),
    "keys": members,
    "texts": lambda size: listed('"a"', size),
    "exponents": lambda size: listed("1.2e300", size),
    "one text": lambda size: '"' + "a,[{" * (size // 4) + '"',
    "deep": lambda size: "[" * (size // 2) + "]" * (size // 2),
    "broken": lambda size: "[1," * (size // 3),
    "NaN at the end": lambda size: listed("[]", size)[:-1] + ",NaN]",
}


def messages(attr):
    step = f'["add-triple","{T1}","{attr}",VALUE]'
    yield '{"op":"transact","client-event-id":"e","tx-steps":[STEP]}'.replace("STEP", step)
    yield '{"op":"transact","client-event-id":"e","tx-steps":VALUE}'
    yield '{"op":"transact","client-event-id":"e","tx-steps":[["add-triple",VALUE,1,2]]}'
    yield '{"op":"transact","client-event-id":"e","tx-steps":[VALUE]}'
    yield '{"op":"add-query","client-event-id":"e","q":VALUE}'
    yield '{"op":"add-query","client-event-id":"e","q":{"todos":VALUE}}'
    yield '{"op":"remove-query","client-event-id":"e","q":VALUE}'
    yield '{"op":"init","client-event-id":"e","app-id":VALUE}'
    yield '{"op":VALUE,"client-event-id":"e"}'
    yield '{"x":VALUE,"op":"transact","client-event-id":"e"}'
    yield "VALUE"


@pytest.mark.rule("P122")
@pytest.mark.parametrize(
    ("kind", "size"),
    [*((kind, size) for kind in VALUES for size in (SHORT, LONG)), ("one text", HUGE)],
)
async def test_no_message_holds_the_loop(stage, kind, size):
    value = VALUES[kind](size)
    writer = await stage.client()
    writer.say("transact", tx_steps=stage.create("people", T1))
    await writer.hear("transact-ok")
    for message in messages(stage.attr("people", "name")):
        client = await stage.client()
        raw = message.replace("VALUE", value).encode()
        with Meter() as meter:
            client.session.receive(raw)
            await client.hear()
        assert meter.lines <= LINES_MAX, message
        assert client.closed is None
        client.hang_up()


@pytest.mark.rule("P122", "P112")
async def test_no_bomb_holds_the_loop(stage):
    client = await stage.client()
    raw = b'{"op":"transact","client-event-id":"e","tx-steps":%b}' % listed("[]", HUGE).encode()
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = (deflater.compress(raw) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(payload) < 20_000
    with Meter() as meter:
        client.session.receive(Incoming(Inflating(payload), size_bytes=len(payload)))
        error = await client.hear()
    assert meter.lines <= LINES_MAX
    assert error["type"] == "message-too-big"
