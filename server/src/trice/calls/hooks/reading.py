"""From the log to the changes that a hook follows. No I/O: it reads a snapshot that is there.

    place (tx, done) ──> rows of the log after it ──> rows of the namespace, matched ──> items
                                                       └ not those that the hook itself wrote

A change has the cells that the log has: all of a created or deleted row; of an updated one those
that differ. Links of cardinality one are cells. Links to many are pairs, and no part of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from trice import hook_limits as limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.system import LOCATION_ATTR, URL_ATTR
from trice.catalog.values import MISSING, Cell, decode_attr
from trice.functions.signature import HookPlan
from trice.identity import hooks_of
from trice.protocol.ids import TxId, uuid_text
from trice.store.commit import EntityChange, Image, LoggedChanges
from trice.store.engine import Snapshot

UrlOf = Callable[[str], str]
Kind = Literal["created", "updated", "deleted"]
_URL: Final = "url"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """How far a hook is: it is done with every transaction up to `tx`, and with the first `done`
    rows that the one after it changed."""

    tx: int
    done: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """A change that concerns a hook. `labels` are those that changed; of an updated row only."""

    kind: Kind
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One change, for one run of a hook.

    place        where the hook is once it is done
    change       JSON, as `functions.changes.SentChange` reads it
    size_bytes   of it
    causes       the hooks whose writes led to it, newest first
    """

    tx: int
    index: int
    place: Place
    time_ms: int
    change: dict[str, Any]
    size_bytes: int
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Some changes after a place.

    place   where the hook is once it is done with all of them
    lost    transactions that the log does not have, which come next
    """

    items: tuple[Item, ...]
    place: Place
    lost: int = 0


def read_batch(
    snapshot: Snapshot, name: str, plan: HookPlan, place: Place, *, url_of: UrlOf | None
) -> Batch:
    """The next changes of a hook, bounded by `hook_limits`.

    name   of the hook, whose own writes are left out
    """
    logged = snapshot.logged_changes(
        TxId(place.tx),
        rows_max=limits.HOOK_ROWS_AT_ONCE,
        bytes_max=limits.HOOK_BYTES_AT_ONCE,
        is_whole=False,
    )
    if not logged:
        return Batch((), place, max(snapshot.tx - place.tx, 0))
    items: list[Item] = []
    left_bytes = limits.HOOK_CHANGES_BYTES
    for changes in logged:
        lost = changes.tx - place.tx - 1
        if lost:
            return Batch(tuple(items), place, 0 if items else lost)
        for item in _items(changes, name, plan, snapshot.catalog, place.done, url_of):
            items.append(item)
            place = item.place
            left_bytes -= item.size_bytes
            if len(items) >= limits.HOOK_CHANGES_AT_ONCE or left_bytes <= 0:
                return Batch(tuple(items), place)
        place = Place(changes.tx)
    return Batch(tuple(items), place)


def is_own(name: str, identity: str, function: str | None) -> bool:
    """Whether a hook, or a function that it ran, wrote a commit."""
    return function == name or hooks_of(identity)[:1] == (name,)


def match(change: EntityChange, plan: HookPlan, catalog: Catalog) -> Match | None:
    """How a change of a row concerns a hook; None: not at all."""
    if change.etype != plan.namespace:
        return None
    old, new = _whole(change.old), _whole(change.new)
    if old is None or new is None:
        if old is new:
            return None
        is_wanted, kind = (plan.create, "created") if old is None else (plan.delete, "deleted")
        return Match(kind) if is_wanted else None  # type: ignore[arg-type]
    if plan.update == ():
        return None
    labels = tuple(sorted({_label(attr) for attr in _changed(old, new, catalog)}))
    if not labels or (plan.update is not None and not set(labels) & set(plan.update)):
        return None
    return Match("updated", labels)


def _items(
    changes: LoggedChanges,
    name: str,
    plan: HookPlan,
    catalog: Catalog,
    done: int,
    url_of: UrlOf | None,
) -> Iterator[Item]:
    if is_own(name, changes.identity, changes.function):
        return
    found = [
        (index, change, matched)
        for index, change in enumerate(changes.entities)
        if index >= done and (matched := match(change, plan, catalog)) is not None
    ]
    for number, (index, change, matched) in enumerate(found, 1):
        is_last = number == len(found)
        sent = _sent(changes, change, matched, catalog, url_of)
        yield Item(
            changes.tx,
            index,
            Place(changes.tx) if is_last else Place(changes.tx - 1, index + 1),
            changes.time_ms,
            sent,
            len(orjson.dumps(sent)),
            hooks_of(changes.identity),
        )


def _sent(
    changes: LoggedChanges,
    change: EntityChange,
    matched: Match,
    catalog: Catalog,
    url_of: UrlOf | None,
) -> dict[str, Any]:
    only = None if matched.kind != "updated" else frozenset(matched.labels)
    return {
        "id": uuid_text(change.id),
        "kind": matched.kind,
        "before": _fields(_whole(change.old), change.etype, catalog, only, url_of),
        "after": _fields(_whole(change.new), change.etype, catalog, only, url_of),
        "changed": list(matched.labels),
        "tx": changes.tx,
        "time": changes.time_ms,
    }


def _fields(
    image: Image | None,
    etype: str,
    catalog: Catalog,
    only: frozenset[str] | None,
    url_of: UrlOf | None,
) -> dict[str, Any] | None:
    """Values by label. `only` names those that are told; None: all."""
    if image is None:
        return None
    found: dict[str, Any] = {}
    namespace = catalog.namespaces.get(etype)
    for attr in () if namespace is None else namespace.columns:
        label = _label(attr)
        if attr.id == URL_ATTR or (only is not None and label not in only):
            continue
        value = _value(attr, image.cells.get(attr.id), url_of)
        if value is not MISSING or only is not None:
            found[label] = None if value is MISSING else value
    return found


def _value(attr: Attr, cell: Cell, url_of: UrlOf | None) -> Any:
    value = decode_attr(attr, cell)
    if attr.is_ref:
        return MISSING if value is MISSING else {"id": value}
    if attr.id == LOCATION_ATTR:
        return url_of(value) if url_of is not None and isinstance(value, str) else MISSING
    return value


def _label(attr: Attr) -> str:
    """What a hook knows an attr by: of a file it is told the URL, not where the bytes lie."""
    return _URL if attr.id == LOCATION_ATTR else attr.label


def _changed(old: Image, new: Image, catalog: Catalog) -> Iterator[Attr]:
    for attr_id in {**old.cells, **new.cells}:
        before, now = old.cells.get(attr_id), new.cells.get(attr_id)
        if before != now or type(before) is not type(now):
            attr = catalog.by_id.get(attr_id)
            if attr is not None and attr.deleted_ms is None:
                yield attr


def _whole(image: Image | None) -> Image | None:
    """An image that is no stub."""
    return None if image is None or image.created_ms is None else image
