"""Conditions and orders as functions write them → those of InstaQL: labels for names in Python,
JSON for values. A name that the schema has not finds nothing in InstaQL; here it is an error.
No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trice.functions.model import CREATED, Entity
from trice.functions.values import plain


def where_of(entity: Entity, where: Mapping[str, Any] | None) -> dict[str, Any]:
    """The conditions. raises   TypeError"""
    made: dict[str, Any] = {}
    for name, value in (where or {}).items():
        if name in ("and", "or") and isinstance(value, Sequence):
            made[name] = [where_of(entity, each) for each in value]
            continue
        head, dot, rest = name.partition(".")
        made[label_of(entity, head) + dot + rest] = plain(value)
    return made


def order_of(entity: Entity, order: Mapping[str, Any]) -> dict[str, Any]:
    """The order. raises   TypeError"""
    if len(order) != 1:
        raise TypeError(f'order is one label and a direction, {{"sent_at": "desc"}}: {order!r}')
    ((name, direction),) = order.items()
    if name == "serverCreatedAt" or (name == CREATED and entity.has_created):
        return {"serverCreatedAt": direction}
    label = label_of(entity, name)
    if not entity.can_order_by(label):
        raise TypeError(
            f"{entity.etype} cannot be ordered by {name}: it is not Indexed in the schema."
            " created_at orders by creation"
        )
    return {label: direction}


def label_of(entity: Entity, name: str) -> str:
    """The label of a name. raises   TypeError"""
    label = entity.label(name)
    if label is None:
        raise unknown(entity, name)
    return label


def unknown(entity: Entity, name: str) -> TypeError:
    """The error of a name that a namespace has not."""
    return TypeError(f"{entity.etype} has no {name}. It has {', '.join(entity.names())}")
