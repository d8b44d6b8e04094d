"""Functions of an app, written in a test and run in its process in place of workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from trice.apps.apps import Apps
from trice.calls.functions import Functions
from trice.calls.live import LiveFunctions
from trice.calls.side import AppCode, CallFailed, CallRequest, CallSide
from trice.errors import TriceError
from trice.functions import frames
from trice.functions.signature import Signature
from trice.protocol.ids import AppId
from trice.runtime import Runtime


class FunctionRaised(Exception):
    """What a function of a test raises as `FunctionError`."""

    def __init__(
        self, code: str, message: str, data: Any = None, *, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.data = data
        self.status = status


class Ctx:
    """What a function of a test has: arguments, the data, what it looks at of its caller."""

    def __init__(self, request: CallRequest, side: CallSide) -> None:
        self.request = request
        self.args: dict[str, Any] = orjson.loads(request.args)
        self.now_ms = request.now_ms
        self.seed = request.seed
        self.side = side
        self.facts: dict[str, Any] = {}

    async def find(self, etype: str, *, as_caller: bool = False, **options: Any) -> list[Any]:
        """Rows of a namespace."""
        found = await self.side.read({etype: {"$": options} if options else {}}, as_caller)
        if as_caller:
            self._note_rights()
        rows: list[Any] = orjson.loads(found)[etype]
        return rows

    async def page(self, etype: str, *, as_caller: bool = False, **options: Any) -> dict[str, Any]:
        """A page of a namespace, as its argument `page` says."""
        asked = self.args.get("page") or {}
        found = orjson.loads(
            await self.side.page(
                frames.Page(
                    call=1,
                    seq=1,
                    query={etype: {"$": options}},
                    size=asked.get("size", 2),
                    after=asked.get("after"),
                    as_caller=as_caller,
                )
            )
        )
        if as_caller:
            self._note_rights()
        return {"items": found["answer"][etype][: found["most"]], "next": found["next"]}

    def _note_rights(self) -> None:
        user = self.request.caller.user
        mine = "admin" if self.request.caller.is_admin else None
        self.facts.setdefault("rights", mine if user is None else user["id"])

    def write(self, *steps: Any) -> None:
        self.side.draft(list(steps))

    def user(self, label: str) -> Any:
        """An attr of the caller's row."""
        row = self.request.caller.user or {}
        name = "user.id" if label == "id" else f"user.{label}"
        return self.facts.setdefault(name, row.get(label))

    def is_signed_in(self) -> bool:
        found: bool = self.facts.setdefault("user", self.request.caller.user is not None)
        return found

    def ip(self) -> Any:
        return self.facts.setdefault("ip", self.request.caller.ip)

    def time(self, every_ms: int) -> int:
        found: int = self.facts.setdefault(f"time.{every_ms}", self.now_ms // every_ms * every_ms)
        return found


PAGED: dict[str, Any] = {
    "args": [{"name": "page", "type": {"is": "paged"}, "optional": True}],
    "result": {"is": "page", "of": {"is": "any"}},
    "names": {},
}
"""`Signature.types` of a function that lists something."""

Function = Callable[[Ctx], Awaitable[Any]]


class Project:
    """What is deployed in an app, and what runs it (`functions.Deployed`, `functions.Runs`).

    runs      how often each function ran
    requests  every call that ran
    """

    def __init__(self) -> None:
        self.runs: dict[str, int] = {}
        self.requests: list[CallRequest] = []
        self._functions: dict[str, Function] = {}
        self._signatures: dict[str, Signature] = {}
        self._listeners: list[Callable[[AppId, AppCode | None], None]] = []
        self._version = 0
        self._code: AppCode | None = None

    def add(self, function: Function, name: str = "", **options: Any) -> None:
        """Have a function in what is deployed next: a query unless its options say otherwise."""
        name = name or f"t.{function.__name__}"
        made = Signature(
            **{"name": name, "kind": "query", "args": {"type": "object"}, "result": {}, **options}
        )
        self._functions[name] = function
        self._signatures.update(dict.fromkeys((name, *made.also), made))

    def remove(self, name: str) -> None:
        """Have it no more in what is deployed next."""
        del self._functions[name], self._signatures[name]

    def deploy(self, app_id: AppId) -> None:
        """Put what was added in force."""
        self._version += 1
        self._code = AppCode(app_id, f"{self._version:064x}", Path("/none"), version=self._version)
        for listener in self._listeners:
            listener(app_id, self._code)

    def current(self, app_id: AppId) -> AppCode | None:
        code = self._code
        return code if code is not None and code.app_id == app_id else None

    def signatures(self, app_id: AppId) -> Mapping[str, Signature]:
        return self._signatures if self.current(app_id) is not None else {}

    def on_switch(self, listener: Callable[[AppId, AppCode | None], None]) -> None:
        self._listeners.append(listener)

    async def call(self, app: AppCode, call: CallRequest, side: CallSide) -> frames.Done:
        self.runs[call.function] = self.runs.get(call.function, 0) + 1
        self.requests.append(call)
        ctx = Ctx(call, side)
        try:
            value = await self._functions[call.function](ctx)
        except FunctionRaised as raised:
            fail = frames.Fail(
                call=1,
                code="function-error",
                message=str(raised),
                data={"code": raised.code, "data": raised.data},
                status=raised.status,
                traceback=f"Traceback: {raised}",
                facts=list(ctx.facts.items()),
            )
            raise CallFailed(fail) from raised
        except TriceError as refused:
            fail = frames.Fail(
                call=1,
                code=refused.code,
                message=refused.message,
                data=refused.hint,
                facts=list(ctx.facts.items()),
            )
            raise CallFailed(fail) from refused
        except ZeroDivisionError as raised:
            told = f"Traceback: {raised}"
            fail = frames.Fail(call=1, code="function-failed", message="It failed.", traceback=told)
            raise CallFailed(fail) from raised
        return frames.Done(call=1, value=orjson.dumps(value), facts=list(ctx.facts.items()))


class Noted:
    """The log of all apps (`functions.Notes`)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str, str]] = []

    def note(self, app_id: AppId, *, function: str, trace: str, level: str, text: str) -> None:
        self.lines.append((function, trace, level, text))


def make_functions(
    project: Project, apps: Apps, runtime: Runtime, notes: Noted | None = None
) -> LiveFunctions:
    """Functions of a project, as a server has them."""
    functions = Functions(
        *(project, project),
        runtime=runtime,
        buckets=apps.buckets,
        seed_key=lambda: b"secret",
        notes=notes,
    )
    return LiveFunctions(functions)
