"""Live queries of one app: shared answers, kept current as commits arrive.

    commit ──> Subscriptions.affected ──> due ──> one run each ──> changed? ──> every watcher told

Equal queries with equal rights are one LiveQuery: one run, one encoding, N watchers. It is
one file because a run, a patch and a refusal must leave the same state behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from trice import limits
from trice.catalog.catalog import Catalog
from trice.errors import Bug, TriceError, Unavailable
from trice.live.aggregates import Aggregates
from trice.live.answers import Answer, Encoded
from trice.live.changes import Changes
from trice.live.deltas import Deltas
from trice.live.index.derive import read_set
from trice.live.index.subscriptions import Subscriptions
from trice.live.live_query import LiveQuery, Question, RightsChanged, Watcher
from trice.live.maintain import LastRun, Maintainer
from trice.live.outcome import Run
from trice.live.planner import Parsed
from trice.live.recent import RecentCommits
from trice.loop_shares import LoopShare, LoopShares
from trice.metrics import LiveCounts
from trice.protocol.ids import TxId
from trice.query.encode import EntityCache, FlatParts
from trice.query.plan import Plan
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.engine import Engine, ReadTooLong, Snapshot

logger: Final = logging.getLogger("trice.live")

Evaluate = Callable[[Snapshot, Question, bool, Plan | Parsed | None], Run]
"""Runs a question on a snapshot. The flag says that it runs on the loop, where shared caches may be
used. The last argument is a plan that still holds, or what the question was parsed to."""


def _ended(*_: object) -> Run:
    raise AssertionError("a closed database runs no queries")


class Live:
    """The live queries of one app.

    Holds the watchers and the answer of each query, and which are due. Does not hold rows (the
    engine does) or what each session was told (the session does).
    Invariant: once `due` is empty, every answer equals a fresh run at the engine's transaction.

    At most LIVE_RESULTS_BYTES_MAX of answers are kept, those used last. A query whose answer was
    dropped keeps its read set and digest; it is run again when touched, or when a session asks.
    """

    def __init__(
        self,
        engine: Engine,
        evaluate: Evaluate,
        *,
        runtime: Runtime,
        cache: EntityCache,
        share: LoopShare | None = None,
    ) -> None:
        """share   of the event loop, beside other apps; None: one of its own"""
        self._share = share or LoopShares(runtime).make()
        self.counts = LiveCounts()
        self.deltas = Deltas()
        self._engine = engine
        self._evaluate = evaluate
        self._runtime = runtime
        self._queries: dict[Question, LiveQuery] = {}
        self._subscriptions: Subscriptions[LiveQuery] = Subscriptions()
        self._aggregates: Aggregates[LiveQuery] = Aggregates(self.counts)
        self._due: dict[LiveQuery, None] = {}
        # The read sets of failed queries are out of date, so every commit tries them again.
        self._broken: dict[LiveQuery, None] = {}
        self._recent = RecentCommits()
        self._maintainer = Maintainer(engine, self._recent, cache=cache, counts=self.counts)
        self._wake = asyncio.Event()
        self._slow: dict[LiveQuery, asyncio.Task[None]] = {}
        self._first_runs: dict[Question, asyncio.Task[LiveQuery]] = {}
        # How many calls of `watch` wait for a slow answer; the query stays for them.
        self._waiting: dict[Question, int] = {}
        # Answers in memory with their sizes in bytes, the last used at the end.
        self._kept: dict[LiveQuery, int] = {}
        self._kept_bytes = 0
        # Sessions wait for these answers, even if they do not change.
        self._recalled: set[LiveQuery] = set()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._after_refresh: list[Callable[[], None]] = []
        self._loop_task: asyncio.Task[None] | None = None
        # How often the rules changed. If it differs at the end of a run, the run is void.
        self._generation = 0

    def __len__(self) -> int:
        return len(self._queries)

    def start(self) -> None:
        """Begin to refresh in the background, until `close`."""
        self._loop_task = asyncio.get_running_loop().create_task(self._refresh_forever())

    async def close(self) -> None:
        """Stop refreshing. Watchers are not told."""
        tasks = [*self._slow.values(), *self._first_runs.values()]
        if self._loop_task is not None:
            tasks.append(self._loop_task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Both refer back here; without them all is freed at once.
        self._evaluate, self._loop_task = _ended, None

    async def settled(self) -> None:
        """Wait until nothing is due and no slow run is under way."""
        await self._is_idle.wait()

    @property
    def is_refreshing(self) -> bool:
        """Whether answers that commits may have changed wait for their turn; slow runs left out."""
        return bool(self._due)

    def after_refresh(self, call: Callable[[], None]) -> None:
        """Call `call` once, when no answer waits for its turn any more."""
        self._after_refresh.append(call)

    def shared(self, question: Question) -> Question:
        """The equal question that is watched already, if its text is the same too. Sessions that
        share an answer then share the question in memory."""
        live = self._queries.get(question)
        is_same = live is not None and live.question.q_json == question.q_json
        return live.question if live is not None and is_same else question

    def watch_now(
        self, question: Question, watcher: Watcher, parsed: Parsed | None = None
    ) -> LiveQuery:
        """Start to watch; the current answer is there when this returns.

        parsed  what the question was parsed to, if it was just parsed
        raises  ReadTooLong when the first run is too long for the loop: call `watch` instead;
                TriceError when the query is invalid (then nothing is watched)
        """
        live = self._queries.get(question)
        if live is None or live.answer is None or live in self._due:
            # A kept answer that a commit has touched is older than what the caller may know.
            if live is None or live in self._slow or not self._patch(live):
                run = self._run_now(question, live, parsed)
                live = self._adopt_first(question, run, self._engine.tx)
            self._due.pop(live, None)
        elif live in self._slow:
            raise ReadTooLong
        else:
            self._kept[live] = self._kept.pop(live)
        live.watchers[watcher] = None
        return live

    def has_answer(self, question: Question) -> bool:
        """Whether the current answer is in memory."""
        live = self._queries.get(question)
        return live is not None and live.answer is not None and live not in self._due

    async def watch(self, question: Question, watcher: Watcher) -> LiveQuery:
        """`watch_now`, on a reader thread when the run is long; equal questions wait together.

        The answer is as new as the transaction published when this was called, or newer.
        """
        needed_tx = self._engine.tx
        self._waiting[question] = self._waiting.get(question, 0) + 1
        try:
            while True:
                try:
                    return self.watch_now(question, watcher)
                except ReadTooLong:
                    live = await self._slow_answer(question)
                if live.error is not None or (
                    live.answer is not None
                    and (live.tx >= needed_tx or not (live in self._due or live in self._slow))
                ):
                    live.watchers[watcher] = None
                    return live
        finally:
            self._end_waiting(question)

    def _end_waiting(self, question: Question) -> None:
        """One call of `watch` ended. With the last one, a query that was only kept for it goes."""
        self._waiting[question] -= 1
        if self._waiting[question]:
            return
        del self._waiting[question]
        run = self._first_runs.pop(question, None)
        if run is not None:
            run.cancel()
        live = self._queries.get(question)
        if live is not None:
            self._forget_unwatched(live)

    async def _slow_answer(self, question: Question) -> LiveQuery:
        """The live query, answered by the run on a thread that is under way, or by a new one."""
        running = self._queries.get(question)
        if running is not None and running in self._slow:
            await asyncio.shield(self._slow[running])
            return running
        task = self._first_runs.get(question)
        # One that ended is here until the loop comes to its callback. To wait for it gives the loop
        # no turn: who needs a newer answer would ask for it again and again, for ever.
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(self._first_slow_run(question))
            self._first_runs[question] = task
            task.add_done_callback(lambda task: self._end_first_run(question, task))
        return await asyncio.shield(task)

    def _end_first_run(self, question: Question, task: asyncio.Task[LiveQuery]) -> None:
        if self._first_runs.get(question) is task:
            del self._first_runs[question]
        if not task.cancelled():
            task.exception()  # calls that still wait raise it; without any it must not be logged

    def unwatch(self, live: LiveQuery, watcher: Watcher) -> None:
        """Stop telling `watcher`; with its last watcher the query goes too."""
        live.watchers.pop(watcher, None)
        self._forget_unwatched(live)

    def recall(self, live: LiveQuery) -> None:
        """Run a query whose answer was dropped, and tell its watchers when the answer is there."""
        self._recalled.add(live)
        self._mark_due({live})

    def follow(self, question: Question, watcher: Watcher) -> LiveQuery:
        """Watch without an answer yet; `watcher` is told when there is one, or the run failed."""
        live = self._queries.get(question)
        if live is None:
            live = LiveQuery(question)
            self._queries[question] = live
        live.watchers[watcher] = None
        self.recall(live)
        return live

    def judge_again(self) -> None:
        """The rules changed: no answer made under the old ones may be sent from now on."""
        self._generation += 1
        ruled = {live for live in self._queries.values() if live.question.rights != "admin"}
        for live in ruled:
            self._drop(live)
        self._mark_due(ruled)

    def renew_urls(self) -> None:
        """URLs of files have changed, though no row has: no answer that may show one is used again.

        A query without an answer in memory may have shown one.
        """
        mark = b"&signature="
        changed = {
            live
            for live in self._queries.values()
            if live.answer is None or mark in live.answer.result_json
        }
        for live in changed:
            self._drop(live)
        self._mark_due(changed)

    def _forget_unwatched(self, live: LiveQuery) -> None:
        """Remove a query, unless it has watchers or calls that wait to watch it."""
        if live.watchers or live.question in self._waiting:
            return
        if self._queries.get(live.question) is live:
            del self._queries[live.question]
        self._subscriptions.remove(live)
        self._due.pop(live, None)
        self._broken.pop(live, None)
        self._recalled.discard(live)
        self._forget_answer(live)
        live.free()  # no digest is needed any more: it takes 4 % of the cost of a large answer
        run = self._slow.pop(live, None)
        if run is not None:
            run.cancel()

    def apply(self, commits: Sequence[Commit], before: Catalog) -> None:
        """Mark the queries that `commits` may have changed as due.

        before  the catalog in force before the first of them
        """
        for commit in commits:
            self._recent.add(commit)
            touched: set[LiveQuery] = set()
            if self._queries:
                touched = self._subscriptions.affected(self._recent.newest(), commit.catalog)
            if commit.is_catalog_changed:
                touched |= self._subscriptions.affected_by_names(before, commit.catalog)
                before = commit.catalog
            self._aggregates.note(touched, commit)
            self.counts.looked_at = self._subscriptions.looked_at
            self.counts.touched += len(touched)
            touched.update(self._broken)
            for live in touched:
                if live.stale_tx is None:
                    live.stale_tx = commit.tx
            self._mark_due(touched)

    def _mark_due(self, touched: set[LiveQuery]) -> None:
        if touched:
            for live in touched:
                self._due[live] = None
            self._is_idle.clear()
            self._wake.set()

    async def _refresh_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            started_ms = self._runtime.monotonic_ms()
            while self._due:
                live = next(iter(self._due))
                del self._due[live]
                self._refresh(live)
                turns = self._share.turns_of(
                    self._runtime.monotonic_ms() - started_ms, limits.LIVE_TURN_MS
                )
                if turns:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    started_ms = self._runtime.monotonic_ms()
            calls, self._after_refresh = self._after_refresh, []
            for call in calls:
                try:
                    call()
                except Exception:
                    logger.exception("who waited for a refresh failed")
            self._note_idle()

    def _refresh(self, live: LiveQuery) -> None:
        if live in self._slow:
            # Its run may have begun before this commit; `_adopt` checks the commits since.
            return
        try:
            if not self._patch(live):
                tx = self._engine.tx
                self._adopt(live, self._run_now(live.question, live), tx)
        except ReadTooLong:
            self._slow[live] = asyncio.get_running_loop().create_task(self._slow_run(live))
        except Exception as cause:
            self._fail(live, cause)

    def _patch(self, live: LiveQuery) -> bool:
        """Bring an answer in memory up to date without a whole run, if possible.

        raises   the error that makes the answer fail
        """
        if live.answer is None or live.error is not None:
            return False
        counted = self._aggregates.refresh(live, self._engine)
        if counted is not None:
            news = None if counted.answer == live.answer else counted
            self._adopt_patched(live, news, self._aggregates.reads_tx(live))
            return True
        if live.kept is None:
            return False
        shape = live.question.shape
        done = self._maintainer.refresh(live.kept, live.stale_tx, shape=shape, answer=live.answer)
        if done is None:
            return False
        self.counts.patched += 1
        if done.reads is not None:
            self._subscriptions.put(live, done.reads)
        elif (
            self._subscriptions.grow(live, *done.grown) > limits.LIVE_GROWN_MAX
            and live.kept.tree is not None
        ):
            self._subscriptions.put(live, read_set(live.kept.tree))
        self._adopt_patched(live, done.encoded, live.kept.tx)
        return True

    def _adopt_patched(self, live: LiveQuery, encoded: Encoded | None, reads_tx: TxId) -> None:
        """Take over an answer that was carried forward; None: it shows the same as before."""
        is_changed = live.is_ahead or encoded is not None
        live.move_to(self._engine.tx, reads_tx)
        if encoded is not None:
            live.show(encoded.answer, encoded.parts)
            self._note_version(live, encoded.parts)
            self._keep(live, encoded.answer)
        self._tell_if_news(live, is_changed=is_changed)

    def _note_version(self, live: LiveQuery, parts: FlatParts | None) -> None:
        """Note an answer that was taken over. Its digest is made only if deltas are wanted."""
        question = live.question
        if question in self.deltas:
            is_wanted = self.deltas.is_wanted(question)
            self.deltas.note(question, live.digest, parts if is_wanted else None)

    async def _slow_run(self, live: LiveQuery) -> None:
        try:
            run, tx = await self._run_on_thread(live.question)
            if self._queries.get(live.question) is live:
                self._adopt(live, run, tx)
        except Exception as cause:
            self._fail(live, cause)
        finally:
            self._slow.pop(live, None)
            self._note_idle()

    async def _first_slow_run(self, question: Question) -> LiveQuery:
        run, tx = await self._run_on_thread(question)
        if question not in self._waiting:
            raise asyncio.CancelledError  # `wait_for` may swallow the cancellation
        return self._adopt_first(question, run, tx)

    def _run_now(
        self, question: Question, live: LiveQuery | None, parsed: Parsed | None = None
    ) -> Run:
        """Run a question whole, with the plan of its live query if that still holds.

        raises  ReadTooLong
        """
        plan = None
        if live is not None and live.kept is not None:
            plan = self._maintainer.plan_of(live.kept, live.stale_tx)
        if plan is None and question.is_long:
            raise ReadTooLong
        self.counts.rerun_query += 1
        return self._engine.read_now(
            lambda snapshot: self._evaluate(
                snapshot, question, True, parsed if plan is None else plan
            )
        )

    async def _run_on_thread(self, question: Question) -> tuple[Run, TxId]:
        self.counts.rerun_on_thread += 1

        def work(snapshot: Snapshot) -> tuple[Run, TxId]:
            return self._evaluate(snapshot, question, False, None), snapshot.tx

        timeout_ms = (
            limits.ADMIN_READ_TIMEOUT_MS if question.rights == "admin" else limits.READ_TIMEOUT_MS
        )
        while True:
            generation = self._generation
            found = await self._engine.read_on_thread(
                work, timeout_ms=timeout_ms, turn_key=question.identity.turn_key
            )
            if generation == self._generation:
                return found

    def _adopt_first(self, question: Question, run: Run, tx: TxId) -> LiveQuery:
        live = self._queries.get(question)
        if live is None:
            if len(self._queries) >= limits.LIVE_QUERIES_MAX:
                raise Unavailable(
                    "overloaded",
                    f"This app already has {limits.LIVE_QUERIES_MAX} different live queries.",
                )
            live = LiveQuery(question)
            self._queries[question] = live
        self._adopt(live, run, tx)
        return live

    def _adopt(self, live: LiveQuery, run: Run, tx: TxId) -> None:
        """Take over a run's answer, and tell the watchers if it differs from the last."""
        if tx < live.tx:
            # A short run overtook this long one: answers only move forward. Commits since then
            # were left to be checked here.
            self._catch_up(live)
            return
        answer = run.answer
        is_changed = live.is_ahead or not live.is_shown(answer, run.parts)
        self._broken.pop(live, None)
        live.show(answer, run.parts)
        live.move_to(tx, run.reads_tx)
        live.error, live.kept = None, LastRun.of(run)
        self._subscriptions.put(live, run.reads)
        self._note_version(live, run.parts)
        self._aggregates.adopt(live, run.totals, self._recent, self._engine.tx)
        self._catch_up(live)
        self._keep(live, answer)
        self._tell_if_news(live, is_changed=is_changed)

    def _tell_if_news(self, live: LiveQuery, *, is_changed: bool) -> None:
        """Tell the watchers of an answer that differs from the last, or that is waited for."""
        if is_changed:
            self.counts.changed += 1
        else:
            self.counts.silent += 1
        is_recalled = live in self._recalled
        self._recalled.discard(live)
        if is_changed or is_recalled:
            self._tell(live)

    def _keep(self, live: LiveQuery, answer: Answer) -> None:
        """Count a new answer; beyond the limit drop the answers that were unused for longest."""
        size_bytes = answer.size_bytes
        if live.kept is not None:
            size_bytes += live.kept.weight_bytes(answer)
        if live.is_in_pieces and (live.kept is None or live.kept.tree is None):
            # Perhaps nothing else holds them any more.
            size_bytes += answer.size_bytes
        self._kept_bytes += size_bytes - self._kept.pop(live, 0)
        self._kept[live] = size_bytes
        while self._kept_bytes > limits.LIVE_RESULTS_BYTES_MAX and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _drop(self, live: LiveQuery) -> None:
        self._forget_answer(live)
        live.drop()

    def _forget_answer(self, live: LiveQuery) -> None:
        self._kept_bytes -= self._kept.pop(live, 0)
        self._aggregates.forget(live)

    def _catch_up(self, live: LiveQuery) -> None:
        """Mark `live` due if a commit after its run touches it; that only happens to slow runs."""
        if live.tx >= self._engine.tx:
            return
        missed = self._recent.since(live.tx, self._engine.tx)
        if missed is None:
            live.kept = None
            self._mark_due({live})
            return
        for commit in missed:
            touched = self._subscriptions.affected(Changes.of([commit]), commit.catalog)
            if commit.is_catalog_changed or live in touched:
                live.stale_tx = commit.tx
                self._mark_due({live})
                return

    def _fail(self, live: LiveQuery, cause: Exception) -> None:
        """Tell the watchers that the query is broken; the next commit tries again."""
        if self._queries.get(live.question) is not live:
            return
        if isinstance(cause, RightsChanged):
            live.is_outdated = True
            self._drop(live)
            self._tell(live)
            return
        if isinstance(cause, TriceError):
            failure = cause
        else:
            logger.error(
                "live query failed q=%s",
                live.question.q_json[:200].decode(errors="replace"),
                exc_info=cause,
            )
            failure = Bug("unknown", "The server failed to refresh this query.")
        is_news = live.error is None or live.error.body() != failure.body()
        live.error = failure
        self._broken[live] = None
        self._drop(live)
        if is_news:
            self._tell(live)

    def _tell(self, live: LiveQuery) -> None:
        for watcher in list(live.watchers):
            try:
                watcher(live)
            except Exception:
                # The other watchers must still be told, and the next queries refreshed.
                logger.exception("a watcher failed")

    def _note_idle(self) -> None:
        if not self._due and not self._slow:
            self._is_idle.set()
