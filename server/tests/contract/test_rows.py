"""What every storage engine promises about rows, links and attrs of an open write."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from support.attrs import blob, committed, creating, entity, link
from support.todos import NEXT, attr_of, put, row
from trice.catalog.attr import Attr
from trice.catalog.values import NULL, TRUE
from trice.protocol.ids import EntityId
from trice.store.commit import Commit
from trice.store.engine import Engine, Snapshot, WriteTx

OWNER = link("todos", "owner", "users", "todos", cardinality="one")


def eid(number: int) -> EntityId:
    return EntityId(entity(number))


def eids(*numbers: int) -> list[EntityId]:
    return [eid(number) for number in numbers]


@pytest.fixture
def in_tx(engine: Engine) -> Callable[..., Coroutine[Any, Any, None]]:
    """Runs works, each in a transaction of its own, after the one that creates the todos."""

    async def run(*works: Callable[[WriteTx], object]) -> None:
        for work in works:

            def wrapped(tx: WriteTx, work: Callable[[WriteTx], object] = work) -> Commit:
                found = work(tx)
                return found if isinstance(found, Commit) else committed(tx)

            await engine.write(wrapped)

    return run


def filled(tx: WriteTx) -> None:
    for number in (3, 1, 2):
        put(tx, "todos", number, created_ms=10, n=number, slug=f"s{number}", title="same")
    put(tx, "todos", 4, created_ms=None, title="same")
    put(tx, "todos", 5, created_ms=9, title="same")


def numbers_of(rows: list[tuple[Any, ...]]) -> list[int]:
    return [int.from_bytes(each[0], "big") for each in rows]


@pytest.mark.rule("S190")
async def test_rows_are_found_by_id(in_tx: Any) -> None:
    def look(tx: WriteTx) -> None:
        todos = tx.catalog.namespaces["todos"]
        assert tx.stored.find(todos, eids(9)) == []
        assert tx.stored.find(todos, eids(4)) == [(entity(4), None, *row(todos, title="same"))]
        found = sorted(tx.stored.find(todos, eids(2, 8, 1)))  # type: ignore[type-var]
        cells = [row(todos, n=n, slug=f"s{n}", title="same") for n in (1, 2)]
        assert found == [(entity(1), 10, *cells[0]), (entity(2), 10, *cells[1])]
        assert sorted(tx.stored.find_present(todos, eids(1, 4, 7))) == eids(1, 4)
        assert tx.stored.has_entities(todos)

    await in_tx(filled, look)


@pytest.mark.rule("S190", "S191")
async def test_snapshots_find_the_same(engine: Engine) -> None:
    def work(tx: WriteTx) -> Commit:
        filled(tx)
        return committed(tx)

    def look(snapshot: Snapshot) -> tuple[list[int], list[int]]:
        todos, title = snapshot.catalog.namespaces["todos"], attr_of(snapshot, "todos", "title")
        by_id = snapshot.stored.find(todos, eids(2, 9))
        by_title = snapshot.stored.find_entities(todos, title, "same", count=9)
        return numbers_of(by_id), numbers_of(by_title)

    await engine.write(work)
    assert engine.read_now(look) == ([2], [5, 1, 2, 3])
    assert await engine.read_on_thread(look, timeout_ms=60_000) == ([2], [5, 1, 2, 3])


@pytest.mark.rule("S191")
async def test_entities_are_found_by_value_oldest_first(in_tx: Any) -> None:
    def fill(tx: WriteTx) -> None:
        filled(tx)
        for number in (6, 7):
            put(tx, "todos", number, owner=entity(1))

    def look(tx: WriteTx) -> None:
        todos = tx.catalog.namespaces["todos"]

        def found(label: str, cell: Any, count: int = 9) -> list[int]:
            attr = attr_of(tx, "todos", label)
            return numbers_of(tx.stored.find_entities(todos, attr, cell, count=count))

        assert found("title", "same") == [5, 1, 2, 3]
        assert found("title", "same", 2) == [5, 1]
        assert found("slug", "s2") == [2]
        assert found("n", 3) == [3]
        assert found("id", entity(1)) == [1]
        assert found("id", entity(4)) == [], "a stub"
        assert found("owner", entity(1)) == [6, 7]
        assert found("owner", entity(2)) == []

    await in_tx(creating(OWNER), fill, look)


@pytest.mark.rule("S192")
async def test_holders_of_unique_values(in_tx: Any) -> None:
    ones = link("todos", "one", "users", "ones", cardinality="one", is_unique=True)
    many = link("todos", "many", "users", "manies", is_unique=True)

    def fill(tx: WriteTx) -> None:
        for number in range(200):
            put(tx, "todos", number, slug=f"s{number}", one=entity(1000 + number))
        put(tx, "todos", 900, slug=NULL)
        put(tx, "todos", 901, slug=NULL)
        tx.stored.link(tx.catalog.by_id[many.id], eid(3), eid(7), 1)

    def look(tx: WriteTx) -> None:
        slug = attr_of(tx, "todos", "slug")
        wanted = [f"s{number}" for number in range(150, 250)]
        found = tx.stored.find_holders(slug, wanted)
        assert found == {f"s{number}": entity(number) for number in range(150, 200)}
        assert tx.stored.find_holders(slug, [NULL]) == {}
        one, several = tx.catalog.by_id[ones.id], tx.catalog.by_id[many.id]
        assert tx.stored.find_holders(one, eids(1005, 5)) == {entity(1005): entity(5)}
        assert tx.stored.find_holders(several, eids(7, 3)) == {entity(7): entity(3)}

    await in_tx(creating(ones, many), fill, look)


@pytest.mark.rule("S193")
async def test_changes_of_rows(in_tx: Any) -> None:
    def change(tx: WriteTx) -> None:
        todos = tx.catalog.namespaces["todos"]
        cells = row(todos, n=7)
        at = todos.index[attr_of(tx, "todos", "n").id]
        tx.stored.update(todos, eid(1), None, cells, [at])
        assert tx.stored.find(todos, eids(1)) == [
            (entity(1), 10, *row(todos, n=7, slug="s1", title="same"))
        ]
        tx.stored.update(todos, eid(1), None, row(todos), [at], sets_created=True)
        assert tx.stored.find(todos, eids(1)) == [
            (entity(1), None, *row(todos, slug="s1", title="same"))
        ]
        tx.stored.update(todos, eid(4), 20, cells, [], sets_created=True)
        assert tx.stored.find(todos, eids(4)) == [(entity(4), 20, *row(todos, title="same"))]

    def delete(tx: WriteTx) -> Commit:
        attr = attr_of(tx, "todos", "note")
        gone = tx.attrs.replace(attr, replace(attr, deleted_ms=1))
        catalog = tx.catalog.with_attrs([gone])
        tx.stored.link(tx.catalog.by_id[NEXT.id], eid(2), eid(3), 1)
        todos = catalog.namespaces["todos"]
        tx.stored.delete(todos, eids(2, 9))
        assert tx.stored.find_linked(tx.catalog.by_id[NEXT.id], eids(2, 3)) == set(eids(2))
        tx.stored.insert(todos, eid(2), 5, row(todos), ())
        assert tx.stored.find(todos, eids(2)) == [(entity(2), 5, *row(todos))]
        back = catalog.with_attrs([tx.attrs.replace(gone, replace(gone, deleted_ms=None))])
        shown = back.namespaces["todos"]
        assert tx.stored.find(shown, eids(2)) == [(entity(2), 5, *row(shown))]
        return committed(tx, catalog=back)

    def fill(tx: WriteTx) -> None:
        filled(tx)
        todos = tx.catalog.namespaces["todos"]
        at = todos.index[attr_of(tx, "todos", "note").id]
        tx.stored.update(todos, eid(2), None, row(todos, note="x"), [at])
        tx.stored.delete(todos, eids(5))

    await in_tx(creating(blob("todos", "note")), fill, change, delete)


@pytest.mark.rule("S194", "S195")
@pytest.mark.parametrize("cardinality", ["one", "many"])
async def test_links_are_found_from_either_end(in_tx: Any, cardinality: str) -> None:
    owner = replace(OWNER, cardinality=cardinality)  # type: ignore[arg-type]
    ends = [(1, 7), (2, 7), (3, 8)]

    def fill(tx: WriteTx) -> None:
        for source, target in ends:
            cells = {"owner": entity(target)} if cardinality == "one" else {}
            put(tx, "todos", source, n=source, **cells)
            if cardinality == "many":
                attr = tx.catalog.by_id[owner.id]
                assert tx.stored.link(attr, eid(source), eid(target), 5)
                assert not tx.stored.link(attr, eid(source), eid(target), 6)
        put(tx, "todos", 4, n=4)

    def look(tx: WriteTx) -> None:
        attr, stored = tx.catalog.by_id[owner.id], tx.stored
        pairs = [(entity(source), entity(target)) for source, target in ends]
        assert sorted(stored.find_sources(attr, eids(7, 9), count=9)) == pairs[:2]
        assert len(stored.find_sources(attr, eids(7), count=1)) == 1
        assert sorted(stored.find_targets(attr, eids(1, 3, 4), count=9)) == [pairs[0], pairs[2]]
        assert len(stored.find_targets(attr, eids(1, 2, 3), count=2)) == 2
        if cardinality == "many":
            assert stored.find_linked(attr, eids(1, 4, 9)) == set(eids(1))
            assert stored.unlink(attr, eid(1), eid(8)) is None
            assert stored.unlink(attr, eid(1), eid(7)) == 5
            assert stored.find_targets(attr, eids(1), count=9) == []

    await in_tx(creating(owner), fill, look)


@pytest.mark.rule("S196")
async def test_hidden_links_are_cleared_by_target(in_tx: Any) -> None:
    def work(tx: WriteTx) -> None:
        for number, target in ((1, 7), (2, 8)):
            put(tx, "todos", number, owner=entity(target))
        attr = tx.catalog.by_id[OWNER.id]
        tx.stored.clear_targets(attr, eids(7, 9))
        assert tx.stored.find_sources(attr, eids(7, 8), count=9) == [(entity(2), entity(8))]

    await in_tx(creating(OWNER), work)


@pytest.mark.rule("S197")
async def test_a_new_id_attr_finds_no_entities(in_tx: Any) -> None:
    def work(tx: WriteTx) -> Commit:
        filled(tx)
        old = attr_of(tx, "todos", "id")
        forward = replace(old.forward, label="gone")
        gone = tx.attrs.replace(old, replace(old, forward=forward, deleted_ms=1))
        catalog = tx.catalog.with_attrs([gone])
        again = replace(blob("todos", "id"), id=blob("x", "id").id)
        catalog = catalog.with_attrs(tx.attrs.create(catalog, [again]))
        todos = catalog.namespaces["todos"]
        assert not tx.stored.has_entities(todos)
        assert tx.stored.find(todos, eids(5)) == [(entity(5), None, *row(todos, title="same"))]
        return committed(tx, catalog=catalog)

    await in_tx(work)


@pytest.mark.rule("S198")
async def test_links_change_their_cardinality(in_tx: Any) -> None:
    many = replace(OWNER, cardinality="many")

    def to_many(tx: WriteTx) -> Commit:
        put(tx, "todos", 1, created_ms=50, owner=entity(7))
        old = tx.catalog.by_id[OWNER.id]
        catalog = tx.catalog.with_attrs([tx.attrs.replace(old, many)])
        attr = catalog.by_id[OWNER.id]
        assert tx.stored.find_targets(attr, eids(1), count=9) == [(entity(1), entity(7))]
        assert tx.stored.link(attr, eid(1), eid(6), 60)
        assert tx.stored.link(attr, eid(2), eid(9), 70)
        return committed(tx, catalog=catalog)

    def to_one(tx: WriteTx) -> Commit:
        old = tx.catalog.by_id[OWNER.id]
        catalog = tx.catalog.with_attrs([tx.attrs.replace(old, OWNER)])
        attr, todos = catalog.by_id[OWNER.id], catalog.namespaces["todos"]
        assert sorted(tx.stored.find_targets(attr, eids(1, 2), count=9)) == [
            (entity(1), entity(7)),
            (entity(2), entity(9)),
        ]
        assert sorted(tx.stored.find(todos, eids(1, 2))) == [  # type: ignore[type-var]
            (entity(1), 50, *row(todos, owner=entity(7))),
            (entity(2), None, *row(todos, owner=entity(9))),
        ]
        return committed(tx, catalog=catalog)

    await in_tx(creating(OWNER), to_many, to_one)


@pytest.mark.rule("S199")
async def test_what_a_change_of_an_attr_asks_of_values(in_tx: Any) -> None:
    note, flag = blob("todos", "note"), blob("todos", "flag")

    def fill(tx: WriteTx) -> None:
        for number, cell in enumerate(("same", "same", 7, b'{"a":1}', NULL, NULL)):
            put(tx, "todos", number, note=cell, flag=TRUE, owner=entity(9))
        put(tx, "todos", 8, created_ms=None, n=8)

    def look(tx: WriteTx) -> None:
        todos, attrs = tx.catalog.namespaces["todos"], tx.attrs
        noted, flagged, owner = (tx.catalog.by_id[one.id] for one in (note, flag, OWNER))

        def lacks(attr: Attr) -> bool:
            return attrs.lacks_value(todos, attr)

        assert lacks(noted), "null is no value"
        assert not lacks(flagged), "a stub need have none"
        assert not lacks(owner)
        assert lacks(tx.catalog.by_id[NEXT.id])
        assert attrs.find_shared(noted) == "same"
        assert attrs.find_shared(owner) == entity(9)
        assert attrs.find_shared(attr_of(tx, "todos", "n")) is None
        assert attrs.find_longer(noted, 4) == (entity(3), b'{"a":1}')
        assert attrs.find_longer(noted, 7) is None
        mistyped = attrs.find_mistyped(noted, "string")
        assert mistyped in ((entity(2), 7), (entity(3), b'{"a":1}'))
        assert attrs.find_mistyped(noted, "date") == (entity(3), b'{"a":1}')
        assert attrs.find_mistyped(flagged, "boolean") is None
        assert attrs.find_mistyped(flagged, "number") is not None
        assert [cell for _, cell in attrs.values(noted)] == [
            "same", "same", 7, b'{"a":1}', NULL, NULL,
        ]  # fmt: skip

    await in_tx(creating(note, flag, OWNER), fill, look)


@pytest.mark.rule("S210")
async def test_entities_are_scanned_by_id_and_counted(in_tx: Any) -> None:
    def look(tx: WriteTx) -> None:
        todos = tx.catalog.namespaces["todos"]
        assert numbers_of(tx.stored.scan(todos, after=b"", count=2)) == [1, 2]
        assert numbers_of(tx.stored.scan(todos, after=eid(2), count=9)) == [3, 5]
        assert tx.stored.scan(todos, after=eid(5), count=9) == []
        entities, values = tx.stored.count(todos)
        assert entities == 4
        by_label = {tx.catalog.by_id[attr_id].label: n for attr_id, n in values.items()}
        # An indexed attr counts for each entity, set or not; `slug` is not indexed.
        assert by_label == {"slug": 3, "n": 4, "title": 4, "next": 0}

    await in_tx(filled, look)


@pytest.mark.rule("S210")
async def test_links_of_entities_are_counted(in_tx: Any) -> None:
    tags = link("todos", "tags", "todos", "tagged", cardinality="many")

    def work(tx: WriteTx) -> None:
        for source, target in ((1, 7), (1, 8), (2, 7), (4, 7)):
            tx.stored.link(attr_of(tx, "todos", "tags"), eid(source), eid(target), 5)
        _, values = tx.stored.count(tx.catalog.namespaces["todos"])
        assert values[attr_of(tx, "todos", "tags").id] == 3  # the source of one is a stub

    await in_tx(creating(tags), filled, work)
