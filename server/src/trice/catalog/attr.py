"""An attr: one field or link of a namespace. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from trice.protocol.ids import AttrId

ValueType = Literal["blob", "ref"]
Cardinality = Literal["one", "many"]
CheckedType = Literal["string", "number", "boolean", "date"]

CHECKED_TYPES: tuple[CheckedType, ...] = ("string", "number", "boolean", "date")

# Bit of each inferred type; the same numbers as Instant's catalog.
INFERRED_BITS: dict[str, int] = {"number": 1, "string": 2, "boolean": 4, "json": 8}

_PENDING: dict[str, str] = {
    "is_indexed": "indexing?",
    "is_unique": "setting-unique?",
    "checked_type": "checking-data-type?",
}
"""What clients are told of a job that is under way (instant-semantics §4.4)."""


@dataclass(frozen=True, slots=True)
class AttrName:
    """A name of an attr: `[ident id, namespace, label]` on the wire."""

    id: str
    etype: str
    label: str

    @property
    def name(self) -> tuple[str, str]:
        return (self.etype, self.label)


@dataclass(frozen=True, slots=True)
class Attr:
    """One field (`blob`) or link (`ref`), and its place in the store.

    forward      its name in the namespace that owns it
    reverse      refs only: the link seen from the target's namespace
    cardinality  of the forward side
    is_unique    blob: no two entities share a value; ref: a target has at most one source
    inferred     bits of the JSON types written so far (INFERRED_BITS)
    deleted_ms   when it was soft-deleted; then it is hidden from queries and clients
    pending      fields that a job is about to change, and their new values: stored values are being
                 brought into line, and new ones have to fit already (`apps.schema_jobs`)
    table        where the engine keeps it; all attrs of a namespace but `is_pairs` share one table
    column       its place in the table; only the engine reads `table` and `column`
    number       names it in the log; chosen with its place, 1 or more, never given to another attr

    The rest is computed once from these, because writes and reads need it for every value.

    is_pairs     a link of cardinality many: stored as pairs; every other attr is a cell of a row
    fills_null   null is stored as NULL, as if it was never set; every indexed attr does so
    shows_null   a value that was never set shows as null
    is_bounded   values have to fit into an index
    is_needed    entities have to have a value
    wanted_type  what values have to be
    """

    id: AttrId
    forward: AttrName
    reverse: AttrName | None
    value_type: ValueType
    cardinality: Cardinality
    is_unique: bool = False
    is_indexed: bool = False
    is_required: bool = False
    checked_type: CheckedType | None = None
    on_delete: Literal["cascade"] | None = None
    on_delete_reverse: Literal["cascade"] | None = None
    inferred: int = 0
    is_system: bool = False
    deleted_ms: int | None = None
    metadata: Mapping[str, Any] | None = field(default=None, compare=False)
    pending: tuple[tuple[str, bool | CheckedType | None], ...] = ()
    table: str = field(default="", compare=False)
    column: str = field(default="", compare=False)
    number: int = field(default=0, compare=False)
    etype: str = field(init=False, default="", repr=False, compare=False)
    label: str = field(init=False, default="", repr=False, compare=False)
    is_ref: bool = field(init=False, default=False, repr=False, compare=False)
    is_id: bool = field(init=False, default=False, repr=False, compare=False)
    is_pairs: bool = field(init=False, default=False, repr=False, compare=False)
    fills_null: bool = field(init=False, default=False, repr=False, compare=False)
    shows_null: bool = field(init=False, default=False, repr=False, compare=False)
    is_bounded: bool = field(init=False, default=False, repr=False, compare=False)
    is_needed: bool = field(init=False, default=False, repr=False, compare=False)
    wanted_type: CheckedType | None = field(init=False, default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        is_ref = self.value_type == "ref"
        put = partial(object.__setattr__, self)
        put("etype", self.forward.etype)
        put("label", self.forward.label)
        put("is_ref", is_ref)
        put("is_id", not is_ref and self.forward.label == "id")
        put("is_pairs", is_ref and self.cardinality == "many")
        pending = dict(self.pending)
        put("fills_null", self.is_indexed or pending.get("is_indexed") is True)
        put("shows_null", self.is_indexed or "is_indexed" in pending)
        put("is_bounded", self.fills_null or self.is_unique or pending.get("is_unique") is True)
        put("is_needed", self.is_required or pending.get("is_required") is True)
        put("wanted_type", pending.get("checked_type") or self.checked_type)

    @property
    def name(self) -> str:
        """`etype.label`, as error messages write it."""
        return f"{self.forward.etype}.{self.forward.label}"

    @property
    def is_sortable(self) -> bool:
        """Whether `order` and comparison operators work on it (instant-semantics §2.3)."""
        return (
            self.is_indexed
            and self.checked_type is not None
            and self.cardinality == "one"
            and not self.is_ref
        )

    def wire(self) -> dict[str, Any]:
        """The attr as clients receive it (instant-realtime §4)."""
        body: dict[str, Any] = {
            "id": self.id,
            "forward-identity": [self.forward.id, self.forward.etype, self.forward.label],
            "value-type": self.value_type,
            "cardinality": self.cardinality,
            "unique?": self.is_unique,
            "index?": self.is_indexed,
            "required?": self.is_required,
            "inferred-types": [name for name, bit in INFERRED_BITS.items() if self.inferred & bit]
            or None,
            "catalog": "system" if self.is_system else "user",
        }
        if self.reverse is not None:
            body["reverse-identity"] = [self.reverse.id, self.reverse.etype, self.reverse.label]
        if self.checked_type is not None:
            body["checked-data-type"] = self.checked_type
        if self.on_delete is not None:
            body["on-delete"] = self.on_delete
        if self.on_delete_reverse is not None:
            body["on-delete-reverse"] = self.on_delete_reverse
        for name, _ in self.pending:
            if name in _PENDING:
                body[_PENDING[name]] = True
        if self.metadata is not None:
            body["metadata"] = dict(self.metadata)
        return body
