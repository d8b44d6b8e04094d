"""How much of a bounded thing each of many users has in use. No I/O.

A bound for all users together lets one of them take everything. A bound for the share of each keeps
room for the others.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final

ALL: Final = "all"
"""The key for what all users together have in use."""


class Shares:
    """Holds an amount for each key that has something in use, and for no other.

    Invariant: what was taken is given back once, so that no amount falls below zero.
    """

    def __init__(self) -> None:
        self._used: dict[Hashable, int] = {}

    def used(self, key: Hashable) -> int:
        """What `key` has in use."""
        return self._used.get(key, 0)

    @property
    def holds_nothing(self) -> bool:
        """Whether all that was taken has been given back."""
        return not self._used

    def has_room(self, amount: int, bounds: Mapping[Any, int]) -> bool:
        """Whether `take` would."""
        used = self._used
        return all(used.get(key, 0) + amount <= bound for key, bound in bounds.items())

    def take(self, amount: int, bounds: Mapping[Any, int]) -> bool:
        """Take `amount` for every key, or nothing when one of them would exceed its bound.

        returns   whether it was taken
        """
        if not self.has_room(amount, bounds):
            return False
        self.add(amount, bounds)
        return True

    def add(self, amount: int, keys: Iterable[Hashable]) -> None:
        """Count what is in use already, whatever the bounds."""
        if amount:
            for key in keys:
                self._used[key] = self._used.get(key, 0) + amount

    def give_back(self, amount: int, keys: Iterable[Hashable]) -> None:
        """End the use of what was taken."""
        for key in keys:
            left = self._used.get(key, 0) - amount
            assert left >= 0, f"{key!r} gave back more than it took"
            if left:
                self._used[key] = left
            else:
                self._used.pop(key, None)


class Held:
    """An amount counted for one holder, among those of its network and of all."""

    __slots__ = ("_share", "_shares", "_total", "amount", "network")

    def __init__(self, shares: Shares, *, total: int, share: int) -> None:
        self._shares = shares
        self._total = total
        self._share = share
        self.amount = 0
        self.network: Hashable | None = None

    def has_room(self, more: int, network: Hashable | None) -> bool:
        """Whether `more` on top is within the bounds."""
        return self._shares.has_room(more, self._bounds(network))

    def note(self, amount: int, network: Hashable | None) -> None:
        """Set the amount and the network."""
        if amount != self.amount or network != self.network:
            self._shares.give_back(self.amount, self._bounds(self.network))
            self.amount, self.network = amount, network
            self._shares.add(amount, self._bounds(network))

    def _bounds(self, network: Hashable | None) -> dict[Hashable, int]:
        bounds: dict[Hashable, int] = {ALL: self._total}
        if network is not None:
            bounds[network,] = self._share
        return bounds
