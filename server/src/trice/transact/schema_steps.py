"""Steps of a schema push, as clients send them → attr steps and jobs. No I/O.

    ["add-attr" | "update-attr", attr]   ["delete-attr" | "restore-attr", id]
    [kind of job, {"attr-id", "forward-identity"?, "checked-data-type"?}]

source   instant-http §4.7; spec/accounts.md AC35-AC38
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from trice import account_limits
from trice.catalog.attr import CHECKED_TYPES, AttrName, CheckedType
from trice.catalog.catalog import Catalog
from trice.errors import InvalidInput, LimitExceeded, invalid
from trice.protocol.ids import AttrId, find_uuid_bytes, uuid_text
from trice.transact.parse_attr import AttrReader
from trice.transact.steps import AddAttr, AttrStep, DeleteAttr, RestoreAttr, UpdateAttr

JOBS: Final[Mapping[str, tuple[str, Any]]] = {
    "index": ("is_indexed", True),
    "remove-index": ("is_indexed", False),
    "unique": ("is_unique", True),
    "remove-unique": ("is_unique", False),
    "required": ("is_required", True),
    "remove-required": ("is_required", False),
    "check-data-type": ("checked_type", None),
    "remove-data-type": ("checked_type", None),
}
"""Kinds of jobs: the field of the attr that a job changes, and its new value."""


@dataclass(frozen=True, slots=True)
class SchemaJob:
    """One change of a property, made by itself after the attrs were added and renamed.

    at             its place among the steps
    checked_type   for `check-data-type`
    """

    at: int
    kind: str
    attr_id: AttrId
    checked_type: CheckedType | None = None

    def step(self) -> UpdateAttr:
        """What it does to its attr."""
        field, value = JOBS[self.kind]
        if self.kind == "check-data-type":
            value = self.checked_type
        return UpdateAttr(self.attr_id, {field: value})


@dataclass(frozen=True, slots=True)
class SchemaSteps:
    """The steps of one push: first all attr steps, as one transaction, then the jobs in order."""

    attr_steps: list[AttrStep]
    jobs: list[SchemaJob]


def parse_schema_steps(raw: Any) -> SchemaSteps:
    """Check the steps in form.

    raw      decoded JSON of any shape
    raises   InvalidInput("validation-failed", data-type "steps"), LimitExceeded
    """
    if not isinstance(raw, list):
        raise _malformed(raw, [], "`steps` must be a list.")
    if len(raw) > account_limits.SCHEMA_STEPS_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The push has {len(raw)} steps, {account_limits.SCHEMA_STEPS_MAX} are accepted.",
        )
    parsed = SchemaSteps([], [])
    for at, step in enumerate(raw):
        if not isinstance(step, list) or len(step) != 2 or not isinstance(step[0], str):
            raise _malformed(step, [at], "A step must be [name, parameters].")
        kind, given = step
        if kind in JOBS:
            parsed.jobs.append(_job(at, kind, given))
        else:
            parsed.attr_steps.append(_attr_step(at, kind, given))
    return parsed


def with_own_names(steps: list[AttrStep], catalog: Catalog) -> list[AttrStep]:
    """The steps with the name ids of the catalog. Clients put the id of the attr in their place
    (instant-http §4.7)."""
    return [_with_own_names(step, catalog) for step in steps]


def _with_own_names(step: AttrStep, catalog: Catalog) -> AttrStep:
    known = catalog.by_id.get(step.attr_id) if isinstance(step, UpdateAttr) else None
    if known is None:
        return step
    assert isinstance(step, UpdateAttr)
    changes = dict(step.changes)
    for field, own in (("forward", known.forward), ("reverse", known.reverse)):
        given = changes.get(field)
        if isinstance(given, AttrName) and own is not None:
            changes[field] = replace(given, id=own.id)
    if changes.get("reverse", known) is None and not known.is_ref:
        del changes["reverse"]
    if known.is_ref:
        # Absent, unlike every other key, means that nothing is deleted along.
        changes = {"on_delete": None, "on_delete_reverse": None, **changes}
    return UpdateAttr(step.attr_id, changes)


def _attr_step(at: int, kind: str, given: Any) -> AttrStep:
    if kind == "delete-attr":
        return DeleteAttr(_attr_id(at, given, [1]))
    if kind == "restore-attr":
        return RestoreAttr(_attr_id(at, given, [1]))
    if kind not in ("add-attr", "update-attr"):
        accepted = ", ".join(("add-attr", "update-attr", "delete-attr", "restore-attr", *JOBS))
        raise _malformed(kind, [at, 0], f"There is no step of this name. Accepted: {accepted}.")
    reader = AttrReader(given, data_type="steps", path=[at, 1])
    if kind == "add-attr":
        attr = reader.attr()
        # Clients add each attr plain and make it unique by a job: an id is so from the start.
        return AddAttr(replace(attr, is_unique=True) if attr.is_id else attr)
    return UpdateAttr(reader.id(), reader.changes())


def _job(at: int, kind: str, given: Any) -> SchemaJob:
    if not isinstance(given, dict):
        raise _malformed(given, [at, 1], "The parameters must be an object with `attr-id`.")
    checked = given.get("checked-data-type")
    if kind == "check-data-type" and checked not in CHECKED_TYPES:
        accepted = ", ".join(CHECKED_TYPES)
        problem = f"`checked-data-type` must be one of {accepted}."
        raise _malformed(checked, [at, 1, "checked-data-type"], problem)
    attr_id = _attr_id(at, given.get("attr-id"), [1, "attr-id"])
    is_typed = kind == "check-data-type"
    return SchemaJob(at, kind, attr_id, cast(CheckedType, checked) if is_typed else None)


def _attr_id(at: int, raw: Any, path: list[Any]) -> AttrId:
    found = find_uuid_bytes(raw)
    if found is None:
        raise _malformed(raw, [at, *path], "An attr's id must be a uuid.")
    return AttrId(uuid_text(found))


def _malformed(given: Any, path: list[Any], message: str) -> InvalidInput:
    return invalid("steps", given, [{"in": path, "message": message}])
