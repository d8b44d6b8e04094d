"""The calls under way in one process: what the server says to them, what they say to the server.

    call ──> task ──> Program.run ──> done | fail
                          │ read, run, step, …: a number, then wait for `rows` or `refused`
                          └ draft, sub, sub-end, log, later of a mutation: told, never answered

Knows no socket: `send` takes frames. So functions run the same way in a worker and in a server
that runs them itself (`calls.workers.local`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Protocol, assert_never

import msgspec

from trice import function_limits as limits
from trice.functions import frames
from trice.functions.call_thread import StartThread
from trice.functions.channel import Channel, RefusedError
from trice.functions.worker.framing import BadFrameError
from trice.functions.worker.metering import Meter, Steps, current_meter
from trice.functions.worker.threads import CallThreads

Send = Callable[[frames.ToServer], None]
"""Takes a frame. raises BadFrameError if it is too long; then nothing of it was sent."""


_Told = frames.Draft | frames.Sub | frames.SubEnd | frames.Log | frames.Later | frames.OfReach


class Runs(Protocol):
    """A loaded project (`functions.loading.Program`)."""

    start_thread: StartThread
    """How it gets a thread for a plain function."""

    async def run(self, call: frames.Call, channel: Channel) -> frames.Done | frames.Fail:
        """Run a function. Raises nothing but CancelledError."""
        ...


@dataclass(slots=True, eq=False)
class _Under:
    """A call under way.

    meter     what it took of the processor
    answers   by the number of what was asked
    lines     log lines that it wrote
    why       why it was ended before it was done
    """

    task: asyncio.Task[None]
    meter: Meter
    answers: dict[int, asyncio.Future[bytes]] = field(default_factory=dict)
    lines: int = 0
    why: frames.Fail | None = None


class Calls:
    """Holds the calls under way. Its methods belong to the loop's thread, but for those of
    `Channel` that return at once.

    on_end     called with the number of each call, before its end is told
    on_empty   called when it was drained and the last call has ended
    """

    def __init__(
        self,
        program: Runs,
        send: Send,
        *,
        steps: Steps,
        threads: CallThreads | None,
        cpu_ms_max: float,
        on_end: Callable[[int], None] = lambda call: None,
        on_empty: Callable[[], None] = lambda: None,
    ) -> None:
        self._program = program
        self._send = send
        self._steps = steps
        self._threads = threads
        if threads is not None:
            program.start_thread = threads.submit
        self._cpu_ms_max = cpu_ms_max
        self._on_end = on_end
        self._on_empty = on_empty
        self._loop = asyncio.get_running_loop()
        self._home: Final = threading.get_ident()
        self._under: dict[int, _Under] = {}
        self._numbers = count(1)
        self._is_drained = False

    def take(self, frame: frames.ToWorker) -> None:
        """Do what the server says."""
        match frame:
            case frames.Call():
                self._begin(frame)
            case frames.Rows(call=call, seq=seq, value=value):
                answer = self._take_answer(call, seq)
                if answer is not None:
                    answer.set_result(value)
            case frames.Refused(call=call, seq=seq):
                answer = self._take_answer(call, seq)
                if answer is not None:
                    answer.set_exception(RefusedError(frame.code, frame.message, frame.hint))
            case frames.Cancel(call=call):
                self._end(call, "function-timeout", "Nobody waits for this call any more.")
            case frames.Drain():
                self._is_drained = True
                self._look_empty()
            case frames.Hello() | frames.Ping():
                raise BadFrameError("a worker is greeted once, and pinged elsewhere")
            case _:
                assert_never(frame)

    def _begin(self, call: frames.Call) -> None:
        if call.call in self._under:
            raise BadFrameError(f"call {call.call} is under way")
        meter = Meter(
            call.call, most_ms=self._cpu_ms_max, on_over=lambda: self._end_for_cpu(call.call)
        )
        token = current_meter.set(meter)
        try:
            task = self._loop.create_task(self._run(call))
        finally:
            current_meter.reset(token)
        self._under[call.call] = _Under(task, meter)

    async def _run(self, call: frames.Call) -> None:
        try:
            outcome = await self._program.run(call, self)
        except asyncio.CancelledError:
            outcome = self._why(call.call)
        except Exception as failure:
            message = f"The call ended with {type(failure).__name__}."
            outcome = frames.Fail(call=call.call, code="function-failed", message=message)
        under = self._under[call.call]
        if under.why is not None:
            outcome = under.why
        # What runs on a thread cannot be ended. Until it has, neither has the call: the server
        # ends the process if that takes too long.
        left = [] if self._threads is None else self._threads.end(call.call)
        if left:
            await _until_done([asyncio.wrap_future(each) for each in left])
        self._on_end(call.call)
        del self._under[call.call]
        self._tell_end(call.call, outcome, under)
        self._look_empty()

    def _tell_end(self, call: int, outcome: frames.Done | frames.Fail, under: _Under) -> None:
        more = under.lines - limits.LOG_LINES_MAX
        if more > 0:
            text = f"{more} more lines of this call were dropped."
            self._send(frames.Log(call=call, level="warning", text=text))
        if isinstance(outcome, frames.Done) and len(outcome.value) > limits.RESULT_BYTES_MAX:
            outcome = _too_big(call, "result", len(outcome.value))
        try:
            self._send(outcome)
        except BadFrameError:
            self._send(_too_big(call, "steps", limits.RESULT_BYTES_MAX))

    def _why(self, call: int) -> frames.Fail:
        under = self._under.get(call)
        if under is not None and under.why is not None:
            return under.why
        # The function cancelled its own task.
        return frames.Fail(call=call, code="function-failed", message="The call was cancelled.")

    def _end(self, call: int, code: str, message: str) -> None:
        under = self._under.get(call)
        if under is not None:
            if under.why is None:
                under.why = frames.Fail(call=call, code=code, message=message)
            under.meter.is_over = True
            under.task.cancel()

    def _end_for_cpu(self, call: int) -> None:
        message = f"The call used the processor for more than {self._cpu_ms_max:.0f} ms."
        # Within a step of the task, or of a thread: it ends at its next await or wait.
        self._loop.call_soon_threadsafe(self._end, call, "function-timeout", message)

    def _look_empty(self) -> None:
        if self._is_drained and not self._under:
            self._on_empty()

    # --- Channel ----------------------------------------------------------------------------------

    async def read(self, call: int, query: Any, *, as_caller: bool) -> bytes:
        seq = next(self._numbers)
        frame = frames.Read(call=call, seq=seq, query=query, as_caller=as_caller)
        return await self._ask(call, seq, frame)

    async def page(
        self, call: int, query: dict[str, Any], *, size: int, after: str | None, as_caller: bool
    ) -> bytes:
        seq = next(self._numbers)
        frame = frames.Page(
            call=call, seq=seq, query=query, size=size, after=after, as_caller=as_caller
        )
        return await self._ask(call, seq, frame)

    async def run(self, call: int, function: str, args: bytes) -> bytes:
        seq = next(self._numbers)
        return await self._ask(
            call, seq, frames.Run(call=call, seq=seq, function=function, args=args)
        )

    def draft(self, call: int, steps: list[Any]) -> None:
        self._tell(frames.Draft(call=call, steps=steps))

    def later(self, job: frames.Later) -> None:
        self._tell(job)

    async def later_now(self, job: frames.Later) -> None:
        seq = next(self._numbers)
        await self._ask(job.call, seq, msgspec.structs.replace(job, seq=seq))

    async def step(self, call: int, name: str, *, is_once: bool) -> bytes:
        seq = next(self._numbers)
        frame = frames.Step(call=call, seq=seq, name=name, is_once=is_once)
        return await self._ask(call, seq, frame)

    async def step_done(self, call: int, name: str, value: bytes) -> None:
        seq = next(self._numbers)
        await self._ask(call, seq, frames.StepDone(call=call, seq=seq, name=name, value=value))

    async def sleep(self, call: int, name: str, duration_ms: int) -> bool:
        seq = next(self._numbers)
        frame = frames.Sleep(call=call, seq=seq, name=name, ms=duration_ms)
        return await self._ask(call, seq, frame) == b"true"

    async def reach(self, call: int, asked: frames.OfReach) -> bytes:
        seq = next(self._numbers)
        return await self._ask(call, seq, msgspec.structs.replace(asked, call=call, seq=seq))

    def reach_untold(self, call: int, asked: frames.OfReach) -> None:
        self._tell(msgspec.structs.replace(asked, call=call))

    async def reply(
        self, call: int, status: int, headers: frames.Pairs, body: bytes, *, is_stream: bool
    ) -> None:
        seq = next(self._numbers)
        frame = frames.Reply(
            call=call, seq=seq, status=status, headers=headers, body=body, is_stream=is_stream
        )
        await self._ask(call, seq, frame)

    async def piece(self, call: int, data: bytes) -> None:
        seq = next(self._numbers)
        await self._ask(call, seq, frames.Piece(call=call, seq=seq, data=data))

    def sub(self, call: int) -> None:
        self._tell(frames.Sub(call=call))

    def sub_end(self, call: int, is_kept: bool) -> None:
        self._tell(frames.SubEnd(call=call, is_kept=is_kept))

    def log(self, call: int, level: Any, text: str) -> None:
        """Lines beyond function_limits.LOG_LINES_MAX are counted, longer ones cut."""
        under = self._under.get(call)
        if under is not None:
            under.lines += 1
            if under.lines > limits.LOG_LINES_MAX:
                return
        self._tell(frames.Log(call=call, level=level, text=text[: limits.LOG_LINE_CHARS_MAX]))

    async def _ask(self, call: int, seq: int, frame: frames.ToServer) -> bytes:
        under = self._under.get(call)
        if under is None:
            raise RefusedError("function-failed", "The call has ended; a task of it went on.")
        answer: asyncio.Future[bytes] = self._loop.create_future()
        under.answers[seq] = answer
        try:
            self._send(frame)
            return await answer
        except BadFrameError as cause:
            raise RefusedError("call-too-big", f"What was asked is too big: {cause}.") from None
        finally:
            under.answers.pop(seq, None)

    def _take_answer(self, call: int, seq: int) -> asyncio.Future[bytes] | None:
        under = self._under.get(call)
        answer = None if under is None else under.answers.pop(seq, None)
        return None if answer is None or answer.done() else answer

    def _tell(self, frame: _Told) -> None:
        if threading.get_ident() != self._home:
            self._loop.call_soon_threadsafe(self._tell, frame)
            return
        if frame.call not in self._under and not isinstance(frame, frames.Log):
            return  # a task that outlived its call
        try:
            self._send(frame)
        except BadFrameError as cause:
            self._end(frame.call, "call-too-big", f"What the call wrote is too big: {cause}.")


def _too_big(call: int, what: str, size: int) -> frames.Fail:
    message = f"The {what} of the call has {size} bytes; {limits.RESULT_BYTES_MAX} is the most."
    return frames.Fail(call=call, code="call-too-big", message=message)


async def _until_done(futures: list[asyncio.Future[Any]]) -> None:
    """Wait for all, although the one who waits is told to stop."""
    waiting = set(futures)
    while waiting:
        try:
            _, waiting = await asyncio.wait(waiting)
        except asyncio.CancelledError:
            continue
