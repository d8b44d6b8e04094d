"""Whatever a transaction does, its Commit says so, and a failed one does nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest

from support.transact_app import App, uid
from trice.errors import TriceError
from trice.protocol.ids import EntityId
from trice.store.commit import Image

ETYPES = ("books", "people", "tags")


def images(app: App) -> dict[tuple[str, Any], Image]:
    """Every row of every namespace, as Commits describe rows."""
    found = {}
    for namespace in app.catalog.namespaces.values():
        if namespace.etype not in ETYPES:
            continue
        listed = "".join(f', "{attr.column}"' for attr in namespace.columns)
        sql = f'SELECT id, _created_ms{listed} FROM "{namespace.table}"'
        for entity, created, *cells in app.rows(sql):
            pairs = zip(namespace.columns, cells, strict=True)
            given = {attr.id: cell for attr, cell in pairs if cell is not None}
            found[namespace.etype, entity] = Image(created, given)  # type: ignore[arg-type]
    return found


def links(app: App) -> dict[tuple[Any, Any, Any], Any]:
    found = {}
    for attr in app.catalog.by_id.values():
        if attr.is_pairs and attr.etype in ETYPES:
            for source, target, created in app.rows(f'SELECT * FROM "{attr.table}"'):
                found[attr.id, source, target] = created
    return found


def random_step(app: App, draw: random.Random) -> list[Any]:
    etype = draw.choice(ETYPES)
    namespace = app.catalog.namespaces[etype]
    attrs = [*namespace.columns, *namespace.pairs]
    assert namespace.id_attr is not None
    subject: Any = uid(draw.randint(1, 6))
    if draw.random() < 0.15:
        etype, namespace = "people", app.catalog.namespaces["people"]
        attrs = [*namespace.columns]
        subject = [app.attr("people", "email").id, draw.choice("abc")]
    others = ["retract-triple", "deep-merge-triple", "increment-triple", "delete-entity"]
    op = draw.choice(["add-triple"] * 6 + others)
    if op == "delete-entity":
        return [op, subject, etype] if draw.random() < 0.8 else [op, subject]
    assert namespace.id_attr is not None
    if draw.random() < 0.3:
        return ["add-triple", subject, namespace.id_attr.id, subject]
    attr = draw.choice(attrs)
    if attr.is_ref:
        value: Any = uid(draw.randint(1, 6))
        op = op if op == "retract-triple" else "add-triple"
    elif op == "increment-triple":
        value = draw.choice([1, -2, 0.5, 0])
    elif attr.label == "pages":
        value = draw.choice([1, 2, 2.0, None])
    else:
        value = draw.choice(["a", "b", "c", 1, None, True, {"k": 1}, {"k": 1.0}, {"k": None}])
    step = [op, subject, attr.id, value]
    if op != "retract-triple" and draw.random() < 0.1:
        step.append({"mode": draw.choice(["create", "update", "upsert"])})
    return step


@pytest.mark.rule("T48", "T49")
@pytest.mark.parametrize("seed", range(6))
def test_commits_tell_the_truth(library: App, seed: int) -> None:
    draw = random.Random(seed)
    library.define("people", "friends", to=("people", "fans"), cardinality="many", unique=True)
    library.define("people", "home", to=("tags", "people"), unique=True, on_delete="cascade")
    library.define("tags", "name", required=draw.random() < 0.5)
    counts = {"accepted": 0, "refused": 0}
    for _ in range(120):
        library.runtime.advance(1)
        before, linked = images(library), links(library)
        everything = library.snapshot()
        steps = [random_step(library, draw) for _ in range(draw.randint(1, 5))]
        try:
            commit = library.transact(steps)
        except TriceError:
            counts["refused"] += 1
            assert library.snapshot() == everything, steps
            continue
        counts["accepted"] += 1
        for change in commit.entities:
            key = (change.etype, EntityId(change.id))
            assert before.pop(key, None) == change.old, steps
            assert change.old != change.new, steps
            if change.new is not None:
                before[key] = change.new
        assert before == images(library), steps
        for pair in commit.pairs:
            link = (pair.attr_id, pair.source, pair.target)
            if pair.is_added:
                assert link not in linked, steps
                linked[link] = pair.created_ms
            else:
                assert linked.pop(link) == pair.created_ms, steps
        assert linked == links(library), steps
    assert min(counts.values()) > 5
