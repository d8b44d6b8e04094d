"""Sync tables: a copy that applies every message equals the data, over reconnects and restarts."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from trice import sync_limits
from trice.identity import ADMIN

QUERY = {"todos": {"$": {"order": {"serverCreatedAt": "asc"}}}}


class Copy:
    """The naive model: a set of triples, and the last transaction."""

    def __init__(self) -> None:
        self.triples: set[bytes] = set()
        self.tx = 0
        self.is_loaded = False
        self.id = self.token = ""

    def take(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "start-sync-ok":
                self.id, self.token = message["subscription-id"], message["token"]
            case "sync-load-batch":
                assert len(message["join-rows"]) <= 100
                for triples in message["join-rows"]:
                    self.triples |= set(map(orjson.dumps, triples))
            case "sync-init-finish":
                self.tx, self.is_loaded = message["tx-id"], True
            case "sync-update-triples":
                assert self.is_loaded
                assert len(message["txes"]) <= 100
                for tx in message["txes"]:
                    assert tx["tx-id"] > self.tx
                    self.tx = tx["tx-id"]
                    for change in tx["changes"]:
                        triple = orjson.dumps(change["triple"])
                        if change["action"] == "added":
                            assert triple not in self.triples
                            self.triples.add(triple)
                        else:
                            self.triples.remove(triple)
            case "error":
                raise AssertionError(message)


async def fresh(stage) -> set[bytes]:
    result, _ = await stage.app.database.query_flat({"todos": {}}, identity=ADMIN)
    (node,) = orjson.loads(result)
    return {orjson.dumps(t) for row in node["data"]["datalog-result"]["join-rows"] for t in row}


async def keep_up(client, copy: Copy, tx: int) -> None:
    """Take messages until the copy has a transaction that changed todos."""
    while not copy.is_loaded or copy.tx < tx:
        copy.take(await client.hear())


def todo(number: int) -> str:
    return f"e1000000-0000-4000-8000-{number:012}"


def steps(stage, dice: random.Random, tx: int) -> list[list[Any]]:
    """A create, a change or a delete; each changes the todo that the number names."""
    entity = todo(dice.randrange(8))
    title = f"title {tx} {dice.random()}"
    if dice.random() < 0.25:
        made = todo(100 + tx)
        return [
            *stage.create("todos", made, title=title),
            ["delete-entity", entity, "todos"],
        ]
    changed = stage.create("todos", entity, title=title, done=dice.random() < 0.5)
    owner = f"d1000000-0000-4000-8000-{dice.randrange(4):012}"
    if dice.random() < 0.4:
        changed += stage.create("people", owner, name="ada")
        changed.append(["add-triple", entity, stage.attr("todos", "owner"), owner])
    if dice.random() < 0.2:
        changed.append(["delete-entity", owner, "people"])
    return changed


async def write(stage, written) -> int:
    return await stage.app.database.transact(written, identity=ADMIN)


async def open_admin(stage, token: str):
    client = stage.connect()
    init = {"op": "init", "app-id": stage.app.id, "__admin-token": token}
    client.say_raw(orjson.dumps(init))
    await client.hear("init-ok")
    return client


async def start(stage, q=QUERY):
    client = await open_admin(stage, stage.token)
    client.say("start-sync", q=q)
    return client, Copy()


@pytest.mark.rule("P220", "P221")
async def test_a_load_in_batches_then_every_change(stage):
    made = [s for n in range(230) for s in stage.create("todos", todo(n), title=f"{n:03}")]
    tx = await write(stage, made)
    client, copy = await start(stage, {"todos": {"$": {"order": {"title": "desc"}}}})
    heard = []
    while not copy.is_loaded:
        heard.append(await client.hear())
        copy.take(heard[-1])
    batches = [m["join-rows"] for m in heard if m["op"] == "sync-load-batch"]
    assert [len(rows) for rows in batches] == [100, 100, 30]
    assert [row[0][0] for row in [row for rows in batches for row in rows]] == [
        todo(n) for n in reversed(range(230))
    ]
    assert (copy.tx, copy.triples) == (tx, await fresh(stage))
    tx = await write(stage, [["delete-entity", todo(3), "todos"]])
    await keep_up(client, copy, tx)
    assert copy.triples == await fresh(stage)
    assert not any(todo(3).encode() in triple for triple in copy.triples)


@pytest.mark.rule("P221", "P222")
@pytest.mark.parametrize("seed", range(6))
async def test_a_copy_equals_the_data_over_random_histories(stage_at, tmp_path, seed):
    dice = random.Random(seed)
    copy, app_id, token, written = Copy(), None, "", 0
    for _ in range(3):
        async with stage_at(tmp_path, app_id=app_id) as stage:
            app_id, token = stage.app.id, token or stage.token
            for _ in range(3):
                client = await open_admin(stage, token)
                writes = [
                    stage.app.database.submit(steps(stage, dice, written + n), identity=ADMIN)
                    for n in range(dice.randrange(4))
                ]
                if copy.is_loaded:
                    resync = {"subscription_id": copy.id, "tx_id": copy.tx, "token": copy.token}
                    client.say("resync-table", **resync)
                else:
                    client.say("start-sync", q=QUERY)
                for one in writes:
                    await one
                for n in range(dice.randrange(1, 8)):
                    tx = await write(stage, steps(stage, dice, written + 10 + n))
                written += 20
                # The last one changes a todo in any case.
                last = stage.create("todos", todo(999), title=f"last {written}")
                tx = await write(stage, last)
                await keep_up(client, copy, tx)
                assert copy.triples == await fresh(stage), f"seed {seed}"
                client.session.on_closed()
                if dice.random() < 0.5:
                    await write(stage, steps(stage, dice, written + 19))


@pytest.mark.rule("P223")
async def test_what_cannot_be_continued_is_an_error(stage):
    tx = await write(stage, stage.create("todos", todo(1), title="one"))
    client, copy = await start(stage)
    await keep_up(client, copy, tx)
    good = {"subscription_id": copy.id, "tx_id": tx, "token": copy.token}
    for wrong in (
        {"tx_id": tx + 1},
        {"token": "x"},
        {"token": "A" * (sync_limits.SYNC_TOKEN_CHARS_MAX + 1)},
        {"subscription_id": todo(5)},
    ):
        client.say("resync-table", **(good | wrong))
        error = await client.hear("error")
        assert error["original-event"]["op"] == "resync-table"
    await write(stage, stage.create("todos", todo(2), title="two"))

    def trim(change):
        change.statements.rows("DELETE FROM _tx WHERE id <= ?", (tx + 1,))

    await stage.app.database.change(trim)
    client.say("resync-table", **good)
    error = await client.hear("error")
    assert error["type"] == "parameter-limit-exceeded"


@pytest.mark.rule("P224")
@pytest.mark.parametrize(
    "q",
    [
        None,
        {},
        {"todos": {}, "people": {}},
        {"nothing": {}},
        {"todos": {"owner": {}}},
        {"todos": {"$": {"where": {"done": True}}}},
        {"todos": {"$": {"limit": 5}}},
        {"people": {"$": {"order": {"name": "asc"}}}},
    ],
)
async def test_other_queries_are_refused(stage, q):
    client, _ = await start(stage, q)
    error = await client.hear("error")
    assert error["type"] == "validation-failed"
    assert error["original-event"]["op"] == "start-sync"


@pytest.mark.rule("P224")
async def test_others_than_admins_are_refused(stage):
    client = await stage.client()
    client.say("start-sync", q=QUERY)
    assert (await client.hear("error"))["type"] == "validation-failed"
    client.say("resync-table", subscription_id=todo(1), tx_id=1, token="x")
    assert (await client.hear("error"))["type"] == "validation-failed"


@pytest.mark.rule("P225")
async def test_a_removed_table_is_silent(stage):
    tx = await write(stage, stage.create("todos", todo(1), title="one"))
    client, copy = await start(stage)
    await keep_up(client, copy, tx)
    client.say("remove-sync", subscription_id=copy.id, keep_subscription=False)
    await write(stage, stage.create("todos", todo(2), title="two"))
    client.say("add-query", q={"todos": {}})
    assert (await client.hear())["op"] == "add-query-ok"


@pytest.mark.rule("P226")
async def test_a_session_holds_only_so_many(stage):
    client, _ = await start(stage)
    for _ in range(sync_limits.SYNC_TABLES_OF_SESSION_MAX):
        client.say("start-sync", q=QUERY)
    error = await client.hear("error")
    assert error["type"] == "parameter-limit-exceeded"


@pytest.mark.rule("P227")
async def test_a_slow_client_ends_with_an_error_and_others_wait_for_room(stage, monkeypatch):
    monkeypatch.setattr(sync_limits, "SYNC_WAITING_TXES_MAX", 5)
    tx = await write(stage, stage.create("todos", todo(1), title="one"))
    client, copy = await start(stage)
    await keep_up(client, copy, tx)
    client.backlog = 10_000_000
    for n in range(5):
        tx = await write(stage, stage.create("todos", todo(1), title=f"{n}"))
    assert not client.unheard()
    client.backlog = 0
    client.session.on_writable()
    await keep_up(client, copy, tx)
    assert copy.triples == await fresh(stage)
    client.backlog = 10_000_000
    for n in range(6):
        await write(stage, stage.create("todos", todo(1), title=f"again {n}"))
    client.backlog = 0
    client.session.on_writable()
    error = await client.hear("error")
    assert error["original-event"] == {"op": "resync-table", "subscription-id": copy.id}
