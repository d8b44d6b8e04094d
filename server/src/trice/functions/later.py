"""Work for later: `ctx.later(…).run(f, …)`, and `Retry`. No I/O but the channel's.

    ctx.later(timedelta(seconds=5), key=f"notify {channel}").run(notify, message)

A job runs as the server itself: what it must know of its caller is among its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, ParamSpec, TypeVar

from trice.functions.durations import whole_ms
from trice.functions.frames import Later as LaterFrame
from trice.functions.function import ActionFunction, Function, MutationFunction
from trice.functions.running import Running
from trice.functions.signature import RetryPlan
from trice.functions.values import check_text
from trice.job_limits import RETRY_TIMES_MAX

P = ParamSpec("P")
R = TypeVar("R")

IfExists = Literal["replace", "keep"]
When = timedelta | datetime | None


@dataclass(frozen=True, slots=True)
class Retry:
    """How jobs of an action are tried again when they fail or their server ends: at least once.
    Without it an action runs at most once.

    times   how often after the first try
    first   how long before the second; each further wait is `factor` times as long, `most` at most
    jitter  waits differ by a random part of them, up to this
    """

    times: int
    first: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    most: timedelta = timedelta(hours=1)
    jitter: float = 0.2

    def plan(self) -> RetryPlan:
        """As a signature has it. raises   ValueError"""
        if isinstance(self.times, bool) or not 0 < self.times <= RETRY_TIMES_MAX:
            raise ValueError(f"Retry has times= from 1 to {RETRY_TIMES_MAX}, not {self.times!r}")
        if not timedelta(0) <= self.first <= self.most <= timedelta(days=30):
            raise ValueError("Retry waits first= before the second try, up to most=, 30 days")
        if not 1 <= self.factor <= 100 or not 0 <= self.jitter <= 1:
            raise ValueError("Retry has a factor= from 1 to 100, and a jitter= from 0 to 1")
        return RetryPlan(
            times=self.times,
            first_ms=whole_ms(self.first),
            factor=float(self.factor),
            most_ms=whole_ms(self.most),
            jitter=float(self.jitter),
        )


@dataclass(frozen=True, slots=True)
class _Job:
    """When a job runs, and what it replaces.

    scope   the mutation that schedules it, if it runs inside of another one
    """

    running: Running
    when: When
    key: str | None
    if_exists: IfExists
    scope: object = None

    def frame(self, f: Function[..., Any], args: Any, kwargs: Any) -> LaterFrame:
        if not isinstance(f, (MutationFunction, ActionFunction)):
            shown = f"a {f.kind}" if isinstance(f, Function) else repr(f)
            raise TypeError(f"ctx.later takes mutations and actions, not {shown}")
        if self.key is not None:
            check_text("key= of ctx.later", self.key)
        running = self.running
        name, encoded = running.program.encode_args(f, args, kwargs)
        return LaterFrame(
            call=running.call.call,
            id=running.new_id(),
            function=name,
            args=encoded,
            due_ms=due_ms(self.when, running.call.now_ms),
            key=self.key,
            is_kept=self.if_exists == "keep",
        )


class Later(_Job):
    """A job of a mutation: it is made if the mutation is committed."""

    def run(
        self, f: MutationFunction[P, R] | ActionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> str:
        """Note that `f` is to run; returns the job's id, which `trice jobs` shows."""
        made = self.frame(f, args, kwargs)
        self.running.later(self.scope, made)
        return made.id


class LaterNow(_Job):
    """A job of an action: it is made when this is awaited."""

    async def run(
        self, f: MutationFunction[P, R] | ActionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> str:
        """Schedule `f`; it is durable when this returns the job's id."""
        made = self.frame(f, args, kwargs)
        await self.running.channel.later_now(made)
        return made.id


def due_ms(when: When, now_ms: int) -> int:
    """When a job is due: after a while, at a time, or at once."""
    match when:
        case None:
            return now_ms
        case timedelta():
            return now_ms + max(whole_ms(when), 0)
        case datetime():
            if when.tzinfo is None:
                raise ValueError("ctx.later takes a time with a time zone, such as ctx.now has")
            return whole_ms(when - datetime(1970, 1, 1, tzinfo=UTC))
        case _:
            accepted = "a length of time, such as seconds(5), or a time"
            raise TypeError(f"ctx.later takes {accepted}, not {when!r:.60}")


def check_if_exists(given: str) -> IfExists:
    """raises   ValueError"""
    if given not in ("replace", "keep"):
        raise ValueError(f'if_exists is "replace" or "keep", not {given!r}')
    return "keep" if given == "keep" else "replace"
