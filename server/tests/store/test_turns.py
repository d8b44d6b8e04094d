"""Whose turn it is, of many who wait."""

from __future__ import annotations

import pytest

from trice.store.turns import Turns


def free(_network: str) -> bool:
    return True


def taken(turns: Turns[str], count: int) -> list[str | None]:
    return [turns.take(free) for _ in range(count)]


@pytest.mark.rule("S82")
def test_networks_take_turns_and_in_each_whoever_asks() -> None:
    turns: Turns[str] = Turns()
    for number in range(3):
        turns.add(("crowd", "ann"), f"ann{number}")
    for number in range(3):
        turns.add(("crowd", "bob"), f"bob{number}")
    turns.add(("house", "eve"), "eve0")
    turns.add(("house", "eve"), "eve1")
    assert taken(turns, 9) == [
        *("ann0", "eve0", "bob0", "eve1", "ann1", "bob1", "ann2", "bob2"),
        None,
    ]
    assert len(turns) == 0 and turns.count_of("crowd") == 0


@pytest.mark.rule("S82")
def test_a_network_that_may_not_run_is_passed_over() -> None:
    turns: Turns[str] = Turns()
    turns.add(("a", "x"), "a0")
    turns.add(("b", "x"), "b0")
    assert turns.take(lambda network: network != "a") == "b0"
    assert turns.take(lambda network: network != "a") is None
    assert turns.take(free) == "a0"


@pytest.mark.rule("S84")
def test_whoever_has_most_makes_room_with_the_newest() -> None:
    turns: Turns[str] = Turns()
    assert turns.take_newest_of_most() is None
    turns.add(("a", "x"), "a0")
    for number in range(3):
        turns.add(("b", "y"), f"y{number}")
    turns.add(("b", "z"), "z0")
    assert turns.take_newest_of_most() == "y2"
    turns.discard(("b", "y"), "y0")
    turns.discard(("b", "y"), "y0")
    turns.discard(("c", "y"), "y0")
    assert (len(turns), turns.count_of("b")) == (3, 2)
    assert sorted(turns.take_all()) == ["a0", "y1", "z0"]
    assert len(turns) == 0 and turns.take(free) is None
