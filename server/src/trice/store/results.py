"""The contract of results: what calls of functions answered, by their event ids, so that a call
that is sent again gets the same answer and does nothing."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from trice.protocol.ids import EventId, TxId


class KeptResult(NamedTuple):
    """What is known of a call that was answered.

    tx      the transaction of the call
    value   JSON; None once it is no longer kept
    """

    tx: TxId
    value: bytes | None


class Results(Protocol):
    """The results that a snapshot, or an open write, has."""

    def find(self, event_id: EventId, *, now_ms: int) -> KeptResult | None:
        """What is known of the call with this event id; one look-up by key.

        now_ms   the time: older than function_limits.RESULT_KEPT_MS, its value is gone
        """
        ...


class OpenResults(Results, Protocol):
    """The same in an open write, which may add one."""

    def keep(self, event_id: EventId, value: bytes, *, tx: TxId, time_ms: int) -> None:
        """Note the result of this transaction. Now and then some results that are beyond the
        bounds of `function_limits` are deleted.

        event_id   one that has no result
        """
        ...
