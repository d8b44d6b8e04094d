"""What hooks are written with, and are given: `@on_change` and `Change`. No I/O.

    @on_change(Message, create=True, update=["text"])
    async def arrived(ctx: Action[Db], change: Change[Message]) -> None: ...

The type of `ctx` says whether it is a mutation or an action. Hooks are internal.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, Literal, Protocol, TypeVar, cast, overload

import msgspec

from trice.functions import blocking
from trice.functions.channel import RefusedError
from trice.functions.contexts import Action, Mutation
from trice.functions.crons import kind_of
from trice.functions.function import ActionFunction, MutationFunction
from trice.functions.shapes import Shape
from trice.functions.signature import HookPlan
from trice.schema.declare import Id, Namespace

N = TypeVar("N", bound=Namespace)
ChangeKind = Literal["created", "updated", "deleted"]
_OfMutation = Callable[[Mutation[Any, Any], "Change[N]"], Coroutine[Any, Any, None]]
_OfAction = Callable[[Action[Any, Any], "Change[N]"], Coroutine[Any, Any, None]]
_OfPlainMutation = Callable[[blocking.Mutation[Any, Any], "Change[N]"], None]
_OfPlainAction = Callable[[blocking.Action[Any, Any], "Change[N]"], None]


@dataclass(frozen=True, slots=True)
class Change(Generic[N]):
    """One row that a transaction changed, as the log has it.

    before    the row before; None: it was created. Of an updated row only what changed: anything
              else raises `not-loaded`
    after     the row after; None: it was deleted. Of an updated row only what changed
    changed   names of the attributes and links that changed; of a created or deleted row none
    tx, time  the transaction, and when it was
    """

    id: Id[N]
    kind: ChangeKind
    before: N | None
    after: N | None
    changed: frozenset[str]
    tx: int
    time: datetime


class _Follows(Protocol[N]):
    @overload
    def __call__(self, body: _OfMutation[N], /) -> MutationFunction[[Change[N]], None]: ...
    @overload
    def __call__(self, body: _OfAction[N], /) -> ActionFunction[[Change[N]], None]: ...
    @overload
    def __call__(self, body: _OfPlainMutation[N], /) -> MutationFunction[[Change[N]], None]: ...
    @overload
    def __call__(self, body: _OfPlainAction[N], /) -> ActionFunction[[Change[N]], None]: ...
    def __call__(self, body: Any, /) -> Any: ...


def on_change(
    namespace: type[N],
    /,
    *,
    create: bool = False,
    update: bool | Iterable[str] = False,
    delete: bool = False,
    stop: bool = False,
    timeout: float | None = None,
    also: str | Iterable[str] = (),
) -> _Follows[N]:
    """Make a function that runs after each commit that changes a row of a namespace, in order.

    update    True: whatever changed; or names of attributes and links, of which one changed
    stop      after ten failures it waits at the change that fails, instead of parking it
    timeout   seconds
    also      names it had once: under a new one it goes on where it was
    """
    options: dict[str, Any] = {"on_change": Wanted(namespace, create, update, delete, stop)}
    options |= {} if timeout is None else {"timeout": timeout}
    options |= {"also": also} if also else {}

    def made(body: Any) -> Any:
        return kind_of(body, "@on_change stands alone")(body, is_internal=True, options=options)

    return cast("_Follows[N]", made)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `@on_change` was told, not checked yet."""

    namespace: Any
    create: Any
    update: Any
    delete: Any
    stop: Any

    def plan(self, shape: Shape) -> HookPlan:
        """The same by labels. raises   ValueError"""
        for word in ("create", "delete", "stop"):
            if not isinstance(getattr(self, word), bool):
                raise ValueError(f"{word}= is True or False, not {getattr(self, word)!r}")
        labels: tuple[str, ...] | None = ()
        if self.update is True:
            labels = None
        elif self.update is not False:
            named = self.update
            if isinstance(named, str) or not isinstance(named, Iterable):
                raise ValueError(f"update= is True, or a list of names, not {named!r}")
            labels = tuple(sorted({self._label(shape, each) for each in named}))
        if not (self.create or self.delete or labels is None or labels):
            raise ValueError("it follows nothing: say create=True, update=True or delete=True")
        return HookPlan(
            namespace=shape.entity.etype,
            create=self.create,
            update=labels,
            delete=self.delete,
            stop=self.stop,
        )

    def _label(self, shape: Shape, name: Any) -> str:
        names = _labels(shape)
        if name in names:
            return names[name]
        etype = shape.entity.etype
        if shape.entity.link(name) is not None:
            told = "leads to several rows: that is no change of the row itself"
            raise ValueError(f"{etype}.{name} {told}")
        raise ValueError(f"{etype} has no attribute {name!r}. It has {', '.join(names)}")


