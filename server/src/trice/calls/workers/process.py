"""One process that runs functions, from its start to its end.

    started ──> BLANK ──hello──> LOADING ──ready──> OPEN ──drain──> DRAINING ──empty──┐
                  │                 └──broken, late──┐ │  killed, died                 │
                  └──────────────────────────────────┴─┴──────────────> ENDED <────────┘

What the process says is believed about its own calls only. Frames that are none end it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, cast

from trice import function_limits as limits
from trice.calls.side import CallRequest, CallSide
from trice.calls.workers.health import Health
from trice.calls.workers.outcomes import frame_of
from trice.calls.workers.output import Output
from trice.calls.workers.talk import Expired, Guilt, Lost, OfCall, Outcome, Talk
from trice.functions import frames
from trice.functions.worker.framing import BadFrameError, dump_frame, server_reader
from trice.functions.worker.sending import Sending
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.functions")

_LAST_WORDS_S: Final = 0.02
"""Between the end of a process and the end of what it had sent."""


class State(Enum):
    BLANK = "blank"
    LOADING = "loading"
    OPEN = "open"
    DRAINING = "draining"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Start:
    """How processes are started.

    command   the program, without what is different for each
    env       all of its environment
    on_line   takes the app's id, a level and a line that belongs to no call
    """

    command: Sequence[str]
    env: dict[str, str]
    runtime: Runtime
    on_line: Callable[[str, str, str], None]


class Process:
    """A process of this server. Holds its calls; knows no other process.

    uid         the user it runs as; None: the server's
    app_id      whose code it has; "" while it is blank
    on_change   called when a call ended, or the process did
    first_bytes its size when it was loaded
    """

    def __init__(self, start: Start, uid: int | None) -> None:
        self.uid = uid
        self.app_id = ""
        self.state = State.BLANK
        self.is_alone = False
        self.on_change: Callable[[], None] = lambda: None
        self.begun = 0
        self.idle_since_ms = 0.0
        self.pid = 0
        self._start = start
        self._is_pure = True
        self._health = Health(is_pure=True)
        self._talks: dict[int, Talk] = {}
        self._promised = 0
        self._number = 0
        self._noise = 0
        self._first_bytes = 0
        self._begun_when_weighed = 0
        self._guilty: int | None = None
        self._is_held = False
        self._is_killed = False
        self._reason = "it ended by itself"
        self._frames: asyncio.WriteTransport | None = None
        self._sending: Sending | None = None
        self._pulse: asyncio.WriteTransport | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        loop = asyncio.get_running_loop()
        self._loaded: asyncio.Future[frames.Ready | frames.Broken] = loop.create_future()
        self.has_exited: asyncio.Future[None] = loop.create_future()
        self._output = Output(lambda text: self._start.on_line(self.app_id, "warning", text))
        self._output_end: asyncio.Future[None] = loop.create_future()

    # --- start and end ----------------------------------------------------------------------------

    async def spawn(self) -> None:
        """Start it, blank. raises   OSError

        The thread that calls is its parent: the process ends when that thread does.
        """
        loop = asyncio.get_running_loop()
        frames_here, frames_there = socket.socketpair()
        pulse_here, pulse_there = socket.socketpair()
        command = [
            *self._start.command,
            f"--frames={frames_there.fileno()}",
            f"--pulse={pulse_there.fileno()}",
            f"--parent={os.getpid()}",
            *([] if self.uid is None else [f"--uid={self.uid}"]),
        ]
        try:
            for sock in (frames_here, pulse_here):
                sock.setblocking(False)
            self._transport, _ = await loop.subprocess_exec(
                lambda: _Exit(self._exited, self._output, self._output_end),
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=self._start.env,
                cwd="/",
                pass_fds=(frames_there.fileno(), pulse_there.fileno()),
                start_new_session=True,
            )
        except BaseException:
            frames_here.close()
            pulse_here.close()
            raise
        finally:
            frames_there.close()
            pulse_there.close()
        self.pid = self._transport.get_pid()
        self._frames, _ = await loop.create_unix_connection(
            lambda: _Frames(self._take, self._bad), sock=frames_here
        )
        self._sending = Sending(self._frames, self._look_unread)
        self._pulse, _ = await loop.create_unix_connection(
            lambda: _Frames(self._take, self._bad), sock=pulse_here
        )

    async def load(self, hello: frames.Hello, app_id: str) -> frames.Ready | frames.Broken:
        """Let it load a bundle. One that does not end in function_limits.LOAD_MS is broken."""
        assert self.state is State.BLANK or self.has_exited.done(), "a process has one app"
        self.app_id = app_id
        self._is_pure = hello.is_pure
        self._health = Health(is_pure=hello.is_pure)
        if not self.has_exited.done():
            self.state = State.LOADING
            self._send(dump_frame(hello))
        late = asyncio.create_task(self._start.runtime.sleep_ms(limits.LOAD_MS))
        try:
            await asyncio.wait(
                (late, self._loaded, self.has_exited), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            late.cancel()
            if not self._loaded.done():
                self.kill("its bundle was not loaded")
        if self._loaded.done():
            outcome = self._loaded.result()
            if isinstance(outcome, frames.Ready) and self.state is State.LOADING:
                self.state = State.OPEN
                self._first_bytes = self.size_bytes()
                self.idle_since_ms = self._start.runtime.monotonic_ms()
            return outcome
        is_late = not self.has_exited.done()
        what = f"took longer than {limits.LOAD_MS} ms" if is_late else "ended the process"
        told = f"Loading the bundle {what}."
        if not is_late:
            await asyncio.wait((self._output_end,), timeout=limits.OUTPUT_MS / 1000)
            if self._output.newest:
                told = f"{told} Its last lines: {' / '.join(self._output.newest)}"
        return frames.Broken(errors=[frames.LoadError(file="", line=None, message=told)])

    def drain(self) -> None:
        """It gets no more calls, and ends with the last one that it has."""
        if self.state is State.OPEN:
            self.state = State.DRAINING
        if self.load_of_calls == 0:
            self.kill("it has nothing to do")

    def kill(self, reason: str, *, guilty: int | None = None, is_held: bool = False) -> None:
        """End it now, with what it started.

        guilty    the call that is the reason
        is_held   that call did not end when it had to
        """
        if self.state is State.ENDED:
            return
        self._reason, self._guilty, self._is_held = reason, guilty, is_held
        self._is_killed = True
        if self._transport is not None and self._transport.get_returncode() is None:
            # Not by the transport: asyncio's asks whether the process has ended first, and takes
            # its end away from whoever watches for it ("Unknown child process pid").
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(self.pid, signal.SIGKILL)
        self._over()

    @property
    def is_ended(self) -> bool:
        return self.state is State.ENDED

    @property
    def was_killed(self) -> bool:
        return self._is_killed

    def _exited(self) -> None:
        """The process has ended. What it sent before is read first."""
        if self.is_ended and self._transport is not None:
            self._transport.close()
        else:
            asyncio.get_running_loop().call_later(_LAST_WORDS_S, self._over)
        if not self.has_exited.done():
            self.has_exited.set_result(None)

    def _over(self) -> None:
        if self.state is State.ENDED:
            return
        self.state = State.ENDED
        # That of the process closes when it has ended, or nobody would be told.
        waits = not self.has_exited.done()
        for transport in (self._frames, self._pulse, None if waits else self._transport):
            if transport is not None:
                transport.close()
        is_only = len(self._talks) == 1 and not self._health.ended and self._guilty is None
        for number, talk in list(self._talks.items()):
            talk.end(Lost(self._guilt_of(number, is_only=is_only), self._reason))
        self.on_change()

    def _guilt_of(self, number: int, *, is_only: bool) -> Guilt:
        if number == self._guilty or is_only:
            return Guilt.HELD if self._is_held else Guilt.DEATH
        return Guilt.UNKNOWN if self._guilty is None else Guilt.NONE

    # --- calls ------------------------------------------------------------------------------------

    @property
    def load_of_calls(self) -> int:
        """Calls under way, those that were promised a place, and those that were told to end."""
        return len(self._talks) + self._promised + len(self._health.ended)

    @property
    def is_quick(self) -> bool:
        """Whether it may get another call now."""
        return self.state is State.OPEN and self._health.is_quick(
            self._start.runtime.monotonic_ms()
        )

    def promise(self) -> None:
        """Keep a place for a call that begins soon; `run` or `release` must follow."""
        self._promised += 1

    def release(self) -> None:
        """The call does not come."""
        self._promised -= 1
        self._call_ended()

    async def run(self, request: CallRequest, side: CallSide) -> Outcome:
        """Run a call that was promised a place. Cancelled, the process is told."""
        self._promised -= 1
        if self.is_ended:
            return Lost(Guilt.NONE, self._reason)
        now_ms = self._start.runtime.monotonic_ms()
        if not self._talks:
            self._health.begin(now_ms)
        self._number += 1
        self.begun += 1
        number = self._number
        deadline_ms = now_ms + request.timeout_ms
        talk = Talk(number, side, self._send, deadline_ms=deadline_ms)
        self._talks[number] = talk
        self._send(dump_frame(frame_of(number, request)))
        outcome: Outcome | None = None
        try:
            outcome = await talk.outcome()
            return outcome
        finally:
            del self._talks[number]
            has_ended = isinstance(outcome, frames.Done | frames.Fail | Lost)
            if not has_ended and not self.is_ended:
                self._send(dump_frame(frames.Cancel(call=number)))
                until_ms = self._start.runtime.monotonic_ms()
                if outcome is None:  # nobody waits any more; it may use the time that it had
                    until_ms = max(until_ms, deadline_ms)
                self._health.ended[number] = until_ms + limits.CANCEL_GRACE_MS
            self._call_ended()

    def _call_ended(self) -> None:
        self.idle_since_ms = self._start.runtime.monotonic_ms()
        if self.state is State.DRAINING and self.load_of_calls == 0:
            self.kill("it has nothing to do")
        else:
            self.on_change()

    def watch(self, now_ms: float) -> None:
        """Look at its calls: end those whose time is over, ping it, end it if it must."""
        if self.load_of_calls == 0 or self.state is State.ENDED:
            return
        for talk in list(self._talks.values()):
            if now_ms >= talk.deadline_ms:
                talk.end(Expired.EXPIRED)
        verdict = self._health.judge(now_ms)
        if verdict is not None:
            self._start.on_line(self.app_id, "error", f"A worker was ended: {verdict.reason}.")
            self.kill(verdict.reason, guilty=verdict.guilty, is_held=True)
            return
        number = self._health.ping(now_ms)
        if number is not None and self._pulse is not None:
            self._pulse.write(dump_frame(frames.Ping(number=number)))

    def is_worn(self) -> bool:
        """Whether another one should take its place. Looked at when it had calls since."""
        if self.begun == self._begun_when_weighed:
            return False
        self._begun_when_weighed = self.begun
        is_large = self.size_bytes() > limits.PROCESS_GROWTH * self._first_bytes
        return self.begun >= limits.PROCESS_CALLS_MAX or is_large

    def size_bytes(self) -> int:
        """Its memory; 0 when it has ended."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        except (OSError, IndexError):
            return 0

    # --- frames -----------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        if self._sending is not None and self.state is not State.ENDED:
            self._sending.send(data)

    def _look_unread(self) -> None:
        assert self._frames is not None, "something was written"
        if self._frames.get_write_buffer_size() > limits.UNREAD_BYTES_MAX:
            self.kill("it does not read what it asked for")

    def _take(self, frame: frames.ToServer, size: int) -> None:
        match frame:
            case frames.Pong():
                self._health.pong(frame)
            case frames.Ready() | frames.Broken():
                if self.state is not State.LOADING or self._loaded.done():
                    raise BadFrameError("a bundle is loaded once")
                self._loaded.set_result(frame)
            case frames.Log(call=0):
                self._start.on_line(self.app_id, frame.level, frame.text)
                self._note_noise()
            case _:
                self._take_of_call(frame, size)

    def _take_of_call(self, frame: OfCall, size: int) -> None:
        talk = self._talks.get(frame.call)
        is_end = isinstance(frame, frames.Done | frames.Fail)
        if is_end and self._health.ended.pop(frame.call, None) is not None:
            self._call_ended()
        elif talk is None or not talk.take(frame, size):
            self._note_noise()

    def _note_noise(self) -> None:
        self._noise += 1
        if self._noise > limits.NOISE_MAX:
            raise BadFrameError("it says too much that nobody asked")

    def _bad(self, failure: BadFrameError) -> None:
        self._start.on_line(self.app_id, "error", f"A worker was ended: {failure}.")
        self.kill(str(failure))


class _Frames(asyncio.Protocol):
    """One socket of a process. Its end says nothing: the end of the process does."""

    def __init__(
        self,
        take: Callable[[frames.ToServer, int], None],
        bad: Callable[[BadFrameError], None],
    ) -> None:
        self._take = take
        self._bad = bad
        self._reader = server_reader()

    def data_received(self, data: bytes) -> None:
        try:
            for frame, size in self._reader.feed(data):
                self._take(frame, size)
        except BadFrameError as failure:
            self._bad(failure)


class _Exit(asyncio.SubprocessProtocol):
    """The output of a process, and its end."""

    def __init__(
        self, exited: Callable[[], None], output: Output, output_end: asyncio.Future[None]
    ) -> None:
        self._exited = exited
        self._output = output
        self._output_end = output_end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        process = cast(asyncio.SubprocessTransport, transport)  # uvloop's has no such base
        self._output.begin(cast(asyncio.ReadTransport, process.get_pipe_transport(1)))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._output.take(data)

    def pipe_connection_lost(self, fd: int, failure: Exception | None) -> None:
        if fd == 1 and not self._output_end.done():
            self._output_end.set_result(None)

    def process_exited(self) -> None:
        self._exited()
