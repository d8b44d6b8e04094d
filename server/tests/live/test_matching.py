"""Conditions judged in memory, held against the statements of the same conditions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.live_stage import IDS
from trice.errors import InvalidInput
from trice.live.patch.matching import NotOwn, scope_predicate
from trice.query.ast import Scope
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.query.run import run
from trice.query.visibility import FixedVisibility
from trice.store.engine import Snapshot

VALUES: dict[str, list[Any]] = {
    "string": ["a", "A", "", "é", "10", "straße", "a\nb", "\U0001f600"],
    "number": [0, 1, 1.0, -2.5, 1e300, 2**53],
    "date": ["2025-01-02T00:00:00Z", "2025-01-02", "2024-12-31", 1735776000000, 1735776000000.5],
    "boolean": [True, False],
    "json": [{"k": 1}, [1, "a"], "a", 1, True, False, 0],
}
OPS = ("$eq", "$in", "$not", "$gt", "$gte", "$lt", "$lte", "$like", "$ilike")
PATTERNS = ("%", "a%", "%A%", "_", "", "\\%", "É", "%\n%")


def schema() -> dict[str, Any]:
    attrs = {
        f"{kind}{'_indexed' * is_indexed}": {
            "valueType": kind,
            "required": False,
            "config": {"indexed": is_indexed, "unique": False},
        }
        for kind in VALUES
        for is_indexed in (False, True)
    }
    return {"entities": {"things": {"attrs": attrs}}, "links": {}}


def entity(number: int) -> str:
    return f"e9{number:06d}-0000-4000-8000-000000000000"


def rows() -> Iterator[dict[str, Any]]:
    """Things with a value of each kind, with nulls, and with nothing."""
    for number in range(8):
        values = {kind: found[number % len(found)] for kind, found in VALUES.items()}
        yield {f"{kind}{end}": value for kind, value in values.items() for end in ("", "_indexed")}
    yield {f"{kind}{end}": None for kind in VALUES for end in ("", "_indexed")}
    yield {}


def conditions() -> Iterator[dict[str, Any]]:
    for kind, values in VALUES.items():
        for label in (kind, f"{kind}_indexed"):
            yield from ({label: {"$isNull": wanted}} for wanted in (True, False))
            yield {label: {"$in": values[:2]}}
            yield {label: {"$in": [values[0], None]}}
            yield {label: {"$not": None}}
            for op in OPS:
                operands = PATTERNS if op.endswith("like") else values
                yield from ({label: {op: [one] if op == "$in" else one}} for one in operands)
    here, there = entity(1), entity(12)
    yield from ({"id": test} for test in (here, {"$in": [here, there]}, {"$not": here}))
    yield {"id": {"$isNull": True}}
    yield {"$entityIdStartsWith": here[:9]}
    yield {"or": [{"string": "a"}, {"and": [{"number": 1}, {"boolean": {"$not": True}}]}]}
    yield {"nowhere": 1}


def found_by_statement(snapshot: Snapshot, where: Any, visibility: FixedVisibility) -> set[bytes]:
    query = parse({"things": {"$": {"where": where}}}, snapshot.catalog, is_admin=True)
    made = plan(query, snapshot.catalog, visibility, dialect=snapshot.dialect)
    tree = run(made, snapshot)
    return {row[0] for row in tree.nodes[0].rows}  # type: ignore[misc]


def scope_of(snapshot: Snapshot, where: Any) -> Scope:
    query = parse({"things": {"$": {"where": where}}}, snapshot.catalog, is_admin=True)
    return query.forms[0].where


@pytest.mark.rule("L34")
async def test_conditions_hold_in_memory_where_their_statements_find(stage):
    database = stage.database
    await database.add_schema(schema())
    for number, values in enumerate(rows()):
        await stage.write(["update", "things", entity(number), values])
    commits = stage.live._recent.since(0, database.tx)
    images = {
        change.id: change.new
        for commit in commits
        for change in commit.entities
        if change.etype == "things"
    }
    assert len(images) == 10

    def compare(snapshot: Snapshot) -> int:
        hiding = {
            attr.id: scope_of(snapshot, {"number_indexed": {"$gt": 0}})
            for attr in snapshot.catalog.namespaces["things"].columns
        }
        compared = 0
        for where in conditions():
            try:
                scope = scope_of(snapshot, where)
            except InvalidInput:
                continue
            for visibility in (FixedVisibility(), FixedVisibility(by_attr=hiding)):
                is_in = scope_predicate(scope, visibility)
                found = {one for one, image in images.items() if is_in(one, image.cells)}
                assert found == found_by_statement(snapshot, where, visibility), where
                compared += 1
        return compared

    assert database.engine.read_now(compare) > 250


@pytest.mark.rule("L34")
@pytest.mark.parametrize(
    "where",
    [
        {"owner.name": "Ada"},
        {"tags": IDS["g1"]},
        {"tags": {"$isNull": True}},
        # SQLite ends texts there.
        {"title": {"$like": "a\0%"}},
    ],
)
async def test_conditions_that_look_further_are_refused(stage, where):
    query = parse({"todos": {"$": {"where": where}}}, stage.database.catalog, is_admin=True)
    with pytest.raises(NotOwn):
        scope_predicate(query.forms[0].where)
