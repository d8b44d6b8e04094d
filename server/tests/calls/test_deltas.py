"""Values of watched calls in pieces, and the deltas between them."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from support.call_values import applied
from support.seeds import seeds
from trice import function_limits as limits
from trice.calls.deltas import CallDeltas, cut, delta
from trice.calls.watch import Answer

LISTS = ("items", "meta.people")
FUZZ_SEEDS = tuple(range(40))


def row(number: int, **values: Any) -> dict[str, Any]:
    return {"id": f"e{number:07d}", "title": f"title {number}", **values}


def value_of(items: list[Any], people: Any = (), **rest: Any) -> dict[str, Any]:
    return {"items": items, "meta": {"people": list(people), "of": "é"}, **rest}


def change(old: Any, new: Any, lists: tuple[str, ...] = LISTS) -> Any:
    """The delta between two values; None: there is none."""
    before = cut(orjson.dumps(old), lists)
    found = delta(before, cut(orjson.dumps(new), lists, before))
    return None if found is None else orjson.loads(found)


@pytest.mark.rule("FN581")
def test_a_delta_says_what_left_came_and_moved() -> None:
    old = value_of([row(1), row(2), row(3), row(4)], [row(9)])

    assert change(old, value_of([row(1), row(2, done=True), row(4)], [row(9)])) == {
        "lists": {"items": {"gone": [row(3)["id"]], "put": [row(2, done=True)]}}
    }
    assert change(old, value_of([row(5), row(1), row(2), row(3), row(4)], [row(9)])) == {
        "lists": {"items": {"put": [row(5)], "order": [[0, row(5)["id"]]]}}
    }
    # One moved, the others keep their order.
    assert change(old, value_of([row(2), row(3), row(4), row(1)], [row(9)])) == {
        "lists": {"items": {"order": [[3, row(1)["id"]]]}}
    }
    # With `rest` each list is named that keeps what it had.
    told = change(old, value_of([row(1), row(2), row(3), row(4)], [], total=4))
    assert told == {
        "rest": value_of([], [], total=4),
        "lists": {"items": {}, "meta.people": {"gone": [row(9)["id"]]}},
    }
    assert applied(old, told) == value_of([row(1), row(2), row(3), row(4)], [], total=4)
    assert change([row(1)], [row(1), row(2)], ("",)) == {
        "lists": {"": {"put": [row(2)], "order": [[1, row(2)["id"]]]}}
    }


@pytest.mark.rule("FN582")
@pytest.mark.parametrize(
    "items",
    [[row(1), row(1)], [row(1), {"title": "no id"}], [{"id": 7}], None, {"id": "no list"}, "text"],
)
def test_a_list_without_an_id_of_each_item_is_told_whole(items: Any) -> None:
    before = value_of([row(1)], [row(9)])
    after = value_of(items, [row(9)])
    assert change(before, after) is None
    # Where both are such, it is part of the rest.
    later = value_of(items, [row(9), row(8)])
    told = change(after, later)
    assert told == {"lists": {"meta.people": {"put": [row(8)], "order": [[1, row(8)["id"]]]}}}
    assert applied(after, told) == later


class Inventor:
    """Values that change at random."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.lists: list[list[dict[str, Any]]] = [[], []]
        self.total = 0

    def next(self) -> Any:
        draw = self.draw
        for rows in self.lists:
            for _ in range(draw.randrange(4)):
                at = draw.randrange(len(rows) + 1)
                match draw.randrange(5):
                    case 0 if rows:
                        rows.pop(at - 1)
                    case 1 if rows:
                        rows[at - 1] = {**rows[at - 1], "n": draw.randrange(3)}
                    case 2 if rows:
                        rows.insert(at - 1, rows.pop(draw.randrange(len(rows))))
                    case 3 if rows:
                        draw.shuffle(rows)
                    case _:
                        known = {each["id"] for each in rows}
                        new = row(draw.randrange(12))
                        if new["id"] not in known:
                            rows.insert(at, new)
        if draw.random() < 0.3:
            self.total = draw.randrange(3)
        items, people = self.lists
        if draw.random() < 0.1:
            return value_of([*items, *items[:1]], people, total=self.total)
        return value_of(items, people, total=self.total)


