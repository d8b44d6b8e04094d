"""Who writes next: in call order, but for long calls, of which networks take turns."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from trice.store.write_queue import WriteQueue


@dataclass(slots=True)
class Call:
    """`a1` is short, `A2` is long; both of network a."""

    name: str
    is_long: bool

    @property
    def network(self) -> str:
        return self.name[0].lower()


def queue_of(names):
    queue = WriteQueue()
    for name in names.split():
        queue.put(Call(name, name[0].isupper()))
    return queue


def drain(queue, group_max=1_000):
    """What runs, in order: one long call, or a group of short ones, at a time."""
    ran = []
    while len(queue):
        call = queue.take_long()
        if call is not None:
            ran.append(call.name)
            continue
        before = len(ran)
        while len(ran) - before < group_max and (call := queue.take_short()) is not None:
            ran.append(call.name)
        assert len(ran) > before, "nothing runs although something waits"
    return " ".join(ran)


@pytest.mark.rule("S95")
@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("a1 b1 a2", "a1 b1 a2"),
        ("a1 A2 a3", "a1 A2 a3"),
        ("A1 A2 A3", "A1 A2 A3"),
        ("A1 A2 A3 b1 b2", "A1 b1 b2 A2 A3"),
        ("A1 A2 A3 B1 B2", "A1 B1 A2 B2 A3"),
        ("A1 A2 B1 c1 B2", "A1 c1 B1 A2 B2"),
        ("a1 A2 a3 A4 b1", "a1 b1 A2 a3 A4"),
    ],
)
def test_long_calls_take_turns(names, order):
    assert drain(queue_of(names)) == order


@pytest.mark.rule("S95")
def test_a_stranger_waits_for_one_long_call_at_most():
    queue = queue_of(" ".join(f"A{n}" for n in range(100)))
    assert queue.take_long().name == "A0"
    queue.put(Call("b1", is_long=False))
    assert queue.take_long() is None
    assert queue.take_short().name == "b1"
    queue.put(Call("B2", is_long=True))
    assert [queue.take_long().name, queue.take_long().name] == ["A1", "B2"]


@pytest.mark.rule("S96")
def test_a_call_that_turns_out_to_be_long_stays_before_those_after_it():
    queue = queue_of("A0 a1 a2 b1 a3")
    assert queue.take_long().name == "A0"
    call = queue.take_short()
    assert call.name == "a1"
    call.is_long = True
    queue.put_back(call)
    assert drain(queue) == "b1 a1 a2 a3"


@pytest.mark.rule("S96")
@pytest.mark.parametrize("seed", range(200))
def test_calls_of_one_network_never_overtake_each_other(seed):
    random = Random(seed)
    queue, ran, given = WriteQueue(), [], 0
    while given < 60 or len(queue):
        if given < 60 and random.random() < 0.5:
            is_long = random.random() < 0.3
            queue.put(Call(f"{random.choice('abc')}{given}", is_long))
            given += 1
        elif len(queue):
            call = queue.take_long()
            if call is not None:
                ran.append(call)
                continue
            for _ in range(random.randint(1, 4)):
                call = queue.take_short()
                if call is None:
                    break
                if random.random() < 0.1:
                    call.is_long = True
                    queue.put_back(call)
                    break
                ran.append(call)
    assert len(ran) == given
    for network in "abc":
        numbers = [int(call.name[1:]) for call in ran if call.name[0] == network]
        assert numbers == sorted(numbers)


@pytest.mark.rule("S95")
def test_what_is_given_up_are_the_short_ones_and_none_twice():
    queue, given_up = queue_of("a1 A2 a3 b1"), []
    queue.take_all(given_up.append)
    assert [call.name for call in given_up] == ["a1", "b1"]
    assert drain(queue) == "A2 a3"
