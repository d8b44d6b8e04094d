"""The reference client of `call-delta`: what it holds of a watched call, and how it takes news."""

from __future__ import annotations

import copy
from typing import Any


def taken(held: Any, version: str | None, said: dict[str, Any]) -> tuple[Any, str | None]:
    """The value and its version after what `add-call-ok` or an element of `calls` says of it.

    version   of `held`; None: nothing is held
    """
    if "from" not in said:
        return said["value"], said.get("version")
    assert said["from"] == version, "it starts from what the client does not hold"
    delta = said.get("delta")
    return (held if delta is None else applied(held, delta)), said["version"]


def applied(held: Any, delta: dict[str, Any]) -> Any:
    """The value that a delta leads to (FN581)."""
    assert set(delta) <= {"rest", "lists"}
    found = copy.deepcopy(delta.get("rest", held))
    for path, changes in delta.get("lists", {}).items():
        assert set(changes) <= {"gone", "put", "order"}
        rows = _changed(_at(held, path), changes)
        if not path:
            return rows
        *above, last = path.split(".")
        _at(found, ".".join(above))[last] = rows
    return found


def _at(value: Any, path: str) -> Any:
    for label in path.split(".") if path else ():
        value = value[label]
    return value


def _changed(held: list[Any], changes: dict[str, Any]) -> list[Any]:
    rows = {row["id"]: row for row in held}
    for gone in changes.get("gone", ()):
        del rows[gone]
    rows |= {row["id"]: row for row in changes.get("put", ())}
    order = changes.get("order", [])
    placed = {id for _, id in order}
    ids = [id for id in rows if id not in placed]
    for at, id in order:
        assert at <= len(ids)
        ids.insert(at, id)
    return [rows[id] for id in ids]
