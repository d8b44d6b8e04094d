"""The event ids of the newest transactions. No I/O.

An index on disk would cost each transaction a page at a random place. It would serve replays only,
and these come soon or never: a client sends a mutation again when it comes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from trice import limits
from trice.protocol.ids import EventId, TxId


class RecentEvents:
    """Finds the transaction that an event id may have made, among limits.EVENT_IDS_KEPT.

    Holds transaction ids, by hashes that are valid in this process. Does not hold the event ids:
    the row of the log has its event id, and decides whether it is the same.
    """

    __slots__ = ("_newest", "_tx")

    def __init__(self, known: Iterable[tuple[TxId, EventId]]) -> None:
        """
        known  the newest transactions that had an event id, oldest first
        """
        self._tx: dict[int, TxId] = {}
        self._newest: deque[int] = deque()
        for tx, event_id in known:
            self.add(event_id, tx)

    def find(self, event_id: EventId) -> TxId | None:
        """The transaction whose event id this probably was."""
        return self._tx.get(hash(event_id))

    def add(self, event_id: EventId, tx: TxId) -> None:
        """Note the event id of a transaction that is newer than all others.

        cost  1 µs; 0.3 ms where an earlier one had this id, and the log has forgotten it
        """
        key = hash(event_id)
        if key in self._tx:
            self._newest.remove(key)  # else it would be forgotten together with the earlier one
        self._tx[key] = tx
        self._newest.append(key)

    def forget_old(self) -> None:
        """Forget the oldest beyond limits.EVENT_IDS_KEPT; call it when nothing can be undone."""
        while len(self._newest) > limits.EVENT_IDS_KEPT:
            del self._tx[self._newest.popleft()]

    def forget_after(self, tx: TxId) -> None:
        """Forget the transactions after `tx`, which were undone."""
        while self._newest and self._tx[self._newest[-1]] > tx:
            del self._tx[self._newest.pop()]
