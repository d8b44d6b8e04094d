"""One answer of a watched function, for all watchers who share it: run, compared, told.

    FIRST RUN ──> ANSWERED ──an inner answer differs, a tick, a retry──> RERUN ──> ANSWERED …
                     │                                                     │
                     └──── watchers who disagree with its facts leave <────┘ before anything is told

One run at a time; what happens meanwhile makes it run once more. After each run it rests as long as
that took: a rerun that is due meanwhile waits, one that is due later begins at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Hashable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import orjson

from trice import function_limits as limits
from trice.calls.deltas import CallDeltas
from trice.calls.door import Asked
from trice.calls.functions import Functions
from trice.calls.inner import InnerQueries, Reads, WideReads
from trice.calls.page_reads import OPEN, PageReads, Stretch
from trice.calls.people import People
from trice.calls.side import CallFailed
from trice.calls.sides import looks_at_row, read_user
from trice.calls.slots import Rank
from trice.calls.watch import Answer, Facts, Watch
from trice.errors import Bug, TriceError
from trice.log import fields
from trice.protocol.errors import CODES
from trice.protocol.ids import TxId
from trice.store.commit import Commit

logger: Final = logging.getLogger("trice.calls")


class Home(Protocol):
    """What an instance belongs to (`live.Group`)."""

    @property
    def functions(self) -> Functions: ...

    @property
    def people(self) -> People: ...

    @property
    def deltas(self) -> CallDeltas: ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in the background."""
        ...

    def learn(self, facts: Facts) -> None:
        """Runs of this call look at these facts."""
        ...

    def known_facts(self, watch: Watch) -> list[tuple[str, Any]]:
        """The facts that runs of this call are known to look at, as one watcher has them."""
        ...

    def place(self, watches: list[Watch]) -> None:
        """Find other instances for watchers who left one."""
        ...


