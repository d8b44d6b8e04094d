"""ONE app's data: query, transact, watch. The table of contents of the engine.

query      parse -> plan -> run -> encode
transact   parse -> apply (resolve, check, write) -> commit -> publish
watch      query, kept current: commit -> live -> run -> watchers

A little over 500 lines, one file because it is where all parts of one app meet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from trice import limits, sync_limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.schema import plan_schema
from trice.catalog.system import system_attrs
from trice.costs import query_cost, write_cost
from trice.errors import Unavailable
from trice.identity import ADMIN, SERVER, Identity, TurnKey
from trice.live.aggregates import keep
from trice.live.answers import Encoded, FlatAnswer, encode_tree, nested_answer
from trice.live.deltas import Deltas, names_of_parts
from trice.live.index.derive import read_set
from trice.live.live import Live
from trice.live.live_query import LiveQuery, Question, Watcher
from trice.live.outcome import Run
from trice.live.planner import Parsed, Planner, Prepared
from trice.live.run_commits import RunCommits
from trice.live.sync_load import PageRequest
from trice.live.sync_tables import (
    TableChange,
    TableFeed,
    TablePage,
    TableView,
    replayed,
    too_far_behind,
)
from trice.loop_shares import LoopShare, LoopShares
from trice.metrics import AppCounts
from trice.protocol.ids import EventId, TxId
from trice.query.encode import EntityCache, UrlOf, flat_parts, join_parts, nested_result
from trice.query.outline import OutlinedPlans, outline_of
from trice.query.parse.forms import parse
from trice.query.plan import Plan, plan
from trice.query.run import run
from trice.query.tree import Tree
from trice.rate_limit import Buckets
from trice.rules.document import Rules
from trice.rules.judge import Judge, Meter
from trice.rules.rights import Rights
from trice.rules.room_rights import RoomRights
from trice.rules.visible import RuledVisibility
from trice.runtime import Runtime
from trice.slow_log import SlowLog
from trice.store.commit import Commit
from trice.store.engine import Engine, ReadTooLong, Snapshot, Statements, WriteTx
from trice.store.rows import Rows
from trice.transact.admin import expand_admin_steps
from trice.transact.apply import apply
from trice.transact.cost import is_long
from trice.transact.parse import parse_steps
from trice.transact.replay import digest_steps, replay_key
from trice.transact.steps import AddAttr, Step

CatalogListener = Callable[[Catalog], None]
OpenEngine = Callable[[Iterable[Attr]], Engine]
"""Opens the storage of an app that has at least these attrs; blocks (`engines.Engines.open`)."""

T = TypeVar("T")


class Look:
    """Reads of the server itself, on one snapshot or open write. No rules apply."""

    def __init__(self, statements: Snapshot | WriteTx) -> None:
        self._state = statements

    @property
    def catalog(self) -> Catalog:
        return self._state.catalog

    @property
    def statements(self) -> Statements:
        """What a judge of rules reads with."""
        return self._state

    @property
    def stored(self) -> Rows:
        """What single rows are read with."""
        return self._state.stored

    def find(self, source: Any) -> dict[str, list[dict[str, Any]]]:
        """Answer an InstaQL query as nested objects, as an admin sees it."""
        query = parse(source, self.catalog, is_admin=True)
        made = plan(query, self.catalog, dialect=self._state.dialect)
        return nested_result(run(made, self._state), is_inferring=False)


class Change(Look):
    """One transaction of the server itself: its reads, and the steps it will write.

    No rules and no guards of system namespaces apply. Reads see the data before the transaction.
    """

    def __init__(self, tx: WriteTx) -> None:
        super().__init__(tx)
        self._tx = tx
        self.steps: list[Any] = []

    @property
    def time_ms(self) -> int:
        """When the transaction happens, by the wall clock."""
        return self._tx.time_ms

    @property
    def tx(self) -> int:
        """The id that the transaction will have."""
        return self._tx.tx

    def write(self, *steps: Any) -> None:
        """Add steps of the admin API, as `["update", etype, id, {label: value}]`."""
        self.steps.extend(steps)


class Database:
    """One app's data, and all live queries on it.

    Holds the engine, the live queries, the cache of encoded entities, and `rights`: what callers
    may do, written by `set_rules` only. Does not know its callers (sessions and HTTP do), nor
    whether they may use the app at all (`apps` does).
    """

    def __init__(
        self,
        engine: Engine,
        *,
        runtime: Runtime,
        rules: Rules,
        app_id: str,
        buckets: Buckets,
        slow_log: SlowLog,
        url_of: UrlOf | None = None,
        share: LoopShare | None = None,
    ) -> None:
        """Use `Database.open`."""
        self.share = share or LoopShares(runtime).make()
        self._engine = engine
        self.runtime = runtime
        self.app_id = app_id
        self.slow_log = slow_log
        self.rights = Rights(rules, runtime=runtime, buckets=buckets, app_id=app_id)
        self.room_rights = RoomRights(engine, self.rights, runtime=runtime)
        self._token_listeners: dict[str, dict[Callable[[], None], None]] = {}
        self.url_of = url_of
        self._cache = EntityCache(url_of=url_of)
        self._commit_listeners: dict[Callable[[Sequence[Commit]], None], None] = {}
        self.table_feed = TableFeed(when_unfinished=self._encode_tables_soon)
        self.table_loads = asyncio.Semaphore(sync_limits.SYNC_LOADS_OF_APP_MAX)
        self._catalog_told = engine.catalog
        self._catalog_listeners: dict[CatalogListener, None] = {}
        self.run_commits = RunCommits()
        self.live = Live(
            engine, self._evaluate, runtime=runtime, cache=self._cache, share=self.share
        )
        self._planner = Planner(self.rights, shared=self.live.shared)
        self.outlined_plans = OutlinedPlans()
        self.counts = AppCounts(self.live.counts)
        engine.on_commits(self._publish)

    @classmethod
    async def open(
        cls,
        open_engine: OpenEngine,
        *,
        runtime: Runtime,
        rules: Rules,
        app_id: str = "",
        buckets: Buckets | None = None,
        slow_log: SlowLog | None = None,
        schema: Any = None,
        attrs: Iterable[Attr] | None = None,
        url_of: UrlOf | None = None,
        share: LoopShare | None = None,
    ) -> Database:
        """Open the app's storage, on a thread.

        rules    what callers other than admins may do
        app_id   what `auth.app_id` is in rules, and the key of the app's buckets
        buckets  those of the process; None: buckets of its own
        slow_log that of the process; None: nothing is slow
        schema   InstantSchemaDef as JSON, for a new app (instant-http §4.5)
        attrs    attrs that its catalog has at least; None: those that every app has
        url_of   makes `$files.url` of answers; None: they have none
        share    of the event loop, beside other apps; None: one of its own
        raises   what `open_engine` does; InvalidInput when the schema is wrong
        """
        engine = await asyncio.to_thread(open_engine, system_attrs() if attrs is None else attrs)
        database = cls(
            engine,
            runtime=runtime,
            rules=rules,
            app_id=app_id,
            buckets=buckets or Buckets(runtime),
            slow_log=slow_log or SlowLog(runtime),
            url_of=url_of,
            share=share,
        )
        try:
            await database.add_schema(schema)
        except BaseException:
            await engine.close()
            raise
        database.live.start()
        return database

    @property
    def engine(self) -> Engine:
        """What keeps the data, for code that reads or counts without the methods of this class."""
        return self._engine

    @property
    def catalog(self) -> Catalog:
        """The attrs as of `tx`."""
        return self._engine.catalog

    @property
    def tx(self) -> TxId:
        """The last published transaction."""
        return self._engine.tx

    @property
    def rules(self) -> Rules:
        """What callers other than admins may do."""
        return self.rights.rules

    def set_rules(self, rules: Rules) -> None:
        """Put other rules in force. Every live answer is judged again before it is sent."""
        self.rights.put(rules)
        self.live.judge_again()
        self.room_rights.judge_again()

    def prepare(
        self, source: Any, *, identity: Identity, shape: str, is_long: bool = False
    ) -> Prepared:
        """Check a query, for `watch_now`; see `Planner.prepare`."""
        return self._planner.prepare(
            source, self.catalog, identity=identity, shape=shape, is_long=is_long
        )

    def question(
        self, source: Any, *, identity: Identity, shape: str, is_long: bool = False
    ) -> Question:
        """The query with the rights it is asked with, for `watch` and `follow`; see
        `Planner.prepare`."""
        return self.prepare(source, identity=identity, shape=shape, is_long=is_long).question

    async def query_nested(
        self, source: Any, *, identity: Identity, is_inferring: bool = False, has_meta: bool = False
    ) -> bytes:
        """Answer a query once, as nested objects in JSON.

        source        InstaQL object
        is_inferring  has-one links are an object or null instead of a list
        has_meta      cursors of pages go along, see `answers.nested_answer`
        raises        InvalidInput, LimitExceeded, PermissionDenied when a rule cannot be evaluated,
                      Unavailable("timeout"), ("overloaded")
        """

        def encode(tree: Tree, snapshot: Snapshot) -> bytes:
            answer = nested_answer(tree, is_inferring, snapshot.spend, self.url_of)
            return answer.joined() if has_meta else answer.result_json

        return await self._answer(source, identity, encode)

    async def query_flat(self, source: Any, *, identity: Identity) -> FlatAnswer:
        """Answer a query once, as triples."""

        def encode(tree: Tree, snapshot: Snapshot) -> FlatAnswer:
            catalog = snapshot.catalog
            parts = flat_parts(tree, EntityCache(url_of=self.url_of), snapshot.spend)
            names = names_of_parts(source, parts)
            return FlatAnswer(
                join_parts(parts), catalog.wire_json, catalog.wire_name, names, snapshot.tx
            )

        return await self._answer(source, identity, encode)

    async def _answer(
        self, source: Any, identity: Identity, encode: Callable[[Tree, Snapshot], T]
    ) -> T:
        """Answer a query once; an admin's with the plan of those that look like it."""
        outline = outline_of(source) if identity.is_admin else None
        kept = None if outline is None else self.outlined_plans.find(outline, self.catalog)

        def work(snapshot: Snapshot) -> tuple[T, Plan]:
            began_ms, tree = self.slow_log.now_ms(), None
            try:
                made = kept
                if made is None or made.catalog is not snapshot.catalog:
                    made = self._plan_once(source, identity, snapshot)
                tree = run(made, snapshot)
                return encode(tree, snapshot), made
            finally:
                self.slow_log.ended("query", self.app_id, began_ms, query_cost, tree, snapshot)

        answer, made = await self._read(work, identity)
        if outline is not None and made is not kept:
            self.outlined_plans.keep(outline, source, made)
        return answer

    async def _read(self, work: Callable[[Snapshot], T], identity: Identity) -> T:
        """Run `work` on a snapshot: on the loop if it is short, else on a thread, in the turn of
        `identity`."""
        timeout_ms = limits.ADMIN_READ_TIMEOUT_MS
        return await self._engine.read(work, timeout_ms=timeout_ms, turn_key=identity.turn_key)

    def _plan_once(self, source: Any, identity: Identity, snapshot: Snapshot) -> Plan:
        catalog, spend = snapshot.catalog, snapshot.spend
        query = parse(source, catalog, is_admin=identity.is_admin, spend=spend)
        visibility = self.rights.visible_to(query, identity, snapshot)
        return plan(query, catalog, visibility, dialect=snapshot.dialect, spend=spend)

    async def transact(
        self, tx_steps: Any, *, identity: Identity, event_id: EventId | None = None
    ) -> TxId:
        """Apply low-level steps as one durable transaction (instant-realtime §6.2).

        event_id  a replay (same event id, caller and steps) is not applied again; it returns the
                  id of the first transaction
        raises    InvalidInput, Conflict, LimitExceeded; then nothing was written
        """
        return await self.submit(tx_steps, identity=identity, event_id=event_id)

    def submit(
        self,
        tx_steps: Any,
        *,
        identity: Identity,
        event_id: EventId | None = None,
        digest: str | None = None,
    ) -> asyncio.Future[TxId]:
        """As `transact`, but its place in the order of transactions is taken before this returns.

        digest   that of the steps (`digest`), given when the steps are known to be long
        """
        is_admin, turn_key = identity.is_admin, identity.turn_key
        is_long_work = digest is not None or is_long(tx_steps, steps_max=limits.TX_STEPS_ON_LOOP)
        if event_id is not None:
            event_id = replay_key(event_id, identity.name, digest or digest_steps(tx_steps))
        if is_long_work:
            return self._engine.submit(
                self._applying(
                    lambda _: parse_steps(tx_steps, is_admin=is_admin),
                    identity,
                    event_id,
                    is_long=True,
                ),
                event_id=event_id,
                is_long=True,
                turn_key=turn_key,
            )
        steps = parse_steps(tx_steps, is_admin=is_admin)
        return self._engine.submit(
            self._applying(lambda _: steps, identity, event_id),
            event_id=event_id,
            turn_key=turn_key,
        )

    @staticmethod
    def digest(tx_steps: Any) -> str:
        """A digest of long steps, for `submit`; made on the thread that decoded them."""
        return digest_steps(tx_steps)

    async def transact_admin(
        self,
        steps: Any,
        *,
        identity: Identity,
        throw_on_missing_attrs: bool = False,
        is_long_text: bool = False,
        event_id: EventId | None = None,
    ) -> TxId:
        """Apply the high-level steps of the admin API (instant-http §3.3).

        is_long_text   the steps were too long to be decoded on the loop: so is applying them
        event_id       as of `transact`
        """
        if event_id is not None:
            # A digest of 8 MB takes 20 ms.
            work = partial(digest_steps, steps)
            digest = await asyncio.to_thread(work) if is_long_text else work()
            event_id = replay_key(event_id, identity.name, digest)

        def expand(tx: WriteTx) -> Sequence[Step]:
            return expand_admin_steps(
                steps,
                tx.catalog,
                throw_on_missing_attrs=throw_on_missing_attrs,
                runtime=self.runtime,
            )

        is_long_work = is_long_text or is_long(steps, steps_max=limits.TX_ADMIN_STEPS_ON_LOOP)
        return await self._engine.write(
            self._applying(expand, identity, event_id, is_long=is_long_work),
            event_id=event_id,
            is_long=is_long_work,
            turn_key=identity.turn_key,
        )

    async def look(self, work: Callable[[Look], T]) -> T:
        """Read as the server itself: a few rows, on the loop (2 µs besides the work)."""
        timeout_ms = limits.READ_TIMEOUT_MS
        return await self._engine.read(lambda state: work(Look(state)), timeout_ms=timeout_ms)

    def look_now(self, work: Callable[[Look], T]) -> T:
        """As `look`, for reads that never take long: single rows by their keys.

        raises   ReadTooLong
        """
        return self._engine.read_now(lambda state: work(Look(state)))

    def on_commits(self, listener: Callable[[Sequence[Commit]], None]) -> None:
        """Call `listener` with each group of commits once they are durable, before their writers
        are told; see `Engine.on_commits`."""
        self._engine.on_commits(listener)

    def watch_commits(self, listener: Callable[[Sequence[Commit]], None]) -> None:
        """As `on_commits`, until `unwatch_commits`."""
        self._commit_listeners[listener] = None

    def unwatch_commits(self, listener: Callable[[Sequence[Commit]], None]) -> None:
        self._commit_listeners.pop(listener, None)

    def table_view(self, source: Any) -> TableView:
        """Check the query of a sync table, and return how its rows are shown.

        raises   InvalidInput, see `TableView`
        """
        dialect = self._engine.read_now(lambda state: state.dialect)
        return TableView(source, self.catalog, dialect=dialect, url_of=self.url_of)

    async def read_table(
        self, view: TableView, request: PageRequest, *, identity: Identity
    ) -> TablePage:
        """A page of a sync table, read on a reader thread if that takes long.

        raises   LimitExceeded, Unavailable("timeout"), ("overloaded")
        """

        def work(state: Snapshot) -> tuple[TablePage | None, TxId]:
            return request.read(view, state), state.newest_tx()

        for _ in range(sync_limits.SYNC_LOADS_TRIED_MAX):
            page, newest = await self._read(work, identity)
            if page is not None:
                return page
            await self.published(newest)
        raise Unavailable("overloaded", "Too many transactions at once; start the table again.")

    async def published(self, tx: TxId) -> None:
        """Wait until a transaction that a snapshot has seen is published, which is due."""
        published = asyncio.get_running_loop().create_future()

        def hear(_: Sequence[Commit]) -> None:
            if self.tx >= tx and not published.done():
                published.set_result(None)

        self.watch_commits(hear)
        try:
            if self.tx < tx:
                await published
        finally:
            self.unwatch_commits(hear)

    async def replay_table(
        self, view: TableView, after: TxId, *, identity: Identity
    ) -> tuple[TxId, list[TableChange]]:
        """What the transactions after `after` changed in a sync table, from the log; and the last
        transaction that was looked at.

        raises   LimitExceeded when the log does not reach back, or there is too much
        """

        def work(snapshot: Snapshot) -> tuple[TxId, list[TableChange]]:
            commits = snapshot.commits_after(
                after,
                rows_max=sync_limits.SYNC_WAITING_TXES_MAX,
                bytes_max=sync_limits.SYNC_WAITING_BYTES_MAX,
            )
            if commits is None:
                raise too_far_behind()
            return snapshot.tx, replayed(view, commits)

        return await self.read_on_thread(work, turn_key=identity.turn_key)

    async def change(self, work: Callable[[Change], T], *, is_long: bool = False) -> T:
        """Read and write as the server itself, in one durable transaction.

        work      synchronous, without effects of its own; an exception undoes the transaction
        is_long   it would hold up the loop: it runs on the writer's thread
        returns   what `work` returned, once the writes are durable
        """
        results: list[T] = []

        def write(tx: WriteTx) -> Commit:
            change = Change(tx)
            results.append(work(change))
            steps = expand_admin_steps(
                change.steps, tx.catalog, throw_on_missing_attrs=True, runtime=self.runtime
            )
            return apply(
                tx,
                steps,
                is_admin=True,
                identity_name="server",
                event_id=None,
                runtime=self.runtime,
                is_internal=True,
            )

        await self._engine.write(write, is_long=is_long)
        return results[-1]

    async def read_on_thread(self, work: Callable[[Snapshot], T], *, turn_key: TurnKey) -> T:
        """Run `work` on a snapshot, on a reader thread: for reads that explain rules (`debug`)."""
        return await self._engine.read_on_thread(
            work, timeout_ms=limits.ADMIN_READ_TIMEOUT_MS, turn_key=turn_key
        )

    async def write_on_thread(
        self, work: Callable[[WriteTx], Commit], *, turn_key: TurnKey
    ) -> TxId:
        """Run `work` as one transaction, by itself, on the writer's thread. An exception undoes the
        transaction. For writes that explain rules (`debug`)."""
        return await self._engine.write(work, is_long=True, turn_key=turn_key)

    async def add_schema(self, schema: Any) -> None:
        """Add the attrs that a schema document declares and that the app does not have yet."""
        if schema is None:
            return
        # The most attrs that an app may have take 150 ms.
        await self.add_attrs(
            await asyncio.to_thread(plan_schema, schema, self.catalog, self.runtime)
        )

    async def add_attrs(self, attrs: Sequence[Attr]) -> None:
        """Add attrs with the ids they have."""
        if attrs:
            added = [AddAttr(attr) for attr in attrs]
            await self.change_schema(lambda _: added)

    async def change_schema(
        self, make_steps: Callable[[Catalog], Sequence[Step]], *, turn_key: TurnKey = SERVER
    ) -> TxId:
        """Apply attr steps as an admin, in one durable transaction on the writer's thread.

        make_steps   makes them from the catalog that they will change
        raises       InvalidInput, Conflict, LimitExceeded; then nothing was written
        cost         O(rows) for each property that is switched on
        """
        work = self._applying(lambda tx: make_steps(tx.catalog), ADMIN, None, is_long=True)
        return await self._engine.write(work, is_long=True, turn_key=turn_key)

    def watch_now(self, prepared: Prepared, watcher: Watcher) -> LiveQuery | None:
        """Watch a query whose first answer takes little time; see `Live.watch_now`.

        returns   None when it takes too long for the loop; then use `watch`
        """
        try:
            return self.live.watch_now(prepared.question, watcher, prepared.parsed)
        except ReadTooLong:
            return None

    def has_answer(self, question: Question) -> bool:
        """Whether `watch_now` would find an answer without a run."""
        return self.live.has_answer(question)

    async def watch(self, question: Question, watcher: Watcher) -> LiveQuery:
        """Watch a query: return with its answer, and call `watcher` after each change."""
        return await self.live.watch(question, watcher)

    @property
    def live_queries(self) -> int:
        """How many different queries are watched."""
        return len(self.live)

    def recall(self, live: LiveQuery) -> None:
        """Bring back an answer that was dropped to save memory; see `Live.recall`."""
        self.live.recall(live)

    def unwatch(self, live: LiveQuery, watcher: Watcher) -> None:
        """Stop calling `watcher`."""
        self.live.unwatch(live, watcher)

    def follow(self, question: Question, watcher: Watcher) -> LiveQuery:
        """Watch a query, and call `watcher` once it has an answer; see `Live.follow`."""
        return self.live.follow(question, watcher)

    @property
    def deltas(self) -> Deltas:
        """What leads from the answers that clients hold to the current ones."""
        return self.live.deltas

    def forget_unwatched(self) -> None:
        """Free the encoded entities if no live query is left."""
        if not len(self.live):
            self._cache.clear()

    async def renew_urls(self) -> None:
        """The URLs of files have changed: answer every live query that shows some again."""
        self._cache.clear()
        self.live.renew_urls()
        await self.live.settled()

    def watch_token(self, hashed: str, listener: Callable[[], None]) -> None:
        """Call `listener` when the refresh token with this hash is deleted."""
        self._token_listeners.setdefault(hashed, {})[listener] = None

    def unwatch_token(self, hashed: str, listener: Callable[[], None]) -> None:
        listeners = self._token_listeners.get(hashed, {})
        listeners.pop(listener, None)
        if not listeners:
            self._token_listeners.pop(hashed, None)

    def watch_catalog(self, listener: CatalogListener) -> None:
        """Call `listener` after each change of attrs that clients must hear of."""
        self._catalog_listeners[listener] = None

    def unwatch_catalog(self, listener: CatalogListener) -> None:
        self._catalog_listeners.pop(listener, None)

    @property
    def waiting(self) -> tuple[int, int]:
        """How many transactions wait for the writer, and how many long reads for a thread."""
        return self._engine.waiting

    async def close(self) -> None:
        """Finish the accepted writes, then release the file."""
        await self.room_rights.close()
        await self._engine.close()
        await self.live.close()
        self.table_feed.close()

    def _applying(
        self,
        make_steps: Callable[[WriteTx], Sequence[Step]],
        identity: Identity,
        event_id: EventId | None,
        *,
        is_long: bool = False,
    ) -> Callable[[WriteTx], Commit]:
        # If judging takes too long, it begins again on the writer's thread, without a meter.
        meters = iter(() if is_long else (Meter(),))

        def work(tx: WriteTx) -> Commit:
            began_ms = self.slow_log.now_ms()
            judges: list[Judge] = []
            commit = None
            try:
                commit = apply(
                    tx,
                    make_steps(tx),
                    is_admin=identity.is_admin,
                    identity_name=identity.name,
                    event_id=event_id,
                    runtime=self.runtime,
                    checks=self.rights.write_checks(identity, next(meters, None), judges),
                )
                return commit
            finally:
                self.slow_log.ended(
                    "transaction", self.app_id, began_ms, write_cost, commit, judges
                )

        return work

    def _evaluate(
        self, snapshot: Snapshot, question: Question, is_on_loop: bool, known: Plan | Parsed | None
    ) -> Run:
        """One run of a live query, encoded. Off the loop it does not use the shared cache.

        known   the plan of an earlier run, or what the question was parsed to; the query is parsed
                again if this no longer holds
        """
        began_ms, tree, shape = self.slow_log.now_ms(), None, question.shape
        plan_known = known if isinstance(known, Plan) else None
        parsed = known if isinstance(known, Parsed) else None
        try:
            made, new_shape = plan_known, None
            if made is None:
                made, new_shape = self._planner.plan(
                    snapshot, question, parsed, is_on_loop=is_on_loop
                )
            tree = run(made, snapshot)
            cache = self._cache if is_on_loop else EntityCache(url_of=self.url_of)
            encoded = encode_tree(tree, shape, cache, snapshot.spend)
            took_ms = self.slow_log.now_ms() - began_ms
        finally:
            self.slow_log.ended("live-query", self.app_id, began_ms, query_cost, tree, snapshot)
        tx = snapshot.newest_tx()
        lasting = _lasting(made)
        if new_shape is not None and lasting is not None:
            self._planner.keep(new_shape, lasting, rights=question.rights)
        kept = None if lasting is None else Tree(lasting, tree.nodes)

        def encode(later: Tree) -> Encoded:
            return encode_tree(later, shape, self._cache)

        return Run(
            encoded.answer,
            read_set(tree),
            kept,
            tx,
            plan_tx=tx if plan_known is None else snapshot.tx,
            took_ms=took_ms,
            parts=encoded.parts,
            totals=None if kept is None else keep(kept, tx, encode),
        )

    def _publish(self, commits: Sequence[Commit]) -> None:
        """A group became durable: forget the entities it changed, mark the live queries that may
        differ, tell watchers of changed attrs."""
        self.counts.commits += len(commits)
        self.counts.groups += 1
        self.run_commits.add(commits)
        for commit in commits:
            for change in commit.entities:
                self._cache.forget(change.etype, change.id)
        self._end_tokens(commits)
        self.room_rights.apply(commits)
        if self._commit_listeners:
            self._feed_tables(commits)
        before, self._catalog_told = self._catalog_told, self.catalog
        self.live.apply(commits, before)
        if self.catalog.version != before.version:
            for listener in list(self._catalog_listeners):
                listener(self.catalog)

    def _feed_tables(self, commits: Sequence[Commit]) -> None:
        """Tell those who watch commits."""
        self.table_feed.begin()
        for hear in tuple(self._commit_listeners):
            hear(commits)

    def _encode_tables_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._encode_tables)

    def _encode_tables(self) -> None:
        if self.table_feed.encode_some():
            for hear in tuple(self._commit_listeners):
                hear(())
        if self.table_feed.is_unfinished:
            self._encode_tables_soon()

    def _end_tokens(self, commits: Sequence[Commit]) -> None:
        """Call the listeners of refresh tokens that were deleted."""
        if not self._token_listeners:
            return
        for commit in commits:
            for change in commit.entities:
                if change.etype == "$userRefreshTokens" and change.old is not None:
                    attr = commit.catalog.find_forward(change.etype, "hashedToken")
                    assert attr is not None, "a system attr is missing"
                    hashed = change.old.cells.get(attr.id)
                    if change.new is None or change.new.cells.get(attr.id) != hashed:
                        for listener in list(self._token_listeners.get(str(hashed), ())):
                            listener()


def _lasting(made: Plan) -> Plan | None:
    """A plan that has run, in a form for later runs; None when it holds for one run only."""
    visibility = made.visibility
    if not isinstance(visibility, RuledVisibility):
        return made
    return replace(made, visibility=visibility.frozen()) if visibility.is_lasting else None
