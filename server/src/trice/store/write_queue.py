"""The calls that wait for a writer: in call order, except that networks take turns with long ones.

    put ──> waiting ──short──> a group on the loop
               |
               long, or behind a long one of its network
               v
            the network's lane ──its turn──> alone, on the thread ──> what follows it is freed

A transaction of 100,000 steps takes seconds, and nothing else writes meanwhile. So between two long
calls of one network, one long call of every other network and a group of short calls run. Calls of
one network never overtake each other.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What the queue must know of a call."""

    @property
    def is_long(self) -> bool: ...

    @property
    def network(self) -> str: ...


C = TypeVar("C", bound=Waiting)


class WriteQueue(Generic[C]):
    """Says which call runs next. Does not run anything.

    Invariant: a lane begins with a long call; as long as a network has a lane, its calls go there.
    Calls that followed a long call are freed when it is taken, and run before anything else.
    """

    __slots__ = ("_freed", "_lanes", "_waiting", "_was_long")

    def __init__(self) -> None:
        self._waiting: deque[C] = deque()
        self._freed: deque[C] = deque()
        self._lanes: OrderedDict[str, deque[C]] = OrderedDict()
        self._was_long = False

    def __len__(self) -> int:
        waiting = len(self._waiting) + len(self._freed)
        return waiting + sum(map(len, self._lanes.values())) if self._lanes else waiting

    def put(self, call: C) -> None:
        """Add a call behind all others of its network."""
        self._waiting.append(call)

    def put_back(self, call: C) -> None:
        """Put back a call that turned out to be long: it is the next call of its network."""
        behind = [freed for freed in self._freed if freed.network == call.network]
        if behind:
            self._freed = deque(freed for freed in self._freed if freed.network != call.network)
        later = self._lanes.get(call.network, ())
        self._lanes[call.network] = deque((call, *behind, *later))

    def take_long(self) -> C | None:
        """The long call that is to run now; None right after a long call while short ones wait."""
        self._divert()
        is_short_next = self._freed or (self._was_long and self._waiting)
        if not self._lanes or is_short_next:
            self._was_long = False
            return None
        network, lane = next(iter(self._lanes.items()))
        call = lane.popleft()
        while lane and not lane[0].is_long:
            self._freed.append(lane.popleft())
        if lane:
            self._lanes.move_to_end(network)
        else:
            del self._lanes[network]
        self._was_long = True
        return call

    def take_short(self) -> C | None:
        """The next call for a group on the loop."""
        if self._freed:
            return self._freed.popleft()
        self._divert()
        return self._waiting.popleft() if self._waiting else None

    def take_all(self, give_up: Callable[[C], object]) -> None:
        """Remove all short calls, and the long ones that wait among them."""
        while (call := self.take_short()) is not None:
            give_up(call)

    def _divert(self) -> None:
        """Move calls at the head that must wait for a long one to the lane of their network."""
        waiting = self._waiting
        while waiting and (waiting[0].is_long or waiting[0].network in self._lanes):
            call = waiting.popleft()
            self._lanes.setdefault(call.network, deque()).append(call)
