"""Live queries of one app: shared answers, kept current as commits arrive.

    commit ──> Subscriptions.affected ──> due ──> one run each ──> changed? ──> every watcher told

Equal queries of equal rights are one LiveQuery: one run, one encoding, N watchers.

A little over 500 lines, one file because every method keeps the one invariant of `Live`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import orjson

from trice import limits
from trice.catalog.catalog import Catalog
from trice.errors import Bug, TriceError, Unavailable
from trice.identity import Identity
from trice.live.read_set import ReadSet
from trice.live.subscriptions import Subscriptions
from trice.metrics import LiveCounts
from trice.protocol import down
from trice.protocol.ids import TxId
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.engine import Engine, ReadTooLong, Snapshot

logger: Final = logging.getLogger("trice.live")

NO_TX: Final = TxId(0)
"""Before the first transaction."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, by whom (as far as it matters), in which shape. Equal keys share an answer.

    source    the query as the client sent it
    identity  whoever of those with these rights asked first
    rights    identities with equal rights see the same answer
    shape     "flat": triples for the client's own evaluation · "tree": nested objects ·
              "tree-one": nested, has-one links as a single object
    """

    source: Any = field(compare=False)
    identity: Identity = field(compare=False)
    rights: str
    shape: str
    key: bytes

    @staticmethod
    def of(source: Any, *, identity: Identity, rights: str, shape: str) -> Question:
        """Build a question; key order inside `source` does not matter for sharing."""
        return Question(source, identity, rights, shape, query_key(source))

    @property
    def asked(self) -> tuple[str, bytes]:
        """What a client asked for, whoever it is at the moment."""
        return self.shape, self.key


def query_key(source: Any) -> bytes:
    """Equal for equal queries, whatever the order of their keys."""
    return orjson.dumps(source, option=orjson.OPT_SORT_KEYS)


class RightsChanged(Exception):
    """The rules, or what the query names, changed: those who share it may not see the same now."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One run of a question: encoded result and page info, and what it depends on.

    reads_tx   the newest transaction in its snapshot, which may not be published yet
    """

    result_json: bytes
    meta_json: bytes
    reads: ReadSet
    reads_tx: TxId


Evaluate = Callable[[Snapshot, Question, bool], Answer]
"""Runs a question on a snapshot. The flag says it runs on the loop, where shared caches are."""


@dataclass(slots=True, eq=False)
class LiveQuery:
    """One question that somebody watches, and its latest answer.

    answer   None when the latest run failed (then `error` says why), before the first, and once
             it was dropped to save memory (then `Live.recall` brings it back)
    is_outdated   its rights are no longer those of its watchers: they must ask again
    tx       the answer contains every commit up to here
    reads_tx   and perhaps some up to here
    Only `Live` writes it; watchers read it when told.
    """

    question: Question
    q_json: bytes
    answer: Answer | None = None
    error: TriceError | None = None
    is_outdated: bool = False
    tx: TxId = NO_TX
    reads_tx: TxId = NO_TX
    digest: bytes = b""
    watchers: dict[Watcher, None] = field(default_factory=dict)
    _computation: bytes | None = None
    _refresh: bytes | None = None

    def computation(self) -> bytes:
        """The answer as an element of `refresh-ok`; encoded once for all watchers."""
        assert self.answer is not None
        if self._computation is None:
            self._computation = down.computation(
                q_json=self.q_json,
                result_json=self.answer.result_json,
                meta_json=self.answer.meta_json,
            )
        return self._computation

    def refresh_frame(self) -> bytes:
        """A whole `refresh-ok` with this answer alone: one bytes object for N sockets."""
        if self._refresh is None:
            self._refresh = down.refresh_ok([self.computation()], tx=self.tx, attrs_json=None)
        return self._refresh

    def forget_frames(self) -> None:
        self._computation = None
        self._refresh = None


Watcher = Callable[[LiveQuery], None]
"""Told on the loop, after each change of the answer or failure to compute it."""


class Live:
    """The live queries of one app.

    Holds who watches what, each answer, and which are due. Does not hold rows (the engine does) or
    what each session was told (the session does).
    Invariant: once `due` is empty, every answer equals a fresh run at the engine's transaction.

    Of all answers LIVE_RESULTS_BYTES_MAX are kept, those used last. A query whose answer was
    dropped keeps its read set and digest: it is run again when touched, or when somebody asks.
    """

    def __init__(self, engine: Engine, evaluate: Evaluate, *, runtime: Runtime) -> None:
        self.counts = LiveCounts()
        self._engine = engine
        self._evaluate = evaluate
        self._runtime = runtime
        self._queries: dict[Question, LiveQuery] = {}
        self._subscriptions: Subscriptions[LiveQuery] = Subscriptions()
        self._due: dict[LiveQuery, None] = {}
        # Their read sets are out of date, so every commit tries them again.
        self._broken: dict[LiveQuery, None] = {}
        self._recent: deque[Commit] = deque()
        self._recent_changes = 0
        self._wake = asyncio.Event()
        self._slow: dict[LiveQuery, asyncio.Task[None]] = {}
        self._first_runs: dict[Question, asyncio.Task[LiveQuery]] = {}
        # How many calls of `watch` wait for a slow answer; the query stays for them.
        self._waiting: dict[Question, int] = {}
        # Answers in memory, the one used last at the end, with their sizes in bytes.
        self._kept: dict[LiveQuery, int] = {}
        self._kept_bytes = 0
        # Somebody waits for these answers, changed or not.
        self._recalled: set[LiveQuery] = set()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._loop_task: asyncio.Task[None] | None = None
        # How often the rules changed: what a run began with counts no more once it differs.
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

    async def settled(self) -> None:
        """Wait until nothing is due and no slow run is under way."""
        await self._is_idle.wait()

    def watch_now(self, question: Question, watcher: Watcher) -> LiveQuery:
        """Start to watch, with the current answer at hand when this returns.

        raises  ReadTooLong when the first run is too long for the loop: call `watch` instead;
                TriceError when the query is invalid (then nothing is watched)
        """
        live = self._queries.get(question)
        if live is None or live.answer is None or live in self._due:
            # A kept answer that a commit has touched would be older than what the caller may know.
            answer = self._run_now(question)
            live = self._adopt_first(question, answer, self._engine.tx)
            self._due.pop(live, None)
        elif live in self._slow:
            raise ReadTooLong
        else:
            self._kept[live] = self._kept.pop(live)
        live.watchers[watcher] = None
        return live

    async def watch(self, question: Question, watcher: Watcher) -> LiveQuery:
        """`watch_now`, on a reader thread when the run is long; equal ones wait together.

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
        """One call of `watch` ended; with the last one, what was only kept for it goes."""
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
        """The live query once the thread run that is under way, or a new one, has answered it."""
        running = self._queries.get(question)
        if running is not None and running in self._slow:
            await asyncio.shield(self._slow[running])
            return running
        task = self._first_runs.get(question)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._first_slow_run(question))
            self._first_runs[question] = task
            task.add_done_callback(lambda task: self._end_first_run(question, task))
        return await asyncio.shield(task)

    def _end_first_run(self, question: Question, task: asyncio.Task[LiveQuery]) -> None:
        if self._first_runs.get(question) is task:
            del self._first_runs[question]
        if not task.cancelled():
            task.exception()  # whoever still waits hears of it; nobody is no reason to log

    def unwatch(self, live: LiveQuery, watcher: Watcher) -> None:
        """Stop telling `watcher`; the last one to go takes the query along."""
        live.watchers.pop(watcher, None)
        self._forget_unwatched(live)

    def recall(self, live: LiveQuery) -> None:
        """Run a query whose answer was dropped, and tell its watchers once it is there."""
        self._recalled.add(live)
        self._mark_due({live})

    def follow(self, question: Question, watcher: Watcher) -> LiveQuery:
        """Watch without an answer at hand: `watcher` is told once there is one, or it failed."""
        live = self._queries.get(question)
        if live is None:
            live = LiveQuery(question, orjson.dumps(question.source))
            self._queries[question] = live
        live.watchers[watcher] = None
        self.recall(live)
        return live

    def judge_again(self) -> None:
        """The rules changed: no answer made under the old ones leaves from here on."""
        self._generation += 1
        ruled = {live for live in self._queries.values() if live.question.rights != "admin"}
        for live in ruled:
            self._drop(live)
        self._mark_due(ruled)

    def _forget_unwatched(self, live: LiveQuery) -> None:
        """Take a query out, unless somebody watches it or waits to."""
        if live.watchers or live.question in self._waiting:
            return
        if self._queries.get(live.question) is live:
            del self._queries[live.question]
        self._subscriptions.remove(live)
        self._due.pop(live, None)
        self._broken.pop(live, None)
        self._recalled.discard(live)
        self._drop(live)
        run = self._slow.pop(live, None)
        if run is not None:
            run.cancel()

    def apply(self, commits: Sequence[Commit], before: Catalog) -> None:
        """Mark what `commits` may have changed as due.

        before  the catalog in force before the first of them
        """
        for commit in commits:
            self._remember(commit)
            touched = self._subscriptions.affected(commit)
            if commit.is_catalog_changed:
                touched |= self._subscriptions.affected_by_names(before, commit.catalog)
                before = commit.catalog
            self.counts.touched += len(touched)
            touched.update(self._broken)
            self._mark_due(touched)

    def _remember(self, commit: Commit) -> None:
        """Keep a commit for runs that began before it; the oldest leave."""
        self._recent.append(commit)
        self._recent_changes += _weight(commit)
        while (
            len(self._recent) > limits.LIVE_RECENT_COMMITS
            or self._recent_changes > limits.LIVE_RECENT_CHANGES
        ) and len(self._recent) > 1:
            self._recent_changes -= _weight(self._recent.popleft())

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
                if self._runtime.monotonic_ms() - started_ms > limits.LIVE_TURN_MS:
                    await asyncio.sleep(0)
                    started_ms = self._runtime.monotonic_ms()
            self._note_idle()

    def _refresh(self, live: LiveQuery) -> None:
        if live in self._slow:
            # Its run may have begun before this commit: `_adopt` looks at the commits since.
            return
        try:
            tx = self._engine.tx
            self._adopt(live, self._run_now(live.question), tx)
        except ReadTooLong:
            self._slow[live] = asyncio.get_running_loop().create_task(self._slow_run(live))
        except Exception as cause:
            self._fail(live, cause)

    async def _slow_run(self, live: LiveQuery) -> None:
        try:
            answer, tx = await self._run_on_thread(live.question)
            if self._queries.get(live.question) is live:
                self._adopt(live, answer, tx)
        except Exception as cause:
            self._fail(live, cause)
        finally:
            self._slow.pop(live, None)
            self._note_idle()

    async def _first_slow_run(self, question: Question) -> LiveQuery:
        answer, tx = await self._run_on_thread(question)
        if question not in self._waiting:
            raise asyncio.CancelledError  # `wait_for` may swallow the one it was sent
        return self._adopt_first(question, answer, tx)

    def _run_now(self, question: Question) -> Answer:
        self.counts.rerun_query += 1
        return self._engine.read_now(lambda snapshot: self._evaluate(snapshot, question, True))

    async def _run_on_thread(self, question: Question) -> tuple[Answer, TxId]:
        self.counts.rerun_on_thread += 1

        def work(snapshot: Snapshot) -> tuple[Answer, TxId]:
            return self._evaluate(snapshot, question, False), snapshot.tx

        timeout_ms = (
            limits.ADMIN_READ_TIMEOUT_MS if question.rights == "admin" else limits.READ_TIMEOUT_MS
        )
        while True:
            generation = self._generation
            found = await self._engine.read_on_thread(work, timeout_ms=timeout_ms)
            if generation == self._generation:
                return found

    def _adopt_first(self, question: Question, answer: Answer, tx: TxId) -> LiveQuery:
        live = self._queries.get(question)
        if live is None:
            if len(self._queries) >= limits.LIVE_QUERIES_MAX:
                raise Unavailable(
                    "overloaded",
                    f"This app already has {limits.LIVE_QUERIES_MAX} different live queries.",
                )
            live = LiveQuery(question, orjson.dumps(question.source))
            self._queries[question] = live
        self._adopt(live, answer, tx)
        return live

    def _adopt(self, live: LiveQuery, answer: Answer, tx: TxId) -> None:
        """Take over a run's answer, and tell the watchers if it differs from the last."""
        if tx < live.tx:
            return  # a short run overtook this long one: answers only move forward
        digest = blake2b(answer.result_json + answer.meta_json, digest_size=16).digest()
        # Clients drop an optimistic write once an answer is labelled with it. If the last answer
        # was ahead of its label, the commits between change nothing, but the label must follow.
        was_ahead = live.reads_tx > live.tx
        is_changed = digest != live.digest or live.error is not None or was_ahead
        is_recalled = live in self._recalled
        self._recalled.discard(live)
        self._broken.pop(live, None)
        live.answer, live.error, live.tx, live.digest = answer, None, tx, digest
        live.reads_tx = answer.reads_tx
        live.forget_frames()
        self._subscriptions.put(live, answer.reads)
        self._catch_up(live)
        self._keep(live, len(answer.result_json) + len(answer.meta_json))
        if is_changed:
            self.counts.changed += 1
        else:
            self.counts.silent += 1
        if is_changed or is_recalled:
            self._tell(live)

    def _keep(self, live: LiveQuery, size_bytes: int) -> None:
        """Count an answer that just came, and drop those not used for longest beyond the limit."""
        self._kept_bytes += size_bytes - self._kept.pop(live, 0)
        self._kept[live] = size_bytes
        while self._kept_bytes > limits.LIVE_RESULTS_BYTES_MAX and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _drop(self, live: LiveQuery) -> None:
        self._kept_bytes -= self._kept.pop(live, 0)
        live.answer = None
        live.forget_frames()

    def _catch_up(self, live: LiveQuery) -> None:
        """Mark `live` due if a commit after its run touches it; only slow runs meet any."""
        if live.tx >= self._engine.tx:
            return
        missed = [commit for commit in self._recent if commit.tx > live.tx]
        is_log_whole = bool(missed) and missed[0].tx == live.tx + 1
        if not is_log_whole or any(
            commit.is_catalog_changed or live in self._subscriptions.affected(commit)
            for commit in missed
        ):
            self._mark_due({live})

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
                live.q_json[:200].decode(errors="replace"),
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
                # The others must hear of it, and the queries after this one be refreshed.
                logger.exception("a watcher failed")

    def _note_idle(self) -> None:
        if not self._due and not self._slow:
            self._is_idle.set()


def _weight(commit: Commit) -> int:
    return len(commit.entities) + len(commit.pairs)
