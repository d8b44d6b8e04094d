"""Which waiting item is next: networks take turns, and within each its turn keys. No I/O."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from trice.identity import TurnKey

T = TypeVar("T")


class Turns(Generic[T]):
    """Waiting items, by turn key.

    Holds each item once, until it is taken. Items of one turn key keep their order. A network that
    had its turn goes behind all others, and so does a turn key within its network.
    """

    def __init__(self) -> None:
        self._networks: OrderedDict[str, OrderedDict[str, deque[T]]] = OrderedDict()
        self._counts: dict[str, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def count_of(self, network: str) -> int:
        """How many items of a network wait."""
        return self._counts.get(network, 0)

    @property
    def most(self) -> int:
        """How many items wait of the network that has most."""
        return max(self._counts.values(), default=0)

    def add(self, turn_key: TurnKey, item: T) -> None:
        """Put an item behind the others of its turn key."""
        network, who = turn_key
        self._networks.setdefault(network, OrderedDict()).setdefault(who, deque()).append(item)
        self._note(network, 1)

    def take(self, may_run: Callable[[str], bool]) -> T | None:
        """The next item of a network that may run one; None when there is none.

        cost   O(1), and O(networks in front that may not)
        """
        for network in self._networks:
            if may_run(network):
                return self._take_of(network)
        return None

    def discard(self, turn_key: TurnKey, item: T) -> None:
        """Take out an item that may have been taken already."""
        network, who = turn_key
        waiting = self._networks[network].get(who) if network in self._networks else None
        if waiting is not None and item in waiting:
            waiting.remove(item)
            self._drop_empty(network, who)
            self._note(network, -1)

    def take_newest_of_most(self) -> T | None:
        """The newest item of the network that has most, from its turn key that has most; of several
        such turn keys, from the last in turn."""
        if not self._counts:
            return None
        network = max(self._counts, key=self._counts.__getitem__)
        turn_keys = self._networks[network]
        who = max(reversed(turn_keys), key=lambda name: len(turn_keys[name]))
        item = turn_keys[who].pop()
        self._drop_empty(network, who)
        self._note(network, -1)
        return item

    def take_all(self) -> Iterator[T]:
        """Take everything, in no particular order."""
        networks, self._networks = self._networks, OrderedDict()
        self._counts.clear()
        self._count = 0
        for turn_keys in networks.values():
            for waiting in turn_keys.values():
                yield from waiting

    def _take_of(self, network: str) -> T:
        turn_keys = self._networks[network]
        who = next(iter(turn_keys))
        item = turn_keys[who].popleft()
        turn_keys.move_to_end(who)
        self._networks.move_to_end(network)
        self._drop_empty(network, who)
        self._note(network, -1)
        return item

    def _drop_empty(self, network: str, who: str) -> None:
        turn_keys = self._networks[network]
        if not turn_keys[who]:
            del turn_keys[who]
        if not turn_keys:
            del self._networks[network]

    def _note(self, network: str, change: int) -> None:
        self._count += change
        count = self._counts.get(network, 0) + change
        if count:
            self._counts[network] = count
        else:
            del self._counts[network]
