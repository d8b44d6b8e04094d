"""Functions that run by themselves: `@cron` and `@every`. No I/O.

    @cron("30 2 * * *", tz="Europe/Berlin", missed="once")
    async def sweep(ctx: Mutation[Db]) -> None: ...

    @every(minutes(5))
    async def poll(ctx: Action[Db]) -> None: ...

The type of `ctx` says whether it is a mutation or an action. They are internal.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, cast, overload

from trice.functions import blocking
from trice.functions.contexts import Action, Mutation
from trice.functions.durations import whole_ms
from trice.functions.function import ActionFunction, Function, MutationFunction
from trice.functions.later import Retry
from trice.functions.signature import Missed, Schedule

P = ParamSpec("P")
R = TypeVar("R")
_OfMutation = Callable[Concatenate[Mutation[Any, Any], P], Coroutine[Any, Any, R]]
_OfAction = Callable[Concatenate[Action[Any, Any], P], Coroutine[Any, Any, R]]
_OfPlainMutation = Callable[Concatenate[blocking.Mutation[Any, Any], P], R]
_OfPlainAction = Callable[Concatenate[blocking.Action[Any, Any], P], R]
_KINDS: Final[dict[str, Any]] = {"Mutation": MutationFunction, "Action": ActionFunction}


class _Timed(Protocol):
    @overload
    def __call__(self, body: _OfMutation[P, R], /) -> MutationFunction[P, R]: ...
    @overload
    def __call__(self, body: _OfAction[P, R], /) -> ActionFunction[P, R]: ...
    @overload
    def __call__(self, body: _OfPlainMutation[P, R], /) -> MutationFunction[P, R]: ...
    @overload
    def __call__(self, body: _OfPlainAction[P, R], /) -> ActionFunction[P, R]: ...
    def __call__(self, body: Any, /) -> Any: ...


def cron(
    expression: str,
    /,
    *,
    tz: str = "UTC",
    missed: Missed = "once",
    retry: Retry | None = None,
    timeout: float | None = None,
) -> _Timed:
    """Make a function that runs at the times of an expression of cron (Debian's rules).

    tz       of the expression; a time that summer time leaves out is run at the jump, one that
             happens twice is run once
    missed   times at which no server ran: "once" (the latest of them), "skip", or "all" (the
             newest hundred, oldest first)
    """
    if not isinstance(expression, str):
        raise TypeError('@cron takes an expression: @cron("30 2 * * *")')
    return _timed(Schedule(cron=expression, tz=tz, missed=missed), retry, timeout)


def every(
    period: timedelta,
    /,
    *,
    missed: Missed = "once",
    retry: Retry | None = None,
    timeout: float | None = None,
) -> _Timed:
    """Make a function that runs every so often, counted from when it was deployed."""
    if not isinstance(period, timedelta):
        raise TypeError("@every takes a length of time: @every(minutes(5))")
    return _timed(Schedule(every_ms=whole_ms(period), missed=missed), retry, timeout)


def _timed(schedule: Schedule, retry: Retry | None, timeout: float | None) -> _Timed:
    options: dict[str, Any] = {"schedule": schedule}
    options |= {} if retry is None else {"retry": retry}
    options |= {} if timeout is None else {"timeout": timeout}

    def made(body: Any) -> Any:
        made_alone = kind_of(body, "@cron and @every stand alone")
        return made_alone(body, is_internal=True, options=options)

    return cast(_Timed, made)


def kind_of(body: Any, alone: str) -> Any:
    """By the hint of its `ctx`, which may be a text. What is neither is told when it is loaded.

    alone    told of what is a function already
    """
    if isinstance(body, Function):
        raise TypeError(f"{alone}: without @mutation or @action")
    parameters = list(inspect.signature(body).parameters.values())
    hint = parameters[0].annotation if parameters else None
    shown = hint if isinstance(hint, str) else getattr(hint, "__origin__", hint)
    name = shown if isinstance(shown, str) else getattr(shown, "__name__", "")
    return _KINDS.get(name.partition("[")[0].rpartition(".")[2], MutationFunction)
