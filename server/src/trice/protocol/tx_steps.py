"""The steps of transactions as clients write them: the description that clients are generated from.

`transact/parse` and, for the admin API, `transact/admin` read steps, with error texts of their own.
A test holds both against these structs (P202). No I/O.

source   instant-semantics §3, instant-http §3.3, spec/transact.md
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Uuid = Annotated[str, Meta(pattern="^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
Label = Annotated[str, Meta(min_length=1)]
Subject = Annotated[
    str | list[Any],
    Meta(description="The uuid of an entity, or a lookup: [id of a unique attr, value] (T10-T20)."),
]
Name = tuple[Uuid, Label, Label]


class Options(msgspec.Struct):
    """What a step expects of the entity: nothing, that it does not exist, or that it does (T7)."""

    mode: Literal["create", "update", "upsert"] | None = None


class NewAttr(msgspec.Struct, rename="kebab"):
    """An attr to add. Keys that are not named here are ignored.

    forward_identity   [its own uuid, namespace, label]
    reverse_identity   links only: the name at the other end
    value_type         "blob" for a field, "ref" for a link
    cardinality        a field has "one"
    is_unsynced        the client made it up; it gives way to an attr that has its name (T73)
    """

    id: Uuid
    forward_identity: Name
    value_type: Literal["blob", "ref"]
    cardinality: Literal["one", "many"]
    is_unique: bool | None = msgspec.field(name="unique?", default=None)
    is_indexed: bool | None = msgspec.field(name="index?", default=None)
    is_required: bool | None = msgspec.field(name="required?", default=None)
    reverse_identity: Name | None = None
    checked_data_type: Literal["string", "number", "boolean", "date"] | None = None
    on_delete: Literal["cascade"] | None = None
    on_delete_reverse: Literal["cascade"] | None = None
    is_unsynced: bool | None = msgspec.field(name="isUnsynced", default=None)


class ChangedAttr(msgspec.Struct, rename="kebab"):
    """The id of an attr and the keys that change; other keys stay as they are (T78)."""

    id: Uuid
    forward_identity: Name | UnsetType = UNSET
    reverse_identity: Name | UnsetType | None = UNSET
    value_type: Literal["blob", "ref"] | UnsetType = UNSET
    cardinality: Literal["one", "many"] | UnsetType = UNSET
    is_unique: bool | UnsetType | None = msgspec.field(name="unique?", default=UNSET)
    is_indexed: bool | UnsetType | None = msgspec.field(name="index?", default=UNSET)
    is_required: bool | UnsetType | None = msgspec.field(name="required?", default=UNSET)
    checked_data_type: Literal["string", "number", "boolean", "date"] | UnsetType | None = UNSET
    on_delete: Literal["cascade"] | UnsetType | None = UNSET
    on_delete_reverse: Literal["cascade"] | UnsetType | None = UNSET


class _Array(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A step is an array that begins with its op."""


class AddTriple(_Array, tag="add-triple"):
    """Writes a field, or links: [op, subject, attr, value, options?]. The target of a link may be a
    lookup too."""

    subject: Subject
    attr: Uuid
    value: Any
    options: Options | None = None


class DeepMergeTriple(_Array, tag="deep-merge-triple"):
    """Merges an object into a field, key by key (T37): [op, subject, attr, value, options?]."""

    subject: Subject
    attr: Uuid
    value: Any
    options: Options | None = None


class IncrementTriple(_Array, tag="increment-triple"):
    """Adds a number to a field (T115): [op, subject, attr, number, options?]."""

    subject: Subject
    attr: Uuid
    value: float
    options: Options | None = None


class RetractTriple(_Array, tag="retract-triple"):
    """Removes a field or link if it has exactly this value (T40): [op, subject, attr, value]."""

    subject: Subject
    attr: Uuid
    value: Any
    options: Any = None


class DeleteEntity(_Array, tag="delete-entity"):
    """Deletes from one namespace, or from all (T22, T23): [op, subject, namespace?]."""

    subject: Subject
    etype: Label | None = None
    options: Any = None


