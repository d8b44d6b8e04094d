"""Which calls of an app run now: mutations before first answers before reruns; of each, networks
take turns.

Reruns take at most half of the slots: those who call never wait for those who watch alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum

from trice import function_limits as limits
from trice.errors import Unavailable
from trice.identity import TurnKey
from trice.store.turns import Turns


class Rank(IntEnum):
    """Who goes first: the lowest."""

    MUTATION = 0
    FIRST = 1
    RERUN = 2


class Slots:
    """How many calls of one app are under way, and who waits.

    Invariant: nobody waits whom a free slot would take.
    """

    def __init__(self, most: int = limits.HELD_SNAPSHOTS_MAX) -> None:
        self._most = most
        self._taken = 0
        self._reruns = 0
        self._waiting: dict[Rank, Turns[asyncio.Future[None]]] = {rank: Turns() for rank in Rank}

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits."""
        return not self._taken and not any(self._waiting.values())

    def slot(self, rank: Rank, turn_key: TurnKey) -> Slot:
        """Have a slot for as long as the context lasts.

        turn_key   whose turn it takes, if it must wait
        raises     Unavailable("overloaded") when too many wait, most of them of its network, or it
                   waited for too long. Reruns wait as long as it takes: there is one of a watched
                   call
        """
        return Slot(self, rank, turn_key)

    async def take(self, rank: Rank, turn_key: TurnKey) -> None:
        """Wait for a slot; `give_back` must follow. See `slot`."""
        if self._has_room(rank) and not self._waiting[rank]:
            self._begin(rank)
        else:
            await self._wait(rank, turn_key)

    def give_back(self, rank: Rank) -> None:
        """Let others have a slot that was taken."""
        self._end(rank)

    async def _wait(self, rank: Rank, turn_key: TurnKey) -> None:
        is_rerun = rank is Rank.RERUN
        if not is_rerun:
            self._make_room(turn_key)
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting[rank].add(turn_key, turn)
        # Not `asyncio.timeout`, which costs three times as much: most calls of a busy app wait.
        timer = None if is_rerun else loop.call_later(limits.WAIT_MS / 1000, _refuse, turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._end(rank)  # it was given a slot in the turn of the loop that ended it
            else:
                self._waiting[rank].discard(turn_key, turn)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _make_room(self, turn_key: TurnKey) -> None:
        """Where too many wait, one of the network that has most is refused: this one, or another.

        raises   Unavailable("overloaded")
        """
        lines = [self._waiting[rank] for rank in (Rank.MUTATION, Rank.FIRST)]
        if sum(map(len, lines)) < limits.CALLS_WAITING_MAX:
            return
        fullest = max(lines, key=lambda line: line.most)
        if sum(line.count_of(turn_key[0]) for line in lines) + 1 >= fullest.most:
            raise _overloaded()
        refused = fullest.take_newest_of_most()
        if refused is not None:
            _refuse(refused)

    def _has_room(self, rank: Rank) -> bool:
        is_held_back = rank is Rank.RERUN and self._reruns >= max(self._most // 2, 1)
        return self._taken < self._most and not is_held_back

    def _begin(self, rank: Rank) -> None:
        self._taken += 1
        self._reruns += rank is Rank.RERUN

    def _end(self, rank: Rank) -> None:
        self._taken -= 1
        self._reruns -= rank is Rank.RERUN
        for each, line in self._waiting.items():
            while self._has_room(each):
                turn = line.take(_anybody)
                if turn is None:
                    break
                if not turn.done():
                    self._begin(each)
                    turn.set_result(None)


class Slot:
    """A slot of a context (`Slots.slot`). A class, as each call has one: a generator costs more."""

    __slots__ = ("_rank", "_slots", "_turn_key", "_when_idle")

    def __init__(
        self,
        slots: Slots,
        rank: Rank,
        turn_key: TurnKey,
        when_idle: Callable[[], object] | None = None,
    ) -> None:
        """when_idle   called when nothing runs or waits any more"""
        self._slots = slots
        self._rank = rank
        self._turn_key = turn_key
        self._when_idle = when_idle

    async def __aenter__(self) -> None:
        try:
            await self._slots.take(self._rank, self._turn_key)
        except BaseException:
            self._look_idle()
            raise

    async def __aexit__(self, *raised: object) -> None:
        self._slots.give_back(self._rank)
        self._look_idle()

    def _look_idle(self) -> None:
        if self._when_idle is not None and self._slots.is_idle:
            self._when_idle()


def _anybody(_: str) -> bool:
    return True


def _refuse(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(_overloaded())


def _overloaded() -> Unavailable:
    return Unavailable("overloaded", "Too many calls of this app wait; try again in a moment.")
