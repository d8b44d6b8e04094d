"""`tx.todos[id].update({…})`: calls → steps of `/admin/transact`. No I/O.

source   instant-http §3.3; spec/transact.md T90-T101
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, cast
from uuid import UUID

from trice_client import _json
from trice_client._errors import TriceError
from trice_client._json import is_mapping
from trice_client._plain import plain


def new_id() -> str:
    """A new id of an entity: a random UUID as text."""
    return str(uuid.uuid4())


class Lookup:
    """Names an entity by the value of a unique attr, in the place of its id."""

    __slots__ = ("attr", "value")

    def __init__(self, attr: str, value: Any) -> None:
        self.attr = attr
        self.value = plain(value)

    def __str__(self) -> str:
        return f"lookup__{self.attr}__{_json.encode(self.value).decode()}"

    def __repr__(self) -> str:
        return f"lookup({self.attr!r}, {self.value!r})"


lookup = Lookup

EntityId = str | UUID | Lookup


class Chunk:
    """Steps on one entity, to be handed to `transact`. Every call returns a new chunk."""

    __slots__ = ("_entity", "_etype", "steps")

    def __init__(self, etype: str, entity: str, steps: tuple[list[Any], ...] = ()) -> None:
        self._etype = etype
        self._entity = entity
        self.steps = steps

    def create(self, values: Mapping[str, Any]) -> Chunk:
        """Makes the entity. It must not be there yet."""
        return self._with("create", values)

    def update(self, values: Mapping[str, Any], *, upsert: bool | None = None) -> Chunk:
        """Sets fields. Without `upsert=False` an entity that is missing is made."""
        return self._with("update", values, upsert)

    def merge(self, values: Mapping[str, Any], *, upsert: bool | None = None) -> Chunk:
        """Merges into stored objects, at any depth; None removes a key."""
        return self._with("merge", values, upsert)

    def increment(self, values: Mapping[str, float], *, upsert: bool | None = None) -> Chunk:
        """Adds to numbers, where they are stored: two who count at once both count."""
        return self._with("increment", values, upsert)

    def link(self, targets: Mapping[str, Any]) -> Chunk:
        """Links by label: an id, a lookup, or several in a list."""
        return self._with("link", _named(targets))

    def unlink(self, targets: Mapping[str, Any]) -> Chunk:
        """Takes links away."""
        return self._with("unlink", _named(targets))

    def delete(self) -> Chunk:
        """Deletes the entity."""
        return self._with("delete", {})

    def rule_params(self, values: Mapping[str, Any]) -> Chunk:
        """What rules read as `ruleParams` when they judge this entity."""
        return self._with("ruleParams", values)

    def _with(self, action: str, values: Mapping[str, Any], upsert: bool | None = None) -> Chunk:
        if not isinstance(values, Mapping):
            told = f"`{action}` takes a mapping of fields, not {type(values).__name__}."
            hint = {"path": [self._etype, action], "expected": "a mapping"}
            raise TriceError("transaction-malformed", told, hint=hint)
        step = [action, self._etype, self._entity, plain(values, (self._etype, action))]
        if upsert is not None:
            step.append({"upsert": upsert})
        return Chunk(self._etype, self._entity, (*self.steps, step))

    def __repr__(self) -> str:
        calls = "".join(f".{step[0]}({step[3]!r})" for step in self.steps)
        return f"tx[{self._etype!r}][{self._entity!r}]{calls}"


class Entities:
    """The entities of one namespace, by id or lookup."""

    __slots__ = ("_etype",)

    def __init__(self, etype: str) -> None:
        self._etype = etype

    def __getitem__(self, entity: EntityId) -> Chunk:
        if not isinstance(entity, str | UUID | Lookup):
            told = f"tx[{self._etype!r}] takes an id or a lookup, not {entity!r}."
            hint = {"path": [self._etype], "expected": "str, UUID or lookup(attr, value)"}
            raise TriceError("transaction-malformed", told, hint=hint)
        return Chunk(self._etype, str(entity))

    def lookup(self, attr: str, value: Any) -> Chunk:
        """The entity that has this value in a unique attr."""
        return self[Lookup(attr, value)]


class Tx:
    """`tx.todos[id]`, and `tx["$users"][id]` for names that are none in Python."""

    __slots__ = ()

    def __getattr__(self, etype: str) -> Entities:
        if etype.startswith("__"):
            raise AttributeError(etype)
        return Entities(etype)

    def __getitem__(self, etype: str) -> Entities:
        return Entities(etype)

    def __repr__(self) -> str:
        return "tx"


tx = Tx()

Chunks = Chunk | Iterable[Chunk]


def steps_of(chunks: Chunks) -> list[list[Any]]:
    """The steps of what is handed to `transact`.

    raises   TriceError("transaction-malformed") for anything but chunks that say what to do
    """
    given = [chunks] if isinstance(chunks, Chunk) else list(chunks)
    for at, chunk in enumerate(given):
        if not isinstance(chunk, Chunk):
            told = f"`transact` takes what `tx` makes; {type(chunk).__name__} is at {at}."
            hint = {"path": [at], "expected": "tx.namespace[id].update({…})"}
            raise TriceError("transaction-malformed", told, hint=hint)
        if not chunk.steps:
            told = f"{chunk!r} says nothing to do: call update, link, delete and so on."
            raise TriceError("transaction-malformed", told, hint={"path": [at]})
    return [step for chunk in given for step in chunk.steps]


def _named(targets: Any) -> Any:
    """Lookups as the texts that the server reads. What is no mapping is refused by who sends it."""

    def text(target: Any) -> Any:
        if isinstance(target, list | tuple | set | frozenset):
            return [text(each) for each in cast(Iterable[Any], target)]
        return str(target) if isinstance(target, Lookup | UUID) else target

    if not is_mapping(targets):
        return targets
    return {label: text(target) for label, target in targets.items()}
