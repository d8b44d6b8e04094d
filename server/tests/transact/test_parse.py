"""The form of steps as sessions send them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from support.transact_app import App, uid
from trice import limits
from trice.errors import InvalidInput, LimitExceeded, PermissionDenied, TriceError
from trice.transact.parse import parse_steps

A = uid(1, "a")
E = uid(1)


def refusal(steps: Any, *, is_admin: bool = True) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_steps(steps, is_admin=is_admin)
    assert caught.value.code == "validation-failed"
    assert caught.value.hint["data-type"] == "tx-steps"
    return caught.value


@pytest.mark.rule("T2")
def test_steps_are_bounded() -> None:
    with pytest.raises(LimitExceeded) as caught:
        parse_steps([0] * (limits.TX_STEPS_MAX + 1), is_admin=True)
    assert caught.value.code == "parameter-limit-exceeded"


@pytest.mark.rule("T3")
@pytest.mark.parametrize("eid", ["12345", 7, None, {}, ["email", "a@b.c"], [A], [A, 1, 2]])
def test_entity_ids_are_uuids_or_lookups(eid: Any) -> None:
    error = refusal([["rule-params", E, "t", {}], ["add-triple", eid, A, 1]])
    assert error.hint["errors"][0]["in"] == [1, 1]
    assert "Invalid entity ID" in error.message
    if eid == "12345":
        assert "Invalid entity ID '12345'. Entity IDs must be UUIDs." in error.message


@pytest.mark.rule("T6")
@pytest.mark.parametrize(
    "step", [["update-attr", {"id": A}], ["delete-attr", A], ["restore-attr", A]]
)
def test_only_admins_change_attrs(step: list[Any]) -> None:
    with pytest.raises(PermissionDenied) as caught:
        parse_steps([step], is_admin=False)
    assert caught.value.message.startswith("Permission denied: not perms-pass?")
    assert caught.value.hint["input"][0] == "attrs"
    assert len(parse_steps([step], is_admin=True)) == 1


@pytest.mark.rule("T1", "T4", "T90")
@pytest.mark.parametrize("seed", range(8))
def test_any_json_at_all_is_an_error_of_ours(library: App, seed: int) -> None:
    draw = random.Random(seed)
    known = [attr.id for attr in library.catalog.by_id.values()]
    words: list[Any] = [
        *("add-triple", "deep-merge-triple", "retract-triple", "delete-entity", "rule-params"),
        *("add-attr", "update-attr", "delete-attr", "restore-attr", "create", "update", "merge"),
        *("increment-triple", "increment"),
        *("link", "unlink", "delete", "ruleParams", "books", "people", "$users", "$x", "", "id"),
        *("\x00", "\ud800", "x" * 2000, "lookup__email__", 'lookup__email__"a"', "author.id"),
        *(E, E.upper(), 0, -1, 2**70, 1.5, float("inf"), None, True, {}, []),
        *({"mode": "create"}, {"upsert": False}, {"title": 1, "author": E, "tags": [E]}),
        *({"email": "a"}, {"id": 5}, ["email", "a"], [A, [A, 1]], {"\x00": 1}),
        library.attr_json("books", "extra"),
        {**library.attr_json("books", "link", to=("people", "back")), "cardinality": "many"},
        {**library.attr_json("books", "bad"), "unique?": 5},
    ]

    def anything(depth: int) -> Any:
        if depth and draw.random() < 0.15:
            return [anything(depth - 1) for _ in range(draw.randint(0, 5))]
        return draw.choice(known) if draw.random() < 0.25 else draw.choice(words)

    for _ in range(150):
        steps = [[anything(2) for _ in range(draw.randint(0, 5))] for _ in range(2)]
        before = library.engine.tx
        for run in (library.transact, lambda given: library.admin(*given)):
            try:
                run(steps)
            except TriceError as error:
                assert error.kind.name in ("INVALID", "CONFLICT", "LIMIT", "DENIED"), steps
        assert library.engine.tx >= before