class Instance:
    """Holds an answer, what it depends on, and who is told.

    asked    the call, as the watcher asked it who was there first
    facts    what its last run looked at; None before the first has ended
    stretch  of a list: what its runs read, whose end is fixed by the first one
    """

    def __init__(self, home: Home, asked: Asked, first: Watch) -> None:
        self.asked = asked
        self.facts: list[tuple[str, Any]] | None = None
        self.watches: dict[Watch, None] = {}
        self.first = first
        self.stretch = first.stretch
        self._is_page_fit = True
        self._home = home
        self._database = asked.app.database
        self._inner = InnerQueries(self._database, when_differs=self.run_again)
        self._wide: WideReads | None = None
        self._answer: Answer | None = None
        self._tx = self._database.tx
        self._is_stale = False
        self._is_ended = False
        self._is_refused = False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.Task[None] | None = None
        self._took_ms = self._rests_until_ms = 0.0
        self._failures = 0
        self._database.watch_catalog(self._on_catalog)

    # --- for watchers ----------------------------------------------------------------------------

    @property
    def answer(self) -> Answer | None:
        """The latest answer; None before the first."""
        return self._answer

    def label(self) -> TxId:
        """The answer contains every transaction up to this one."""
        if self._tx >= self._database.tx:
            return self._tx  # all who are told after one commit ask
        is_settled = self._task is None and not self._is_stale and self._inner.is_current
        if is_settled and self._answer is not None and self._answer.error is None:
            self._tx = max(self._tx, self._database.tx)
        return self._tx

    def suits(self, stretch: Stretch | None) -> bool:
        """Whether its stretch is one that a watcher may be answered with."""
        if stretch is None or self.stretch is None or stretch.until == self.stretch.until:
            return True
        # Who has loaded nothing takes an end that others have, unless their page is a poor one.
        return stretch.until is None and self._is_page_fit

    async def add(self, watch: Watch) -> None:
        """Answer one more watcher, now or after the run that is due."""
        if self._is_ended:
            return
        self.watches[watch] = None
        watch.source = self
        if self._answer is None:
            self.run_again()
            return
        await self._inner.settle()
        if watch in self.watches and self._task is None:
            self._note()
            watch.show()

    def remove(self, watch: Watch) -> None:
        """Answer a watcher no more; without any the instance ends."""
        self.watches.pop(watch, None)
        watch.note_late(False)
        if watch.source is self:
            watch.source = None
        if not self.watches:
            self.end()

    @property
    def is_ended(self) -> bool:
        return self._is_ended

    @property
    def is_running(self) -> bool:
        return self._task is not None

    def end(self) -> None:
        """Run no more, and depend on nothing."""
        if self._is_ended:
            return
        self._is_ended = True
        self._note_late(False)
        for task in (self._task, self._timer):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        self._inner.close()
        self._let_go_wide()
        self._database.unwatch_catalog(self._on_catalog)
        self._database.unwatch_commits(self._on_commits)

    def run_again(self) -> None:
        """What it depends on changed, or it never ran."""
        if self._is_ended:
            return
        self._is_stale = True
        if self._task is None:
            self._task = self._home.spawn(self._work())
            self._note_late(True)

    def _note_late(self, is_late: bool) -> None:
        """Tell watchers whether it is worth their while to wait for the answer."""
        is_quick = self._answer is not None and 2 * self._took_ms <= limits.TOGETHER_MS
        for watch in list(self.watches):
            watch.note_late(is_late and is_quick)

    def _on_commits(self, commits: Sequence[Commit]) -> None:
        if commits:
            self._database.unwatch_commits(self._on_commits)
            self.run_again()

    def _on_catalog(self, _: object) -> None:
        if self._is_refused:
            self.run_again()

    # --- runs ------------------------------------------------------------------------------------

    async def _work(self) -> None:
        try:
            while self._is_stale and not self._is_ended:
                rest_ms = self._rests_until_ms - self._home.functions.runtime.monotonic_ms()
                if rest_ms > 0:
                    await self._home.functions.runtime.sleep_ms(rest_ms)
                self._is_stale = False
                await self._run()
        except Exception as cause:
            logger.error("watched call failed %s", fields(name=self.asked.name), exc_info=cause)
            failure = Bug("unknown", "The server failed to answer this call.")
            await self._adopt(Answer.failed(failure), self._tx)
        finally:
            self._task = None
            if self._is_stale:
                self.run_again()

    async def _run(self) -> None:
        """One run on a snapshot of its own, and what follows from it."""
        if self.first not in self.watches:
            self.first = first = next(iter(self.watches))
            self.asked = replace(
                self.asked, identity=first.identity, ip=first.ip, origin=first.origin
            )
        home, asked = self._home, self.asked
        began_ms = home.functions.runtime.monotonic_ms()
        reads = Reads(self._inner, self._database)
        rank = Rank.FIRST if self._answer is None else Rank.RERUN
        tx, facts = self._tx, home.known_facts(self.first)
        try:
            async with (
                home.functions.slot(asked, rank),
                home.functions.side(asked, answers=reads, stretch=self.stretch) as side,
            ):
                user = await read_user(side.run_on, asked.identity)
                try:
                    done = await home.functions.run_on(asked, side, user=user)
                finally:
                    tx = side.run_on.tx
                    self._let_go_wide()
                    if reads.is_wide and not self._is_ended:
                        self._wide = WideReads(side.run_on, self._database, when_met=self.run_again)
            answer = Answer.of(done.value, until=self._take_page(side.pages))
            facts = list(done.facts)
        except CallFailed as failure:
            answer, facts = Answer.failed(failure), list(failure.fail.facts)
        except TriceError as failure:
            answer = Answer.failed(failure)
        ended_ms = home.functions.runtime.monotonic_ms()
        self._took_ms = ended_ms - began_ms
        self._rests_until_ms = ended_ms + self._took_ms
        if not await self._inner.follow(reads):
            self._is_stale = True
        if reads.is_placed:
            facts += [("ip", asked.ip or None), ("origin", asked.origin or None)]
        self._is_refused = reads.is_refused
        if reads.is_broken:
            self._database.watch_commits(self._on_commits)
        self.facts = facts
        home.learn(facts)
        await self._database.published(tx)
        self._wake_later(answer, facts)
        await self._adopt(answer, tx)

    def _take_page(self, pages: PageReads) -> str | None:
        """Keep what a run read of a list. Returns where that ends."""
        if pages.rows is None or pages.stretch is None:
            return None
        self.stretch = pages.stretch
        self._is_page_fit = pages.rows * 2 >= pages.size or pages.stretch.until == OPEN
        return self.stretch.until

    async def _adopt(self, answer: Answer, tx: TxId) -> None:
        """Take over an answer: watchers who see other facts leave, the others are told."""
        facts = self.facts or []
        for watch in list(self.watches):
            if looks_at_row(facts) or watch.may_be_deleted(facts):
                await self._home.people.follow(watch)
        leaving = [watch for watch in self.watches if not watch.agrees(facts)]
        if self._is_ended:
            return
        self._answer, self._tx = answer, tx
        for watch in leaving:
            del self.watches[watch]
            watch.note_late(False)
            watch.source = None
        self._home.place(leaving)
        if not self.watches:
            self.end()
        self._note()
        for watch in list(self.watches):
            watch.show()
        self._note_late(self._is_stale)

    def _note(self) -> None:
        """Keep the value for deltas, if a watcher wants some."""
        answer, lists = self._answer, self.asked.signature.lists
        if answer is None or answer.value is None or answer.noted is not None or not lists:
            return
        if any(watch.has_deltas for watch in self.watches):
            key = self._key(lists)
            self._home.deltas.note(key, answer.digest, answer.value, lists)
            answer.noted = (self._home.deltas, key)

    def _key(self, lists: tuple[str, ...]) -> Hashable:
        """What is kept for deltas is kept for this call, and for who shares its answer."""
        facts = [each for each in self.facts or () if not each[0].startswith("time.")]
        return (self.asked.name, self.asked.args, lists, orjson.dumps(facts))

    # --- time ------------------------------------------------------------------------------------

    def _let_go_wide(self) -> None:
        if self._wide is not None:
            self._wide.close()
            self._wide = None

    def _wake_later(self, answer: Answer, facts: Facts) -> None:
        """Run again at the next tick that it looked at, or to try again what could not be done."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_ms = self._home.functions.runtime.now_ms()
        ticks = [
            value + int(name.removeprefix("time."))
            for name, value in facts
            if name.startswith("time.")
        ]
        waits_ms = [max(tick - now_ms, 1) for tick in ticks]
        may_retry = answer.error is not None and CODES[answer.error.code].may_retry
        self._failures = self._failures + 1 if may_retry else 0
        if may_retry:
            wait_ms = limits.RETRY_FIRST_MS << min(max(self._failures - 1, 0), 10)
            waits_ms.append(min(wait_ms, limits.RETRY_MAX_MS))
        if waits_ms:
            self._timer = self._home.spawn(self._wake(min(waits_ms)))

    async def _wake(self, wait_ms: int) -> None:
        await self._home.functions.runtime.sleep_ms(wait_ms)
        self._timer = None
        self.run_again()