# --- what the server sends ------------------------------------------------------------------------


class SentChange(msgspec.Struct, forbid_unknown_fields=True, rename={"time_ms": "time"}):
    """A change in JSON. Rows are by labels; those of an updated row have what changed.

    changed   labels
    time_ms   by the wall clock
    """

    id: str
    kind: ChangeKind
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    changed: list[str]
    tx: int
    time_ms: int


class ChangeReader:
    """Makes changes of one namespace from what the server sent.

    shape   of its rows
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._names = {label: name for name, label in _labels(shape).items()}
        struct: Any = shape.struct
        fields: list[Any] = [
            (each.name, each.type | None, None)
            for each in msgspec.structs.fields(struct)
            if each.name != "id"
        ]
        self._part: Any = msgspec.defstruct(
            struct.__name__,
            fields,
            bases=(struct,),
            kw_only=True,
            module=struct.__module__,
            namespace={"__doc__": struct.__doc__, "__repr__": _shown, "__getattr__": _refuse},
        )

    def read(self, sent: SentChange) -> Change[Any]:
        """raises   RefusedError("bad-args") when a row does not fit its class any more"""
        names = [self._names[label] for label in sent.changed if label in self._names]
        try:
            return Change(
                Id(sent.id),
                sent.kind,
                self._row(sent, sent.before, names),
                self._row(sent, sent.after, names),
                frozenset(names),
                sent.tx,
                datetime.fromtimestamp(sent.time_ms / 1000, UTC),
            )
        except TypeError as failure:
            raise RefusedError("bad-args", str(failure), {"path": ["change"]}) from None

    def _row(self, sent: SentChange, raw: dict[str, Any] | None, names: Sequence[str]) -> Any:
        if raw is None:
            return None
        raw["id"] = sent.id
        if sent.kind != "updated":
            return self._shape.made([raw])[0]
        self._shape.change(raw)
        try:
            row = msgspec.convert(raw, self._part)
        except msgspec.ValidationError as failure:
            told = f"A change of {self._shape.entity.etype} does not fit its class: {failure}"
            raise TypeError(told) from None
        for name in self._part.__struct_fields__:
            if name != "id" and name not in names:
                delattr(row, name)
        return row


def followed(hint: Any) -> Any:
    """The namespace of `Change[NAMESPACE]`; None for another hint."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Change else None


def _labels(shape: Shape) -> dict[str, str]:
    """Labels by names, of what a change of a row may tell."""
    own = {name: label for name, label, _ in shape.own}
    return own | {each.name: each.link.label for each in shape.below}


_INNER: Final = "__"


def _refuse(row: Any, name: str) -> Any:
    if name.startswith(_INNER):
        raise AttributeError(name)
    told = "did not change, and the log tells what changed. Read the row by its id."
    raise RefusedError("not-loaded", f"{name} {told}", {"name": name})


def _shown(row: Any) -> str:
    known = [name for name in type(row).__struct_fields__ if _has(row, name)]
    return f"{type(row).__name__}({', '.join(f'{name}={getattr(row, name)!r}' for name in known)})"


def _has(row: Any, name: str) -> bool:
    try:
        object.__getattribute__(row, name)
    except AttributeError:
        return False
    return True
