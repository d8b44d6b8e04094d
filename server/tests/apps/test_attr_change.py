"""Changes of attrs over rows that others write meanwhile (`apps.attr_change`)."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import apsw
import pytest

from support.engines import open_database
from support.runtime import FakeRuntime
from trice import account_limits
from trice.apps.attr_change import AttrChange
from trice.errors import Conflict, InvalidInput
from trice.identity import ADMIN, SERVER
from trice.protocol.ids import AppId
from trice.store.sqlite import functions
from trice.store.sqlite.copies import SqliteCopies
from trice.store.sqlite.tables import indexes_of
from trice.transact.schema_steps import SchemaJob


def entity(number):
    return f"00000000-0000-4000-8000-{number:012d}"


class Items:
    """An app with items, whose jobs take many turns, and somebody who writes between these."""

    def __init__(self, path, database, seed):
        self.path = path
        self.database = database
        self.random = random.Random(seed)
        self.value = lambda: self.random.choice(["b", "a", "Ä", "z" * 40, "x1", None])

    async def write(self, *steps):
        await self.database.transact_admin(list(steps), identity=ADMIN)

    def attr(self, label):
        return self.database.catalog.find_forward("items", label)

    def step(self):
        one, chance = entity(self.random.randrange(60)), self.random.random()
        if chance < 0.2:
            return ["delete", "items", one]
        label = self.random.choice(["label", "label", "other"])
        return ["update", "items", one, {label: self.value(), "must": 1}]

    async def fill(self, count):
        await self.write(*(["update", "items", entity(n), {"must": 1}] for n in range(count)))
        await self.write(
            *(["update", "items", entity(n), {"label": self.value()}] for n in range(0, count, 2)),
            ["update", "items", entity(0), {"label": "a", "other": "o"}],
        )

    async def run(self, kind, label="label", *, checked=None, is_busy=True):
        """A job from its beginning to its end, with a write in each turn."""
        job = SchemaJob(0, kind, self.attr(label).id, checked)
        change = AttrChange(self.database, job, turn_key=SERVER)
        task = asyncio.ensure_future(change.run())
        while is_busy and not task.done():
            with suppress(Conflict):  # once values are unique
                await self.write(self.step())
        await task
        return change

    async def until_pending(self, label):
        """Return when a job has begun to change an attr."""
        begun = asyncio.Event()

        def hear(catalog):
            if catalog.find_forward("items", label).pending:
                begun.set()

        self.database.watch_catalog(hear)
        await begun.wait()
        self.database.unwatch_catalog(hear)

    def check(self):
        """The file is as if no job had ever been: indexes, their entries, keys of order, nulls."""
        reader = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            functions.register(reader)
            assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            made = dict(reader.execute("SELECT name, sql FROM sqlite_schema"))
            assert not [name for name in made if "building" in name]
            for label in ("label", "other", "must"):
                attr = self.attr(label)
                assert not attr.pending
                wanted = {index.name: index.sql() for index in indexes_of(attr)}
                there = {n: sql for n, sql in made.items() if n.startswith(f"items~{label}~")}
                assert there == wanted
                nulls = f"SELECT count(*) FROM items WHERE \"{label}\" = x'00'"
                assert not attr.is_indexed or reader.execute(nulls).fetchall() == [(0,)]
                if f"items~{label}~order" in made:
                    key = "trice_text_order" if attr.checked_type == "string" else "trice_instant"
                    wrong = f'"{label}~order" IS NOT {key}("{label}")'
                    found = reader.execute(f"SELECT count(*) FROM items WHERE {wrong}").fetchall()
                    assert found == [(0,)]
        finally:
            reader.close()


@pytest.fixture
def open_items(tmp_path, monkeypatch, exits):
    monkeypatch.setattr(account_limits, "SCHEMA_ROWS_AT_ONCE", 0)
    monkeypatch.setattr(account_limits, "RESHAPING_ROWS_FIRST", 3)
    monkeypatch.setattr(account_limits, "RESHAPING_ROWS_MAX", 7)

    async def opened(seed=0, count=40):
        path = tmp_path / f"{seed}.db"
        database = await open_database(path, runtime=FakeRuntime())
        exits.push_async_callback(database.close)
        items = Items(path, database, seed)
        await items.fill(count)
        return items

    return opened


@pytest.fixture
async def items(open_items):
    return await open_items()


JOBS = [
    [("index", None)],
    [("check-data-type", "string"), ("index", None)],
    [("index", None), ("check-data-type", "string")],
    [("index", None), ("remove-index", None)],
    [("check-data-type", "string"), ("index", None), ("remove-data-type", None)],
    [("index", None), ("check-data-type", "string"), ("remove-index", None)],
]


@pytest.mark.rule("SJ1", "SJ2")
@pytest.mark.parametrize("jobs", JOBS, ids=lambda jobs: "+".join(kind for kind, _ in jobs))
@pytest.mark.parametrize("seed", range(3))
async def test_a_job_ends_as_one_transaction_would(open_items, seed, jobs):
    items = await open_items(seed)
    for kind, checked in jobs:
        before = items.database.tx
        change = await items.run(kind, checked=checked)
        if kind == "index":
            assert change.progress.completed > 40
            assert items.database.tx - before > 10, "others write meanwhile"
        items.check()


@pytest.mark.rule("SJ2", "SJ4")
@pytest.mark.parametrize("first", [[], ["index"]], ids=["plain", "indexed"])
@pytest.mark.parametrize("seed", range(6))
async def test_unique_values_are_counted_until_the_end(open_items, seed, first):
    items = await open_items(seed, count=0)
    items.value = lambda: items.random.choice([None, *range(200)])
    await items.fill(40)
    label = items.attr("label")
    for kind in first:
        await items.run(kind)
    try:
        await items.run("unique")
    except Conflict as failure:
        assert failure.code == "record-not-unique"
        assert items.attr("label").is_unique is False
    else:
        assert items.attr("label").is_unique is True
    assert items.attr("label").id == label.id
    items.check()


@pytest.mark.rule("SJ4")
@pytest.mark.parametrize("turns", range(0, 60, 4))
async def test_a_value_that_is_written_twice_during_a_job_ends_it(items, turns):
    await items.write(*(["update", "items", entity(n), {"label": n}] for n in range(40)))
    job = SchemaJob(0, "unique", items.attr("label").id)
    task = asyncio.ensure_future(AttrChange(items.database, job, turn_key=SERVER).run())
    for _ in range(turns):
        await asyncio.sleep(0)
    is_early = not task.done() and not items.attr("label").is_unique
    try:
        await items.write(["update", "items", entity(7), {"label": 8}])
        was_written = True
    except Conflict:
        was_written = False
    try:
        await task
    except Conflict as failure:
        assert was_written and failure.hint["value"] == 8
        assert not items.attr("label").is_unique
    else:
        assert not was_written and items.attr("label").is_unique, is_early
    items.check()


@pytest.mark.rule("SJ3", "SJ5")
async def test_new_values_fit_from_the_beginning_of_a_job(items):
    told = []
    items.database.watch_catalog(
        lambda catalog: told.append(catalog.find_forward("items", "label").wire())
    )
    too_long = "x" * 2000
    for kind, checked, wrong in [
        ("check-data-type", "string", {"label": 5}),
        ("index", None, {"label": too_long}),
        ("required", None, None),
    ]:
        label = "must" if kind == "required" else "label"
        job = SchemaJob(0, kind, items.attr(label).id, checked)
        task = asyncio.ensure_future(AttrChange(items.database, job, turn_key=SERVER).run())
        await items.until_pending(label)
        with pytest.raises(InvalidInput):
            await items.write(["update", "items", entity(99), wrong or {"label": "b"}])
        assert not items.attr(label).is_indexed and not items.attr(label).is_required
        await task
        items.check()
    assert [attr.get("checking-data-type?") for attr in told[:2]] == [True, None]
    assert [attr.get("indexing?") for attr in told[2:4]] == [True, None]
    assert [(attr["index?"], attr.get("checked-data-type")) for attr in told[1:4]] == [
        (False, "string"),
        (False, "string"),
        (True, "string"),
    ]


@pytest.mark.rule("SJ10")
async def test_nothing_else_changes_a_property_meanwhile(items):
    job = SchemaJob(0, "index", items.attr("label").id)
    task = asyncio.ensure_future(AttrChange(items.database, job, turn_key=SERVER).run())
    await items.until_pending("label")
    body = {"id": items.attr("label").id, "unique?": True}
    with pytest.raises(InvalidInput, match="job"):
        await items.database.transact([["update-attr", body]], identity=ADMIN)
    await task
    items.check()


@pytest.mark.rule("SJ4")
async def test_a_job_that_rows_contradict_leaves_nothing(items):
    await items.write(["update", "items", entity(3), {"label": "x" * 2000}])
    with pytest.raises(InvalidInput, match="too large"):
        await items.run("index", is_busy=False)
    with pytest.raises(InvalidInput):
        await items.run("check-data-type", checked="number", is_busy=False)
    with pytest.raises(InvalidInput):
        await items.run("required", "other", is_busy=False)
    assert not items.attr("label").is_indexed
    items.check()


@pytest.mark.rule("SJ3")
async def test_nulls_stay_nulls_through_a_job_and_back(items):
    async def shown():
        query = {"items": {"$": {"where": {"id": {"$in": [entity(1), entity(2)]}}}}}
        tree = await items.database.look(lambda look: look.find(query))
        return [row.get("label", "missing") for row in sorted(tree["items"], key=str)]

    await items.write(["update", "items", entity(2), {"label": None}])
    assert set(await shown()) == {"missing", None}
    await items.run("index", is_busy=False)
    assert await shown() == [None, None]
    await items.run("remove-index", is_busy=False)
    assert await shown() == [None, None]


@pytest.mark.rule("SJ11")
@pytest.mark.parametrize("turns", range(20, 140, 20))
async def test_a_copy_has_nothing_of_a_job(items, tmp_path, turns):
    await items.write(*(["update", "items", entity(n), {"label": None}] for n in range(0, 40, 3)))
    job = SchemaJob(0, "index", items.attr("label").id)
    change = AttrChange(items.database, job, turn_key=SERVER)
    task = asyncio.ensure_future(change.run())
    for _ in range(turns):
        await asyncio.sleep(0)
    app_id = AppId("5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01")
    source, copy = tmp_path / f"apps/{app_id}.db", tmp_path / "copy.db"
    source.parent.mkdir()
    source.symlink_to(items.path)
    for end in ("-wal", "-shm"):
        source.with_name(source.name + end).symlink_to(items.path.with_name(items.path.name + end))
    copies = SqliteCopies(tmp_path)
    copies.copy(app_id, copy, is_over=lambda: False)
    assert copies.find_problem(copy, is_whole=True, is_over=lambda: False) is None
    database = await open_database(copy, runtime=FakeRuntime())
    there = Items(copy, database, 0)
    there.check()
    await there.run("index", is_busy=False)
    there.check()
    await database.close()
    await task
    items.check()


@pytest.mark.rule("SJ8")
@pytest.mark.parametrize("turns", range(0, 80, 8))
async def test_a_job_that_is_canceled_leaves_its_attr_as_it_was(items, turns):
    job = SchemaJob(0, "index", items.attr("label").id)
    change = AttrChange(items.database, job, turn_key=SERVER)
    task = asyncio.ensure_future(change.run())
    for _ in range(turns):
        await asyncio.sleep(0)
    if not change.is_late:
        change.cancel()
        task.cancel()
        await asyncio.wait([task])
        await change.abandon()
        assert not items.attr("label").is_indexed
    else:
        await task
        assert items.attr("label").is_indexed
    items.check()
