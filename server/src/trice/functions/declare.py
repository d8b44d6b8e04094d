"""What makes a function of an app: `@query`, `@mutation`, `@action`, and what they may be told.

    @mutation(auth="user", rate="10/minute per user")
    async def send(ctx: Mutation[Db], channel: Id[Channel], text: str) -> Id[Message]: ...

A decorator only notes what it was told; `loading` checks that, with everything else. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Concatenate, Final, NoReturn, ParamSpec, Protocol, TypeVar, overload

from trice.functions import blocking
from trice.functions.contexts import Action, Mutation, Query
from trice.functions.function import ActionFunction, MutationFunction, QueryFunction
from trice.functions.later import Retry
from trice.functions.signature import Auth

P = ParamSpec("P")
R = TypeVar("R")
_OfQuery = Callable[Concatenate[Query[Any, Any], P], Coroutine[Any, Any, R]]
_OfPlainQuery = Callable[Concatenate[blocking.Query[Any, Any], P], R]
_OfMutation = Callable[Concatenate[Mutation[Any, Any], P], Coroutine[Any, Any, R]]
_OfPlainMutation = Callable[Concatenate[blocking.Mutation[Any, Any], P], R]
_OfAction = Callable[Concatenate[Action[Any, Any], P], Coroutine[Any, Any, R]]
_OfPlainAction = Callable[Concatenate[blocking.Action[Any, Any], P], R]


class _QueryMaker(Protocol):
    @overload
    def __call__(self, body: _OfQuery[P, R], /) -> QueryFunction[P, R]: ...
    @overload
    def __call__(self, body: _OfPlainQuery[P, R], /) -> QueryFunction[P, R]: ...
    def __call__(self, body: Any, /) -> Any: ...


class _MutationMaker(Protocol):
    @overload
    def __call__(self, body: _OfMutation[P, R], /) -> MutationFunction[P, R]: ...
    @overload
    def __call__(self, body: _OfPlainMutation[P, R], /) -> MutationFunction[P, R]: ...
    def __call__(self, body: Any, /) -> Any: ...


class _ActionMaker(Protocol):
    @overload
    def __call__(self, body: _OfAction[P, R], /) -> ActionFunction[P, R]: ...
    @overload
    def __call__(self, body: _OfPlainAction[P, R], /) -> ActionFunction[P, R]: ...
    def __call__(self, body: Any, /) -> Any: ...


class _QueryWord:
    def __init__(self, *, is_internal: bool) -> None:
        self._is_internal = is_internal

    @overload
    def __call__(self, body: _OfQuery[P, R], /) -> QueryFunction[P, R]: ...
    @overload
    def __call__(self, body: _OfPlainQuery[P, R], /) -> QueryFunction[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        auth: Auth | None = None,
        rate: str | None = None,
        timeout: float | None = None,
        also: str | Iterable[str] = (),
        ignores: str | Iterable[str] = (),
    ) -> _QueryMaker: ...
    def __call__(self, *body: Any, **options: Any) -> Any:
        """Make a function that reads: from one snapshot, live for clients that watch it.

        auth     who may call it: "user", "admin", "optional", "none"; anybody unless told
        rate     how often: "10/minute per user", per ip, app or an argument
        timeout  seconds
        also     names it had once, and is still called by
        ignores  arguments it had once: they are dropped
        """
        return _made(QueryFunction, body, options, is_internal=self._is_internal)


class _MutationWord:
    def __init__(self, *, is_internal: bool) -> None:
        self._is_internal = is_internal

    @overload
    def __call__(self, body: _OfMutation[P, R], /) -> MutationFunction[P, R]: ...
    @overload
    def __call__(self, body: _OfPlainMutation[P, R], /) -> MutationFunction[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        auth: Auth | None = None,
        rate: str | None = None,
        timeout: float | None = None,
        also: str | Iterable[str] = (),
        ignores: str | Iterable[str] = (),
    ) -> _MutationMaker: ...
    def __call__(self, *body: Any, **options: Any) -> Any:
        """Make a function that is one transaction. Options as of `query`."""
        return _made(MutationFunction, body, options, is_internal=self._is_internal)


class _ActionWord:
    def __init__(self, *, is_internal: bool) -> None:
        self._is_internal = is_internal

    @overload
    def __call__(self, body: _OfAction[P, R], /) -> ActionFunction[P, R]: ...
    @overload
    def __call__(self, body: _OfPlainAction[P, R], /) -> ActionFunction[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        auth: Auth | None = None,
        rate: str | None = None,
        timeout: float | None = None,
        retry: Retry | None = None,
        isolated: bool = False,
        also: str | Iterable[str] = (),
        ignores: str | Iterable[str] = (),
    ) -> _ActionMaker: ...
    def __call__(self, *body: Any, **options: Any) -> Any:
        """Make a function that may use the outside world. Options as of `query`, and

        retry     how its jobs are tried again; without it they run at most once
        isolated  each call has a process for itself: no other ends with it, nor it with another
        """
        return _made(ActionFunction, body, options, is_internal=self._is_internal)


def _made(cls: Any, body: Any, options: dict[str, Any], *, is_internal: bool) -> Any:
    if body:
        return cls(*body, is_internal=is_internal, options=options)
    return lambda body: cls(body, is_internal=is_internal, options=options)


class _Internal:
    """Functions that only other functions, jobs and admins call: `@internal.mutation`."""

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        told = "@internal.query, @internal.mutation or @internal.action"
        raise TypeError(f"@internal says no kind: write {told}")

    query: Final = _QueryWord(is_internal=True)
    mutation: Final = _MutationWord(is_internal=True)
    action: Final = _ActionWord(is_internal=True)


query: Final = _QueryWord(is_internal=False)
mutation: Final = _MutationWord(is_internal=False)
action: Final = _ActionWord(is_internal=False)
internal: Final = _Internal()
