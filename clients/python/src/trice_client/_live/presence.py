"""What the members of a room show each other: edits of it. No I/O.

source   clients/js/src/rooms/presence.ts; instant-realtime §9.1
"""

from __future__ import annotations

from typing import Any

from trice_client._json import is_list, is_object

Members = dict[str, Any]
"""By peer id, each as the server tells it: `{"data", "user", …}`."""


def apply_edits(members: Members, edits: list[Any]) -> None:
    """Applies the edits of `patch-presence`, `[path, "+" | "r" | "-", value]`, in order."""
    for path, op, *given in edits:
        peer_id, *rest = path
        value = given[0] if given else None
        if rest:
            if op != "-" or peer_id in members:
                members[peer_id] = _edited(members.get(peer_id), rest, op, value)
        elif op == "-":
            members.pop(peer_id, None)
        else:
            members[peer_id] = value


def _edited(value: Any, path: list[Any], op: str, given: Any) -> Any:
    """A copy with one edit applied."""
    key, *rest = path
    if is_list(value):
        items = list(value)
        at = int(key)
        if rest:
            items[at] = _edited(items[at], rest, op, given)
        elif op == "+":
            items.insert(at, given)
        elif op == "-":
            del items[at : at + 1]
        else:
            items[at] = given
        return items
    fields: dict[str, Any] = dict(value) if is_object(value) else {}
    if rest:
        if op != "-" or key in fields:
            fields[key] = _edited(fields.get(key), rest, op, given)
    elif op == "-":
        fields.pop(key, None)
    else:
        fields[key] = given
    return fields
