"""What a test takes as `app`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from trice.functions import frames
from trice.functions.channel import Channel
from trice.functions.function import Function
from trice.functions.model import Entity
from trice.functions.running import Running
from trice.functions.tables import BoundTable
from trice.identity import ADMIN, GUEST, Identity
from trice.protocol.ids import find_uuid_bytes
from trice.runtime import new_uuid
from trice.schema.declare import Id, Namespace
from trice.testing.caller import Caller
from trice.testing.reach import AppFiles, AppStreams
from trice.testing.requests import HttpAnswer
from trice.testing.stage import Stage

N = TypeVar("N", bound=Namespace)


class App:
    """An app of one test. Nothing moves by itself: time stands still; randomness and ids are the
    same whenever the test runs.

    admin    calls with the app's admin token: internal functions too, and no rule applies
    guest    is not signed in
    env      the app's secrets, for `ctx.env`
    http     who answers `ctx.http`, and what was asked
    mail     what `ctx.mail` sent
    files    the files of the app
    streams  the streams of the app
    """

    def __init__(self, stage: Stage) -> None:
        """Tests get one as `app`."""
        self.admin = Caller(stage, ADMIN)
        self.guest = Caller(stage, GUEST)
        self.env = stage.runs.env
        self.http = stage.http
        self.mail = stage.reach.mails
        self.files = AppFiles(stage.app, stage.reach)
        self.streams = AppStreams(stage.app, stage.reach)
        self._stage = stage

    # --- time -------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time. A test begins on 2026-01-01 at midnight, UTC."""
        return datetime.fromtimestamp(self._stage.clock.now_ms() / 1000, UTC)

    async def advance(
        self,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        milliseconds: float = 0,
    ) -> None:
        """Let time pass. What waits for a time is done at that time: jobs and crons, and queries
        with `ctx.time` at each tick."""
        passed = timedelta(
            days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
        if passed < timedelta(0):
            raise ValueError("Time passes forwards only")
        stage = self._stage
        await stage.clock.pass_time(passed // timedelta(milliseconds=1), settle=stage.settle)

    # --- data -------------------------------------------------------------------------------------

    async def user(self, email: str, **values: Any) -> Caller:
        """Make a user, who is signed in. raises   RefusedError

        values   of the project's own attributes and links of users
        """
        entity = self._stage.program.hints.model.entity("$users")
        id = await self._create(entity, {"email": email, **values})
        identity = Identity("user", find_uuid_bytes(id), ip="127.0.0.1")
        return Caller(self._stage, identity, id=id, email=email)

    async def create(self, namespace: type[N], /, **values: Any) -> Id[N]:
        """Make a row, as `ctx.db.T.create` does, and return its id. raises   RefusedError"""
        return Id(await self._create(self._entity(namespace), values))

    async def get(self, namespace: type[N], id: Id[N], /) -> N | None:
        """A row as it is now, as `ctx.db.T.get` returns it; None: there is none."""
        entity = self._entity(namespace)
        shape = self._stage.program.hints.shapes.of(entity.cls)
        asked = {entity.etype: shape.form(where={"id": id}, limit=1)}
        database = self._stage.database
        answer = await database.query_nested(asked, identity=ADMIN, is_inferring=True)
        rows: list[N] = shape.rows(answer)
        return rows[0] if rows else None

    # --- endpoints --------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = ...,
        body: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Ask an endpoint without a token; `Caller.request` has one, and tells the rest."""
        return await self.guest.request(method, path, json=json, body=body, headers=headers)

    # --- functions --------------------------------------------------------------------------------

    def conflict(self, function: Function[..., Any], times: int = 1) -> None:
        """Have the next runs of a mutation be in vain: each runs to its end, and then others have
        changed what it read. It runs again, up to three times; with 4 its caller is told
        `conflict`."""
        signature = self._stage.program.signature_of(function)
        if signature.kind != "mutation":
            raise TypeError(f"{signature.name} is a {signature.kind}: only mutations conflict")
        self._stage.runs.conflict(signature.name, times)

    def crash(
        self,
        function: Function[..., Any],
        *,
        after: str | None = None,
        inside: str | None = None,
    ) -> None:
        """Have the process end once that a job of this action runs in, as if it was killed.

        after    once the result of the step with this name is recorded
        inside   when that step has run and its result is not recorded
        """
        signature = self._stage.program.signature_of(function)
        if signature.kind != "action":
            raise TypeError(f"{signature.name} is a {signature.kind}: only actions have steps")
        if (after is None) == (inside is None):
            raise TypeError("crash takes after= or inside=, one of them: the name of a step")
        step = after if after is not None else inside
        assert step is not None
        self._stage.runs.crash(signature.name, step, is_recorded=after is not None)

    # --- inside -----------------------------------------------------------------------------------

    def _entity(self, namespace: type[Namespace]) -> Entity:
        entity = self._stage.program.hints.model.find(namespace)
        if entity is None:
            raise TypeError(f"{namespace.__name__} is in no table of the project's schema.py")
        return entity

    async def _create(self, entity: Entity, values: dict[str, Any]) -> str:
        clock = self._stage.clock
        call = frames.Call(
            call=0,
            function="test",
            args=b"{}",
            caller=frames.Caller(user=None, is_admin=True),
            left_ms=0,
            now_ms=clock.now_ms(),
            seed=new_uuid(clock),
            trace="0" * 32,
        )
        channel = cast(Channel, None)  # who only creates asks nothing
        running = Running(call, channel, self._stage.program)
        table = BoundTable(running, entity, scope=None, is_writing=True, as_caller=False)
        made = table.create(**values)
        await self.admin.transact(running.steps)
        return made