class RuleParams(_Array, tag="rule-params"):
    """Gives rules their `ruleParams` for an entity: [op, subject, namespace, object]."""

    subject: Subject
    etype: Label
    params: dict[str, Any]
    options: Any = None


class AddAttr(_Array, tag="add-attr"):
    """Adds an attr; if it is there already with these properties, nothing changes (T70)."""

    attr: NewAttr
    options: Any = None


class UpdateAttr(_Array, tag="update-attr"):
    """Changes an attr; for admins."""

    attr: ChangedAttr
    options: Any = None


class DeleteAttr(_Array, tag="delete-attr"):
    """Hides an attr with its values (T82); for admins."""

    attr: Uuid
    options: Any = None


class RestoreAttr(_Array, tag="restore-attr"):
    """Brings a deleted attr back with its values (T82); for admins."""

    attr: Uuid
    options: Any = None


Step = (
    AddTriple
    | DeepMergeTriple
    | IncrementTriple
    | RetractTriple
    | DeleteEntity
    | RuleParams
    | AddAttr
    | UpdateAttr
    | DeleteAttr
    | RestoreAttr
)

# --- the admin API -------------------------------------------------------------------------------

Named = Annotated[
    str | list[Any] | dict[str, Any],
    Meta(
        description="The uuid of an entity, or a lookup: [attr, value], {attr: value} or the text"
        " lookup__attr__JSON (T93)."
    ),
]
Targets = Annotated[
    Any, Meta(extra_json_schema={"description": "By label: one entity or lookup, or several."})
]


class AdminOptions(msgspec.Struct):
    """With `upsert` false the entity must exist (T92)."""

    upsert: bool | None = None


class _Values(_Array):
    """A step of the admin API that writes values of one entity."""

    etype: Label
    subject: Named
    values: dict[Label, Any]
    options: AdminOptions | None = None


class Create(_Values, tag="create"):
    """Makes an entity: [op, namespace, id or lookup, {label: value}, options?]."""


class Update(_Values, tag="update"):
    """Writes fields and has-one links: [op, namespace, id or lookup, {label: value}, options?]."""


class Merge(_Values, tag="merge"):
    """Merges objects into fields (T37): [op, namespace, id or lookup, {label: value}, options?]."""


class Increment(_Array, tag="increment"):
    """Adds numbers to fields (T115): [op, namespace, id or lookup, {label: number}, options?]."""

    etype: Label
    subject: Named
    values: dict[Label, float]
    options: AdminOptions | None = None


class _Targets(_Array):
    """A step of the admin API about links of one entity."""

    etype: Label
    subject: Named
    targets: dict[Label, Targets]
    options: Any = None


class Link(_Targets, tag="link"):
    """Links: [op, namespace, id or lookup, {label: target or targets}]; labels of either side."""


class Unlink(_Targets, tag="unlink"):
    """Unlinks: [op, namespace, id or lookup, {label: target or targets}]."""


class Delete(_Array, tag="delete"):
    """Deletes an entity: [op, namespace, id or lookup]."""

    etype: Label
    subject: Named
    arguments: Any = None
    options: Any = None


class AdminRuleParams(_Array, tag="ruleParams"):
    """Gives rules their `ruleParams` for an entity: [op, namespace, id or lookup, object]."""

    etype: Label
    subject: Named
    params: dict[str, Any]
    options: Any = None


class AdminAddAttr(_Array, tag="add-attr"):
    """Adds an attr: [op, attr]."""

    attr: NewAttr


class AdminDeleteAttr(_Array, tag="delete-attr"):
    """Hides an attr with its values: [op, id of the attr]."""

    attr: Uuid


AdminStep = (
    Create
    | Update
    | Merge
    | Increment
    | Link
    | Unlink
    | Delete
    | AdminRuleParams
    | AdminAddAttr
    | AdminDeleteAttr
)
