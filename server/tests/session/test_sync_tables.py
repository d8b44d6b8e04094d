"""Sync tables: a copy that applies every message equals the data, over reconnects and restarts.

A little over 500 lines, one file because all tests read with the same copy.
"""

from __future__ import annotations

import base64
import random
from typing import Any

import orjson
import pytest

from support.loop_meter import metered
from trice import sync_limits
from trice.identity import ADMIN

QUERY = {"todos": {"$": {"order": {"serverCreatedAt": "asc"}}}}


class Copy:
    """The naive model: a value for each attr of each entity, as official clients keep them.

    exact_from   changes of later transactions fit exactly; those of earlier ones may be known
                 already, when a load took several snapshots and was resumed
    """

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], list[Any]] = {}
        self.tx = self.exact_from = 0
        self.is_loaded = False
        self.id = self.token = ""
        self.order: list[str] = []

    @property
    def triples(self) -> set[bytes]:
        return set(map(orjson.dumps, self.cells.values()))

    def take(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "start-sync-ok":
                self.id, self.token = message["subscription-id"], message["token"]
            case "sync-load-batch":
                assert not self.is_loaded
                assert 1 <= len(message["join-rows"]) <= 100
                for triples in message["join-rows"]:
                    entity = triples[0][0]
                    assert entity not in self.order, "each entity once"
                    self.order.append(entity)
                    self.cells |= {(e, a): [e, a, *rest] for e, a, *rest in triples}
            case "sync-init-finish":
                self.tx, self.is_loaded = message["tx-id"], True
            case "sync-update-triples":
                assert self.is_loaded
                assert len(message["txes"]) <= 100
                for tx in message["txes"]:
                    self.apply(tx["tx-id"], tx["changes"])
            case "error":
                raise AssertionError(message)

    def apply(self, tx: int, changes: list[dict[str, Any]]) -> None:
        assert tx > self.tx
        self.tx = tx
        is_exact = tx > self.exact_from
        for change in changes:
            entity, attr, value, _ = triple = change["triple"]
            held = self.cells.get((entity, attr))
            if change["action"] == "added":
                assert not is_exact or held is None
                self.cells[entity, attr] = triple
            elif is_exact or (held is not None and held[2] == value):
                assert held == triple
                del self.cells[entity, attr]
        shown = {e for e, _, value, _ in self.cells.values() if e == value}
        for entity in {e for e, _ in self.cells} - shown:
            assert not is_exact
            self.cells = {at: triple for at, triple in self.cells.items() if at[0] != entity}


async def fresh(stage) -> set[bytes]:
    answer = await stage.app.database.query_flat({"todos": {}}, identity=ADMIN)
    (node,) = orjson.loads(answer.result_json)
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


def shuffle(stage, dice: random.Random, written: int) -> list[list[Any]]:
    """A transaction that moves todos in the order by title, makes some and deletes some."""
    done = []
    for entity in dice.sample(range(30), dice.randrange(1, 4)):
        if dice.random() < 0.3:
            done.append(["delete-entity", todo(entity), "todos"])
        else:
            done += stage.create("todos", todo(entity), **places(dice, written))
    return done


def places(dice: random.Random, written: int) -> dict[str, Any]:
    """Values that order a todo: some alike for the order but not as JSON, some null."""
    title = dice.choice(["é", "E", "e", "ß", "10", "9", ""]) + f"{dice.randrange(4)} {written}"
    rank = dice.choice([0, -1.5, 2**53 + dice.randrange(3), 1e300, dice.randrange(5)])
    due = f"2026-01-0{dice.randrange(1, 4)}T00:00:00.{dice.randrange(3):06}Z"
    found = {"title": title, "rank": rank, "due": due}
    return {label: None if dice.random() < 0.2 else value for label, value in found.items()}


def typed_attr(number: int, label: str, kind: str) -> list[Any]:
    """The step that adds an indexed attr of todos."""
    attr = {
        "id": f"aa000000-0000-4000-8000-{number:012}",
        "forward-identity": [f"ab000000-0000-4000-8000-{number:012}", "todos", label],
        "value-type": "blob",
        "cardinality": "one",
        "index?": True,
        "checked-data-type": kind,
    }
    return ["add-attr", attr]


@pytest.mark.rule("P221", "P228")
@pytest.mark.parametrize("seed", range(40))
async def test_rows_that_change_between_pages_are_sent_once(stage, monkeypatch, seed):
    dice = random.Random(seed)
    monkeypatch.setattr(sync_limits, "SYNC_BATCH_ENTITIES", dice.randrange(1, 5))
    monkeypatch.setattr(sync_limits, "SYNC_PAGE_ENTITIES", dice.randrange(1, 5))
    monkeypatch.setattr(sync_limits, "SYNC_ENTITIES_AT_ONCE", dice.randrange(1, 4))
    await write(stage, [typed_attr(1, "rank", "number"), typed_attr(2, "due", "date")])
    await write(stage, [s for n in range(20) for s in shuffle(stage, dice, n)])
    label = dice.choice(["title", "serverCreatedAt", "rank", "due"])
    way = dice.choice(["asc", "desc"])
    client, copy = await start(stage, {"todos": {"$": {"order": {label: way}}}})
    written = 100
    while not copy.is_loaded:
        client.backlog = 10_000_000 * dice.randrange(2)
        for _ in range(dice.randrange(3)):
            await write(stage, shuffle(stage, dice, written))
            written += 1
        client.backlog = 0
        client.session.on_writable()
        copy.take(await client.hear())
    if dice.random() < 0.5:
        # It is gone before it is told what changed during its load.
        client.session.on_closed()
        copy.exact_from = await write(stage, shuffle(stage, dice, written))
        client = await open_admin(stage, stage.token)
        client.say("resync-table", subscription_id=copy.id, tx_id=copy.tx, token=copy.token)
    tx = await write(stage, stage.create("todos", todo(999), title=f"last {seed}"))
    await keep_up(client, copy, tx)
    assert copy.triples == await fresh(stage), f"seed {seed}"


@pytest.mark.rule("P228")
async def test_only_one_page_waits_for_a_slow_reader(stage, monkeypatch):
    monkeypatch.setattr(sync_limits, "SYNC_PAGE_BYTES", 10_000)
    made = [s for n in range(60) for s in stage.create("todos", todo(n), title=f"{n:02}" * 500)]
    tx = await write(stage, made)
    client, copy = await start(stage)
    client.backlog = 10_000_000
    copy.take(await client.hear("start-sync-ok"))
    # Reads that were asked for later come later: by now it would have read on.
    for _ in range(20):
        await fresh(stage)
    assert 0 < client.session.opened.sync_tables.waiting_bytes <= 12_000
    client.backlog = 0
    client.session.on_writable()
    await keep_up(client, copy, tx)
    assert copy.triples == await fresh(stage)


@pytest.mark.rule("P231")
async def test_a_large_transaction_does_not_hold_the_loop(stage, monkeypatch):
    many = 4_000
    client, copy = await start(stage)
    while not copy.is_loaded:
        copy.take(await client.hear())
    made = [s for n in range(many) for s in stage.create("todos", todo(n), title=f"{n}")]
    with metered(monkeypatch) as meter:
        tx = await write(stage, made)
        small = await write(stage, stage.create("todos", todo(1), title="after"))
        first = await client.hear()
        # About 24,000; encoded in one turn it is 68,000.
        assert meter.calls < 45_000
    copy.take(first)
    assert copy.tx == tx
    await keep_up(client, copy, small)
    assert copy.triples == await fresh(stage)


@pytest.mark.rule("P231")
async def test_a_backlog_of_changes_to_encode_ends_the_table(stage, monkeypatch):
    client, copy = await start(stage)
    while not copy.is_loaded:
        copy.take(await client.hear())
    monkeypatch.setattr(sync_limits, "SYNC_ENTITIES_AT_ONCE", 1)
    monkeypatch.setattr(sync_limits, "SYNC_UNENCODED_MAX", 5)
    await write(stage, [s for n in range(6) for s in stage.create("todos", todo(n), title="x")])
    error = await client.hear("error")
    assert error["original-event"] == {"op": "resync-table", "subscription-id": copy.id}


@pytest.mark.rule("P232")
async def test_a_load_ends_at_a_transaction_of_many_entities(stage, monkeypatch):
    monkeypatch.setattr(sync_limits, "SYNC_LOADING_ENTITIES_MAX", 2)
    monkeypatch.setattr(sync_limits, "SYNC_BATCH_ENTITIES", 2)
    some = [s for n in range(6) for s in stage.create("todos", todo(n), title="x")]
    await write(stage, some)
    client, copy = await start(stage)
    client.backlog = 10_000_000
    copy.take(await client.hear("start-sync-ok"))
    await write(stage, [s for n in range(3) for s in stage.create("todos", todo(n), title="y")])
    error = await client.hear("error")
    assert error["original-event"] == {"op": "resync-table", "subscription-id": copy.id}


@pytest.mark.rule("P232")
async def test_a_load_that_is_not_read_makes_room_for_the_next(stage, monkeypatch):
    monkeypatch.setattr(sync_limits, "SYNC_BATCH_ENTITIES", 2)
    await write(stage, [s for n in range(6) for s in stage.create("todos", todo(n), title="x")])
    client, copy = await start(stage)
    client.backlog = 10_000_000
    copy.take(await client.hear("start-sync-ok"))
    client.say("start-sync", q={"people": {}})
    client.say("add-query", q={"people": {}})
    await client.hear("add-query-ok")
    assert not client.unheard(), "it waits"
    client.say("remove-sync", subscription_id=copy.id)
    await client.hear("start-sync-ok")
    monkeypatch.setattr(sync_limits, "SYNC_PAGE_TIMEOUT_MS", 1)
    client.say("start-sync", q=QUERY)
    copy.take(await client.hear("start-sync-ok"))
    error = await client.hear("error")
    assert error["original-event"] == {"op": "resync-table", "subscription-id": copy.id}


@pytest.mark.rule("P229")
async def test_a_table_ends_when_its_attrs_change(stage):
    tx = await write(stage, stage.create("todos", todo(1), title="one"))
    client, copy = await start(stage)
    await keep_up(client, copy, tx)
    attr = {
        "id": "aa000000-0000-4000-8000-000000000001",
        "forward-identity": ["aa000000-0000-4000-8000-000000000002", "todos", "colour"],
        "value-type": "blob",
        "cardinality": "one",
    }
    await write(stage, [["add-attr", attr], ["add-triple", todo(1), attr["id"], "red"]])
    error = await client.hear("error")
    assert error["original-event"] == {"op": "resync-table", "subscription-id": copy.id}
    client.say("resync-table", subscription_id=copy.id, tx_id=tx, token=copy.token)
    assert "attrs" in (await client.hear("error"))["message"]
    client.say("start-sync", q=QUERY)
    again = Copy()
    await keep_up(client, again, tx)
    assert again.triples == await fresh(stage)


@pytest.mark.rule("P230")
async def test_a_token_is_signed_for_its_table_and_app(stage):
    tx = await write(stage, stage.create("todos", todo(1), title="one"))
    client, one = await start(stage)
    await keep_up(client, one, tx)
    client.say("start-sync", q={"people": {}})
    other = Copy()
    while not other.is_loaded:
        other.take(await client.hear())
    text, _, signature = one.token.partition(".")
    named = orjson.loads(base64.urlsafe_b64decode(text))
    forged = base64.urlsafe_b64encode(orjson.dumps([named[0], {"people": {}}, named[2]])).decode()
    for token in (
        other.token,
        f"{forged}.{signature}",
        text,
        f"{text}.",
        f"{text}.{'0' * 64}",
        "\u00e4",
    ):
        client.say("resync-table", subscription_id=one.id, tx_id=tx, token=token)
        assert (await client.hear("error"))["type"] == "param-malformed"
    await stage.hub.apps.renew_admin_token(stage.app.id)
    client.say("resync-table", subscription_id=one.id, tx_id=tx, token=one.token)
    assert (await client.hear("error"))["type"] == "param-malformed"


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


@pytest.mark.rule("P226")
async def test_starts_that_are_taken_back_count_while_they_wait(stage, monkeypatch):
    monkeypatch.setattr(sync_limits, "SYNC_BATCH_ENTITIES", 2)
    await write(stage, [s for n in range(6) for s in stage.create("todos", todo(n), title="x")])
    client, copy = await start(stage)
    client.backlog = 10_000_000
    copy.take(await client.hear("start-sync-ok"))
    resync = {"subscription_id": copy.id, "tx_id": 1, "token": copy.token}
    # The load of the first one waits for its client, so the others wait for it.
    for _ in range(sync_limits.SYNC_STARTING_MAX):
        client.say("resync-table", **resync)
        client.say("remove-sync", subscription_id=copy.id)
    assert (await client.hear("error"))["type"] == "parameter-limit-exceeded"


@pytest.mark.rule("P226")
async def test_an_app_holds_only_so_many(stage, monkeypatch):
    monkeypatch.setattr(sync_limits, "SYNC_TABLES_OF_APP_MAX", 2)
    one, _ = await start(stage)
    await one.hear("sync-init-finish")
    two, _ = await start(stage)
    await two.hear("sync-init-finish")
    three, _ = await start(stage)
    assert (await three.hear("error"))["type"] == "parameter-limit-exceeded"
    two.session.on_closed()
    three.say("start-sync", q=QUERY)
    await three.hear("sync-init-finish")
    one.say("start-sync", q=QUERY)
    assert (await one.hear("error"))["type"] == "parameter-limit-exceeded"


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
