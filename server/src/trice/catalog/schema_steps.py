"""What leads from an app's attrs to a schema, as the steps that clients show and send. No I/O,
except that it makes fresh ids.

    ["add-attr" | "update-attr", attr]
    ["index" | "remove-index" | …, {"attr-id", "forward-identity", "checked-data-type"?}]

source   instant-http §4.6; instant-semantics §4.2; spec/accounts.md AC32-AC34
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.schema import diff_schema
from trice.runtime import Runtime

WireStep = list[Any]

_FLAGS: Final[tuple[tuple[str, str, str], ...]] = (
    ("is_indexed", "index", "remove-index"),
    ("is_unique", "unique", "remove-unique"),
    ("is_required", "required", "remove-required"),
)


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """The steps to a schema, and the attrs as they are before and after."""

    steps: list[WireStep]
    before: Catalog
    after: Catalog


def plan_push(
    document: Any, catalog: Catalog, runtime: Runtime, *, is_typed: bool, has_jobs: bool
) -> SchemaPlan:
    """Plan what a schema adds and changes; nothing is deleted or renamed.

    document   decoded JSON of any shape
    is_typed   whether the types of the schema are checked from now on (`check_types`)
    has_jobs   whether changes of one property are steps of their own, which run as jobs
               (`supports_background_updates`); else they are part of `update-attr`
    raises     as `diff_schema`
    """
    diff = diff_schema(document, catalog, runtime)
    ids, fields, links = diff.ids, diff.fields, diff.links
    if not is_typed:
        fields = [replace(attr, checked_type=None) for attr in fields]
    blobs: list[WireStep] = []
    refs: list[WireStep] = []
    changed: list[Attr] = []
    for known, wanted in diff.changed:
        if not is_typed:
            wanted = replace(wanted, checked_type=known.checked_type)
        if wanted != known:
            changed.append(replace(wanted, table=known.table, column=known.column))
            (refs if known.is_ref else blobs).extend(_changing(known, wanted, has_jobs=has_jobs))
    steps = [
        *(["add-attr", attr.wire()] for attr in (*ids, *fields)),
        *blobs,
        *(["add-attr", attr.wire()] for attr in links),
        *refs,
    ]
    after = catalog.with_attrs([*ids, *fields, *links, *changed])
    return SchemaPlan(steps, catalog, after)


def _changing(known: Attr, wanted: Attr, *, has_jobs: bool) -> list[WireStep]:
    if not has_jobs:
        return [["update-attr", wanted.wire()]]
    steps: list[WireStep] = []
    named = {"attr-id": known.id, "forward-identity": known.wire()["forward-identity"]}
    jobs = _FLAGS
    if known.is_ref:
        jobs = tuple(job for job in _FLAGS if job[0] == "is_required")
        if replace(wanted, is_required=known.is_required) != known:
            steps.append(["update-attr", replace(wanted, is_required=known.is_required).wire()])
    for field, switch_on, switch_off in jobs:
        is_on = getattr(wanted, field)
        if is_on != getattr(known, field):
            steps.append([switch_on if is_on else switch_off, dict(named)])
    if wanted.checked_type != known.checked_type:
        if wanted.checked_type is None:
            steps.append(["remove-data-type", dict(named)])
        else:
            checked = {**named, "checked-data-type": wanted.checked_type}
            steps.append(["check-data-type", checked])
    return steps
