"""Judges what callers may do in rooms, and again when the answer may differ.

    watch ──> judged, what it read is kept
    commit ──> a row or link that was read changed ──> judged again in a later turn ──> member

source   spec/rooms.md M110-M129
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from trice import limits, room_rule_limits
from trice.catalog.catalog import Catalog
from trice.errors import PermissionDenied, TriceError
from trice.identity import Identity
from trice.protocol.ids import EntityId, TxId
from trice.rules.environments import RoomAction
from trice.rules.judge import USERS, Caller, Judge, Meter
from trice.rules.references import follow_path
from trice.rules.rights import Rights
from trice.rules.rooms import ROOMS, RoomPlace
from trice.runtime import Runtime
from trice.store.commit import Commit, EntityChange
from trice.store.engine import Engine, ReadTooLong, Snapshot

logger: Final = logging.getLogger("trice.rules")

_STEPS_PER_JUDGED: Final = limits.READ_STEPS_ON_LOOP // limits.JUDGED_STEPS_ON_LOOP

Key = tuple[object, ...]
"""What a judgement read: ("row", namespace, id) · ("from", attr, id) a link at this entity ·
("attr", attr) anywhere · ("exists", namespace) · ("any",) more than is kept."""

_ANY: Final[Key] = ("any",)


@dataclass(frozen=True, slots=True)
class RoomDeed:
    """What a caller wants to do in a room.

    action   "join" asks the rules of both join and read, as members are sent what others send
    topic    of "publish"; None for the others
    data     the presence, the initial presence of "join", or the message
    """

    action: RoomAction
    room_type: str
    room_id: str
    topic: str | None = None
    data: Any = None
    rule_params: Mapping[str, Any] = field(default_factory=dict)


class Member(Protocol):
    """Whose membership is judged again. Both calls come on the loop."""

    @property
    def identity(self) -> Identity: ...

    @property
    def deed(self) -> RoomDeed:
        """Its "join"."""
        ...

    def on_kept(self) -> None:
        """Other rules or attrs, or a commit, leave it a member."""
        ...

    def on_lost(self, denied: PermissionDenied) -> None:
        """It lost the right. The watch has ended."""
        ...


class RoomWatch:
    """One membership that is judged again. `stop` ends it."""

    __slots__ = ("_rights", "keys", "member")

    def __init__(self, rights: RoomRights, member: Member) -> None:
        self._rights = rights
        self.member = member
        self.keys: frozenset[Key] = frozenset()

    def stop(self) -> None:
        """End it. The member is not called any more."""
        self._rights.forget(self)


class RoomRights:
    """Holds the memberships that are watched, by what their judgements read, and those that wait to
    be judged again. Does not know rooms: whose membership is lost is told.
    """

    def __init__(self, engine: Engine, rights: Rights, *, runtime: Runtime) -> None:
        self._engine = engine
        self._rights = rights
        self._runtime = runtime
        self._watches: dict[RoomWatch, None] = {}
        self._by_key: dict[Key, dict[RoomWatch, None]] = {}
        self.pending: dict[RoomWatch, None] = {}
        self.task: asyncio.Task[None] | None = None
        self._catalog = engine.catalog

    def __len__(self) -> int:
        """How many memberships are watched."""
        return len(self._watches)

    @property
    def is_ruled(self) -> bool:
        """Whether the app has rules of rooms."""
        return self._rights.rules.rooms is not None

    def asks(self, identity: Identity) -> bool:
        """Whether any rule of rooms applies to `identity`."""
        return self.is_ruled and not identity.is_admin

    async def may(self, identity: Identity, deed: RoomDeed) -> None:
        """Judge: on the loop if that is short, else on a thread.

        raises   PermissionDenied, LimitExceeded("rate-limited"), Unavailable("timeout"),
                 ("overloaded")
        """
        if self.asks(identity):
            await self.judge(identity, deed)

    async def watch(self, member: Member) -> RoomWatch:
        """Judge a join, and watch the membership.

        raises    as `may`; then nothing is watched
        """
        watch = RoomWatch(self, member)
        version = self._rights.version
        self._watches[watch] = None
        try:
            if self.asks(member.identity):
                tx, keys = await self.judge(member.identity, member.deed)
                self._keep(watch, keys)
                if tx < self._engine.tx:
                    self._wait([watch])
        except BaseException:
            self.forget(watch)
            raise
        if version != self._rights.version:
            self._wait([watch])
        return watch

    def forget(self, watch: RoomWatch) -> None:
        """End a watch."""
        self._keep(watch, frozenset())
        self._watches.pop(watch, None)
        self.pending.pop(watch, None)

    def apply(self, commits: Sequence[Commit]) -> None:
        """Find the memberships that commits may end. Costs about 1 µs a changed row, while any
        membership depends on data."""
        if self._catalog.version != self._engine.catalog.version:
            self._catalog = self._engine.catalog
            if self.is_ruled:
                self.judge_again()
        if not self._by_key:
            return
        self._wait(self._by_key.get(_ANY, ()))
        for commit in commits:
            for key in _changed(commit):
                if key in self._by_key:
                    self._wait(self._by_key[key])

    def judge_again(self) -> None:
        """Judge all memberships again: rules or attrs are others."""
        self._wait(self._watches)

    async def close(self) -> None:
        """Stop judging."""
        task, self.task = self.task, None
        self.pending.clear()
        self._watches.clear()
        self._by_key.clear()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _wait(self, watches: Iterable[RoomWatch]) -> None:
        """Let memberships be judged again, each once, however many commits touch it."""
        self.pending.update((watch, None) for watch in watches)
        if self.pending and self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._judge_pending())

    async def _judge_pending(self) -> None:
        judged = 0
        try:
            while self.pending:
                watch = next(iter(self.pending))
                del self.pending[watch]
                if not await self.judge_membership(watch):
                    self._wait([watch])
                    await self._runtime.sleep_ms(room_rule_limits.ROOM_JUDGEMENT_RETRY_MS)
                judged += 1
                if judged % room_rule_limits.ROOM_JUDGEMENTS_PER_TURN == 0:
                    await asyncio.sleep(0)
        finally:
            self.task = None

    async def judge_membership(self, watch: RoomWatch) -> bool:
        """Judge one membership again; False: the server could not."""
        keys: frozenset[Key] = frozenset()
        tx = self._engine.tx
        try:
            member = watch.member
            if self.asks(member.identity):
                tx, keys = await self.judge(member.identity, member.deed)
        except PermissionDenied as denied:
            if watch in self._watches:
                self.forget(watch)
                self._tell(watch, denied)
            return True
        except TriceError:
            return False
        if watch in self._watches:
            self._keep(watch, keys)
            if tx < self._engine.tx:
                self._wait([watch])
            self._tell(watch, None)
        return True

    def _tell(self, watch: RoomWatch, denied: PermissionDenied | None) -> None:
        try:
            if denied is None:
                watch.member.on_kept()
            else:
                watch.member.on_lost(denied)
        except Exception:
            logger.exception("a member could not be told that it was judged")

    def _keep(self, watch: RoomWatch, keys: frozenset[Key]) -> None:
        for key in watch.keys - keys:
            holders = self._by_key[key]
            del holders[watch]
            if not holders:
                del self._by_key[key]
        for key in keys - watch.keys:
            self._by_key.setdefault(key, {})[watch] = None
        watch.keys = keys

    async def judge(self, identity: Identity, deed: RoomDeed) -> tuple[TxId, frozenset[Key]]:
        return await self._engine.read(
            lambda snapshot: self._run(snapshot, identity, deed),
            timeout_ms=limits.READ_TIMEOUT_MS,
            turn_key=identity.turn_key,
        )

    def _run(
        self, snapshot: Snapshot, identity: Identity, deed: RoomDeed
    ) -> tuple[TxId, frozenset[Key]]:
        """Judge on one state; the state, and what was read. Tokens that were taken are given back
        when it begins again on a thread."""
        meter = Meter(2 * limits.CEL_STEPS_MAX)
        rules = self._rights.rules
        caller = Caller(identity, deed.rule_params)
        judge = self._rights.judge(caller, snapshot, snapshot.catalog, rules, meter=meter)
        try:
            for action in asked_by(deed):
                spent = judge.steps
                ask_room(judge, action, deed)
                snapshot.spend((judge.steps - spent) * _STEPS_PER_JUDGED)
        except ReadTooLong:
            for undo in meter.undo:
                undo()
            raise
        return snapshot.tx, _read_by(judge, snapshot.catalog)


def asked_by(deed: RoomDeed) -> tuple[RoomAction, ...]:
    """The actions whose rules a deed asks."""
    return ("join", "read") if deed.action == "join" else (deed.action,)


def ask_room(judge: Judge, action: RoomAction, deed: RoomDeed) -> None:
    """Ask the rule of one action.

    raises   PermissionDenied("permission-denied"), ("permission-evaluation-failed"),
             LimitExceeded("rate-limited")
    """
    rooms = judge.rules.rooms
    if rooms is None:
        return
    place = rooms.find(action, deed.room_type, deed.topic)
    value = False if place is None else room_value(judge, place, deed)
    if value is None or value is False:
        raise room_denial(deed, action, place)


def room_value(judge: Judge, place: RoomPlace, deed: RoomDeed) -> Any:
    """The value of a rule of rooms. Raises as `ask_room`."""
    data = {} if deed.data is None else deed.data
    variables = judge.scope(etype=ROOMS, data=data, auth=judge.auth_for(place.program))
    variables["room"] = {"id": deed.room_id, "type": deed.room_type}
    variables["room.ref"] = lambda etype, path: judge.reference(etype, deed.room_id, path)
    etype = f"{ROOMS}.{deed.room_type}"
    return judge.ask(place.program, variables, etype=etype, action=place.action)


def room_denial(deed: RoomDeed, action: RoomAction, place: RoomPlace | None) -> PermissionDenied:
    """The error for a caller to whom a rule says no, or no rule says yes."""
    if place is None:
        named = action if deed.topic is None else f"{action}.{deed.topic}"
        reason = f"`{ROOMS}.{deed.room_type}` has no rule for {named}"
    else:
        reason = f"`{'.'.join(place.path)}` does not allow this"
    return PermissionDenied(
        "permission-denied",
        f"Permission denied: not perms-pass? ({reason})",
        {"input": [ROOMS, deed.room_type, action], "expected": "perms-pass?"},
    )


def _read_by(judge: Judge, catalog: Catalog) -> frozenset[Key]:
    """What a judgement read, for `_changed`."""
    keys: set[Key] = set()
    user_id = judge.caller.identity.user_id
    if judge.has_read_user:
        keys.add(("row", USERS, user_id))
    for etype, entity, path in judge.references:
        keys.add(("exists", etype))
        for position, (attr, label_etype) in enumerate(follow_path(catalog, etype, path)):
            keys.add(("from", attr.id, entity) if position == 0 else ("attr", attr.id))
            keys.add(("exists", label_etype))
            if attr.reverse is not None:
                keys.update((("exists", attr.etype), ("exists", attr.reverse.etype)))
    return frozenset(keys if len(keys) <= room_rule_limits.ROOM_READS_MAX else (_ANY,))


def _changed(commit: Commit) -> Iterator[Key]:
    """The keys of judgements that a commit may change."""
    for pair in commit.pairs:
        yield ("attr", pair.attr_id)
        yield ("from", pair.attr_id, pair.source)
        yield ("from", pair.attr_id, pair.target)
    for change in commit.entities:
        yield ("row", change.etype, change.id)
        yield from _changed_cells(change)


def _changed_cells(change: EntityChange) -> Iterator[Key]:
    old, new = change.old, change.new
    before = {} if old is None else old.cells
    after = {} if new is None else new.cells
    for attr_id in before.keys() | after.keys():
        cells = before.get(attr_id), after.get(attr_id)
        if cells[0] != cells[1]:
            yield ("attr", attr_id)
            yield ("from", attr_id, change.id)
            for cell in cells:
                if isinstance(cell, bytes):
                    yield ("from", attr_id, EntityId(cell))
    # A row that is new leads nowhere that a link of its own or of others does not tell.
    if old is not None and (new is None or (old.created_ms is None) != (new.created_ms is None)):
        yield ("exists", change.etype)
