"""Attacks by webhooks: their receivers, their names, their number, and what they are told of."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from process import SCHEMA
from stage import Attack, Stage
from stranger import App

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]

PRIVATE = {"TRICE_WEBHOOKS_PRIVATE": "1"}
"""Receivers of the stranger are on this machine."""

REBINDING = {
    "PYTHONPATH": os.pathsep.join(
        filter(None, (str(Path(__file__).with_name("rebinding")), os.environ.get("PYTHONPATH")))
    )
}

OF_APP = 5
"""Active webhooks of a throw-away app."""

PRIVATE_HOSTS = (
    *("localhost", "localhost.", "LOCALHOST", "127.0.0.1", "127.0.0.1.", "127.1", "0", "0.0.0.0"),
    *("2130706433", "0x7f.0.0.1", "017700000001", "[::1]", "[::]", "[::ffff:127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[fe80::1]", "10.0.0.1", "100.64.0.1", "169.254.169.254"),
)

WAIT_S = 30
"""How long deliveries are waited for."""


class Receiver:
    """The stranger's server. `asked` counts requests by the first part of their path, and `open`
    has the connections that it holds."""

    def __init__(self, answer: Answer) -> None:
        self.asked: Counter[str] = Counter()
        self.url = ""
        self.most_open = 0
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1_000)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):  # the receiver ends
            await self._answer_one(task, reader, writer)

    async def _answer_one(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.most_open = max(self.most_open, len(self._tasks))
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode("latin-1")
            self.asked[path.split("/")[1]] += 1
            await self._answer(reader, writer, path)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self.asked["unreadable"] += 1
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


async def _hook(stage: Stage, app: App, url: str, **more: Any) -> Any:
    body = {"url": url, "namespaces": ["todos"], "actions": ["create", "update", "delete"], **more}
    return await stage.stranger.as_admin(app, f"/dash/apps/{app.id}/webhooks", body)


async def _write(stage: Stage, app: App, count: int, *, entities: int = 1, size: int = 10) -> None:
    """So many transactions, one after the other."""
    for number in range(count):
        steps = [
            [
                "update",
                "todos",
                _uuid(number * entities + each),
                {"title": "x" * size, "done": True},
            ]
            for each in range(entities)
        ]
        await stage.stranger.as_admin(app, "/admin/transact", {"steps": steps})


async def _apps(stage: Stage, count: int) -> list[App]:
    return [await stage.stranger.new_app(SCHEMA) for _ in range(count)]


async def _with_hooks(stage: Stage, apps: list[App], url: Callable[[int], str]) -> None:
    """As many webhooks for each app as it may have."""

    for n in range(len(apps) * OF_APP):
        await _hook(stage, apps[n // OF_APP], url(n))


async def by_the_thousand(stage: Stage) -> None:
    """Far more webhooks than an app may have, many at once, to names that must be looked up."""
    apps = await _apps(stage, 4)

    async def ask(n: int) -> None:
        await _hook(stage, apps[n % len(apps)], f"https://h{n}.invalid/hook/{n}")

    began = time.monotonic()
    for _ in range(100 if stage.force.repeats > 1 else 3):
        await stage.at_once(100, ask)
        if time.monotonic() - began > 4 * WAIT_S:
            break


async def to_this_machine(stage: Stage) -> None:
    """URLs that lead to this machine, or to a network that only it reaches, written in all ways."""
    (app,) = await _apps(stage, 1)
    async with Receiver(_ok) as inside:
        for host in PRIVATE_HOSTS:
            for scheme in ("https", "http"):
                await _hook(stage, app, f"{scheme}://{host}:{inside.port}/")
                await _hook(stage, app, f"{scheme}://example.com@{host}:{inside.port}/")
        await _write(stage, app, 5)
        await asyncio.sleep(min(stage.force.hold_s, 3))
        _check_untouched(inside)


async def names_that_move(stage: Stage) -> None:
    """A name that leads to the public internet when the webhook is made, and then to this machine
    (DNS rebinding)."""
    apps = await _apps(stage, 2)
    async with Receiver(_ok) as inside:
        url = f"https://{{}}.rebinding.test:{inside.port}/"
        await _with_hooks(stage, apps, lambda n: url.format(f"n{n}"))
        for app in apps:
            await _write(stage, app, 3)
        for _ in range(WAIT_S * 5):
            if await _failed_to_connect(stage, apps) == len(apps) * OF_APP:
                break
            await asyncio.sleep(0.2)
        else:
            raise RuntimeError("deliveries to names that moved have no outcome")
        _check_untouched(inside)


async def _failed_to_connect(stage: Stage, apps: list[App]) -> int:
    """How many webhooks have an event that was not sent, as its host is not public."""
    count = 0
    for app in apps:
        headers = {"authorization": f"Bearer {app.token}"}
        path = f"/dash/apps/{app.id}/webhooks"
        found = await stage.stranger.send("GET", path, b"", headers, is_setup=True)
        for hook in found["webhooks"]:
            events = f"{path}/{hook['id']}/events"
            told = await stage.stranger.send("GET", events, b"", headers, is_setup=True)
            attempts = [at for event in told["events"] for at in event["attempts"] or ()]
            count += any("not on the public" in (at["error-message"] or "") for at in attempts)
    return count


async def that_lead_elsewhere(stage: Stage) -> None:
    """Receivers that redirect deliveries to a service of this machine."""
    apps = await _apps(stage, 2)
    async with Receiver(_ok) as inside:

        async def redirect(_: Any, writer: asyncio.StreamWriter, path: str) -> None:
            status = path.split("/")[1]
            writer.write(
                f"HTTP/1.1 {status} Elsewhere\r\nLocation: {inside.url}/\r\n"
                f"Refresh: 0; url={inside.url}/\r\nContent-Length: 0\r\n\r\n".encode()
            )
            await writer.drain()

        async with Receiver(redirect) as outside:
            codes = (301, 302, 303, 307, 308)
            await _with_hooks(stage, apps, lambda n: f"{outside.url}/{codes[n % 5]}/{n}")
            for app in apps:
                await _write(stage, app, 3)
            await _until(lambda: len(outside.asked) == len(codes))
            _check_untouched(inside)


async def that_never_answer(stage: Stage) -> None:
    """Receivers that take a delivery and say nothing, or a byte now and then."""
    apps = await _apps(stage, min(stage.force.apps, 40))

    async def crawl(_: Any, writer: asyncio.StreamWriter, path: str) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nX-A: " + b"x" * 10_000
        for at in range(len(head)):
            if path.startswith("/crawl"):
                writer.write(head[at : at + 1])
                await writer.drain()
            await asyncio.sleep(0.5)

    async with Receiver(crawl) as outside:
        kinds = ("crawl", "silent")
        await _with_hooks(stage, apps, lambda n: f"{outside.url}/{kinds[n % 2]}/{n}")

        async def fill(n: int) -> None:
            await _write(stage, apps[n], 10 * stage.force.repeats)

        await stage.at_once(len(apps), fill)
        await _until(lambda: sum(outside.asked.values()) >= min(OF_APP, len(apps)))
        await asyncio.sleep(stage.force.hold_s)
        stage.stranger.heard.note(f"{outside.most_open} deliveries at once")


async def without_an_end(stage: Stage) -> None:
    """Answers without an end: of interim answers, header lines, and bodies, as fast as they go."""
    apps = await _apps(stage, 3)
    endless = {
        "interim": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 200),
        "headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"x" * 1_000 + b"\r\n"),
        "line": (b"HTTP/1.1 200 ", b"x" * 60_000),
        "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n", b"x" * 60_000),
        "chunks": (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n" * 5_000,
        ),
    }

    async def flood(_: Any, writer: asyncio.StreamWriter, path: str) -> None:
        head, piece = endless[path.split("/")[1]]
        writer.write(head)
        for _ in range(stage.force.megabytes * 20):
            writer.write(piece)
            await writer.drain()

    async with Receiver(flood) as outside:
        await _with_hooks(stage, apps, lambda n: f"{outside.url}/{list(endless)[n % 5]}/{n}")
        for app in apps:
            await _write(stage, app, 40 * stage.force.repeats)
        await _until(lambda: endless.keys() <= outside.asked.keys())


async def storm_of_events(stage: Stage) -> None:
    """Transactions as fast as they go, large ones among them; receivers refuse each delivery, and
    ask for its payload again and again."""
    apps = await _apps(stage, min(stage.force.apps, 10))

    async def refuse(_: Any, writer: asyncio.StreamWriter, path: str) -> None:
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with Receiver(refuse) as outside:
        await _with_hooks(stage, apps, lambda n: f"{outside.url}/refuse/{n}")

        async def write(n: int) -> None:
            await _write(stage, apps[n], 60 * stage.force.repeats)
            await _write(stage, apps[n], 2 * stage.force.repeats, entities=200, size=4_000)

        async def ask(n: int) -> None:
            app = apps[n]
            headers = {"authorization": f"Bearer {app.token}"}
            path = f"/dash/apps/{app.id}/webhooks"
            found = await stage.stranger.send("GET", path, b"", headers, is_setup=True)
            for hook in found["webhooks"] * stage.force.repeats:
                events = f"{path}/{hook['id']}/events"
                told = await stage.stranger.send("GET", events, b"", headers)
                for event in told["events"][:10]:
                    payload = f"/webhooks/payload/{app.id}/{hook['id']}/{event['isn']}"
                    await stage.stranger.send("GET", payload, b"", headers)
                    await stage.stranger.as_admin(app, f"{events}/{event['isn']}", {})

        await stage.at_once(len(apps), write)
        await stage.at_once(len(apps), ask)
        await _until(lambda: outside.asked["refuse"] >= OF_APP)
        stage.stranger.heard.note(f"{outside.asked['refuse']} deliveries")


async def _ok(_: Any, writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def _until(is_so: Callable[[], bool]) -> None:
    for _ in range(WAIT_S * 20):
        if is_so():
            return
        await asyncio.sleep(0.05)
    raise RuntimeError("the deliveries do not come")


def _check_untouched(inside: Receiver) -> None:
    """Fail the attack, loudly, if it succeeded."""
    if inside.asked:
        raise RuntimeError(f"a service of this machine was reached: {dict(inside.asked)}")


def _uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


ATTACKS = (
    Attack("webhooks by the thousand", by_the_thousand),
    Attack("webhooks to this machine", to_this_machine),
    Attack("webhooks whose names move", names_that_move, REBINDING),
    Attack("webhooks that lead elsewhere", that_lead_elsewhere, PRIVATE),
    Attack("receivers that never answer", that_never_answer, PRIVATE),
    Attack("receivers without an end", without_an_end, PRIVATE),
    Attack("a storm of events", storm_of_events, PRIVATE),
)
