"""A function of an app, and the failure that it tells its callers of. No I/O."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar, overload

from trice.functions.signature import KINDS_SHOWN, Kind

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class FunctionError(Exception):
    """A failure that callers are told of as it is.

    code      what programs tell it by: "not-a-member"
    message   a sentence for people
    data      for programs: JSON, or what has a form in it here (ids, dates, enums)
    status    of the HTTP answer, 400 to 599
    """

    def __init__(
        self, code: str, message: str = "", *, data: Any = None, status: int | None = None
    ) -> None:
        super().__init__(message or code)
        for name, given in (("code", code), ("message", message)):
            if not isinstance(given, str):
                raise TypeError(f"The {name} of a FunctionError is a text, not {given!r:.60}")
        if status is not None and not (isinstance(status, int) and 400 <= status <= 599):
            raise ValueError(f"The status of a FunctionError is 400 to 599, not {status!r}")
        self.code = code
        self.message = message or code
        self.data = data
        self.status = status


class Blocking:
    """Below it is each `ctx` of `trice.sync`, which plain functions take."""

    def call_async(self, body: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What an async function returns, once it has."""
        raise NotImplementedError


class Function(Generic[P, R]):
    """A function of an app. Called with a `ctx` it is a plain call; with that of the other sort it
    runs where it belongs, on the loop or on the thread of the call.

    body         what was written, with the decorators that stand below ours
    is_blocking  it is a plain `def`
    is_internal  only other functions, jobs and admins may call it
    options      what the decorator was told, by its words; `loading` checks it
    """

    kind: Kind

    def __init__(
        self, body: Callable[..., Any], *, is_internal: bool, options: dict[str, Any]
    ) -> None:
        if isinstance(body, Function):
            told = f"{body.__name__} is {KINDS_SHOWN[body.kind]} already"
            raise TypeError(f"{told}: one decorator of trice makes a function")
        self.body = body
        self.is_internal = is_internal
        self.options = options
        self.is_blocking = not inspect.iscoroutinefunction(inspect.unwrap(body))
        self.__doc__ = body.__doc__
        self.__module__ = body.__module__
        self.__name__: str = getattr(body, "__name__", type(body).__name__)

    @overload
    def __call__(self, ctx: Blocking, /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(
        self, ctx: Any, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    def __call__(self, ctx: Any, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        if self.is_blocking == isinstance(ctx, Blocking):
            return self.body(ctx, *args, **kwargs)
        if self.is_blocking:
            return ctx.call_blocking(self.body, args, kwargs)
        return ctx.call_async(self.body, args, kwargs)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.__module__}.{self.__name__}>"


class QueryFunction(Function[P, R]):
    """What `@query` makes: it reads, and clients may watch it."""

    kind: Kind = "query"


class MutationFunction(Function[P, R]):
    """What `@mutation` makes: one transaction."""

    kind: Kind = "mutation"


class ActionFunction(Function[P, R]):
    """What `@action` makes: it may use the outside world, and has no transaction."""

    kind: Kind = "action"


class EndpointFunction(Function[P, R]):
    """What `@http.post` makes: an action that answers HTTP requests as they come. No function
    calls it, and no client does by its name."""

    kind: Kind = "endpoint"
