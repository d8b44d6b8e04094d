"""Which event is delivered next, and what becomes of it.

    Lane        the unfinished events of one webhook, in the order of transactions
    ready       due, and no earlier unfinished event of the lane is about one of its entities
    quick lane  its last delivery took less than webhook_limits.SLOW_MS; every lane begins as a
                slow one

Slow lanes have places of their own, and quick lanes as well: whatever the receivers of slow ones
do, there are places for quick ones. Lanes with a ready event take turns, app by app.

An outcome is written before its event leaves the lane: a later event of the same entity is not sent
before that. A process that is killed sends what it had under way again, with the same
`Idempotency-Key`.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from trice import webhook_limits
from trice.background import Background
from trice.errors import Unavailable
from trice.log import fields
from trice.protocol.ids import EntityId, TxId
from trice.runtime import Runtime
from trice.shares import Shares
from trice.webhooks.event import Attempt, Event, key_of
from trice.webhooks.rows import Rows
from trice.webhooks.send import Lookups, when_free

logger: Final = logging.getLogger("trice.webhooks")

Send = Callable[["Lane", TxId, Lookups], Awaitable[Attempt | None]]
"""Delivers one event. None: it cannot be tried now, and is tried again later."""


@dataclass(slots=True)
class Waiting:
    """An unfinished event in memory; `entities` as in `Event`."""

    tx: TxId
    entities: frozenset[EntityId] | None
    due_ms: int


@dataclass(slots=True, eq=False)
class Lane:
    """The unfinished events of one webhook.

    events    oldest first
    running   those that are being delivered, or whose outcome is being written
    is_gone   its webhook was deleted
    noted_ms  the earliest time at which it is looked at again by itself
    """

    webhook_id: str
    app_id: str
    is_ephemeral: bool
    events: dict[TxId, Waiting] = field(default_factory=dict)
    running: set[TxId] = field(default_factory=set)
    is_quick: bool = False
    is_gone: bool = False
    noted_ms: int | None = None

    def find_ready(self, now_ms: int) -> tuple[Waiting | None, int | None]:
        """The first event that may be sent now; else when one may be, if that is known.

        cost   O(events), 0.1 µs each
        """
        due_ms: int | None = None
        ahead: set[EntityId] = set()
        for waiting in self.events.values():
            entities = waiting.entities
            if entities is None:
                is_free = next(iter(self.events.values())) is waiting
            else:
                is_free = ahead.isdisjoint(entities)
            if is_free and waiting.tx not in self.running:
                if waiting.due_ms <= now_ms:
                    return waiting, None
                due_ms = waiting.due_ms if due_ms is None else min(due_ms, waiting.due_ms)
            if entities is None:
                break  # all later ones wait for it
            ahead |= entities
        return None, due_ms


@dataclass(slots=True)
class DeliveryCounts:
    """What became of deliveries since the server was started.

    success, error, failed   attempts that were answered well; that will be tried again; the last
    """

    success: int = 0
    error: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class _Outcome:
    lane: Lane
    tx: TxId
    attempt: Attempt


class Deliveries:
    """Holds the lanes, and what is under way. Does not hold webhooks, nor their URLs.

    on_room   called when a lane has sent an event: more may be made from the log
    on_gone   called when a receiver answered that it wants no more events
    """

    def __init__(self, rows: Rows, *, send: Send, runtime: Runtime) -> None:
        self.counts = DeliveryCounts()
        self.on_room: Callable[[Lane], None] = lambda lane: None
        self.on_gone: Callable[[Lane], Awaitable[None]] = _nothing
        self._rows = rows
        self._send = send
        self._runtime = runtime
        self._background: Background | None = None
        self._lanes: dict[str, Lane] = {}
        self._shares = Shares()
        # By app, and by whether it is a throw-away one.
        self._unfinished = Shares()
        # Lanes that may have a ready event, by app: of quick and slow lanes, of lasting and
        # throw-away apps. Each has bounds of its own, so that no search passes over many.
        self._wanting: dict[tuple[bool, bool], OrderedDict[str, OrderedDict[str, Lane]]] = {
            (is_quick, is_ephemeral): OrderedDict()
            for is_quick in (True, False)
            for is_ephemeral in (False, True)
        }
        self._due: list[tuple[int, str]] = []
        self._outcomes: list[_Outcome] = []
        self._is_saving = False

    def start(self, background: Background) -> None:
        """Begin to deliver."""
        self._background = background
        background.every(
            "webhook-retries", webhook_limits.RETRY_TICK_MS, lambda _: self.look_for_due()
        )
        self._pump()

    # --- lanes ----------------------------------------------------------------------------------

    def open(self, webhook_id: str, app_id: str, *, is_ephemeral: bool) -> Lane:
        """The lane of a webhook, made if there is none."""
        lane = self._lanes.get(webhook_id)
        if lane is None:
            lane = self._lanes[webhook_id] = Lane(webhook_id, app_id, is_ephemeral)
        return lane

    def drop(self, webhook_id: str) -> None:
        """Forget the lane of a webhook; what is under way has no outcome any more."""
        lane = self._lanes.pop(webhook_id, None)
        if lane is not None:
            lane.is_gone = True
            self._leave_queue(lane)
            self._unfinished.give_back(len(lane.events), (lane.is_ephemeral, lane.app_id))
            lane.events.clear()

    def room(self, lane: Lane) -> int:
        """For how many more events a lane has room."""
        limits = webhook_limits
        total, most = limits.UNFINISHED_OF_ALL_MAX, limits.UNFINISHED_MAX
        if lane.is_ephemeral:
            total, most = limits.EPHEMERAL_UNFINISHED_OF_ALL_MAX, limits.EPHEMERAL_UNFINISHED_MAX
        is_full = (
            self._unfinished.used(lane.is_ephemeral) >= total
            or self._unfinished.used(lane.app_id) >= limits.UNFINISHED_OF_APP_MAX
        )
        return (limits.UNFINISHED_LEAST if is_full else most) - len(lane.events)

    def add(self, lane: Lane, events: Iterable[Event]) -> None:
        """Let events wait for delivery. They are later than all others of the lane, but for one
        that is queued again."""
        for event in events:
            if lane.is_gone or event.tx in lane.events:
                continue
            entities = None if event.entities is None else frozenset(event.entities)
            due_ms = event.created_ms if event.due_ms is None else event.due_ms
            is_last = not lane.events or event.tx > next(reversed(lane.events))
            lane.events[event.tx] = Waiting(event.tx, entities, due_ms)
            self._unfinished.add(1, (lane.is_ephemeral, lane.app_id))
            if not is_last:
                lane.events = dict(sorted(lane.events.items()))
        self._look_at(lane)
        self._pump()

    def is_running(self, webhook_id: str, tx: TxId) -> bool:
        """Whether an event is being delivered."""
        lane = self._lanes.get(webhook_id)
        return lane is not None and tx in lane.running

    def hasten(self, webhook_id: str, tx: TxId, due_ms: int) -> None:
        """Let an event that waits be due at another time."""
        lane = self._lanes.get(webhook_id)
        if lane is not None and tx in lane.events:
            lane.events[tx].due_ms = due_ms
            self._look_at(lane)
            self._pump()

    def hasten_all(self, webhook_id: str) -> None:
        """Let all events of a webhook be due: it was disabled, so they fail."""
        lane = self._lanes.get(webhook_id)
        if lane is not None:
            for waiting in lane.events.values():
                waiting.due_ms = 0
            self._look_at(lane)
            self._pump()

    @property
    def waiting(self) -> int:
        """How many events are unfinished."""
        return self._unfinished.used(False) + self._unfinished.used(True)

    @property
    def running(self) -> int:
        """How many deliveries are under way."""
        return self._shares.used("quick") + self._shares.used("slow")

    # --- turns ----------------------------------------------------------------------------------

    def look_for_due(self) -> None:
        """Begin the attempts that have become due."""
        now_ms = self._runtime.now_ms()
        while self._due and self._due[0][0] <= now_ms:
            lane = self._lanes.get(heappop(self._due)[1])
            if lane is not None:
                lane.noted_ms = None
                self._look_at(lane)
        self._pump()

    def _look_at(self, lane: Lane) -> None:
        """Note whether a lane has a ready event, or when it may have one."""
        if lane.is_gone or lane.webhook_id in self._queue(lane).get(lane.app_id, ()):
            return
        ready, due_ms = lane.find_ready(self._runtime.now_ms())
        if ready is not None:
            self._queue(lane).setdefault(lane.app_id, OrderedDict())[lane.webhook_id] = lane
        else:
            self._note_due(lane, due_ms)

    def _note_due(self, lane: Lane, due_ms: int | None) -> None:
        if due_ms is not None and (lane.noted_ms is None or due_ms < lane.noted_ms):
            lane.noted_ms = due_ms
            heappush(self._due, (due_ms, lane.webhook_id))

    def _queue(self, lane: Lane) -> OrderedDict[str, OrderedDict[str, Lane]]:
        return self._wanting[lane.is_quick, lane.is_ephemeral]

    def _leave_queue(self, lane: Lane) -> None:
        for queue in self._wanting.values():
            lanes = queue.get(lane.app_id)
            if lanes is not None and lanes.pop(lane.webhook_id, None) is not None and not lanes:
                del queue[lane.app_id]

    def _pump(self) -> None:
        """Begin as many deliveries as there are places for."""
        if self._background is None or self._background.is_stopped:
            return
        for (is_quick, is_ephemeral), queue in self._wanting.items():
            while queue and self._begin_one(queue, is_quick=is_quick, is_ephemeral=is_ephemeral):
                pass

    def _begin_one(
        self,
        queue: OrderedDict[str, OrderedDict[str, Lane]],
        *,
        is_quick: bool,
        is_ephemeral: bool,
    ) -> bool:
        """Begin the delivery whose turn it is; False when there is no place for any."""
        shared = _bounds(is_quick=is_quick, is_ephemeral=is_ephemeral)
        if not self._shares.has_room(1, shared):
            return False
        for app_id in list(queue):
            of_app = _bounds_of_app(app_id, is_quick=is_quick)
            if not self._shares.has_room(1, of_app):
                continue
            lanes = queue[app_id]
            for lane in list(lanes.values()):
                bounds = {**shared, **of_app, **_bounds_of_webhook(lane)}
                if not self._shares.has_room(1, bounds):
                    # It is looked at again when one of its deliveries ends.
                    self._leave_queue(lane)
                    continue
                ready, due_ms = lane.find_ready(self._runtime.now_ms())
                if ready is None:
                    self._leave_queue(lane)
                    self._note_due(lane, due_ms)
                    continue
                lanes.move_to_end(lane.webhook_id)
                queue.move_to_end(app_id)
                self._begin(lane, ready, bounds)
                return True
        return False

    def _begin(self, lane: Lane, ready: Waiting, bounds: dict[Hashable, int]) -> None:
        is_taken = self._shares.take(1, bounds)
        assert is_taken and self._background is not None
        lane.running.add(ready.tx)
        self._background.begin(self._deliver(lane, ready, bounds))

    async def _deliver(self, lane: Lane, ready: Waiting, bounds: dict[Hashable, int]) -> None:
        lookups: Lookups = []
        attempt: Attempt | None = None
        try:
            attempt = await self._send(lane, ready.tx, lookups)
        except Exception:
            logger.exception("delivery failed %s", fields(webhook=lane.webhook_id, tx=ready.tx))
        finally:
            if attempt is None:
                lane.running.discard(ready.tx)
                ready.due_ms = self._runtime.now_ms() + webhook_limits.PAUSE_MS
            else:
                self._note_speed(lane, attempt)
            when_free(lookups, lambda: self._free(lane, bounds))
        if attempt is not None:
            self._outcomes.append(_Outcome(lane, ready.tx, attempt))
            await self._save_all()

    def _free(self, lane: Lane, bounds: dict[Hashable, int]) -> None:
        self._shares.give_back(1, bounds)
        self._look_at(lane)
        self._pump()

    def _note_speed(self, lane: Lane, attempt: Attempt) -> None:
        is_quick = attempt.duration_ms < webhook_limits.SLOW_MS
        if is_quick != lane.is_quick:
            self._leave_queue(lane)
            lane.is_quick = is_quick

    # --- outcomes -------------------------------------------------------------------------------

    async def _save_all(self) -> None:
        """Write the outcomes that wait, some at a time. One task does it for all."""
        if self._is_saving:
            return
        self._is_saving = True
        try:
            while self._outcomes:
                some = self._outcomes[: webhook_limits.OUTCOMES_AT_ONCE]
                try:
                    ended = await self._save(some)
                except Unavailable as failure:
                    logger.warning("outcomes not written %s", fields(reason=failure.message))
                    await self._runtime.sleep_ms(webhook_limits.SAVE_RETRY_MS)
                    continue
                except Exception:
                    # They must not stop the others: they are sent again after a restart.
                    logger.exception("outcomes lost %s", fields(count=len(some)))
                    ended = []
                del self._outcomes[: len(some)]
                for outcome, event in zip(some, ended, strict=False):
                    await self._end(outcome, event)
        finally:
            self._is_saving = False

    async def _save(self, some: list[_Outcome]) -> list[Event | None]:
        now_ms = self._runtime.now_ms()

        def change_of(attempt: Attempt) -> Callable[[Event], Event]:
            return lambda event: event.after(attempt, now_ms=now_ms)

        return await self._rows.change_events(
            [(key_of(each.lane.webhook_id, each.tx), change_of(each.attempt)) for each in some]
        )

    async def _end(self, outcome: _Outcome, event: Event | None) -> None:
        lane, tx = outcome.lane, outcome.tx
        lane.running.discard(tx)
        if lane.is_gone:
            return
        if event is not None and event.due_ms is not None:
            lane.events[tx].due_ms = event.due_ms
            self.counts.error += 1
        else:
            if lane.events.pop(tx, None) is not None:
                self._unfinished.give_back(1, (lane.is_ephemeral, lane.app_id))
            is_success = event is not None and event.status == "success"
            self.counts.success += is_success
            self.counts.failed += not is_success
            self.on_room(lane)
        if outcome.attempt.is_gone:
            await self.on_gone(lane)
        self._look_at(lane)
        self._pump()


def _bounds(*, is_quick: bool, is_ephemeral: bool) -> dict[Hashable, int]:
    bounds: dict[Hashable, int] = (
        {"quick": webhook_limits.QUICK_DELIVERIES_MAX}
        if is_quick
        else {"slow": webhook_limits.SLOW_DELIVERIES_MAX}
    )
    if is_ephemeral:
        bounds["ephemeral"] = webhook_limits.EPHEMERAL_DELIVERIES_MAX
    return bounds


def _bounds_of_app(app_id: str, *, is_quick: bool) -> dict[Hashable, int]:
    bounds: dict[Hashable, int] = {("app", app_id): webhook_limits.DELIVERIES_OF_APP_MAX}
    if not is_quick:
        bounds["slow", app_id] = webhook_limits.SLOW_DELIVERIES_OF_APP_MAX
    return bounds


def _bounds_of_webhook(lane: Lane) -> dict[Hashable, int]:
    most = (
        webhook_limits.DELIVERIES_OF_WEBHOOK_MAX
        if lane.is_quick
        else webhook_limits.SLOW_DELIVERIES_OF_WEBHOOK_MAX
    )
    return {("webhook", lane.webhook_id): most}


async def _nothing(lane: Lane) -> None:
    """Nobody is told."""
