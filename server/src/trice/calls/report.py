"""What a deploy would change, told before anything is changed. No I/O.

source   spec/functions.md FN270-FN276
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from trice import function_limits as limits
from trice.calls.bundles import Bundle
from trice.calls.packages import Imports
from trice.catalog.catalog import Catalog
from trice.errors import Conflict, InvalidInput, invalid
from trice.functions.frames import LoadError
from trice.functions.signature import Signature
from trice.limits import HINT_BYTES_MAX

_ABOUT_CODE = ("doc", "file", "line", "types", "retry", "hook", "is-isolated")
"""Fields of a signature that callers do not depend on."""


class Unfit(msgspec.Struct, frozen=True):
    """Work that waits and that other functions could not do.

    name     of its function
    count    how much of it waits
    reason   what is wrong: the function is gone, or its arguments fit no more
    """

    name: str
    count: int
    reason: str


class HookChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Functions that follow changes, by name.

    added     they follow from now on
    removed   their places are dropped: deployed again, they follow from then on
    changed   they follow other changes, and go on where they are
    """

    added: list[str]
    removed: list[str]
    changed: list[str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a deploy would change.

    bundle      its hash, by which it is deployed
    is_current  this very code is in force already
    functions   names of all
    endpoints   where each endpoint is, by its name: "POST /stripe"
    added, removed, changed   functions by name, changed: what its callers see differs
    missing     names of secrets that it needs and the app has not
    unfit       work that waits
    hooks       functions that follow changes
    warnings    probable mistakes in the rules, as `Apps.warnings`
    packages    packages of its `uv.lock` that are not installed here
    imports     modules that it imports and that are not there: `numpy (functions/sums.py:3)`
    """

    bundle: str
    size_bytes: int
    is_current: bool
    functions: list[str]
    endpoints: dict[str, str]
    added: list[str]
    removed: list[str]
    changed: list[str]
    missing: list[str]
    unfit: list[Unfit]
    hooks: HookChanges
    warnings: list[dict[str, Any]]
    packages: list[str]
    imports: list[str]


def make_report(
    bundle: Bundle,
    functions: Sequence[Signature],
    *,
    before: Mapping[str, Signature],
    is_current: bool,
    secrets: Collection[str],
    unfit: Sequence[Unfit],
    warnings: Sequence[Any],
    lacking: Imports,
) -> Report:
    """Compare functions with those in force.

    before   by each name they are called by
    """
    after = {each.name: each for each in functions}
    callable_names = after.keys() | {name for each in functions for name in each.also}
    return Report(
        bundle=bundle.hash,
        size_bytes=len(bundle.raw),
        is_current=is_current,
        functions=sorted(after),
        endpoints={
            each.name: f"{each.route.method} {each.route.path}"
            for each in functions
            if each.route is not None
        },
        added=sorted(name for name in after if name not in before),
        removed=sorted(name for name in before if name not in callable_names),
        changed=sorted(
            name
            for name, each in after.items()
            if name in before and _seen(each) != _seen(before[name])
        ),
        missing=[name for name in bundle.manifest.required if name not in secrets],
        unfit=list(unfit),
        hooks=_hook_changes(functions, before),
        warnings=[dict(each) for each in warnings],
        packages=lacking.packages,
        imports=lacking.imports,
    )


def _hook_changes(functions: Sequence[Signature], before: Mapping[str, Signature]) -> HookChanges:
    earlier = {each.name: each.hook for each in before.values() if each.hook is not None}
    added, changed, kept = [], [], set()
    for each in functions:
        if each.hook is None:
            continue
        name = next((name for name in (each.name, *each.also) if name in earlier), None)
        if name is None:
            added.append(each.name)
            continue
        kept.add(name)
        if earlier[name] != each.hook or name != each.name:
            changed.append(each.name)
    return HookChanges(
        added=sorted(added), removed=sorted(earlier.keys() - kept), changed=sorted(changed)
    )


def _seen(signature: Signature) -> dict[str, Any]:
    """What callers of a function depend on."""
    known: dict[str, Any] = msgspec.to_builtins(signature)
    return {key: value for key, value in known.items() if key not in _ABOUT_CODE}


def check_fits(unfit: Sequence[Unfit]) -> None:
    """raises   Conflict when work waits that the new code could not do"""
    if not unfit:
        return
    shown = "; ".join(f"{each.name} ({each.count:,}): {each.reason}" for each in unfit[:10])
    raise Conflict(
        "deploy-blocked",
        f"Work waits that this code cannot do: {shown}. With --force it fails instead.",
        {"unfit": [msgspec.to_builtins(each) for each in unfit[: limits.LOAD_ERRORS_TOLD]]},
    )


def load_refusal(errors: Sequence[LoadError], lacking: Imports | None = None) -> InvalidInput:
    """The error for code that cannot be loaded: each fault with its file and line.

    lacking   packages of its lock that are not installed are told
    """
    told: list[dict[str, Any]] = []
    left_bytes = HINT_BYTES_MAX - 2
    for each in errors[: limits.LOAD_ERRORS_TOLD]:
        place: list[Any] = [part for part in (each.file, each.line) if part]
        entry = {"message": each.message[: limits.LOAD_ERROR_CHARS_MAX], "in": place}
        left_bytes -= len(msgspec.json.encode(entry)) + 1
        if left_bytes < 0:
            break
        told.append(entry)
    count = len(errors)
    counted = "It has a fault" if count == 1 else f"It has {count} faults"
    message = f"The code cannot be loaded. {counted}."
    if lacking is not None and lacking.imports and lacking.packages:
        shown = ", ".join(lacking.packages[:10])
        message += f" Packages of uv.lock are not installed on this server: {shown}."
    refusal = invalid("bundle", None, told, message=message)
    refusal.hint["count"] = count
    return refusal


def gone_names(schema: Mapping[str, Any] | None, catalog: Catalog) -> list[str]:
    """Attrs and links that a schema document names and an app does not have: `todos.title`."""
    if schema is None:
        return []
    named = [
        (etype, label)
        for etype, entity in schema["entities"].items()
        for label in ("id", *entity["attrs"])
    ]
    named += [
        (side["on"], side["label"])
        for link in (schema.get("links") or {}).values()
        for side in (link["forward"], link["reverse"])
    ]
    gone = []
    for etype, label in named:
        attr = catalog.find_name(etype, label)
        if attr is None or attr.deleted_ms is not None:
            gone.append(etype if label == "id" else f"{etype}.{label}")
    return sorted(dict.fromkeys(gone))
