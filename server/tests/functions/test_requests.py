"""`ctx.http`: where requests may go, what they may bring, when they end."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from support.patience import POLL_S
from support.webhook_receiver import Receiver, answer, receiving
from trice import reach_limits
from trice.functions import Http, RefusedError, connecting
from trice.functions.connecting import Transport
from trice.functions.outgoing import Outgoing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Call:
    """A call of an action, as `ctx.http` sees it.

    addresses   what each host name resolves to; a host that has none is unknown
    looked_up   each look-up of a name
    """

    def __init__(self, *, allows_private: bool) -> None:
        self.addresses: dict[str, list[list[str]]] = {}
        self.looked_up: list[str] = []
        self.at_end: list[Any] = []
        self.call = SimpleNamespace(call=1, trace=TRACE, seed="s")
        self.channel = SimpleNamespace(reach=asyncio.sleep)
        outgoing = Outgoing()
        self.transport = Transport(allows_private=allows_private, resolve=self._resolve)

        async def made() -> httpx.AsyncBaseTransport:
            return self.transport

        outgoing.transport = made  # type: ignore[method-assign]
        running: Any = self
        self.http = Http(running, outgoing)

    async def _resolve(self, host: str, port: int) -> list[str]:
        self.looked_up.append(host)
        if host in self.addresses:
            return self.addresses[host].pop(0)
        if re.fullmatch(r"[\d.]+", host):
            return [host]
        raise OSError("no such host")

    def end(self) -> None:
        for each in self.at_end:
            each()


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    made = Call(allows_private=True)
    yield made
    await made.transport.aclose()


@pytest.fixture
async def public() -> AsyncIterator[Call]:
    """Private addresses are not reached."""
    made = Call(allows_private=False)
    yield made
    await made.transport.aclose()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.mark.rule("FN502", "FN503")
async def test_a_request_is_that_of_httpx(call: Call, receiver: Receiver) -> None:
    receiver.answers = [
        answer(201, '{"a": 1}', headers="set-cookie: id=7\r\n"),
        *(answer(200, "") for _ in range(5)),
    ]
    made = await call.http.post(receiver.url("/a?x=1"), json={"b": 2}, headers={"x-own": "y"})
    assert (made.status_code, made.json()) == (201, {"a": 1})
    for method in ("get", "put", "patch", "delete", "head"):
        await getattr(call.http, method)(receiver.url("/b"))
    first, *others = receiver.got
    assert (first.path, first.body, first.headers["x-own"]) == ("/a?x=1", {"b": 2}, "y")
    spans = [
        re.fullmatch(f"00-{TRACE}-([0-9a-f]{{16}})-01", each.headers["traceparent"])
        for each in receiver.got
    ]
    assert len({each[1] for each in spans if each is not None}) == 6
    assert {each.headers["cookie"] for each in others} == {"id=7"}
    other = Call(allows_private=True)
    await other.http.get(receiver.url(), headers={"traceparent": "own"})
    assert "cookie" not in receiver.got[-1].headers, "cookies are those of one call"
    assert receiver.got[-1].headers["traceparent"] == "own"
    await other.transport.aclose()


@pytest.mark.rule("FN501")
@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["169.254.169.254"], ["10.0.0.1"], ["::1"], ["8.8.8.8", "192.168.1.1"]],
)
async def test_private_addresses_are_not_reached(
    public: Call, receiver: Receiver, addresses: list[str]
) -> None:
    port = receiver.url("").rpartition(":")[2]
    public.addresses["inside.example"] = [addresses]
    with pytest.raises(httpx.ConnectError, match=r"inside\.example is not on the public internet"):
        await public.http.get(f"http://inside.example:{port}/")
    with pytest.raises(httpx.ConnectError, match="TRICE_FUNCTIONS_PRIVATE"):
        await public.http.get(receiver.url())
    assert receiver.got == []


@pytest.mark.rule("FN501")
async def test_a_name_is_looked_up_once_and_that_address_is_connected_to(
    call: Call, receiver: Receiver
) -> None:
    """Else a name that leads elsewhere at the second look-up would pass the check."""
    port = receiver.url("").rpartition(":")[2]
    call.addresses["a.example"] = [["127.0.0.1"]]
    await call.http.get(f"http://a.example:{port}/")
    assert call.looked_up == ["a.example"]
    assert receiver.got[0].headers["host"] == f"a.example:{port}"
    call.addresses["b.example"] = [["127.255.255.254", "127.0.0.1"]]
    await call.http.get(f"http://b.example:{port}/")
    with pytest.raises(httpx.ConnectError, match=r"c\.example is unknown"):
        await call.http.get(f"http://c.example:{port}/")
    with pytest.raises(httpx.UnsupportedProtocol):
        await call.http.get("file:///etc/passwd")


@pytest.mark.rule("FN501", "FN502")
async def test_redirects_are_followed_if_it_is_said_and_checked_like_any(
    public: Call, receiver: Receiver, monkeypatch: Any
) -> None:
    call = public
    monkeypatch.setattr(connecting, "is_public", lambda address: address != "10.0.0.1")
    away = answer(302, headers="location: http://inside.example/\r\n")
    receiver.answers = [away, away]
    assert (await call.http.get(receiver.url())).status_code == 302
    call.addresses["inside.example"] = [["10.0.0.1"]]
    with pytest.raises(httpx.ConnectError, match=r"inside\.example is not on the public"):
        await call.http.get(receiver.url(), follow_redirects=True)
    receiver.choose = lambda got: answer(302, headers=f"location: {receiver.url()}\r\n")
    before = len(receiver.got)
    with pytest.raises(httpx.TooManyRedirects):
        await call.http.get(receiver.url(), follow_redirects=True)
    assert len(receiver.got) - before == reach_limits.HTTP_REDIRECTS_MAX + 1


@pytest.mark.rule("FN502")
async def test_an_answer_is_bounded_packed_or_not(
    call: Call, receiver: Receiver, monkeypatch: Any
) -> None:
    monkeypatch.setattr(reach_limits, "HTTP_BYTES_MAX", 100_000)
    small, bomb = gzip.compress(b"ok" * 1_000), gzip.compress(b"\0" * 50_000_000)

    def packed(data: bytes, coding: str = "gzip") -> bytes:
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(data)}\r\ncontent-encoding: {coding}\r\n"
        return head.encode() + b"\r\n" + data

    receiver.answers = [
        packed(small + gzip.compress(b"more")),
        packed(bomb),
        answer(200, "x" * 100_001),
        packed(b"?"),
        packed(b"???"),
        packed(small, "br"),
        packed(small, "gzip, gzip"),
    ]
    made = await call.http.get(receiver.url())
    assert made.content == b"ok" * 1_000 + b"more" and "content-encoding" not in made.headers
    assert receiver.got[0].headers["accept-encoding"] == "identity"
    for told in ("more than 100,000 bytes", "more than 100,000 bytes"):
        with pytest.raises(httpx.ReadError, match=told):
            await call.http.get(receiver.url())
    for told in (
        "ends in the middle",
        "cannot be unpacked",
        "packed as br",
        "packed as gzip, gzip",
    ):
        with pytest.raises(httpx.DecodingError, match=told):
            await call.http.get(receiver.url())


@pytest.mark.rule("FN502")
async def test_more_comes_and_goes_in_pieces(
    call: Call, receiver: Receiver, monkeypatch: Any
) -> None:
    monkeypatch.setattr(reach_limits, "HTTP_BYTES_MAX", 10)
    monkeypatch.setattr(reach_limits, "HTTP_PIECES_BYTES_MAX", 300_000)
    receiver.answers = [answer(200, "line\n" * 50_000), answer(200, "x" * 300_001)]
    async with call.http.stream("GET", receiver.url()) as made:
        assert sum([1 async for _ in made.aiter_lines()]) == 50_000
    with pytest.raises(httpx.ReadError, match="300,000"):
        async with call.http.stream("GET", receiver.url()) as made:
            async for _ in made.aiter_bytes():
                pass

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100_000

    with pytest.raises(httpx.WriteError, match="more than 300,000"):
        await call.http.post(receiver.url(), content=endless())


@pytest.mark.rule("FN502")
async def test_a_request_ends_when_its_time_is_over(call: Call, receiver: Receiver) -> None:
    receiver.choose = lambda got: None
    with pytest.raises(httpx.ReadTimeout, match="took longer than"):
        await call.http.get(receiver.url(), timeout=POLL_S)
    with pytest.raises(httpx.ReadTimeout):
        async with call.http.stream("GET", receiver.url(), timeout=POLL_S):
            pass


@pytest.mark.rule("FN502", "FN503")
async def test_few_are_under_way_and_all_end_with_their_call(
    call: Call, receiver: Receiver
) -> None:
    receiver.choose = lambda got: None
    most = reach_limits.HTTP_AT_ONCE
    left = [
        asyncio.ensure_future(call.http.get(receiver.url(), timeout=None)) for _ in range(most + 3)
    ]
    await receiver.deliveries(most)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(receiver.got) == most
    call.end()
    await asyncio.wait(left)
    assert all(each.cancelled() for each in left)
    with pytest.raises(RefusedError, match="The call has ended"):
        await call.http.get(receiver.url())
