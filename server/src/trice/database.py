"""ONE app's data: query, transact, watch. The table of contents of the engine.

query      parse -> plan -> run -> encode
transact   parse -> apply (resolve, check, write) -> commit -> publish
watch      query, kept current: commit -> live -> run -> watchers
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from trice import limits
from trice.catalog.catalog import Catalog
from trice.catalog.schema import plan_schema
from trice.catalog.system import system_attrs
from trice.errors import LimitExceeded
from trice.identity import ADMIN, Identity
from trice.live.live import Answer, Live, LiveQuery, Question, Watcher
from trice.live.reads import read_set
from trice.protocol.ids import EventId, TxId
from trice.query.encode import EntityCache, flat_result, nested_result, result_meta
from trice.query.parse import parse
from trice.query.plan import plan
from trice.query.run import run
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.engine import Engine, Snapshot, WriteTx
from trice.store.sqlite.engine import SqliteEngine
from trice.transact.admin import expand_admin_steps
from trice.transact.apply import apply
from trice.transact.cost import is_long
from trice.transact.parse import parse_steps
from trice.transact.steps import AddAttr, Step

CatalogListener = Callable[[Catalog], None]


class Database:
    """One app's data and everything that watches it.

    Holds the engine, the live queries, the cache of encoded entities. Does not hold who the callers
    are (sessions, HTTP) or whether they may come in at all (apps).
    """

    def __init__(self, engine: Engine, *, runtime: Runtime) -> None:
        """Use `Database.open`."""
        self._engine = engine
        self._runtime = runtime
        self._cache = EntityCache()
        self._catalog_told = engine.catalog
        self._catalog_listeners: dict[CatalogListener, None] = {}
        self.live = Live(engine, self._evaluate, runtime=runtime)
        engine.on_commits(self._publish)

    @classmethod
    async def open(cls, path: Path, *, runtime: Runtime, schema: Any = None) -> Database:
        """Open the app's file, or make it.

        schema  InstantSchemaDef as JSON, for a new app (instant-http §4.5)
        raises  InvalidInput when the schema is wrong
        """
        engine = await asyncio.to_thread(
            SqliteEngine.open, path, runtime=runtime, system_attrs=system_attrs()
        )
        database = cls(engine, runtime=runtime)
        try:
            await database.add_schema(schema)
        except BaseException:
            await engine.close()
            raise
        database.live.start()
        return database

    @property
    def catalog(self) -> Catalog:
        """The attrs as of `tx`."""
        return self._engine.catalog

    @property
    def tx(self) -> TxId:
        """The last published transaction."""
        return self._engine.tx

    async def query(
        self, source: Any, *, identity: Identity, is_inferring: bool = False
    ) -> dict[str, Any]:
        """Answer a query once, as nested objects.

        source        InstaQL object
        is_inferring  has-one links are an object or null instead of a list
        raises        InvalidInput, LimitExceeded, Unavailable("timeout")
        """

        def work(snapshot: Snapshot) -> dict[str, Any]:
            query = parse(source, snapshot.catalog, is_admin=identity.is_admin)
            tree = run(plan(query, snapshot.catalog), snapshot)
            return nested_result(tree, is_inferring=is_inferring)

        return await self._engine.read(work, timeout_ms=limits.ADMIN_READ_TIMEOUT_MS)

    async def query_flat(self, source: Any, *, identity: Identity) -> tuple[bytes, bytes]:
        """Answer a query once, as triples; return the result and the catalog it names, as JSON."""

        def work(snapshot: Snapshot) -> tuple[bytes, bytes]:
            query = parse(source, snapshot.catalog, is_admin=identity.is_admin)
            tree = run(plan(query, snapshot.catalog), snapshot)
            result_json = flat_result(tree, EntityCache())
            _check_size(result_json)
            return result_json, snapshot.catalog.wire_json

        return await self._engine.read(work, timeout_ms=limits.ADMIN_READ_TIMEOUT_MS)

    async def transact(
        self, tx_steps: Any, *, identity: Identity, event_id: EventId | None = None
    ) -> TxId:
        """Apply low-level steps as one durable transaction (instant-realtime §6.2).

        event_id  a replay with the same id is not applied again; it returns the first one's id
        raises    InvalidInput, Conflict, LimitExceeded; then nothing was written
        """
        return await self.submit(tx_steps, identity=identity, event_id=event_id)

    def submit(
        self, tx_steps: Any, *, identity: Identity, event_id: EventId | None = None
    ) -> asyncio.Future[TxId]:
        """`transact`, taking its place in the order of transactions before this returns."""
        if is_long(tx_steps, steps_max=limits.TX_STEPS_ON_LOOP):
            return self._engine.submit(
                self._applying(
                    lambda _: parse_steps(tx_steps, is_admin=identity.is_admin), identity, event_id
                ),
                event_id=event_id,
                is_long=True,
            )
        steps = parse_steps(tx_steps, is_admin=identity.is_admin)
        return self._engine.submit(
            self._applying(lambda _: steps, identity, event_id), event_id=event_id
        )

    async def transact_admin(
        self, steps: Any, *, identity: Identity, throw_on_missing_attrs: bool = False
    ) -> TxId:
        """Apply the high-level steps of the admin API (instant-http §3.3)."""

        def expand(tx: WriteTx) -> Sequence[Step]:
            return expand_admin_steps(
                steps,
                tx.catalog,
                throw_on_missing_attrs=throw_on_missing_attrs,
                runtime=self._runtime,
            )

        return await self._engine.write(
            self._applying(expand, identity, None),
            is_long=is_long(steps, steps_max=limits.TX_ADMIN_STEPS_ON_LOOP),
        )

    async def add_schema(self, schema: Any) -> None:
        """Add what a schema document declares and the app does not have yet."""
        if schema is None:
            return
        attrs = plan_schema(schema, self.catalog, self._runtime)
        if attrs:
            added = [AddAttr(attr) for attr in attrs]
            await self._engine.write(self._applying(lambda _: added, ADMIN, None), is_long=True)

    def watch_now(self, question: Question, watcher: Watcher) -> LiveQuery:
        """Watch a query whose first answer is short; see `Live.watch_now`."""
        return self.live.watch_now(question, watcher)

    async def watch(self, question: Question, watcher: Watcher) -> LiveQuery:
        """Watch a query: its answer now, and a call of `watcher` after each change."""
        return await self.live.watch(question, watcher)

    def recall(self, live: LiveQuery) -> None:
        """Bring back an answer that was dropped to save memory; see `Live.recall`."""
        self.live.recall(live)

    def unwatch(self, live: LiveQuery, watcher: Watcher) -> None:
        """Stop calling `watcher`."""
        self.live.unwatch(live, watcher)

    def watch_catalog(self, listener: CatalogListener) -> None:
        """Call `listener` after each change of attrs that clients must hear of."""
        self._catalog_listeners[listener] = None

    def unwatch_catalog(self, listener: CatalogListener) -> None:
        self._catalog_listeners.pop(listener, None)

    async def close(self) -> None:
        """Finish the accepted writes, then release the file."""
        await self._engine.close()
        await self.live.close()

    def _applying(
        self,
        make_steps: Callable[[WriteTx], Sequence[Step]],
        identity: Identity,
        event_id: EventId | None,
    ) -> Callable[[WriteTx], Commit]:
        def work(tx: WriteTx) -> Commit:
            return apply(
                tx,
                make_steps(tx),
                is_admin=identity.is_admin,
                identity_name=identity.name,
                event_id=event_id,
                runtime=self._runtime,
            )

        return work

    def _evaluate(self, snapshot: Snapshot, question: Question, is_on_loop: bool) -> Answer:
        """One run of a live query, encoded. Off the loop it keeps away from the shared cache."""
        is_admin = question.rights == ADMIN.rights
        query = parse(question.source, snapshot.catalog, is_admin=is_admin)
        tree = run(plan(query, snapshot.catalog), snapshot)
        if question.shape == "flat":
            result_json = flat_result(tree, self._cache if is_on_loop else EntityCache())
            meta_json = b"null"
        else:
            nested = nested_result(tree, is_inferring=question.shape == "tree-one")
            result_json = orjson.dumps(nested)
            meta_json = orjson.dumps(result_meta(tree))
        _check_size(result_json)
        return Answer(result_json, meta_json, read_set(tree))

    def _publish(self, commits: Sequence[Commit]) -> None:
        """A group became durable: free what it replaced, find who is affected, tell of attrs."""
        for commit in commits:
            for change in commit.entities:
                self._cache.forget(change.etype, change.id)
        before, self._catalog_told = self._catalog_told, self.catalog
        self.live.apply(commits, before)
        if self.catalog.version != before.version:
            for listener in list(self._catalog_listeners):
                listener(self.catalog)


def _check_size(result_json: bytes) -> None:
    if len(result_json) > limits.RESULT_BYTES_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The answer has {len(result_json):,} bytes; at most {limits.RESULT_BYTES_MAX:,} are"
            " sent. Ask for a page with `limit`, or for less of each entity with `fields`.",
            {"bytes": len(result_json), "bytes-max": limits.RESULT_BYTES_MAX},
        )
