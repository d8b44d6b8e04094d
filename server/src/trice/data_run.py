"""ONE run of a query or mutation function: reads from one snapshot, writes that only it sees, and a
commit that holds only if nothing it read has changed.

    begin ──> read · draft · sub · sub_end … ──> commit ──> Committed
                                              ├──> Stale: run the function again, from `begin`
                                              └──> what the writes broke: InvalidInput, Conflict, …
    close     at any time; after `commit` it does nothing

Reads are answered from the snapshot, with what was drafted before them. A run that is begun without
one takes it for its first read; one that reads nothing has none, and is compared with no commit.
Drafts are noted, and applied to the snapshot when something is read after them
(`store.engine.Held`). The writer applies all of them to the newest state. It does so only if the
commits since the snapshot do not meet the read set of the run: then the run would have read the
same there, and its place in the history is its commit.

A little over 500 lines, one file because what is read, drafted and committed is one state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from trice import function_limits, limits
from trice.catalog.catalog import Catalog
from trice.costs import query_cost
from trice.database import Change, Database
from trice.errors import LimitExceeded, NotFound, Unavailable
from trice.identity import ADMIN, Identity
from trice.live.index.conflicts import Conflicts, Met
from trice.live.index.derive import read_set
from trice.live.index.drafted import Dependency, dependencies
from trice.live.index.read_set import ReadSet
from trice.live.index.union import Union
from trice.protocol.ids import EventId, TxId
from trice.query.encode import nested_json
from trice.query.outline import Outline, outline_of
from trice.query.parse.forms import parse
from trice.query.plan import Plan, plan
from trice.query.run import run
from trice.query.tree import Node, Tree
from trice.store.commit import Commit
from trice.store.engine import Held, Snapshot, Turn, WriteTx
from trice.store.results import KeptResult
from trice.transact.batches import Author, Played, apply_batches, play, split

A = TypeVar("A")


class Stale(Exception):
    """Commits after the snapshot met what the run has read: run it again.

    function    the function whose commit it was; None: steps of a client, or not known any more
    namespaces  where it did; empty if not known
    """

    def __init__(self, function: str | None, namespaces: Sequence[str]) -> None:
        super().__init__(f"{function or 'a transaction'} changed {', '.join(namespaces)}")
        self.function = function
        self.namespaces = tuple(namespaces)


@dataclass(frozen=True, slots=True)
class Committed:
    """What a run came to.

    tx         its transaction; of a run without writes, the newest in its snapshot
    value      the JSON it was committed with; of a replay, that of the first time
    is_replay  the event id was known: nothing was done now
    """

    tx: TxId
    value: bytes
    is_replay: bool = False


@dataclass(slots=True)
class _Sub:
    """Where a savepoint was set among the writes; `mark` once the snapshot has it."""

    mark: int | None = None


@dataclass(slots=True)
class _Writes:
    """What a run wrote, in order: steps that belong together, and savepoints.

    applied   how many of them the snapshot has
    undo      the mark that it must go back to first
    """

    entries: list[list[Any] | _Sub] = field(default_factory=list)
    open_subs: list[_Sub] = field(default_factory=list)
    applied: int = 0
    count: int = 0
    undo: int | None = None

    def add(self, steps: Sequence[Any]) -> None:
        """Note steps; those that no read has seen belong together."""
        self.count += len(steps)
        last = self.entries[-1] if len(self.entries) > self.applied else None
        if isinstance(last, list):
            last.extend(steps)
        elif steps:
            self.entries.append(list(steps))

    def open(self) -> None:
        sub = _Sub()
        self.open_subs.append(sub)
        self.entries.append(sub)

    def end(self, *, is_kept: bool) -> None:
        sub = self.open_subs.pop()
        if is_kept:
            return
        at = next(at for at, entry in enumerate(self.entries) if entry is sub)
        del self.entries[at:]
        if self.applied > at:
            self.applied = at
            assert sub.mark is not None, "what the snapshot has was marked"
            self.undo = sub.mark if self.undo is None else min(sub.mark, self.undo)

    def steps(self) -> list[list[Any]]:
        """Everything that was written, cut where it is one transaction each."""
        return [
            batch for entry in self.entries if isinstance(entry, list) for batch in split(entry)
        ]


class DataRun:
    """One run. Holds its snapshot, its read set, the answers it got, and what it wrote.

    It is used by one task at a time for `commit`; reads may be asked for at once, and are answered
    one after the other. `draft`, `sub` and `sub_end` return at once.

    tx            the newest transaction in the snapshot; it may not be published yet. Without one,
                  the published one when it began
    now_floor_ms  when that was: no time that the run is told may be before it
    """

    def __init__(
        self, database: Database, held: Held | None, turn: Turn | None, *, lasts_ms: int
    ) -> None:
        """Use `DataRun.begin`."""
        self.tx = database.tx
        self.now_floor_ms = 0
        self._database = database
        self._held: Held | None = None
        self._turn = turn
        self._lasts_ms = lasts_ms
        self._timer: asyncio.TimerHandle | None = None
        self._catalog = database.catalog
        self._lock = asyncio.Lock()
        self._union = Union()
        self._dependencies: list[Dependency] = []
        self._answers: dict[tuple[str | Outline, Identity], bytes] = {}
        self._answers_bytes = 0
        self._queries = self._rows = 0
        self._writes = _Writes()
        self._is_open = True
        if held is not None:
            self._take(held)

    @classmethod
    async def begin(
        cls,
        database: Database,
        *,
        turn: Turn | None = None,
        lasts_ms: int = function_limits.HELD_MS,
        is_late: bool = False,
    ) -> DataRun:
        """Take a snapshot of the newest state.

        turn      `database.engine.take_turn`, taken before: nothing else commits until it ends
        lasts_ms  how long the snapshot is held; then the run is closed: reads and `commit` are
                  refused
        is_late   the first read takes the snapshot, which none does if nothing is read
        raises    Unavailable("overloaded")
        """
        held = None if is_late else await database.engine.hold(lasts_ms=lasts_ms)
        return cls(database, held, turn, lasts_ms=lasts_ms)

    def _take(self, held: Held) -> None:
        """Read from this snapshot from here on."""
        self._held = held
        self.tx, self.now_floor_ms, self._catalog = held.tx, held.time_ms, held.catalog
        self._database.run_commits.begin(held.tx)
        # A run that its owner forgot would keep commits in memory for ever.
        self._timer = asyncio.get_running_loop().call_later(self._lasts_ms / 1000, self.close)

    async def _hold(self) -> Held:
        """The snapshot; taken now if there is none yet. raises   Unavailable"""
        if self._held is None:
            held = await self._database.engine.hold(lasts_ms=self._lasts_ms)
            if not self._is_open:
                held.close()
                self._check_open()
            self._take(held)
        assert self._held is not None, "it was taken"
        return self._held

    @staticmethod
    async def find_result(database: Database, event_id: EventId) -> Committed | None:
        """What a call with this event id came to; None if none is known, and it may run.

        raises   NotFound("value-expired") when it is known, but not what it returned
        """
        if not database.engine.may_have_result(event_id):
            return None
        now_ms = database.runtime.now_ms()
        found = database.engine.read_now(lambda state: state.results.find(event_id, now_ms=now_ms))
        return None if found is None else _replayed(found)

    @property
    def reads(self) -> ReadSet:
        """What the answers so far depended on, for a `Subscriptions`."""
        return self._union.frozen()

    @property
    def has_snapshot(self) -> bool:
        """Whether it has taken one."""
        return self._held is not None

    @property
    def has_writes(self) -> bool:
        return any(isinstance(entry, list) for entry in self._writes.entries)

    async def read(self, query: Any, *, identity: Identity = ADMIN) -> bytes:
        """Answer an InstaQL query, as JSON: nested objects, links to one as an object or null.
        Nested limits cut.

        identity  whose rules apply; an admin sees everything
        returns   the same as before, without a statement, if it was asked before and nothing was
                  written since
        raises    as `Database.query_nested`; what drafts before it broke; Unavailable("timeout")
                  when the time of the snapshot is up
        """
        async with self._lock:
            self._check_open()
            await self._bring_up(await self._hold())
            outline = outline_of(query, is_function=True)
            key = (repr(query) if outline is None else outline, identity)
            known = self._answers.get(key)
            if known is not None:
                return known

            def encode(tree: Tree, snapshot: Snapshot) -> bytes:
                return nested_json(
                    tree, is_inferring=True, spend=snapshot.spend, url_of=self._database.url_of
                )

            answer = await self._ask(query, identity, encode, outline=outline)
            if self._answers_bytes + len(answer) <= function_limits.RUN_ANSWERS_BYTES_MAX:
                self._answers[key] = answer
                self._answers_bytes += len(answer)
            return answer

    async def read_end(
        self, query: Any, *, identity: Identity = ADMIN
    ) -> tuple[list[Any] | None, bool]:
        """Find where the page of a query ends, which has one form with a page.

        returns  the cursor of its last row, None if it has none, and whether more rows follow
        raises   as `read`
        """
        async with self._lock:
            self._check_open()
            await self._bring_up(await self._hold())
            page = await self._ask(query, identity, lambda tree, _: tree.nodes[0].page)
            return (None, False) if page is None else (page.end, page.has_next)

    def draft(self, steps: Sequence[Any]) -> None:
        """Note steps of the admin API. What is wrong with them, the next read or `commit` says.

        They are applied in order, as if each were a transaction of its own; required attrs are
        checked at the end. They cannot add attrs.
        """
        self._writes.add(steps)

    def sub(self) -> None:
        """A mutation within the run begins: what it writes can be undone alone."""
        self._writes.open()

    def sub_end(self, is_kept: bool) -> None:
        """The innermost one has ended. If it is not kept, what was drafted since is undone."""
        self._writes.end(is_kept=is_kept)

    def find_change(self) -> Met | None:
        """The first published commit since the snapshot that changed what was read; None if the
        answers so far are those of the published state, or of a later one.

        raises   Stale(None, ()) when the commits are not known any more
        """
        now = self._database.tx
        commits = self._database.run_commits.since(self.tx, now)
        if commits is None:
            raise Stale(None, ())
        return self.conflicts().first(commits)

    def conflicts(self) -> Conflicts:
        """What was read so far, to be compared with commits after those of `find_change`."""
        changes_of = self._database.run_commits.changes_of
        return Conflicts(self.reads, self._catalog, changes_of=changes_of)

    async def commit(
        self,
        *,
        event_id: EventId | None = None,
        function: str,
        identity_name: str,
        value: bytes,
        is_result_kept: bool = False,
        within: Callable[[Change], None] | None = None,
    ) -> Committed:
        """Make what was drafted durable, if the run stands; the run is over then.

        event_id        of the call: the result is kept under it with the transaction, and a call
                        that is sent again gets it. None: nothing is kept
        function        whose run it was, and who called it: for the log
        value           JSON that the function returned
        is_result_kept  keep the result of a run without writes too; else nothing is written
        within          writes of the server itself in the same transaction, with which a run
                        always has one; what it raises undoes all of it
        raises          Stale; what the steps broke (InvalidInput, Conflict, LimitExceeded);
                        NotFound("value-expired"); Unavailable("overloaded")
        """
        async with self._lock:
            self._check_open()
            if self._timer is not None:
                self._timer.cancel()
            try:
                is_kept = is_result_kept and event_id is not None
                if not self.has_writes and not is_kept and within is None:
                    return Committed(self.tx, value)
                if self._writes.count > function_limits.RUN_STEPS_MAX:
                    raise _too_many("steps", function_limits.RUN_STEPS_MAX)
                batches = self._writes.steps()
                if self._held is not None:
                    self._held.close()
                author = Author(identity_name, event_id, function)
                return await self._submit(batches, author, value, within)
            finally:
                self.close()

    def close(self) -> None:
        """Let go of the snapshot; what was not committed is gone. Closing again does nothing."""
        is_first, self._is_open = self._is_open, False
        if self._held is not None and is_first:
            self._held.close()
            self._database.run_commits.end(self.tx)
        if self._timer is not None:
            self._timer.cancel()

    async def _ask(
        self,
        query: Any,
        identity: Identity,
        make: Callable[[Tree, Snapshot], A],
        *,
        outline: Outline | None = None,
    ) -> A:
        """What `make` makes of an answer; the run depends on it.

        outline   of the query, so that one that looks the same is not planned again
        """
        if self._queries >= function_limits.RUN_QUERIES_MAX:
            raise _too_many("queries", function_limits.RUN_QUERIES_MAX)
        self._queries += 1
        held = await self._hold()
        plans = self._database.outlined_plans
        outline = outline if identity.is_admin else None
        kept = None if outline is None else plans.find(outline, held.catalog)

        def work(snapshot: Snapshot) -> tuple[A, ReadSet, int, Plan]:
            slow_log, tree = self._database.slow_log, None
            began_ms = slow_log.now_ms()
            try:
                planned = kept or self._plan(query, identity, snapshot)
                tree = run(planned, snapshot)
                answer = make(tree, snapshot)
            finally:
                app_id = self._database.app_id
                slow_log.ended("function-query", app_id, began_ms, query_cost, tree, snapshot)
            return answer, read_set(tree), sum(map(_rows, tree.nodes)), planned

        made, reads, rows, planned = await held.read(work, turn_key=identity.turn_key)
        if outline is not None and kept is None:
            plans.keep(outline, query, planned)
        self._note(reads, held.catalog)
        self._rows += rows
        if self._rows > function_limits.RUN_ROWS_MAX:
            raise _too_many("rows of queries", function_limits.RUN_ROWS_MAX)
        return made

    def _plan(self, query: Any, identity: Identity, snapshot: Snapshot) -> Plan:
        catalog, spend = snapshot.catalog, snapshot.spend
        is_admin = identity.is_admin
        parsed = parse(query, catalog, is_admin=is_admin, is_function=True, spend=spend)
        visibility = self._database.rights.visible_to(parsed, identity, snapshot)
        return plan(parsed, catalog, visibility, dialect=snapshot.dialect, spend=spend)

    def _note(self, reads: ReadSet, catalog: Catalog) -> None:
        """Add what an answer depended on, and what it depends on because of what was drafted."""
        self._union.add(reads, catalog)
        if self._dependencies:
            named = reads.named(catalog)
            waiting: list[Dependency] = []
            for dependency in self._dependencies:
                if dependency.etypes.isdisjoint(named):
                    waiting.append(dependency)
                else:
                    self._union.add(dependency.reads, catalog)
            self._dependencies = waiting

    async def _bring_up(self, held: Held) -> None:
        """Let the snapshot have everything that was drafted.

        raises   what the drafts broke; they stay, and the next read says so again
        """
        writes = self._writes
        if writes.count > function_limits.RUN_STEPS_MAX:
            raise _too_many("steps", function_limits.RUN_STEPS_MAX)
        while writes.undo is not None or writes.applied < len(writes.entries):
            if writes.undo is not None:
                held.undo(writes.undo)
                writes.undo = None
                self._forget_answers()
                continue
            at = writes.applied
            entry = writes.entries[at]
            writes.applied += 1  # what is noted from here on is behind it
            if isinstance(entry, _Sub):
                entry.mark = held.mark()
                continue
            try:
                first, *others = split(entry)
                writes.entries[at : at + 1] = [first, *others]
                await self._apply(first, held)
            except BaseException:
                writes.applied = min(writes.applied, at)
                self._depend_on_all(held.catalog)
                raise

    async def _apply(self, batch: Sequence[Any], held: Held) -> None:
        """Apply one batch to the snapshot."""
        runtime, catalog = self._database.runtime, held.catalog
        heard: list[Played] = []

        def work(tx: WriteTx) -> Commit:
            heard[:] = [play(tx, batch, runtime=runtime)]
            return heard[0].commit

        await held.write(work, is_long=len(batch) > limits.TX_ADMIN_STEPS_ON_LOOP)
        self._dependencies += dependencies(heard[0], catalog)
        self._forget_answers()

    def _forget_answers(self) -> None:
        self._answers.clear()
        self._answers_bytes = 0

    def _depend_on_all(self, catalog: Catalog) -> None:
        """The function was told of an error, which anything may have caused."""
        for etype in catalog.namespaces:
            self._union.widen(etype, catalog)

    async def _submit(
        self,
        batches: Sequence[Sequence[Any]],
        author: Author,
        value: bytes,
        within: Callable[[Change], None] | None,
    ) -> Committed:
        database, commits = self._database, self._database.run_commits
        # What read nothing stands after whatever was committed: its steps are all that counts.
        reads = None if self._union.is_empty else self.reads
        checked = self.tx if reads is None else await self._check_published(reads)
        replayed: list[KeptResult] = []
        is_done: list[bool] = []

        def own_steps(tx: WriteTx) -> Sequence[Any]:
            change = Change(tx)
            if within is not None:
                within(change)
            return change.steps

        def work(tx: WriteTx) -> Commit:
            replayed.clear()
            event_id = author.event_id
            if event_id is not None:
                known = tx.results.find(event_id, now_ms=tx.time_ms)
                if known is not None:
                    replayed.append(known)
                    raise _KnownError
            if reads is not None:
                published = TxId(tx.tx - 1 - len(tx.earlier))
                if commits.may_meet(reads, self._catalog, after=checked, now=published):
                    check_stands(self.conflicts(), commits.since(checked, published))
                if commits.may_meet_open(reads, self._catalog, tx.earlier):
                    check_stands(self.conflicts(), tx.earlier)
            also = None if within is None else own_steps
            commit = apply_batches(tx, batches, author, runtime=database.runtime, also=also)
            if event_id is not None:
                tx.results.keep(event_id, value, tx=tx.tx, time_ms=tx.time_ms)
            is_done.append(True)
            return commit

        steps = sum(map(len, batches))
        try:
            tx = await database.engine.submit(
                work,
                event_id=author.event_id,
                is_long=steps > limits.TX_ADMIN_STEPS_ON_LOOP,
                turn=self._turn,
            )
        except _KnownError:
            return _replayed(replayed[0])
        if not is_done:
            assert author.event_id is not None, "only a known event id keeps work from running"
            known = await self.find_result(database, author.event_id)
            return known or _replayed(KeptResult(tx, None))
        return Committed(tx, value)

    async def _check_published(self, reads: ReadSet) -> TxId:
        """Compare the run with what was published meanwhile, a little at a time.

        returns  the last transaction that it was compared with
        raises   Stale
        """
        checked, known = self.tx, self._database.run_commits
        if not known.may_meet(reads, self._catalog, after=checked, now=self._database.tx):
            return max(checked, self._database.tx)
        conflicts = self.conflicts()
        while checked < self._database.tx:
            commits = self._database.run_commits.since(checked, self._database.tx)
            check_stands(conflicts, commits and commits[:_AT_ONCE])
            assert commits is not None, "else the run is stale"
            some = commits[:_AT_ONCE]
            checked = some[-1].tx
            if len(some) < len(commits):
                await asyncio.sleep(0)
        return checked

    def _check_open(self) -> None:
        if not self._is_open:
            raise Unavailable("timeout", "The time of this call is over, or it has ended.")


class _KnownError(Exception):
    """The event id has a result: nothing is written."""


_AT_ONCE = function_limits.CHECKED_AT_ONCE_COMMITS


def check_stands(conflicts: Conflicts, commits: Sequence[Commit] | None) -> None:
    """raises   Stale when these commits met the run, or are not known any more"""
    if commits is None:
        raise Stale(None, ())
    met = conflicts.first(commits)
    if met is not None:
        raise Stale(met.function, met.namespaces)


def _replayed(found: KeptResult) -> Committed:
    if found.value is None:
        raise NotFound(
            "value-expired",
            "This call was carried out before; what it returned is not kept any more.",
            {"tx-id": found.tx},
        )
    return Committed(found.tx, found.value, is_replay=True)


def _rows(node: Node) -> int:
    """How many rows a level and those below it have."""
    return len(node.rows) + sum(map(_rows, node.children))


def _too_many(what: str, most: int) -> LimitExceeded:
    return LimitExceeded(
        "parameter-limit-exceeded", f"One call of a function may have {most:,} {what}. Do less."
    )
