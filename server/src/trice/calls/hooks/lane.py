"""What a server knows of one hook: how far it is, and what it waits for.

active    it follows; after a failure it tries the same change again at `due_ms`
stopped   ten failures, and it was told to wait (`stop=True`): it tries on, each hour at least
broken    the log lacks what comes next: nothing is done until somebody resumes it
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trice import hook_limits as limits
from trice.calls.hooks.reading import Place, is_own, match
from trice.calls.hooks.rows import HookRow, State
from trice.functions.signature import HookPlan, Signature
from trice.store.commit import Commit


@dataclass(slots=True, eq=False)
class Lane:
    """One hook.

    saved     its place in the database
    at        how far it is; transactions between the two do not concern it
    due_ms    not before that it is tried again
    task      what follows the log, while it does
    call      of its function
    timer     waits for `due_ms`
    is_gone   it is deployed no more
    """

    id: str
    signature: Signature
    plan: HookPlan
    saved: Place
    at: Place
    state: State
    failures: int = 0
    due_ms: int = 0
    task: asyncio.Task[None] | None = None
    call: asyncio.Task[Any] | None = None
    timer: asyncio.Task[None] | None = None
    is_gone: bool = False

    @classmethod
    def of(cls, row: HookRow, signature: Signature) -> Lane:
        """A lane as the database has it."""
        assert signature.hook is not None
        lane = cls(row.id, signature, signature.hook, row.place, row.place, row.state)
        lane.failures, lane.due_ms = row.failures, row.due_ms
        return lane

    @property
    def name(self) -> str:
        return self.signature.name

    @property
    def is_late(self) -> bool:
        """Whether its place in the database is worth a transaction."""
        return self.at.tx - self.saved.tx >= limits.HOOK_PLACE_LAG

    def hear(self, commit: Commit, etypes: Iterable[str]) -> None:
        """A transaction was committed: go past it, if it is the next one and does not concern it.

        etypes   the namespaces of the rows that it changed
        """
        is_next = self.task is None and self.at == Place(commit.tx - 1)
        if is_next and (self.plan.namespace not in etypes or not self._concerns(commit)):
            self.at = Place(commit.tx)

    def _concerns(self, commit: Commit) -> bool:
        if is_own(self.name, commit.identity, commit.function):
            return False
        if len(commit.entities) > limits.HOOK_ENTITIES_HEARD:
            return True
        return any(match(each, self.plan, commit.catalog) for each in commit.entities)

    def done(self, place: Place) -> None:
        """It is done with a change, and the database says so."""
        self.saved = self.at = place
        self.failures, self.due_ms, self.state = 0, 0, "active"

    def drop(self) -> None:
        """It is deployed no more, or with another code."""
        self.is_gone = True
        for each in (self.call, self.timer):
            if each is not None:
                each.cancel()
