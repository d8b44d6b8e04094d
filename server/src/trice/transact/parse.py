"""JSON → checked steps: the form that sessions send. No I/O.

    ["add-attr", attr]  ["update-attr", attr]  ["delete-attr", id]  ["restore-attr", id]
    ["add-triple", e, a, v, opts?]  ["deep-merge-triple", e, a, v, opts?]
    ["increment-triple", e, a, number, opts?]  ["retract-triple", e, a, v]
    ["delete-entity", e, etype?]  ["rule-params", e, etype, object]

source   instant-semantics §3.1, §3.2; spec/transact.md T1-T9
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from trice import limits
from trice.catalog.check import check_name
from trice.errors import InvalidInput, LimitExceeded, PermissionDenied, invalid
from trice.protocol.ids import AttrId, EntityId, find_uuid_bytes
from trice.protocol.quoting import bare, quote
from trice.transact.parse_attr import AttrReader
from trice.transact.steps import (
    AddAttr,
    AddTriple,
    DeepMerge,
    DeleteAttr,
    DeleteEntity,
    Increment,
    Lookup,
    Mode,
    RestoreAttr,
    RetractTriple,
    RuleParams,
    Step,
    Subject,
    UpdateAttr,
)

_MODES: Final[dict[str, Mode | None]] = {"create": "create", "update": "update", "upsert": None}
_DATA_TYPE: Final = "tx-steps"


def parse_steps(tx_steps: Any, *, is_admin: bool) -> list[Step]:
    """Check the form of a transaction's steps.

    tx_steps   decoded JSON of any shape
    is_admin   whether the caller may change, delete and restore attrs
    raises     InvalidInput("validation-failed", data-type "tx-steps"), PermissionDenied,
               LimitExceeded beyond limits.TX_STEPS_MAX
    cost       about 1 µs a triple
    """
    if not isinstance(tx_steps, list):
        raise malformed(tx_steps, "coll?", [], "The steps of a transaction must be an array.")
    check_count(len(tx_steps))
    steps: list[Step] = []
    for position, raw in enumerate(tx_steps):
        if type(raw) is not list or not raw:
            raise malformed(raw, "coll?", [position], "A step must be an array: [op, …].")
        op = raw[0]
        parse = _PARSERS.get(op) if type(op) is str else None
        if parse is None:
            known = ", ".join(_PARSERS)
            message = f"Unknown op {quote(op)}. It must be one of {known}."
            raise malformed(op, "op?", [position, 0], message)
        if not is_admin and op in _ADMIN_OPS:
            raise admin_only(_ADMIN_OPS[op])
        steps.append(parse(raw, position))
    return steps


def check_count(count: int) -> None:
    """Refuse a transaction with more than limits.TX_STEPS_MAX steps."""
    if count > limits.TX_STEPS_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"There are too many parameters in the transaction: {count} steps, "
            f"{limits.TX_STEPS_MAX} are accepted.",
            {"steps": count, "steps-max": limits.TX_STEPS_MAX},
        )


def malformed(given: Any, expected: str, path: list[Any], message: str) -> InvalidInput:
    """The error for a step of the wrong form."""
    return invalid(_DATA_TYPE, given, [{"expected": expected, "in": path, "message": message}])


def _add_triple(raw: list[Any], position: int) -> Step:
    _check_length(raw, position, 4, 5)
    mode = _mode(raw[4], position) if len(raw) == 5 else None
    return AddTriple(_subject(raw[1], position), _attr_id(raw[2], position, 2), raw[3], mode)


def _deep_merge(raw: list[Any], position: int) -> Step:
    _check_length(raw, position, 4, 5)
    mode = _mode(raw[4], position) if len(raw) == 5 else None
    return DeepMerge(_subject(raw[1], position), _attr_id(raw[2], position, 2), raw[3], mode)


def _increment(raw: list[Any], position: int) -> Step:
    _check_length(raw, position, 4, 5)
    check_amount(raw[3], data_type=_DATA_TYPE, path=[position, 3])
    mode = _mode(raw[4], position) if len(raw) == 5 else None
    return Increment(_subject(raw[1], position), _attr_id(raw[2], position, 2), raw[3], mode)


def check_amount(given: Any, *, data_type: str, path: list[Any]) -> None:
    """Refuse what cannot be added to a number."""
    if type(given) is not int and type(given) is not float:
        message = f"A field is incremented by a number, not by {quote(given)}."
        raise invalid(data_type, given, [{"expected": "number?", "in": path, "message": message}])


def _retract(raw: list[Any], position: int) -> Step:
    # Old clients send an options element here too, as in the other steps.
    _check_length(raw, position, 4, 5)
    return RetractTriple(_subject(raw[1], position), _attr_id(raw[2], position, 2), raw[3])


def _delete_entity(raw: list[Any], position: int) -> Step:
    _check_length(raw, position, 2, 4)
    etype = raw[2] if len(raw) > 2 else None
    if etype is not None:
        etype = _etype(etype, position)
    return DeleteEntity(_subject(raw[1], position), etype)


def _rule_params(raw: list[Any], position: int) -> Step:
    _check_length(raw, position, 4, 5)
    if not isinstance(raw[3], dict):
        raise malformed(raw[3], "map?", [position, 3], "Rule params must be an object.")
    return RuleParams(_subject(raw[1], position), _etype(raw[2], position), raw[3])


def _add_attr(raw: list[Any], position: int) -> Step:
    _check_length(raw, position, 2, 3)
    reader = AttrReader(raw[1], data_type=_DATA_TYPE, path=[position, 1])
    return AddAttr(reader.attr(), reader.is_unsynced())


def _update_attr(raw: list[Any], position: int) -> Step:
    _check_length(raw, position, 2, 3)
    reader = AttrReader(raw[1], data_type=_DATA_TYPE, path=[position, 1])
    return UpdateAttr(reader.id(), reader.changes())


def _delete_attr(raw: list[Any], position: int) -> Step:
    _check_length(raw, position, 2, 3)
    return DeleteAttr(_attr_id(raw[1], position, 1))


def _restore_attr(raw: list[Any], position: int) -> Step:
    _check_length(raw, position, 2, 3)
    return RestoreAttr(_attr_id(raw[1], position, 1))


_PARSERS: Final[dict[str, Callable[[list[Any], int], Step]]] = {
    "add-triple": _add_triple,
    "deep-merge-triple": _deep_merge,
    "increment-triple": _increment,
    "retract-triple": _retract,
    "delete-entity": _delete_entity,
    "rule-params": _rule_params,
    "add-attr": _add_attr,
    "update-attr": _update_attr,
    "delete-attr": _delete_attr,
    "restore-attr": _restore_attr,
}
_ADMIN_OPS: Final = {"update-attr": "update", "delete-attr": "delete", "restore-attr": "update"}


def _check_length(raw: list[Any], position: int, least: int, most: int) -> None:
    if not least <= len(raw) <= most:
        message = f"`{raw[0]}` has {least - 1} to {most - 1} arguments, not {len(raw) - 1}."
        raise malformed(raw, "count", [position], message)


def _subject(raw: Any, position: int) -> Subject:
    found: EntityId | None = find_uuid_bytes(raw)
    if found is not None:
        return found
    lookup = find_lookup(raw)
    if lookup is None:
        message = (
            f"Invalid entity ID '{bare(raw)}'. Entity IDs must be UUIDs. "
            "Use id() or lookup() to generate a valid UUID."
        )
        raise malformed(raw, "uuid?", [position, 1], message)
    return lookup


def find_lookup(raw: Any) -> Lookup | None:
    """Read `[attr id, value]`; None for anything else."""
    if type(raw) is not list or len(raw) != 2:
        return None
    attr_id = raw[0]
    if find_uuid_bytes(attr_id) is None:
        return None
    return Lookup(AttrId(attr_id.lower()), raw[1])


def _attr_id(raw: Any, position: int, index: int) -> AttrId:
    # The catalog decides whether the attr exists; a full check of the uuid would only cost time.
    if type(raw) is not str or len(raw) != 36:
        raise malformed(raw, "uuid?", [position, index], "An attr id must be a uuid.")
    return AttrId(raw.lower())


def _etype(raw: Any, position: int) -> str:
    return check_name(raw, what="namespace", data_type=_DATA_TYPE, path=[position, 2])


def _mode(raw: Any, position: int) -> Mode | None:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise malformed(raw, "map?", [position, 4], "The options of a step must be an object.")
    mode = raw.get("mode")
    if mode is None:
        return None
    if not isinstance(mode, str) or mode not in _MODES:
        known = ", ".join(_MODES)
        raise malformed(mode, "mode?", [position, 4, "mode"], f"A mode must be one of {known}.")
    return _MODES[mode]


def admin_only(action: str) -> PermissionDenied:
    """The error for changing an attr without the app's admin token."""
    return PermissionDenied(
        "permission-denied",
        f"Permission denied: not perms-pass? (only admins may {action} attributes)",
        {"input": ["attrs", action], "expected": "perms-pass?"},
    )
