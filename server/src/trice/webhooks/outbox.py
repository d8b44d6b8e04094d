"""From commits to events: reads the logs of apps, some transactions at a time.

    commit ──> the app is marked ──> a step: read the log after the webhooks' positions,
                                     write events and the new position, let them be delivered

The log is what makes this durable: a commit that was not looked at when the process ended is found
after the next start. It is also where commits wait while a receiver is slow: a webhook with many
unfinished events gets no more of them (`Deliveries.room`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trice import webhook_limits
from trice.apps.apps import App, Apps
from trice.background import Background
from trice.errors import LimitExceeded, NotFound, Unavailable
from trice.identity import SERVER
from trice.log import fields
from trice.protocol.ids import AppId, TxId
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.engine import Snapshot
from trice.webhooks.delivery import Deliveries, Lane
from trice.webhooks.event import Event
from trice.webhooks.records import Step, Wanted, find_touches
from trice.webhooks.rows import Rows
from trice.webhooks.webhook import Webhook

logger: Final = logging.getLogger("trice.webhooks")


@dataclass(slots=True, eq=False)
class Hook:
    """A webhook in memory.

    position  the last transaction that was looked at
    saved     the position in its row; the same, or webhook_limits.POSITION_LAG_MAX less at most
    made      events made since old ones were deleted
    """

    webhook: Webhook
    position: TxId
    saved: TxId
    lane: Lane
    made: int = 0


Hooks = Mapping[str, Mapping[str, Hook]]
"""The webhooks of each app, by id."""


class Outbox:
    """Holds which apps have commits that were not looked at, and the tasks that look at them.

    lost   transactions that the log did not have any more when they should have become events
    """

    def __init__(
        self, apps: Apps, rows: Rows, deliveries: Deliveries, hooks: Hooks, *, runtime: Runtime
    ) -> None:
        self.lost = 0
        self._apps = apps
        self._rows = rows
        self._deliveries = deliveries
        self._hooks = hooks
        self._runtime = runtime
        self._background: Background | None = None
        self._marked: dict[str, None] = {}
        self._busy: set[str] = set()
        self._failed: set[str] = set()
        self._held: set[str] = set()
        self._workers = 0

    def start(self, background: Background) -> None:
        """Begin to look at logs, first of all apps with webhooks."""
        self._background = background
        background.every("webhook-logs", webhook_limits.LOG_RETRY_MS, lambda _: self._try_again())
        for app_id in self._hooks:
            self.mark(app_id)

    def hear(self, app_id: AppId, commits: Sequence[Commit]) -> None:
        """An app has new commits."""
        if app_id in self._hooks:
            self.mark(app_id)

    def mark(self, app_id: str) -> None:
        """Look at the log of an app soon."""
        if self._background is None or self._background.is_stopped:
            return
        self._marked[app_id] = None
        if self._workers < webhook_limits.APPS_AT_ONCE and app_id not in self._busy:
            self._workers += 1
            self._background.begin(self._work())

    def note_room(self, lane: Lane) -> None:
        """A lane has room again: its app goes on if it was held up."""
        has_room = self._deliveries.room(lane) * 2 >= webhook_limits.UNFINISHED_LEAST
        if lane.app_id in self._held and has_room:
            self.mark(lane.app_id)

    def _try_again(self) -> None:
        failed, self._failed = self._failed, set()
        for app_id in failed:
            self.mark(app_id)

    async def _work(self) -> None:
        """Take a step for one app after the other, until none is left."""
        try:
            while (app_id := self._next()) is not None:
                self._busy.add(app_id)
                try:
                    if await self._step(app_id):
                        self._marked[app_id] = None
                except (NotFound, LimitExceeded, Unavailable):
                    self._failed.add(app_id)
                except Exception:
                    logger.exception("log not read %s", fields(app=app_id))
                    self._failed.add(app_id)
                finally:
                    self._busy.discard(app_id)
        finally:
            self._workers -= 1

    def _next(self) -> str | None:
        app_id = next((each for each in self._marked if each not in self._busy), None)
        if app_id is not None:
            del self._marked[app_id]
        return app_id

    async def _step(self, app_id: str) -> bool:
        """Look at some transactions of an app; return whether there are more."""
        active = [hook for hook in self._hooks.get(app_id, {}).values() if hook.webhook.is_active]
        if not active:
            return False
        app = await self._apps.lend(app_id)
        try:
            for position in sorted({hook.position for hook in active}):
                group = [
                    hook
                    for hook in active
                    if hook.position == position and self._deliveries.room(hook.lane) > 0
                ]
                if group and position != app.database.tx:
                    await self._advance(app, position, group)
            self._note_held(app_id, active)
            return any(
                hook.position != app.database.tx and self._deliveries.room(hook.lane) > 0
                for hook in active
                if hook.webhook.is_active
            )
        finally:
            self._apps.give_back(app)

    def _note_held(self, app_id: str, active: Sequence[Hook]) -> None:
        if any(self._deliveries.room(hook.lane) <= 0 for hook in active):
            self._held.add(app_id)
        else:
            self._held.discard(app_id)

    async def _advance(self, app: App, position: TxId, group: Sequence[Hook]) -> None:
        """Make events of the first transactions after `position`."""
        wanted = [
            Wanted(
                hook.webhook.id,
                frozenset(hook.webhook.namespaces),
                frozenset(hook.webhook.actions),
                self._deliveries.room(hook.lane),
            )
            for hook in group
        ]

        def work(snapshot: Snapshot) -> Step:
            logged = snapshot.logged_changes(
                position,
                rows_max=webhook_limits.LOG_ROWS_AT_ONCE,
                bytes_max=webhook_limits.LOG_BYTES_AT_ONCE,
                is_whole=False,
            )
            if not logged:
                # Nothing is left of the log, or the database is older than the position.
                return Step(snapshot.tx, (), max(snapshot.tx - position, 0))
            return find_touches(logged, wanted, snapshot.catalog, after=position)

        step = await app.database.read_on_thread(work, turn_key=SERVER)
        if step.lost:
            self.lost += step.lost
            told = fields(app=app.id, after=position, count=step.lost)
            logger.error("the log lacks transactions: webhooks do not hear of them %s", told)
        now_ms = self._runtime.now_ms()
        events = [
            (touch.webhook_id, Event(touch.tx, now_ms, now_ms, touch.entities))
            for touch in step.touches
        ]
        saved = {hook.webhook.id: hook.saved for hook in group}
        is_lagging = abs(step.last - min(saved.values())) > webhook_limits.POSITION_LAG_MAX
        moved: set[str] = set()
        if events or is_lagging:
            moved = await self._rows.add(events, positions=saved, new_position=step.last)
        for hook in group:
            # Meanwhile it may have been enabled again, which gave it another position.
            if hook.position != position or hook.saved != saved[hook.webhook.id]:
                continue
            if hook.webhook.id in moved:
                own = [event for webhook_id, event in events if webhook_id == hook.webhook.id]
                hook.position = hook.saved = step.last
                hook.made += len(own)
                self._deliveries.add(hook.lane, own)
            elif not events:
                hook.position = step.last
