"""A loaded project: its functions, and the running of one call."""

from __future__ import annotations

import asyncio
import traceback
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from trice.functions import blocking
from trice.functions.answering import answer
from trice.functions.asleep import AsleepError
from trice.functions.call_thread import StartThread, start_thread
from trice.functions.channel import Channel, RefusedError
from trice.functions.contexts import Action, Mutation, Query
from trice.functions.entries import Entry, decode_json, encode_json
from trice.functions.frames import Call, Done, Fail
from trice.functions.function import Function, FunctionError
from trice.functions.hints import Hints, decoded
from trice.functions.outgoing import Outgoing
from trice.functions.running import Running
from trice.functions.shapes import HintError
from trice.functions.signature import Signature

_TRICE: Final = Path(__file__).parents[1]
_CONTEXTS: Final[dict[str, Any]] = {
    "query": Query,
    "mutation": Mutation,
    "action": Action,
    "endpoint": Action,
}


class Program:
    """The functions of a project.

    root    its folder
    schema  the document that its `schema.py` stands for; None: it has none
    env     what `ctx.env` has
    outgoing   how requests of `ctx.http` leave

    `start_thread` is how calls get the thread of their plain functions; a worker has its own.
    """

    def __init__(
        self,
        root: Path,
        entries: Iterable[Entry],
        *,
        hints: Hints,
        schema: dict[str, Any] | None,
        env: Mapping[str, str],
    ) -> None:
        self.root = root
        self.schema = schema
        self.hints = hints
        self.env = env
        self.outgoing = Outgoing()
        self.start_thread: StartThread = start_thread
        self._entries = list(entries)
        self._by_function = {id(entry.function): entry for entry in self._entries}
        self._by_name = {entry.signature.name: entry for entry in self._entries}
        for entry in self._entries:
            self._by_name |= dict.fromkeys(entry.signature.also, entry)

    @property
    def signatures(self) -> list[Signature]:
        """Of all functions, by name."""
        return [entry.signature for entry in self._entries]

    async def run(self, call: Call, channel: Channel) -> Done | Fail:
        """Run a function to its end.

        raises  nothing but CancelledError
        """
        entry = self._by_name.get(call.function)
        if entry is None:
            told = f"There is no function {call.function}."
            hint = {"function": call.function}
            return Fail(call=call.call, code="function-not-found", message=told, data=hint)
        running = Running(call, channel, self)
        assert (call.request is None) is (entry.signature.route is None), "endpoints are asked"
        try:
            args = entry.read_args(call.args)
            ctx = _CONTEXTS[entry.signature.kind](running)
            if call.request is not None:
                await answer(entry, ctx, args, call, channel)
                return Done(call=call.call, value=b"null")
            value = entry.write_result(await entry.function(ctx, **args))
        except asyncio.CancelledError:
            raise
        except AsleepError:
            return Fail(call=call.call, code="function-failed", message="The job sleeps.")
        except (Exception, SystemExit) as failure:
            return self._failed(entry, running, failure)
        finally:
            running.end()
        return Done(call=call.call, value=value, steps=running.steps, facts=running.facts.listed())

    def _failed(self, entry: Entry, running: Running, failure: BaseException) -> Fail:
        code, message, data, status = _told(entry.signature.name, failure)
        return Fail(
            call=running.call.call,
            code=code,
            message=message,
            status=status,
            data=data,
            traceback=self._traceback(failure),
            facts=running.facts.listed(),
        )

    def _traceback(self, failure: BaseException) -> str:
        """From the first line of the project on: what called it is no news, nor is what trice did
        below its last line. Files of the project are told by their path in it. What was raised
        before any line of the project ran is a line by itself."""
        told = traceback.TracebackException.from_exception(failure)
        waiting = [told]
        while waiting:
            one = waiting.pop()
            one.stack = self._of_project(one.stack)
            waiting += [each for each in (one.__cause__, one.__context__) if each is not None]
            waiting += one.exceptions or [] if hasattr(one, "exceptions") else []
        if not told.stack and isinstance(failure, RefusedError):
            more = "" if failure.__cause__ is None else f"{failure.__cause__}\n"
            return f"{failure.code}: {failure.message}\n{more}"
        return "".join(told.format())

    def _of_project(self, stack: traceback.StackSummary) -> traceback.StackSummary:
        frames = list(stack)
        ours = [
            place
            for place, frame in enumerate(frames)
            if Path(frame.filename).is_relative_to(self.root)
        ]
        if not ours:
            return traceback.StackSummary.from_list([])
        last = len(frames)
        while last - 1 > ours[-1] and Path(frames[last - 1].filename).is_relative_to(_TRICE):
            last -= 1
        kept = frames[ours[0] : last]
        for frame in kept:
            frame.filename = self._in_project(frame.filename)
        return traceback.StackSummary.from_list(kept)

    def _in_project(self, file: str) -> str:
        path = Path(file)
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else file

    def signature_of(self, function: Function[..., Any]) -> Signature:
        """Of a function as it stands in its module. raises   TypeError"""
        return self._entry(function).signature

    def blocking(self, ctx: Any) -> blocking.Context[Any, Any]:
        """The ctx of a plain function for that of an async one of the same call."""
        return blocking.BY_KIND[type(ctx).__name__.lower()](ctx)

    # --- what a run asks for ----------------------------------------------------------------------

    def encode_args(
        self, function: Function[..., Any], args: Any, kwargs: Any
    ) -> tuple[str, bytes]:
        entry = self._entry(function)
        return entry.signature.name, entry.write_args(args, kwargs)

    def encode_step(self, value: Any) -> bytes:
        try:
            return encode_json(value)
        except (TypeError, NotImplementedError, ValueError, RecursionError) as failure:
            told = f"What a step returned has no form in JSON: {failure}"
            raise RefusedError("bad-result", told) from None

    def decode_step(self, work: Any, value: bytes) -> Any:
        if isinstance(work, Function):
            return self.decode_result(work, value)
        returned = typing.get_type_hints(work).get("return", Any) if callable(work) else Any
        try:
            checked = Any if returned is Any else self.hints.checked(returned)
        except (HintError, TypeError):
            checked = Any
        try:
            return msgspec.json.decode(value, type=checked, dec_hook=decoded)
        except msgspec.ValidationError as failure:
            told = f"What a step returned does not fit its hint: {failure}"
            raise RefusedError("bad-result", told) from None

    def decode_result(self, function: Function[..., Any], value: bytes) -> Any:
        return self._entry(function).read_result(value)

    def _entry(self, function: Function[..., Any]) -> Entry:
        entry = self._by_function.get(id(function))
        if entry is None:
            told = (
                f"{function!r} is no function of this project: it stands in no module of functions/"
            )
            raise TypeError(told)
        return entry


def _told(name: str, failure: BaseException) -> tuple[str, str, Any, int | None]:
    """Code, message, data and status of what was raised."""
    match failure:
        case FunctionError():
            hint = {"code": failure.code, "data": failure.data}
            code, message, status = "function-error", failure.message, failure.status
        case RefusedError():
            hint, code, message, status = failure.hint, failure.code, failure.message, None
        case MemoryError():
            told = f"{name} took more memory than its process may have."
            return "function-memory", told, {"function": name}, None
        case _:
            return "function-failed", f"{name} failed.", {"function": name}, None
    try:
        return code, message, decode_json(encode_json(hint)), status
    except (TypeError, NotImplementedError, ValueError, RecursionError):
        told = f"{name} failed: the data of its {type(failure).__name__} is no JSON."
        return "function-failed", told, {"function": name}, None
