"""One call in one process: what it asks is done in the order in which it was asked.

    begun ──done──> Done      ──fail──> Fail
       ├── its time is over ──> EXPIRED
       └── its process ended ──> Lost

Whatever comes first is the outcome; frames that come later are ignored.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final, assert_never

from trice import function_limits as limits
from trice.calls.side import CallSide
from trice.errors import TriceError
from trice.functions import frames
from trice.functions.worker.framing import BadFrameError, dump_frame

logger: Final = logging.getLogger("trice.functions")


class Guilt(Enum):
    """Why a call's process ended, as far as the call goes."""

    NONE = "another call ended it"
    UNKNOWN = "one of its calls ended it"
    DEATH = "this call ended it"
    HELD = "this call held it, and it was ended"


@dataclass(frozen=True, slots=True)
class Lost:
    """The process ended before the call did."""

    guilt: Guilt
    reason: str


class Expired(Enum):
    EXPIRED = "its time is over"


Outcome = frames.Done | frames.Fail | Lost | Expired
OfCall = frames.OfFunction


class Talk:
    """What one call and the server say to each other.

    Holds what was asked and is not dealt with. Does not know processes.

    number       of the call
    deadline_ms  by the monotonic clock
    """

    def __init__(
        self,
        number: int,
        side: CallSide,
        send: Callable[[bytes], None],
        *,
        deadline_ms: float,
    ) -> None:
        """send   takes a frame for the process"""
        self.number = number
        self.deadline_ms = deadline_ms
        self._side = side
        self._send = send
        self._outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._asked: deque[tuple[OfCall, int]] = deque()
        self._asked_bytes = 0
        self._lines = 0
        self._pump: asyncio.Task[None] | None = None
        self._runs: set[asyncio.Task[None]] = set()
        self._places: asyncio.Semaphore | None = None

    @property
    def is_over(self) -> bool:
        return self._outcome.done()

    async def outcome(self) -> Outcome:
        """Wait for the end. raises   TriceError of a `draft`, `sub` or `sub_end`."""
        try:
            return await self._outcome
        finally:
            await self._stop()

    async def _stop(self) -> None:
        tasks = [*self._runs, *([] if self._pump is None else [self._pump])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def end(self, outcome: Outcome) -> None:
        """It is over, if it is not already."""
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    def take(self, frame: OfCall, size: int) -> bool:
        """A frame of the process about this call.

        returns   False if it says more than it needs to (function_limits.NOISE_MAX)
        raises    BadFrameError if more waits than may
        """
        if self.is_over:
            return False
        if isinstance(frame, frames.Log):
            return self._log(frame)
        if self._pump is None and isinstance(frame, frames.Done | frames.Fail):
            self.end(frame)
            return True
        self._asked.append((frame, size))
        self._asked_bytes += size
        is_much = self._asked_bytes > limits.ASKED_BYTES_MAX
        if is_much or len(self._asked) > limits.ASKED_MAX:
            raise BadFrameError("a call asks for more at once than it may")
        if self._pump is None:
            self._pump = asyncio.create_task(self._work())
        return True

    def _log(self, frame: frames.Log) -> bool:
        self._lines += 1
        if self._lines > limits.LOG_LINES_MAX + 1:  # and how many were dropped
            return False
        self._side.log(frame.level, frame.text[: limits.LOG_LINE_CHARS_MAX])
        return True

    async def _work(self) -> None:
        """Do what is asked, in order, until nothing is."""
        try:
            while self._asked and not self.is_over:
                frame, size = self._asked.popleft()
                self._asked_bytes -= size
                await self._do(frame)
        except TriceError as failure:
            if not self._outcome.done():
                self._outcome.set_exception(failure)
        except Exception as failure:
            logger.exception("a call could not be served")
            if not self._outcome.done():
                self._outcome.set_exception(failure)
        finally:
            self._pump = None

    async def _do(self, frame: OfCall) -> None:
        if isinstance(frame, frames.OfReach):
            await self._begin(frame.seq, partial(self._side.reach, frame))
            return
        match frame:
            case frames.Read(seq=seq):
                await self._reply(seq, self._side.read(frame.query, frame.as_caller))
            case frames.Page(seq=seq):
                await self._reply(seq, self._side.page(frame))
            case frames.Later():
                if frame.seq is None:
                    self._side.later(frame)
                else:
                    await self._reply(frame.seq, _nothing(self._side.later_now(frame)))
            case frames.Step(seq=seq):
                await self._reply(seq, self._side.step(frame.name, frame.is_once))
            case frames.StepDone(seq=seq):
                await self._reply(seq, _nothing(self._side.step_done(frame.name, frame.value)))
            case frames.Sleep(seq=seq):
                await self._reply(seq, self._side.sleep(frame.name, frame.ms))
            case frames.Draft(steps=steps):
                self._side.draft(steps)
            case frames.Sub():
                self._side.sub()
            case frames.SubEnd(is_kept=is_kept):
                self._side.sub_end(is_kept)
            case frames.Run(seq=seq):
                await self._begin(seq, partial(self._side.run, frame.function, frame.args))
            case frames.Reply(seq=seq):
                await self._reply(seq, _nothing(self._side.reply(frame)))
            case frames.Piece(seq=seq):
                # Beside the others: a client that reads slowly holds up the stream alone.
                await self._begin(seq, partial(self._piece, frame.data))
            case frames.Done() | frames.Fail():
                self.end(frame)
            case frames.Log():
                self._log(frame)
            case _:
                assert_never(frame)

    async def _reply(self, seq: int, work: Coroutine[Any, Any, bytes]) -> None:
        """Answer what was asked, or refuse it."""
        try:
            value = await work
        except TriceError as failure:
            self._refuse(seq, failure)
        else:
            self._answer(seq, value)

    async def _piece(self, data: bytes) -> bytes:
        return await _nothing(self._side.piece(data))

    async def _begin(self, seq: int, work: Callable[[], Coroutine[Any, Any, bytes]]) -> None:
        """Have something done while others are; it waits for a place."""
        if self._places is None:
            self._places = asyncio.Semaphore(limits.RUNS_AT_ONCE)
        await self._places.acquire()
        task = asyncio.create_task(self._finish(seq, work))
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)

    async def _finish(self, seq: int, work: Callable[[], Coroutine[Any, Any, bytes]]) -> None:
        try:
            value = await work()
        except TriceError as failure:
            self._refuse(seq, failure)
        except Exception:
            logger.exception("a call of an action could not be served")
            message = "Something went wrong in the server."
            self._tell(frames.Refused(call=self.number, seq=seq, code="unknown", message=message))
        else:
            self._answer(seq, value)
        finally:
            assert self._places is not None, "it has one"
            self._places.release()

    def _answer(self, seq: int, value: bytes) -> None:
        try:
            self._tell(frames.Rows(call=self.number, seq=seq, value=value))
        except BadFrameError:
            message = f"The answer has {len(value)} bytes, more than one read may bring."
            self._tell(
                frames.Refused(call=self.number, seq=seq, code="call-too-big", message=message)
            )

    def _refuse(self, seq: int, failure: TriceError) -> None:
        told = failure.body()
        self._tell(
            frames.Refused(
                call=self.number,
                seq=seq,
                code=told["type"],
                message=told["message"],
                hint=told["hint"],
            )
        )

    def _tell(self, frame: frames.Rows | frames.Refused) -> None:
        if frame.seq and not self.is_over:
            self._send(dump_frame(frame))


async def _nothing(work: Coroutine[Any, Any, None]) -> bytes:
    """The answer for what returns nothing."""
    await work
    return b"null"
