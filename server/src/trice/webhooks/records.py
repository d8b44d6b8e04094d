"""What of a transaction concerns a webhook, and what its payload says (instant-http §6.5). No I/O.

A payload holds the fields of entities, without links. A change of links alone is none. Fields are
called as they are called when the payload is read, and those that were deleted are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from trice import webhook_limits
from trice.catalog.catalog import Catalog
from trice.catalog.system import LOCATION_ATTR, URL_ATTR
from trice.catalog.values import MISSING, decode_attr
from trice.errors import LimitExceeded
from trice.protocol.ids import EntityId, TxId, uuid_text
from trice.store.commit import EntityChange, Image, LoggedChanges
from trice.webhooks.event import idempotency_key, isn_of
from trice.webhooks.webhook import Action, Webhook


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one webhook waits for.

    room   for how many events it has room
    """

    webhook_id: str
    namespaces: frozenset[str]
    actions: frozenset[str]
    room: int


@dataclass(frozen=True, slots=True)
class Touch:
    """A transaction that concerns a webhook, and the entities; None: more than are kept."""

    webhook_id: str
    tx: TxId
    entities: tuple[EntityId, ...] | None


@dataclass(frozen=True, slots=True)
class Step:
    """What some transactions are to webhooks.

    last   the last transaction that was looked at
    lost   how many before it the log did not have
    """

    last: TxId
    touches: Sequence[Touch]
    lost: int = 0


def find_touches(
    logged: Iterable[LoggedChanges], wanted: Sequence[Wanted], catalog: Catalog, *, after: TxId
) -> Step:
    """Which transactions concern which webhooks. It ends early where one of them has no more room,
    or there are webhook_limits.EVENTS_AT_ONCE events."""
    room = {each.webhook_id: each.room for each in wanted}
    etypes = frozenset().union(*(each.namespaces for each in wanted))
    touches: list[Touch] = []
    last, lost = after, 0
    for changes in logged:
        if len(touches) >= webhook_limits.EVENTS_AT_ONCE or min(room.values()) <= 0:
            break
        acts = [
            (change.etype, action, change.id)
            for change in changes.entities
            if change.etype in etypes and (action := action_of(change, catalog)) is not None
        ]
        for each in wanted if acts else ():
            found = {
                entity: None
                for etype, action, entity in acts
                if etype in each.namespaces and action in each.actions
            }
            if found:
                is_few = len(found) <= webhook_limits.ENTITIES_KEPT
                touches.append(Touch(each.webhook_id, changes.tx, tuple(found) if is_few else None))
                room[each.webhook_id] -= 1
        lost += changes.tx - last - 1
        last = changes.tx
    return Step(last, touches, lost)


def action_of(change: EntityChange, catalog: Catalog) -> Action | None:
    """What happened to an entity; None: nothing that a payload tells."""
    old, new = _whole(change.old), _whole(change.new)
    if old is None:
        return None if new is None else "create"
    if new is None:
        return "delete"
    for attr_id in {**old.cells, **new.cells}:
        before, now = old.cells.get(attr_id), new.cells.get(attr_id)
        if before != now or type(before) is not type(now):
            attr = catalog.by_id.get(attr_id)
            if attr is not None and not attr.is_ref and attr.deleted_ms is None:
                return "update"
    return None


def payload_json(
    changes: LoggedChanges,
    webhook: Webhook,
    catalog: Catalog,
    url_of: Callable[[str], str] | None,
) -> bytes:
    """`{"data": [record], "idempotencyKey"}` for one transaction.

    raises   LimitExceeded beyond webhook_limits.PAYLOAD_BYTES_MAX
    """
    parts: list[bytes] = []
    size = 0
    for record in _records(changes, webhook, catalog, url_of):
        parts.append(orjson.dumps(record))
        size += len(parts[-1])
        if size > webhook_limits.PAYLOAD_BYTES_MAX:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                "The transaction changed too much for one payload; at most"
                f" {webhook_limits.PAYLOAD_BYTES_MAX:,} bytes are sent. Query the data instead.",
            )
    key = orjson.dumps(idempotency_key(webhook.id, isn_of(changes.tx)))
    return b'{"data":[' + b",".join(parts) + b'],"idempotencyKey":' + key + b"}"


def _records(
    changes: LoggedChanges,
    webhook: Webhook,
    catalog: Catalog,
    url_of: Callable[[str], str] | None,
) -> Iterator[Mapping[str, Any]]:
    for change in changes.entities:
        if change.etype not in webhook.namespaces:
            continue
        action = action_of(change, catalog)
        if action is None or action not in webhook.actions:
            continue
        shown = uuid_text(change.id)
        yield {
            "namespace": change.etype,
            "id": shown,
            "action": action,
            "before": _fields(change, change.old, catalog, url_of),
            "after": _fields(change, change.new, catalog, url_of),
            "idempotencyKey": idempotency_key(change.etype, action, shown, isn_of(changes.tx)),
        }


def _fields(
    change: EntityChange,
    image: Image | None,
    catalog: Catalog,
    url_of: Callable[[str], str] | None,
) -> dict[str, Any] | None:
    whole = _whole(image)
    if whole is None:
        return None
    fields: dict[str, Any] = {"id": uuid_text(change.id)}
    namespace = catalog.namespaces.get(change.etype)
    for attr in () if namespace is None else namespace.columns:
        if attr.is_ref:
            continue
        if attr.id == URL_ATTR:
            location = whole.cells.get(LOCATION_ATTR)
            if url_of is not None and isinstance(location, str):
                fields[attr.label] = url_of(location)
            continue
        cell = whole.cells.get(attr.id)
        if type(cell) is bytes and len(cell) > 1:
            fields[attr.label] = orjson.Fragment(cell)  # a document, as JSON
        elif (value := decode_attr(attr, cell)) is not MISSING:
            fields[attr.label] = value
    return fields


def _whole(image: Image | None) -> Image | None:
    """An image that is no stub."""
    return None if image is None or image.created_ms is None else image
