"""One property of an attr changed over all rows, while others write (spec/schema-jobs.md).

    pend ──> check what is stored ──> build indexes ──> settle ──> (nulls filled) ──> over

From `pend` on new values have to fit. So whatever a reader finds to fit stays so, and `settle` is
short: it makes the change and adopts the indexes. A small table takes one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from trice import account_limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.database import Database
from trice.errors import TriceError, Unavailable
from trice.identity import TurnKey
from trice.protocol.ids import AttrId
from trice.store.engine import Snapshot
from trice.store.reshaping import Progress
from trice.store.rows import UniqueViolation
from trice.transact.schema_steps import SchemaJob
from trice.transact.steps import AttrStep, PendAttr, SettleAttr
from trice.transact.stored import check_existing, not_unique


class AttrChange:
    """The work of one job.

    progress   rows that were passed, and all there are to pass
    is_late    it cannot be cancelled any more: it is about to end
    """

    def __init__(self, database: Database, job: SchemaJob, *, turn_key: TurnKey) -> None:
        self.progress = Progress()
        self.is_late = False
        self._is_canceled = False
        self._database = database
        self._job = job
        self._reshaping = database.engine.reshaping
        self._turn_key = turn_key

    async def run(self) -> None:
        """Make the change. A stop leaves it under way, and it is run again later.

        raises   InvalidInput, Conflict, LimitExceeded, Unavailable: the attr is as it was
        """
        step = self._job.step()
        changes = dict(step.changes)
        old = self._database.catalog.by_id.get(self._job.attr_id)
        if old is None or not await self._is_large(old, changes):
            self.is_late = True  # one transaction, which is made whether anybody waits or not
            await self._apply(step)
            return
        if _is_filled_next(old, changes):
            await self._fill()
            return
        try:
            await self._apply(PendAttr(old.id, changes))
            await self._prepare(old.id, changes)
            self._check_canceled()
            self.is_late = True
            is_filled = changes.get("is_indexed") is False and not old.is_ref
            await self._apply(SettleAttr(old.id, changes, stays_pending=is_filled))
        except TriceError:
            with suppress(Unavailable):  # the app is being closed: the job begins again later
                await self.abandon()
            raise
        if is_filled:
            await self._fill()

    def cancel(self) -> None:
        """Let `run` end with CancelledError, even if the cancellation of its task is lost: that may
        happen to a task whose wait has just ended (asyncio.wait_for in Python 3.11)."""
        self._is_canceled = True

    def _check_canceled(self) -> None:
        if self._is_canceled:
            raise asyncio.CancelledError

    async def abandon(self) -> None:
        """Leave the attr as it was: new values have to fit no more."""
        attr = self._database.catalog.by_id.get(self._job.attr_id)
        if attr is None or attr.deleted_ms is not None:
            return
        await self._reshaping.drop(attr)
        await self._apply(PendAttr(attr.id, {}))

    async def _is_large(self, old: Attr, changes: Mapping[str, Any]) -> bool:
        new = replace(old, **changes)
        if not self._reshaping.can_build(old, new) or (new == old and not old.pending):
            return False
        return await self._reshaping.count(old) > account_limits.SCHEMA_ROWS_AT_ONCE

    async def _prepare(self, attr_id: AttrId, changes: Mapping[str, Any]) -> None:
        old = self._database.catalog.by_id[attr_id]
        new = replace(old, **changes)

        def check(snapshot: Snapshot) -> None:
            check_existing(snapshot.attrs, snapshot.catalog, old, new)

        await self._database.engine.read_on_thread(
            check, timeout_ms=account_limits.SCHEMA_CHECK_MS_MAX, turn_key=self._turn_key
        )
        self._check_canceled()
        try:
            await self._reshaping.build(old, new, self.progress, self._note_late)
        except UniqueViolation as shared:
            raise not_unique(new, shared.cell) from None

    def _note_late(self) -> None:
        self.is_late = True

    async def _fill(self) -> None:
        attr = self._database.catalog.by_id[self._job.attr_id]
        await self._reshaping.store_nulls(attr, self.progress, is_filling=True)
        await self._apply(PendAttr(attr.id, {}))

    async def _apply(self, step: AttrStep) -> None:
        steps: Callable[[Catalog], list[AttrStep]] = partial(_only, step)
        await self._database.change_schema(steps, turn_key=self._turn_key)


def _is_filled_next(attr: Attr, changes: Mapping[str, Any]) -> bool:
    """Whether an earlier run came as far as filling nulls."""
    return not attr.is_indexed and dict(attr.pending) == {"is_indexed": False} == dict(changes)


def _only(step: AttrStep, _: Catalog) -> list[AttrStep]:
    return [step]
