"""A random history of clients of four kinds on one app, and what must be true afterwards.

Every write has a mark: a row that is made in the same transaction. A mark that is there says that
the write was applied. The ids of an app's transactions have no gaps, so as many transactions as
marks say that none was applied twice.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from client_apps import App, make_app
from mortal_server import Mortal, Network, network
from support.patience import POLL_S, WAIT_S
from trice_client import AsyncClient, Client, TriceError, new_id, tx

NODE = shutil.which("node")
BESIDE = Path(__file__).with_name("beside.mjs")
ROUNDS, WRITES = 3, 8
_NUMBER = {"valueType": "number", "config": {"indexed": True}}
_TEXT = {"valueType": "string", "config": {"indexed": True}}
_UNIQUE = {"valueType": "string", "config": {"indexed": True, "unique": True}}
SCHEMA: dict[str, Any] = {
    "entities": {
        "todos": {"attrs": {"title": _TEXT, "n": _NUMBER, "done": {"valueType": "boolean"}}},
        "people": {"attrs": {"name": _UNIQUE, "age": _NUMBER}},
        "tags": {"attrs": {"name": _TEXT}},
        "counters": {"attrs": {"n": _NUMBER}},
        "marks": {"attrs": {"by": _TEXT, "kind": _TEXT}},
    },
    "links": {
        "owner": {
            "forward": {"on": "todos", "has": "one", "label": "owner"},
            "reverse": {"on": "people", "has": "many", "label": "todos"},
        },
        "tags": {
            "forward": {"on": "todos", "has": "many", "label": "tags"},
            "reverse": {"on": "tags", "has": "many", "label": "todos"},
        },
    },
}
QUERIES: list[dict[str, Any]] = [
    {"todos": {"owner": {}, "tags": {}}},
    {"people": {"todos": {"tags": {}}}},
    {"todos": {"$": {"where": {"n": {"$gte": 4}}, "order": {"title": "desc"}, "limit": 4}}},
    {"todos": {"$": {"where": {"owner.age": {"$gt": 3}}}, "owner": {}}},
    {"tags": {"$": {"where": {"todos.done": True}}}},
    {"counters": {}},
]
Outcome = dict[str, Any]


def rows(answer: Any) -> Any:
    """An answer without what one client tells and another leaves out: fields that have no value."""
    if isinstance(answer, list):
        return [rows(each) for each in answer]
    if isinstance(answer, dict):
        return {name: rows(each) for name, each in answer.items() if each is not None}
    return answer


def make_pool(chance: random.Random) -> dict[str, list[str]]:
    """Ids and names that all clients write."""

    def ids(count: int) -> list[str]:
        return [f"{chance.getrandbits(32):08x}-0000-4000-8000-000000000000" for _ in range(count)]

    names = ["Ada", "Bob", "Cleo"]
    counts = {"todos": 8, "people": 5, "tags": 3, "counters": 2}
    return {**{name: ids(count) for name, count in counts.items()}, "names": names}


@dataclass
class Writer:
    """A Python client's writes, one after the other.

    is_sure   it tries until it has an answer
    """

    name: str
    chance: random.Random
    pool: Mapping[str, list[str]]
    is_sure: bool

    def operation(self) -> tuple[str, list[Any]]:
        """A kind, and the chunks of a random write."""
        pick, pool = self.chance.choice, self.pool
        todo, person, tag = pick(pool["todos"]), pick(pool["people"]), pick(pool["tags"])
        title, n = f"t{self.chance.randrange(20)}", self.chance.randrange(9)
        fields = {"title": title, "n": n, "done": n > 4}
        counter = pick(pool["counters"])
        return pick(
            [
                ("write", [tx.todos[todo].update(fields)]),
                ("write", [tx.todos[todo].update(fields).link({"owner": person, "tags": [tag]})]),
                ("name", [tx.people[person].update({"name": pick(pool["names"])})]),
                ("link", [tx.todos[todo].link({"owner": person})]),
                ("unlink", [tx.todos[todo].unlink({"owner": person})]),
                ("link", [tx.tags[tag].update({"name": tag}).link({"todos": todo})]),
                ("unlink", [tx.todos[todo].unlink({"tags": tag})]),
                ("delete", [tx.todos[todo].delete()]),
                ("delete", [tx.people[person].delete()]),
                ("two", [tx.todos[todo].update(fields), tx.people[person].update({"age": n})]),
                (f"count {counter}", [tx.counters[counter].increment({"n": 1})]),
                (f"count {counter}", [tx.counters[counter].increment({"n": 1})]),
            ]
        )

    def marked(self) -> tuple[Outcome, list[Any]]:
        """What is to become of a write, and the write with its mark."""
        kind, chunks = self.operation()
        outcome = {"id": new_id(), "by": self.name, "kind": kind, "status": "acked"}
        mark = tx.marks[outcome["id"]].update({"by": self.name, "kind": kind})
        return outcome, [mark, *chunks]

    def failed(self, outcome: Outcome, error: TriceError) -> None:
        """raises   the error, where it is none that a write may end with"""
        if error.code == "record-not-unique":
            outcome["status"] = "refused"
        elif error.code == "offline" and not self.is_sure:
            outcome["status"] = "uncertain"
        else:
            raise error


class Beside:
    """The clients in Node."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, message: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        line = await self.process.stdout.readline()
        assert line, "the clients in Node ended"
        return json.loads(line)


