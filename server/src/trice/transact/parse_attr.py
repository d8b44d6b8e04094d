"""An attr as JSON (instant-realtime §4) → Attr. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, cast

from trice.catalog.attr import CHECKED_TYPES, Attr, AttrName
from trice.catalog.check import check_name
from trice.errors import InvalidInput, invalid
from trice.protocol.ids import AttrId, find_uuid_bytes, uuid_text

_FLAGS: Final = {"unique?": "is_unique", "index?": "is_indexed", "required?": "is_required"}


class AttrReader:
    """Reads one attr; holds its place in the input, for errors.

    data_type   what errors name: "tx-steps" or "steps"
    path        the path of the attr's object in the input
    """

    def __init__(self, raw: Any, *, data_type: str, path: list[Any]) -> None:
        self._data_type = data_type
        self._path = path
        if not isinstance(raw, dict):
            raise self._malformed(raw, "map?", [], "An attr must be an object.")
        self._raw: dict[str, Any] = raw

    def attr(self) -> Attr:
        """Read a whole attr, as `add-attr` carries it."""
        value_type = self._choice("value-type", ("blob", "ref"), default=None)
        cardinality = self._choice("cardinality", ("one", "many"), default=None)
        is_ref = value_type == "ref"
        if not is_ref and cardinality != "one":
            raise self._malformed(
                cardinality,
                "one",
                ["cardinality"],
                "A field has cardinality one; links may be many.",
            )
        forward = self._identity("forward-identity")
        reverse = self._identity("reverse-identity") if is_ref else None
        self._check_labels(forward, reverse, is_ref=is_ref)
        checked = self._raw.get("checked-data-type")
        if checked is not None:
            self._choice("checked-data-type", CHECKED_TYPES, default=None)
        return Attr(
            id=self.id(),
            forward=forward,
            reverse=reverse,
            value_type=cast(Any, value_type),
            cardinality=cast(Any, cardinality),
            is_unique=self._flag("unique?"),
            is_indexed=self._flag("index?"),
            is_required=self._flag("required?"),
            checked_type=None if is_ref else checked,
            on_delete=self._cascade("on-delete") if is_ref else None,
            on_delete_reverse=self._cascade("on-delete-reverse") if is_ref else None,
        )

    def id(self) -> AttrId:
        """Read its id."""
        return self.read_id(self._raw.get("id"), ["id"])

    def is_unsynced(self) -> bool:
        """Whether a client invented it."""
        return self._raw.get("isUnsynced") is True

    def changes(self) -> dict[str, Any]:
        """Read the changes that `update-attr` carries: only the keys that are there."""
        readers: dict[str, tuple[str, Callable[[str], Any]]] = {
            "forward-identity": ("forward", self._identity),
            "reverse-identity": ("reverse", self._nullable(self._identity)),
            "value-type": (
                "value_type",
                lambda key: self._choice(key, ("blob", "ref"), default=None),
            ),
            "cardinality": (
                "cardinality",
                lambda key: self._choice(key, ("one", "many"), default=None),
            ),
            "checked-data-type": (
                "checked_type",
                self._nullable(lambda key: self._choice(key, CHECKED_TYPES, default=None)),
            ),
            "on-delete": ("on_delete", self._cascade),
            "on-delete-reverse": ("on_delete_reverse", self._cascade),
            **{key: (field, self._flag) for key, field in _FLAGS.items()},
        }
        return {field: read(key) for key, (field, read) in readers.items() if key in self._raw}

    def read_id(self, raw: Any, path: list[Any]) -> AttrId:
        """Read a uuid that stands at `path` inside the attr."""
        found = find_uuid_bytes(raw)
        if found is None:
            raise self._malformed(raw, "uuid?", path, "An attr's ids must be uuids.")
        return AttrId(uuid_text(found))

    def _nullable(self, read: Callable[[str], Any]) -> Callable[[str], Any]:
        return lambda key: None if self._raw[key] is None else read(key)

    def _identity(self, key: str) -> AttrName:
        raw = self._raw.get(key)
        if not isinstance(raw, list) or len(raw) != 3:
            message = f"`{key}` must be [uuid, namespace, label]."
            raise self._malformed(raw, "coll?", [key], message)
        ident = self.read_id(raw[0], [key, 0])
        path = [*self._path, key]
        etype = check_name(raw[1], what="namespace", data_type=self._data_type, path=[*path, 1])
        label = check_name(raw[2], what="label", data_type=self._data_type, path=[*path, 2])
        return AttrName(ident, etype, label)

    def _check_labels(self, forward: AttrName, reverse: AttrName | None, *, is_ref: bool) -> None:
        if "id" in ((forward.label if is_ref else ""), (reverse.label if reverse else "")):
            message = "A link cannot be called `id`: that is the entity's own id."
            raise self._malformed("id", "name?", [], message)
        if reverse is not None and reverse.name == forward.name:
            message = f"Both sides of the link are called `{forward.etype}.{forward.label}`."
            raise self._malformed(forward.label, "name?", ["reverse-identity"], message)

    def _choice(self, key: str, allowed: tuple[str, ...], *, default: str | None) -> str:
        raw = self._raw.get(key, default)
        if not isinstance(raw, str) or raw not in allowed:
            message = f"`{key}` must be one of {', '.join(allowed)}."
            raise self._malformed(raw, "contains?", [key], message)
        return raw

    def _flag(self, key: str) -> bool:
        raw = self._raw.get(key)
        if raw is not None and not isinstance(raw, bool):
            raise self._malformed(raw, "boolean?", [key], f"`{key}` must be true or false.")
        return raw is True

    def _cascade(self, key: str) -> Literal["cascade"] | None:
        raw = self._raw.get(key)
        if raw is not None and raw != "cascade":
            raise self._malformed(raw, "cascade", [key], f'`{key}` must be "cascade" or null.')
        return "cascade" if raw else None

    def _malformed(self, given: Any, expected: str, path: list[Any], message: str) -> InvalidInput:
        where = [*self._path, *path]
        return invalid(
            self._data_type, given, [{"expected": expected, "in": where, "message": message}]
        )
