"""`call`, `add-call`, `more-call` and `remove-call`: functions of the app.

source   spec/functions.md FN200-FN259, FN610-FN625
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import orjson

from trice import function_limits as limits
from trice.apps.app import App
from trice.calls.door import args_key, bad_args
from trice.calls.functions import Result
from trice.errors import Bug, InvalidInput, TriceError, Unavailable, invalid
from trice.protocol import down, up
from trice.protocol.ids import EventId
from trice.protocol.quoting import brief
from trice.session.calls import SessionCalls
from trice.session.extension import read_held
from trice.session.inbox import FULL
from trice.session.incoming import Letter
from trice.session.session import OpenedSession
from trice.session.state import Owed, Phase


def call(opened: OpenedSession, message: up.Call, raw: bytes, letter: Letter | None) -> None:
    """Call a function once. A mutation waits for the writes before it, unless it is `parallel`."""
    calls = _calls_of(opened, "call")
    name, args = _name_of(message.name), args_key(_args_of(message.args))
    signature = calls.live.functions.door.deployed.signatures(opened.app.id).get(name)
    is_ordered = signature is not None and signature.kind == "mutation"
    if is_ordered and message.parallel is not True:
        _mutate(opened, calls, name, args, message.client_event_id, raw, letter)
        return
    if calls.running >= limits.SESSION_CALLS_MAX:
        raise Unavailable(
            "overloaded",
            f"{limits.SESSION_CALLS_MAX} calls of this session are under way; wait for some.",
        )
    if calls.running and calls.running_bytes + len(raw) > limits.SESSION_CALLS_BYTES_MAX:
        raise Unavailable(
            "overloaded",
            f"Calls of {calls.running_bytes:,} bytes of this session are under way; with this one"
            f" they would be more than {limits.SESSION_CALLS_BYTES_MAX:,}. Wait for some.",
        )
    calls.running += 1
    calls.running_bytes += len(raw)
    opened.session.spawn(_call(opened, calls, name, args, message.client_event_id, raw))


def add_call(opened: OpenedSession, message: up.AddCall, raw: bytes, letter: Letter | None) -> None:
    """Watch what a query function answers, or lists."""
    calls = _calls_of(opened, "add-call")
    args = _args_of(message.args)
    held = read_held(message.held, is_agreed=opened.extension.has_call_delta)
    guest = opened.session.guest
    calls.add(
        *(_name_of(message.name), args_key(args), orjson.dumps(args)),
        ends=_ends_of(message.pages) if message.paged is True else None,
        owed=Owed(message.client_event_id, held),
        ip=guest.ip,
        origin=guest.origin,
    )


def more_call(
    opened: OpenedSession, message: up.MoreCall, raw: bytes, letter: Letter | None
) -> None:
    """Load the next page of a list."""
    calls = _calls_of(opened, "more-call")
    calls.more(_name_of(message.name), args_key(_args_of(message.args)))


def remove_call(
    opened: OpenedSession, message: up.RemoveCall, raw: bytes, letter: Letter | None
) -> None:
    """Stop watching; unknown calls are no error."""
    calls = _calls_of(opened, "remove-call")
    calls.remove(
        *(_name_of(message.name), args_key(_args_of(message.args))),
        is_paged=message.paged is True,
    )


async def _call(
    opened: OpenedSession,
    calls: SessionCalls,
    name: str,
    args: bytes,
    event_id: str | None,
    raw: bytes,
) -> None:
    try:
        await _answer(opened, calls, name, args, event_id, raw)
    finally:
        calls.running -= 1
        calls.running_bytes -= len(raw)


def _mutate(
    opened: OpenedSession,
    calls: SessionCalls,
    name: str,
    args: bytes,
    event_id: str | None,
    raw: bytes,
    letter: Letter | None,
) -> None:
    """Call a mutation when all writes before it are answered."""
    session, order = opened.session, opened.order_writes()
    size_bytes = len(raw) if letter is None else letter.size_bytes
    if session.state.begin_transact(size_bytes):
        session.inbox.pause(FULL)
    if letter is not None:
        session.inbox.hold_long()

    async def run() -> None:
        try:
            await _answer(opened, calls, name, args, event_id, raw)
        finally:
            if session.state.phase is not Phase.CLOSED:
                if session.state.end_transact(size_bytes):
                    session.inbox.resume(FULL)
                order.end_mutation()
            if letter is not None:
                session.inbox.end_long()

    order.mutate(lambda: session.spawn(run()))


async def _answer(
    opened: OpenedSession,
    calls: SessionCalls,
    name: str,
    args: bytes,
    event_id: str | None,
    raw: bytes,
) -> None:
    session = opened.session
    try:
        result = await _result(opened, calls, name, args, event_id)
    except TriceError as failure:
        session.fail(failure, raw=raw, event_id=event_id)
    except Exception as cause:
        bug = Bug("unknown", "Something went wrong in the server while calling this function.")
        bug.__cause__ = cause
        session.fail(bug, raw=raw, event_id=event_id)
    else:
        session.push(down.call_ok(result.value, event_id=event_id, tx=result.tx))


async def _result(
    opened: OpenedSession, calls: SessionCalls, name: str, args: bytes, event_id: str | None
) -> Result:
    """What the function returns. An action goes on when its caller leaves, as it cannot be undone:
    the app stays lent until it has ended."""
    session, functions = opened.session, calls.live.functions

    def call(app: App) -> Coroutine[Any, Any, Result]:
        return functions.call(
            *(app, name, args),
            identity=opened.identity,
            event_id=None if event_id is None else EventId(event_id),
            ip=session.guest.ip,
            origin=session.guest.origin,
        )

    signature = functions.door.deployed.signatures(opened.app.id).get(name)
    if signature is None or signature.kind != "action":
        return await call(opened.app)
    apps = session.apps
    app = await apps.lend(opened.app.id, is_own=True)  # at once: the session holds it open
    return await asyncio.shield(functions.outlive(call(app), then=partial(apps.give_back, app)))


def _calls_of(opened: OpenedSession, op: str) -> SessionCalls:
    """What the session has of functions."""
    if not opened.extension.has_functions:
        told = f"`{op}` is for sessions whose `init` asked for the feature `functions`."
        raise invalid(op, None, [{"in": ["op"], "message": told}])
    calls = opened.find_calls()
    if calls is None:
        raise Unavailable("functions-off", "This server runs no functions.")
    return calls


def _name_of(name: Any) -> str:
    if name is None:
        raise InvalidInput("param-missing", 'Missing parameter: ["name"]', {"in": ["name"]})
    if not isinstance(name, str):
        raise InvalidInput(
            "param-malformed",
            'Malformed parameter: ["name"]. It must be the name of a function.',
            {"in": ["name"], "original-input": brief(name)},
        )
    return name


def _ends_of(pages: Any) -> list[str | None]:
    """The ends of the pages that a client has loaded; raises InvalidInput("bad-args")."""
    if pages is None:
        return []
    is_list = isinstance(pages, list) and len(pages) <= limits.PAGES_MAX
    if is_list and all(isinstance(end, str) and end for end in pages[:-1]):
        last = pages[-1:]
        if not last or last[0] is None or isinstance(last[0], str):
            return list(pages)
    raise InvalidInput(
        "bad-args",
        f"`pages` must be the `until` of each page that is loaded, at most {limits.PAGES_MAX}.",
        {"path": "pages", "expected": "texts; the last may be null", "got": brief(pages)},
    )


def _args_of(args: Any) -> dict[str, Any]:
    """The arguments; raises InvalidInput("bad-args")."""
    if args is None:
        return {}
    if not isinstance(args, dict):
        raise bad_args("an object", args)
    return args
