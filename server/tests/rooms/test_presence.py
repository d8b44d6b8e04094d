"""Edits of presence, applied as the official client applies them (its utils/object.js)."""

from __future__ import annotations

import copy
import random
from typing import Any

import orjson
import pytest

from trice.rooms.presence import Presence, edits_between
from trice.rooms.room import UNTOLD, Room


def presence(data: Any, peer: str = "p") -> Presence:
    return Presence(peer, None, data, orjson.dumps(data))


def as_sent(edits: list[Any]) -> list[Any]:
    sent: list[Any] = orjson.loads(orjson.dumps(edits))
    return sent


def apply(peers: dict[str, Any], edits: list[Any]) -> None:
    """`_patchPresencePeers` of @instantdb/core 1.0.67."""
    for path, op, *value in edits:
        if op == "-":
            remove(peers, path)
            continue
        current = peers
        for key in path[:-1]:
            if not isinstance(current.get(key), dict | list):
                current[key] = {}
            current = current[key]
        current[path[-1]] = copy.deepcopy(value[0])


def remove(at: dict[str, Any], path: list[str]) -> None:
    key, *rest = path
    if key not in at:
        return
    if not rest:
        del at[key]
        return
    remove(at[key], rest)
    if at[key] in ({}, []):
        del at[key]


def value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(9 if depth else 6)
    if kind < 6:
        return rng.choice([0, 1, 1.0, True, False, None, "", "a", -0.0, 2**53])
    if kind == 6:
        return [value(rng, depth - 1) for _ in range(rng.randrange(3))]
    return {key: value(rng, depth - 1) for key in rng.sample("abc01", rng.randrange(4))}


def changed(rng: random.Random, old: Any) -> Any:
    """Something like `old`."""
    if not isinstance(old, dict) or rng.random() < 0.2:
        return value(rng, 3)
    new = {key: one for key, one in old.items() if rng.random() < 0.7}
    for key in list(new):
        if rng.random() < 0.4:
            new[key] = changed(rng, new[key])
    if rng.random() < 0.5:
        new[rng.choice("abc01")] = value(rng, 2)
    return new


@pytest.mark.rule("ROOM7")
@pytest.mark.parametrize("seed", range(40))
def test_edits_lead_clients_to_the_new_state(seed):
    rng = random.Random(seed)
    for _ in range(50):
        data = value(rng, 3)
        peers: dict[str, Any] = {}
        old: Presence | None = None
        for _ in range(8):
            new = None if rng.random() < 0.1 else presence(data)
            apply(peers, as_sent(edits_between(old, new)))
            expected = {} if new is None else {"p": orjson.loads(orjson.dumps(new.entry()))}
            assert orjson.dumps(peers, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
                expected, option=orjson.OPT_SORT_KEYS
            ), (old and old.data, data)
            old = new
            data = changed(rng, data)


@pytest.mark.rule("ROOM7")
@pytest.mark.parametrize(
    ("before", "after", "edits"),
    [
        ({"x": 1, "y": 2}, {"x": 3, "y": 2}, [[["p", "data", "x"], "r", 3]]),
        ({"x": 1, "y": 2}, {"x": 1}, [[["p", "data", "y"], "-"]]),
        ({"x": 1}, {}, [[["p", "data"], "r", {}]]),
        ({"a": {"b": 1}, "c": 1}, {"a": {}, "c": 1}, [[["p", "data", "a"], "r", {}]]),
        ({"l": [1, 2], "c": 1}, {"l": [2], "c": 1}, [[["p", "data", "l"], "r", [2]]]),
        ({"x": 1, "y": 0}, {"x": True, "y": 0}, [[["p", "data", "x"], "r", True]]),
        ({"x": 1}, {"x": 1}, []),
    ],
)
def test_edits_are_short(before, after, edits):
    assert as_sent(edits_between(presence(before), presence(after))) == edits


@pytest.mark.rule("ROOM8", "ROOM9")
@pytest.mark.parametrize("seed", range(20))
def test_a_member_told_at_any_time_has_the_newest_state(seed):
    """Members that take their news at random times, against the state itself."""
    rng = random.Random(seed)
    room = Room("r")
    told = dict.fromkeys("wxyz", UNTOLD)
    shown: dict[str, dict[str, Any]] = {name: {} for name in told}
    for _ in range(200):
        for _ in range(rng.randrange(4)):
            peer = rng.choice("abcd")
            if rng.random() < 0.2:
                room.remove(peer)
            else:
                room.put(presence({"x": rng.randrange(3), "y": {"z": rng.randrange(2)}}, peer))
        version = room.version
        is_changed = room.cut()
        assert room.version == version + is_changed
        for name in rng.sample(sorted(told), rng.randrange(3)):
            for frame in room.since(told[name]):
                message = orjson.loads(bytes(frame))
                if message["op"] == "refresh-presence":
                    shown[name] = message["data"]
                else:
                    apply(shown[name], message["edits"])
            told[name] = room.version
            state = {
                peer: orjson.loads(orjson.dumps(one.entry())) for peer, one in room.members.items()
            }
            assert shown[name] == state