@pytest.mark.rule("FN581", "FN585")
def test_a_delta_from_any_kept_value_gives_the_current_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "CALL_DELTA_STEPS_MAX", 5)
    made = 0
    for seed in seeds(FUZZ_SEEDS):
        inventor, deltas = Inventor(random.Random(seed)), CallDeltas()
        told: dict[bytes, Any] = {}
        for _ in range(12):
            value = inventor.next()
            answer = Answer.of(orjson.dumps(value))
            deltas.note("call", answer.digest, answer.value or b"", LISTS)
            told[answer.digest] = orjson.loads(orjson.dumps(value))
            leads = 0
            for held, old in told.items():
                found = deltas.find("call", held, answer.digest)
                if found:
                    assert applied(old, orjson.loads(found)) == value, (seed, old)
                leads += found is not None
            assert leads <= 5
            made += leads
        assert deltas.kept_bytes == sum(each.size_bytes for each in deltas._entries.values())
    assert made > 100


@pytest.mark.rule("FN582")
def test_no_delta_is_longer_than_the_value() -> None:
    old, deltas = value_of([row(number) for number in range(30)]), CallDeltas()
    sizes = []
    for kept in range(31):
        new = value_of([row(number, done=True) for number in range(kept)] + old["items"][kept:])
        first, second = Answer.of(orjson.dumps(old)), Answer.of(orjson.dumps(new))
        for answer in (first, second):
            assert answer.value is not None
            deltas.note(kept, answer.digest, answer.value, LISTS)
            answer.noted = (deltas, kept)
        said = second.said(first.digest).plain
        assert len(said) <= len(second.said(b"").plain)
        sizes.append((b'"delta"' in said, len(said)))
    assert sizes[1][0] and sizes[20][0] and not sizes[30][0]


@pytest.mark.rule("FN585")
def test_what_is_encoded_of_an_answer_is_bounded() -> None:
    answer = Answer.of(orjson.dumps([row(number) for number in range(2_000)]))
    assert answer.value is not None
    parts: dict[bytes, object] = {}
    for number in range(20):
        spelled = orjson.dumps({"n": number})
        parts[spelled] = answer.part("t.rows", spelled, b"")
        assert answer.part("t.rows", spelled, b"") is parts[spelled]
    # Each has all of the value: two of them are kept at most.
    kept = [made for spelled, made in parts.items() if answer.part("t.rows", spelled, b"") is made]
    assert len(kept) <= 2


@pytest.mark.rule("FN585")
def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def note(deltas: CallDeltas, key: Any, value: Any) -> bytes:
        answer = Answer.of(orjson.dumps(value))
        assert answer.value is not None
        deltas.note(key, answer.digest, answer.value, ("",))
        return answer.digest

    many = [row(number) for number in range(1_000)]
    deltas = CallDeltas()
    first = note(deltas, "a", many)
    alone_bytes = deltas.kept_bytes
    second = note(deltas, "a", [row(0, done=True), *many[1:]])
    # Of the value before, only the row that differs and the places of the others are kept.
    assert deltas.kept_bytes - alone_bytes < 20_000
    assert deltas.find("a", first, second)

    # Beyond the bytes of one call the oldest go; beyond those of the app the calls do.
    monkeypatch.setattr(limits, "CALL_DELTA_STEPS_BYTES_MAX", 1_000)
    for number in range(60):
        last = note(deltas, "a", [row(each, n=number) for each in range(1_000)])
        assert deltas.kept_bytes < 3 * alone_bytes
    assert deltas.find("a", second, last) is None
    monkeypatch.setattr(limits, "CALL_DELTA_BYTES_MAX", 5 * alone_bytes)
    for number in range(20):
        note(deltas, number, many)
        assert deltas.kept_bytes <= 5 * alone_bytes
    assert 0 < len(deltas) <= 5

    # So has a list of too many items.
    with monkeypatch.context() as patched:
        patched.setattr(limits, "CALL_DELTA_ROWS_MAX", 15)
        pieces = cut(orjson.dumps(value_of(many[:10], many[:6])), LISTS)
        assert list(pieces.lists) == ["items"]

    # A value that is too long to be cut on the loop has no deltas, and begins anew afterwards.
    monkeypatch.setattr(limits, "CALL_DELTA_VALUE_BYTES_MAX", 10_000)
    before = note(deltas, "b", many[:10])
    note(deltas, "b", many)
    after = note(deltas, "b", many[:11])
    assert deltas.find("b", before, after) is None
    assert deltas.find("b", after, note(deltas, "b", many[:12]))
