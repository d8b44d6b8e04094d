"""`typed.tx[Message][id].update({…})`: chunks by names of Python. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from trice_client._errors import TriceError
from trice_client._plain import plain
from trice_client._tx import Chunk, EntityId, Lookup, new_id
from trice_client._typed.model import MISSING, Entity, Field, ids_of, taken_apart
from trice_client._typed.shapes import Shapes

_LINKING = frozenset(("link", "unlink"))


class TypedTx:
    """`db.tx` with classes: `typed.tx[Message][new_id()].create({"text": "Hi"})` is for `transact`.

    Names are those of the class. A name that it lacks is `name-unknown`, a value that its hint
    refuses `value-malformed`. `create` fills in what the schema has defaults for.
    """

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def __getitem__(self, cls: type) -> TypedEntities:
        return TypedEntities(self._shapes, self._shapes.model.get(cls))

    def __repr__(self) -> str:
        return f"typed({self._shapes.model.schema.__name__}).tx"


class TypedEntities:
    """The entities of one class, by id, lookup or row."""

    def __init__(self, shapes: Shapes, entity: Entity) -> None:
        self._shapes = shapes
        self._entity = entity

    def __getitem__(self, entity: EntityId | object) -> Chunk:
        named = entity if isinstance(entity, str | UUID | Lookup) else getattr(entity, "id", None)
        if named is None:
            cls = self._entity.cls.__name__
            told = f"tx[{cls}] takes an id, a lookup or a row, not {entity!r}."
            hint = {"path": [self._entity.etype], "expected": "str, UUID, lookup(attr, value), row"}
            raise TriceError("transaction-malformed", told, hint=hint)
        return TypedChunk(self._entity.etype, str(named)).of(self._shapes, self._entity)

    def lookup(self, name: str, value: Any) -> Chunk:
        """The entity that has this value in a unique attribute."""
        return self[Lookup(self._entity.label(name, ("lookup",)), value)]


class TypedChunk(Chunk):
    """A chunk whose names are those of a class."""

    __slots__ = ("_known", "_shapes")
    _known: Entity
    _shapes: Shapes

    def of(self, shapes: Shapes, known: Entity) -> TypedChunk:
        """The same, of a class."""
        self._shapes, self._known = shapes, known
        return self

    def link(self, targets: Mapping[str, Any]) -> Chunk:
        """Links by their names: an id, a lookup or a row, or several in a list."""
        return super().link({name: ids_of(target) for name, target in targets.items()})

    def unlink(self, targets: Mapping[str, Any]) -> Chunk:
        """Takes links away."""
        return super().unlink({name: ids_of(target) for name, target in targets.items()})

    def _with(self, action: str, values: Mapping[str, Any], upsert: bool | None = None) -> Chunk:
        if isinstance(values, Mapping) and action not in ("ruleParams", "delete"):
            values = self._labelled(action, values)
        made = super()._with(action, values, upsert)
        return TypedChunk(self._etype, self._entity, made.steps).of(self._shapes, self._known)

    def _labelled(self, action: str, values: Mapping[str, Any]) -> dict[str, Any]:
        known, path, made = self._known, (self._etype, action), dict[str, Any]()
        for name, value in values.items():
            label = known.label(name, path)
            if (name in known.links) != (action in _LINKING):
                told = "is a link: use `link`" if name in known.links else "is no link"
                hint = {"path": [*path, name]}
                raise TriceError("name-unknown", f"{known.cls.__name__}.{name} {told}.", hint=hint)
            field = known.fields.get(name)
            is_whole = action in ("create", "update") and field is not None and value is not None
            made[label] = self._checked(field, value, path) if is_whole and field else value
        if action == "create":
            for each in known.fields.values():
                if each.label not in made and each.default not in (MISSING, None):
                    made[each.label] = _filled(each.default)
        return made

    def _checked(self, field: Field, value: Any, path: tuple[str, ...]) -> Any:
        """A value as JSON. Dates are left to the server, which knows more forms of them."""
        made = plain(self._shapes.model.value(value), (*path, field.name))
        core, _ = taken_apart(field.hint)
        if isinstance(core, type) and issubclass(core, datetime):
            return made
        try:
            msgspec.convert(made, self._shapes.bare(field.hint), dec_hook=lambda _, found: found)
        except msgspec.ValidationError as cause:
            told = f"{self._known.cls.__name__}.{field.name}: {cause}."
            hint = {"path": [*path, field.name], "expected": str(field.hint)}
            raise TriceError("value-malformed", told, hint=hint) from cause
        return made


def _filled(default: Any) -> Any:
    """What a schema says behind `=`: a value, `now` or `new_id`."""
    match getattr(default, "by", None):
        case "now":
            return datetime.now(UTC)
        case "new_id":
            return new_id()
        case _:
            return default
