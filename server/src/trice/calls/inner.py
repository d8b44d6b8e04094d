"""The queries of a watched call: each is a live query of the engine, and Python runs again only if
the answer of one differs from that which the last run had.

A run reads from one snapshot. Where the live answer is the answer at that snapshot it is taken from
memory. After the run, its answers are compared with the live ones: if they are the same, a run on
the newest state would return the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from trice import function_limits as limits
from trice.data_run import DataRun, Stale
from trice.database import Database
from trice.errors import InvalidInput, TriceError
from trice.identity import Identity
from trice.live.live_query import OF_FUNCTION, LiveQuery, Question, RightsChanged
from trice.protocol.ids import TxId
from trice.store.commit import Commit


class Reads:
    """What one run read: the answers by question, None for what was refused.

    is_refused   a query was refused as it stands: it is asked again once attrs change
    is_broken    a query failed for another reason, which any commit may take away
    is_wide      there were more than limits.INNER_QUERIES_MAX
    is_placed    rules of what it read as its caller look at the caller's address or origin
    """

    def __init__(self, inner: InnerQueries, database: Database) -> None:
        self.used: dict[Question, bytes | None] = {}
        self.is_refused = False
        self.is_broken = False
        self.is_wide = False
        self.is_placed = False
        self._inner = inner
        self._database = database

    async def read(self, run: DataRun, query: Any, identity: Identity) -> bytes:
        """Answer a query of the run: from memory, or from its snapshot."""
        try:
            question = self._database.question(query, identity=identity, shape=OF_FUNCTION)
        except TriceError:
            self.is_refused = True
            raise
        self.is_placed = self.is_placed or self._looks_at_place(question, query, identity)
        known = self.used.get(question)
        if known is not None:
            return known
        value = self._inner.answer_at(question, run.tx)
        if value is None:
            self._note(question, None)
            value = await run.read(query, identity=identity)
        self._note(question, value)
        return value

    def unread(self, query: Any, identity: Identity) -> None:
        """The run depends on this answer no more."""
        question = self._database.question(query, identity=identity, shape=OF_FUNCTION)
        self.used.pop(question, None)

    def _note(self, question: Question, value: bytes | None) -> None:
        if question in self.used or len(self.used) < limits.INNER_QUERIES_MAX:
            self.used[question] = value
        else:
            self.is_wide = True

    def _looks_at_place(self, question: Question, query: Any, identity: Identity) -> bool:
        """Whether the same caller may be answered otherwise elsewhere."""
        if identity.is_admin:
            return False
        moved = replace(identity, ip=f"{identity.ip}.", origin=f"{identity.origin}.")
        elsewhere = self._database.question(query, identity=moved, shape=OF_FUNCTION)
        return elsewhere.rights != question.rights

    def forget(self) -> None:
        """The run begins anew, on another snapshot."""
        self.used.clear()
        self.is_refused = self.is_broken = self.is_wide = self.is_placed = False


class WideReads:
    """A run with more queries than are kept live: a commit that meets what it read makes it run
    again, whether an answer differs or not."""

    def __init__(self, run: DataRun, database: Database, *, when_met: Callable[[], None]) -> None:
        """The run must not have ended. `when_met` may be called at once."""
        self._database = database
        self._conflicts = run.conflicts()
        self._when_met = when_met
        database.watch_commits(self._hear)
        try:
            is_met = run.find_change() is not None
        except Stale:
            is_met = True
        if is_met:
            when_met()

    def close(self) -> None:
        """Hear of nothing any more."""
        self._database.unwatch_commits(self._hear)

    def _hear(self, commits: Sequence[Commit]) -> None:
        if self._conflicts.first(commits) is not None:
            self._when_met()


class InnerQueries:
    """The live queries of one watched call, with the digests of the answers that its last run had.

    Only the call that has it uses it.
    """

    def __init__(self, database: Database, *, when_differs: Callable[[], None]) -> None:
        """when_differs   called when an answer is not the one that the last run had"""
        self._database = database
        self._when_differs = when_differs
        self._live: dict[Question, LiveQuery] = {}
        self._digests: dict[Question, bytes] = {}

    def answer_at(self, question: Question, tx: TxId) -> bytes | None:
        """The live answer, if it is the answer at the state `tx`."""
        live = self._live.get(question)
        database = self._database
        # Commits up to `tx` are published and did not touch the answer since its label, and it has
        # none beyond.
        if live is None or database.tx != tx or live.reads_tx > tx or live.error is not None:
            return None
        if live.answer is None or not database.has_answer(question):
            return None
        return live.answer.result_json

    async def follow(self, reads: Reads) -> bool:
        """Watch the queries of a run, and those only.

        returns   whether each answers now as it did in the run; then `when_differs` is called once
                  one does not any more
        """
        for question in [each for each in self._live if each not in reads.used]:
            self._drop(question)
        is_whole = True
        for question, value in reads.used.items():
            if question in self._live:
                continue
            try:
                live = await self._database.watch(question, self._on_answer)
            except RightsChanged:
                is_whole = False
            except InvalidInput:
                reads.is_refused = True
                is_whole &= value is None
            except TriceError:
                reads.is_broken = True
            else:
                self._live[question] = live
        return self._compare(reads) and is_whole

    def _compare(self, reads: Reads) -> bool:
        is_same = True
        self._digests = {}
        for question, value in reads.used.items():
            live = self._live.get(question)
            if live is None:
                continue
            if live.error is None and live.answer is not None:
                self._digests[question] = live.digest
                is_same &= live.answer.result_json == value
            else:
                is_same &= live.error is not None and value is None
        return is_same

    @property
    def is_current(self) -> bool:
        """Whether each answers now, at the published state, as it did in the last run."""
        return all(
            live.error is None
            and self._database.has_answer(question)
            and live.digest == self._digests.get(question)
            for question, live in self._live.items()
        )

    async def settle(self) -> None:
        """Bring answers up to date that a commit may have changed; `when_differs` may be called."""
        for question, live in list(self._live.items()):
            if live.error is None and not self._database.has_answer(question):
                try:
                    await self._database.watch(question, self._on_answer)
                except (TriceError, RightsChanged):
                    self._when_differs()

    def close(self) -> None:
        """Watch nothing any more."""
        for question in list(self._live):
            self._drop(question)

    def _drop(self, question: Question) -> None:
        self._digests.pop(question, None)
        self._database.unwatch(self._live.pop(question), self._on_answer)

    def _on_answer(self, live: LiveQuery) -> None:
        question = live.question
        if self._live.get(question) is not live:
            return  # it is just being watched for the first time
        if live.is_outdated:
            self._drop(question)
        elif live.error is None and live.digest == self._digests.get(question):
            return
        self._when_differs()