@dataclass
class History:
    """One app, its clients, and what became of their writes."""

    seed: int
    server: Mortal
    app: App
    chance: random.Random
    pool: Mapping[str, list[str]]
    outcomes: list[Outcome] = field(default_factory=list)
    networks: dict[str, Network] = field(default_factory=dict)
    shown: dict[str, list[Any]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    async def keep(self, name: str, number: int, live: Any, shape: Callable[[Any], Any]) -> None:
        """Keep the newest answer of a live query; none goes back."""
        newest = 0
        async for answer in live:
            assert answer.tx >= newest, f"{name}: {QUERIES[number]} went back to {answer.tx}"
            newest = answer.tx
            self.shown[name][number] = shape(answer.data)

    def keep_here(self, name: str, number: int, live: Any) -> None:
        """`keep`, in a thread."""
        newest = 0
        for answer in live:
            assert answer.tx >= newest, f"{name}: {QUERIES[number]} went back to {answer.tx}"
            newest = answer.tx
            self.shown[name][number] = rows(answer.data)

    async def write(self, writer: Writer, db: AsyncClient, settled: Callable[[], None]) -> None:
        for _ in range(WRITES):
            outcome, chunks = writer.marked()
            self.outcomes.append(outcome)
            try:
                await db.transact(chunks)
            except TriceError as error:
                writer.failed(outcome, error)
            settled()

    def write_here(self, writer: Writer, db: Client, settled: Callable[[], None]) -> None:
        """`write`, in a thread."""
        for _ in range(WRITES):
            outcome, chunks = writer.marked()
            self.outcomes.append(outcome)
            try:
                db.transact(chunks)
            except TriceError as error:
                writer.failed(outcome, error)
            settled()


class Trouble:
    """What goes wrong in a round, each after so many writes that were settled."""

    def __init__(self, history: History, *, is_killing: bool) -> None:
        self._history = history
        chance = history.chance
        names = list(history.networks)
        work: list[tuple[str, str]] = [
            (chance.choice(("cut", "lose")), chance.choice(names)) for _ in range(4)
        ]
        if is_killing:
            work.insert(chance.randrange(len(work) + 1), ("kill", "server"))
        at = sorted(chance.randrange(1, 3 * WRITES) for _ in work)
        self._due = list(zip(at, work, strict=True))
        self._count = 0
        self._more = asyncio.Event()

    def settled(self) -> None:
        """A write has ended."""
        self._count += 1
        self._more.set()

    async def run(self) -> None:
        """Until all of it happened."""
        for at, (what, whom) in self._due:
            while self._count < at:
                self._more.clear()
                await self._more.wait()
            self._history.events.append(f"{what} {whom}")
            server = self._history.server
            if what == "kill":
                await anyio.to_thread.run_sync(server.kill)
                await anyio.to_thread.run_sync(server.start)
            elif what == "cut":
                self._history.networks[whom].cut()
            else:
                self._history.networks[whom].lose_an_answer()


async def play(server: Mortal, seed: int) -> History:
    """Play one history and check it. raises   AssertionError, with the seed"""
    chance = random.Random(seed)
    app = await anyio.to_thread.run_sync(partial(make_app, server.url, schema=SCHEMA))
    history = History(seed, server, app, chance, make_pool(chance))
    async with asyncio.timeout(4 * WAIT_S), AsyncExitStack() as stack:
        for name in ("asyncio", "guest", "threads", "core", "sdk", "admin"):
            found = await stack.enter_async_context(network(int(server.port)))
            history.networks[name] = found
        beside = await _begin_beside(history, stack)
        await _play(history, beside)
        beside.process.stdin.write(b'{"end": true}\n')  # type: ignore[union-attr]
        assert await beside.process.wait() == 0
    return history


async def _begin_beside(history: History, stack: AsyncExitStack) -> Beside:
    process = await asyncio.create_subprocess_exec(
        *(NODE or "node", BESIDE),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )

    def end() -> None:
        if process.returncode is None:
            process.kill()

    stack.callback(end)
    beside = Beside(process)
    urls = {name: history.networks[name].url for name in ("core", "sdk", "admin")}
    begin = {"appId": history.app.id, "adminToken": history.app.admin_token, "urls": urls}
    more = {"schema": SCHEMA, "queries": QUERIES, "pool": history.pool, "seed": history.seed}
    assert await beside.ask({**begin, **more}) == {"ready": True}
    return beside


async def _play(history: History, beside: Beside) -> None:
    app, networks = history.app, history.networks

    def writer(name: str, *, is_sure: bool = True) -> Writer:
        number = list(networks).index(name)
        return Writer(name, random.Random(f"{history.seed} {number}"), history.pool, is_sure)

    writers = {name: writer(name) for name in ("asyncio", "threads")}
    writers["guest"] = writer("guest", is_sure=False)
    for name in writers:
        history.shown[name] = [None] * len(QUERIES)
    keys = {"admin_token": app.admin_token, "retry_s": WAIT_S}
    async with (
        AsyncClient(app.id, server=networks["asyncio"].url, **keys) as db,
        AsyncClient(app.id, server=networks["guest"].url, retry_s=0) as guest,
        asyncio.TaskGroup() as tasks,
    ):
        with Client(app.id, server=networks["threads"].url, **keys) as here:
            for number, query in enumerate(QUERIES):
                for name, each in (("asyncio", db), ("guest", guest)):
                    live = each.subscribe_query(query)
                    tasks.create_task(history.keep(name, number, live, rows))
                keep = partial(history.keep_here, "threads", number, here.subscribe_query(query))
                tasks.create_task(anyio.to_thread.run_sync(keep))
            loop = asyncio.get_running_loop()
            for number in range(ROUNDS):
                trouble = Trouble(history, is_killing=number == ROUNDS // 2)
                told = trouble.settled

                def told_there(told: Callable[[], None] = told) -> None:
                    loop.call_soon_threadsafe(told)

                async with asyncio.TaskGroup() as works:
                    works.create_task(history.write(writers["asyncio"], db, told))
                    works.create_task(history.write(writers["guest"], guest, told))
                    write = partial(history.write_here, writers["threads"], here, told_there)
                    works.create_task(anyio.to_thread.run_sync(write))
                    answered = works.create_task(beside.ask({"writes": WRITES}))
                    works.create_task(trouble.run())
                history.outcomes += answered.result()["outcomes"]
            await _converge(history, beside)
            await anyio.to_thread.run_sync(here.close)
        await db.aclose()
        await guest.aclose()


async def _converge(history: History, beside: Beside) -> None:
    """Until all that wait are sent and all show what the server has; then the books are checked."""

    def ask(query: dict[str, Any]) -> Any:
        with history.app.sync() as db:
            return rows(db.query(query))

    expected = [await anyio.to_thread.run_sync(ask, query) for query in QUERIES]
    different: list[str] = ["nobody was asked"]
    try:
        async with asyncio.timeout(WAIT_S):
            while different:
                looks = await beside.ask({"look": True})
                waiting = [name for name, look in looks.items() if look["waiting"]]
                shown = {
                    **history.shown,
                    **{name: rows(look["shown"]) for name, look in looks.items() if look["shown"]},
                }
                expected = [await anyio.to_thread.run_sync(ask, query) for query in QUERIES]
                different = [f"{name} has writes that wait" for name in waiting]
                different += [
                    f"{name}: {QUERIES[n]}\n shows {json.dumps(found)}\n has   {json.dumps(due)}"
                    for name, answers in shown.items()
                    for n, (found, due) in enumerate(zip(answers, expected, strict=True))
                    if found != due
                ]
                await anyio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"seed {history.seed}: " + "\n".join(different)) from None
    await anyio.to_thread.run_sync(check, history, looks)


def check(history: History, looks: Mapping[str, Any]) -> None:
    """No write that was acknowledged is lost, none is applied twice, and what was not applied was
    reported."""
    with history.app.sync() as db:
        marks = {row["id"]: row for row in db.query({"marks": {}})["marks"]}
        counters = {row["id"]: row["n"] for row in db.query({"counters": {}})["counters"]}
        last = db.transact(db.tx.marks[new_id()].update({"by": "check"}))
        first = last - 1 - len(marks)
    seed, refused = history.seed, set(looks["sdk"]["refused"])
    outcomes = {each["id"]: each for each in history.outcomes}
    assert marks.keys() <= outcomes.keys(), f"seed {seed}: writes that nobody made"
    unnamed = 0
    for mark, outcome in outcomes.items():
        status, is_there = outcome["status"], mark in marks
        if status == "queued" and not is_there:
            if outcome["by"] == "core":
                unnamed += 1
            else:
                assert mark in refused, f"seed {seed}: lost without a word: {outcome}"
        assert status != "acked" or is_there, f"seed {seed}: acknowledged and lost: {outcome}"
        assert status != "refused" or not is_there, f"seed {seed}: refused and there: {outcome}"
    assert unnamed <= looks["core"]["unnamed"], f"seed {seed}: core lost {unnamed} without a word"
    assert first == 1, f"seed {seed}: {last - 2} transactions for {len(marks)} marks"
    counted = Counter(row["kind"] for row in marks.values())
    for counter in history.pool["counters"]:
        assert counters.get(counter, 0) == counted[f"count {counter}"], f"seed {seed}: {counter}"


def summary(history: History) -> str:
    """What a history had in it."""
    ended = Counter(each["status"] for each in history.outcomes)
    told = ", ".join(f"{count} {status}" for status, count in sorted(ended.items()))
    lost = sum(each.lost_answers for each in history.networks.values())
    return f"seed {history.seed}: {told}; {lost} answers lost; {', '.join(history.events)}"
