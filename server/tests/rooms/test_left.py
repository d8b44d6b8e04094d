"""Who left lately: bounded in number, bytes and time."""

from __future__ import annotations

import random

import pytest

from trice import room_limits
from trice.rooms.left import Left, LeftMembers
from trice.rooms.presence import Presence


def left(n, at_ms, size_bytes=2):
    return Left(Presence(str(n), None, n, b"x" * size_bytes), at_ms)


def peers(kept, room, since_ms=0):
    return [one.presence.peer_id for one in kept.since(("room", room), since_ms)]


@pytest.mark.rule("ROOM41")
def test_the_latest_of_a_room_are_kept(monkeypatch):
    monkeypatch.setattr(room_limits, "LAST_SEEN_KEPT", 2)
    kept = LeftMembers()
    for n in range(4):
        kept.add(("room", "r"), left(n, n))
    assert (peers(kept, "r"), peers(kept, "r", since_ms=3)) == (["3", "2"], ["3"])


@pytest.mark.rule("ROOM41")
def test_rooms_left_first_are_forgotten(monkeypatch):
    kept = LeftMembers()
    size_bytes = len(left(0, 0).presence)
    monkeypatch.setattr(room_limits, "LAST_SEEN_BYTES_MAX", 3 * size_bytes)
    for n, room in enumerate("aabc"):
        kept.add(("room", room), left(n, n))
    assert [peers(kept, room) for room in "abc"] == [["1"], ["2"], ["3"]]
    kept.add(("room", "d"), left(9, room_limits.LAST_SEEN_MINUTES_MAX * 60_000 + 3))
    assert [peers(kept, room) for room in "abcd"] == [[], [], ["3"], ["9"]]


@pytest.mark.rule("ROOM41")
@pytest.mark.parametrize("seed", range(10))
def test_what_is_counted_is_what_is_kept(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(room_limits, "LAST_SEEN_BYTES_MAX", 3_000)
    monkeypatch.setattr(room_limits, "LAST_SEEN_KEPT", 5)
    kept, at_ms = LeftMembers(), 0
    for n in range(300):
        at_ms += rng.choice([0, 1_000, 2_000_000])
        kept.add(("room", rng.choice("abcd")), left(n, at_ms, rng.randrange(400)))
        shown = [one for room in "abcd" for one in kept.since(("room", room), 0)]
        assert kept.size_bytes == sum(len(one.presence) for one in shown) <= 3_000
