"""The two evaluators agree with each other: brute force over triples, and the client's way."""

from __future__ import annotations

from typing import Any

import pytest

from model.client import evaluate
from model.query import Answer, run
from model.state import Model
from model.transact import Rejected, merged, transact
from support.queries import Cursors, is_exact_on_clients, random_query
from support.world import make_world, random_transaction, schema_steps, seed_steps


def without_stubs(model: Model) -> Model:
    """The model without what hangs on entities that have no id: walks over it differ."""
    clean = model.copy()

    def exists(entity: str, attr_id: str, side: str) -> bool:
        return model.exists(entity, model.attrs[attr_id][side][1])

    for (entity, attr_id), value in model.ones.items():
        is_link = model.attrs[attr_id]["value-type"] == "ref"
        if not exists(entity, attr_id, "forward-identity") or (
            is_link and value is not None and not exists(value, attr_id, "reverse-identity")
        ):
            del clean.ones[entity, attr_id]
    for attr_id, source, target in model.many:
        is_whole = exists(source, attr_id, "forward-identity") and exists(
            target, attr_id, "reverse-identity"
        )
        if not is_whole:
            del clean.many[attr_id, source, target]
    return clean


def everything(model: Model, answer: Answer) -> list[dict[str, Any]]:
    """A flat result that carries every triple of the app."""
    triples = [
        triple for entity, etype in model.created for triple in model.own_triples(entity, etype)
    ]
    triples += [[source, attr, target, time] for (attr, source, target), time in model.many.items()]
    data = {"datalog-result": {"join-rows": [triples]}, "page-info": answer.pages}
    return [{"data": data, "child-nodes": []}]


@pytest.mark.parametrize("seed", range(60))
def test_the_client_shows_what_brute_force_finds(seed: int) -> None:
    world, model = make_world(seed), Model()
    cursors: Cursors = {}
    batches = [schema_steps(world), *seed_steps(world)]
    batches += [random_transaction(world) for _ in range(10)]
    for now_ms, steps in enumerate(batches, start=1000):
        try:
            model = transact(model, steps, now_ms=now_ms, new_id=lambda *_: world.new_uuid())
        except Rejected:
            continue
    model, compared = without_stubs(model), 0
    for _ in range(40):
        query = random_query(world, cursors)
        answer = run(model, query)
        remember_cursors(cursors, query, answer.pages)
        if is_exact_on_clients(world, query, has_all_triples=True) and "last" not in str(query):
            compared += 1
            flat = everything(model, answer)
            assert evaluate(flat, list(model.attrs.values()), query) == answer.tree, query
    assert compared > 0


def remember_cursors(cursors: Cursors, query: dict[str, Any], pages: dict[str, Any]) -> None:
    for etype, page in pages.items():
        order = query[etype]["$"].get("order", {"serverCreatedAt": "asc"})
        ends = [page["start-cursor"], page["end-cursor"]]
        cursors.setdefault((etype, next(iter(order))), []).extend(c for c in ends if c)


@pytest.mark.parametrize(
    ("stored", "patch", "expected"),
    [
        ({"a": 1, "b": {"c": 2}}, {"b": {"c": None, "d": 3}}, {"a": 1, "b": {"d": 3}}),
        ({"a": 1}, 5, 5),
        (5, {"a": None}, {"a": None}),
        ({"a": 1}, {"a": {"b": None}}, {"a": {"b": None}}),
        ({"a": [1]}, {"a": [2]}, {"a": [2]}),
        ({"a": 1}, None, None),
    ],
)
def test_merging_joins_objects_and_replaces_the_rest(
    stored: Any, patch: Any, expected: Any
) -> None:
    assert merged(stored, patch) == expected
