"""By what a mutation is known when it comes again."""

from __future__ import annotations

import pytest

from trice.protocol.ids import EventId
from trice.transact.replay import digest_steps, replay_key

T1 = "e1000000-0000-4000-8000-000000000001"
A1 = "aa000000-0000-4000-8000-000000000001"
STEP = ["add-triple", T1, A1, {"a": 1, "b": [1.5, None, True, "x"]}]


def key(event_id="e", caller="guest", steps=(STEP,)):
    return replay_key(EventId(event_id), caller, digest_steps(list(steps)))


@pytest.mark.rule("T110")
def test_the_same_caller_id_and_steps_are_a_replay():
    again = ["add-triple", T1, A1, {"b": [1.5, None, True, "x"], "a": 1}]
    assert key() == key(steps=[again])


@pytest.mark.rule("T110")
def test_the_key_is_the_same_in_every_version():
    """It is in the log of files that this server did not write."""
    assert key() == "e.e10b8791324179ce66b04c86"


@pytest.mark.rule("T111")
@pytest.mark.parametrize(
    "steps",
    [
        [],
        [STEP, STEP],
        [["add-triple", T1, A1, {"a": 1, "b": [1.5, None, True, "y"]}]],
        [["add-triple", T1, A1, {"a": 1, "b": [1.5, None, 1, "x"]}]],
        [["add-triple", T1, A1, {"a": 1.0, "b": [1.5, None, True, "x"]}]],
        [["deep-merge-triple", *STEP[1:]]],
        [["add-triple", A1, T1, STEP[3]]],
        [[*STEP, {"mode": "create"}]],
    ],
)
def test_other_steps_are_another_transaction(steps):
    assert key(steps=steps) != key()


@pytest.mark.rule("T111")
def test_another_caller_or_id_is_another_transaction():
    assert key(caller="admin") != key()
    assert key(event_id="f") != key()
    long = "x" * 1_000
    assert key(event_id=long + "1") != key(event_id=long + "2")
    assert len(key(event_id=long)) < 150


@pytest.mark.rule("T112")
def test_attrs_that_the_catalog_has_by_then_do_not_count():
    added = ["add-attr", {"id": A1, "forward-identity": [T1, "todos", "a"]}]
    assert key(steps=[added, STEP, added]) == key()
    assert key(steps=[["update-attr", {"id": A1}], STEP]) != key()


@pytest.mark.rule("T110")
@pytest.mark.parametrize("steps", [None, 5, "x", {}, [5], [[]], [None], [[[]]], [["add-attr"]]])
def test_anything_has_a_key(steps):
    assert digest_steps(steps) == digest_steps(steps)


@pytest.mark.rule("T110")
def test_whole_numbers_of_any_size_are_told_apart():
    keys = {key(steps=[["add-triple", T1, A1, 2**n]]) for n in (62, 63, 64, 65, 1_000)}
    assert len(keys) == 5
    deep = []
    for _ in range(5_000):
        deep = [deep]
    assert digest_steps([deep]) == digest_steps([deep])
