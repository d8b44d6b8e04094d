"""The words of a `schema.py`. No I/O.

`reading` turns the classes into a schema document; `python` writes such classes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    Self,
    TypeVar,
    overload,
)

# --- classes --------------------------------------------------------------------------------------


class Namespace:
    """A kind of entity; each type hint is an attribute. `id` is there without being written.

    Functions get rows as instances of it: with its own attributes, and of each `One` the `id`.
    """

    if TYPE_CHECKING:  # it has the id of a row, which is no attribute of a file

        @property
        def id(self) -> Id[Self]: ...


class Users(Namespace):
    """The users of the app (`$users`). A class below it adds attributes, all of them optional."""

    if TYPE_CHECKING:  # the system's own attributes; a file does not repeat them
        email: str | None
        type: str | None
        imageURL: str | None


class Files(Namespace):
    """The files of the app (`$files`). A class below it adds attributes, all of them optional."""

    if TYPE_CHECKING:
        path: str
        size: int
        url: str | None


class Streams(Namespace):
    """The streams of the app (`$streams`). A class below it adds attributes, all optional."""

    if TYPE_CHECKING:
        clientId: str
        done: bool | None
        size: int | None
        abortReason: str | None


class Fields:
    """What a member of a room shows, or a message on a topic: type hints, as in a namespace."""


if TYPE_CHECKING:
    _S = TypeVar("_S", bound="Schema")
    _Asked = dict[str, Any]

    class _QueryWord:
        @overload
        def __get__(self, instance: None, owner: Any) -> Callable[[Mapping[str, Any]], _Asked]: ...
        @overload
        def __get__(
            self, instance: object, owner: Any
        ) -> Callable[[Mapping[str, Any]], Coroutine[Any, Any, _Asked]]: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...

    class _AsCallerWord:
        @overload
        def __get__(self, instance: None, owner: type[_S]) -> Callable[[], type[_S]]: ...
        @overload
        def __get__(self, instance: _S, owner: type[_S]) -> Callable[[], _S]: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...


class Schema:
    """The namespaces of an app. A file has one class below it: `todos: Table[Todo]`.

    It is also what functions know of `ctx.db`, which has the tables and these two methods.
    """

    if TYPE_CHECKING:
        # Of an instance, which functions with `async` have, and of the class: plain ones have that.
        query: _QueryWord
        as_caller: _AsCallerWord
    else:

        def query(self, query: Any) -> Any:
            """Answer an InstaQL query, as nested objects: for what the tables have no words for."""
            raise unbound()

        def as_caller(self) -> Any:
            """The same tables as the caller's rules show them; else a function sees everything."""
            raise unbound()


def unbound() -> TypeError:
    """The error of whoever reads from the class of a schema itself."""
    return TypeError("A schema is read through the `ctx.db` of a function")


N = TypeVar("N", bound=Namespace)
_Contra = TypeVar("_Contra", bound=Namespace, contravariant=True)


class _IdClass(type):
    """Ids are texts, so every text is an instance: which namespace is for checkers of types."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, str)


class Id(str, Generic[_Contra], metaclass=_IdClass):
    """The id of an entity, a uuid in lower case: `Id[Message]` is no `Id[Channel]`. At run time it
    is a plain text. The id of some `Users` is one of the class that adds to them."""

    __slots__ = ()

    def __new__(cls, value: str) -> Id[_Contra]:
        return str(value)  # type: ignore[return-value]


class One(Generic[N]):
    """A link to one entity: `owner: One[User] = link(back="todos")`. With `| None` it may lack."""

    if TYPE_CHECKING:

        @property
        def id(self) -> Id[N]: ...


class Many(Generic[N]):
    """Links to any number of entities: `tags: Many[Tag] = link(back="todos")`."""


# --- marks ----------------------------------------------------------------------------------------


class Indexed:
    """Annotated[datetime, Indexed]: it may be compared and ordered by."""


@dataclass(frozen=True, slots=True)
class Unique:
    """Annotated[str, Unique]: no two entities have the same value.

    indexed   False: it is not indexed as well, and cannot be ordered by
    """

    indexed: bool = True


@dataclass(frozen=True, slots=True)
class Label:
    """Annotated[str, Label("first-name")]: the name in the app, where it is no name in Python."""

    label: str


@dataclass(frozen=True, slots=True)
class Was:
    """Annotated[str, Was("name")]: what it was called; a push renames it, and values are kept."""

    label: str


@dataclass(frozen=True, slots=True)
class JsonMark:
    """Tells `Json` from `Any`."""


Json = Annotated[Any, JsonMark()]
"""Any JSON value. `Any` is an attribute that may have values of every type."""

# --- values ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fill:
    """A default that is made when an entity is created."""

    by: Literal["now", "new_id"]


now: Final[Any] = Fill("now")
"""The default of a date: the time at which the entity is created."""

new_id: Final[Any] = Fill("new_id")
"""The default of a text: an id of its own for each entity."""


@dataclass(frozen=True, slots=True)
class Link:
    """What `link` was told."""

    back: str
    back_one: bool
    on_delete: Literal["cascade"] | None
    on_delete_back: Literal["cascade"] | None
    required: bool
    was: str | None
    back_was: str | None


def link(
    *,
    back: str,
    back_one: bool = False,
    on_delete: Literal["cascade"] | None = None,
    on_delete_back: Literal["cascade"] | None = None,
    required: bool = False,
    was: str | None = None,
    back_was: str | None = None,
) -> Any:
    """Say what a link is called from the other side, and what deleting one end does.

    back             its name in the other namespace, where it leads to many
    back_one         it leads to one there
    on_delete        "cascade": deleting the other end deletes this entity; for `One`
    on_delete_back   "cascade": deleting this entity deletes the other end; with `back_one`
    required         a `Many` must have one entity at least; a `One` is required without `| None`
    was, back_was    what this end and the other one were called; a push renames them, and keeps
                     the links
    """
    return Link(back, back_one, on_delete, on_delete_back, required, was, back_was)


@dataclass(frozen=True, slots=True)
class Room:
    """A kind of room: what members show, and what is sent on its topics. Clients alone use it.

    rooms = {"chat": Room(presence=Cursor, topics={"emoji": Emoji})}
    """

    presence: type[Fields]
    topics: Mapping[str, type[Fields]] = field(default_factory=dict)
