"""Earlier values of watched calls, and the deltas from them to the current one. No I/O.

    value ──cut at the paths of its lists──> rest, rows by list
    v1, v2, v3 = current: each as its rows; rows that did not change are the same bytes in all
    held v1: rows compared with those of v3, encoded once for all clients with v1

A value is named by the digest of its JSON, its *version*, as answers of queries are
(`live/deltas`). What is kept here belongs to a call and to what its runs looked at of the caller,
so to all who share it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import msgspec
import orjson

from trice import function_limits as limits
from trice.protocol import down

_ENTRY_BYTES: Final = 1_000
_ROW_BYTES: Final = 120
_PLACE_BYTES: Final = 16
"""What a row takes beside its bytes: two objects; its place in one more version."""

NOTHING_HELD: Final = b""
"""No version: the client holds no value."""


class _WithId(msgspec.Struct):
    id: str


_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_IDS: Final = msgspec.json.Decoder(list[_WithId])


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of a value: the ids of its items, each there once, and their JSON."""

    ids: tuple[str, ...]
    rows: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Pieces:
    """A value in pieces.

    rest    JSON of the value with its lists empty
    lists   by path; only those of which each item has an id of its own
    """

    rest: bytes
    lists: dict[str, Rows]

    @property
    def size_bytes(self) -> int:
        rows = [row for each in self.lists.values() for row in each.rows]
        return len(self.rest) + sum(map(len, rows)) + len(rows) * _ROW_BYTES

    def lost_to(self, later: Pieces) -> int:
        """About the bytes that only this value has, if `later` followed it."""
        own = 0 if self.rest == later.rest else len(self.rest)
        for path, each in self.lists.items():
            kept = later.lists.get(path)
            shared = set() if kept is None else set(map(id, kept.rows))
            own += sum(len(row) + _ROW_BYTES for row in each.rows if id(row) not in shared)
            own += len(each.rows) * _PLACE_BYTES
        return own


def cut(value: bytes, paths: Sequence[str], before: Pieces | None = None) -> Pieces:
    """A value in pieces; rows that `before` has too are its bytes.

    paths   where lists may be: labels joined by `.`, "" is the value itself
    """
    lists: dict[str, Rows] = {}
    tree: dict[str, Any] = {}
    for path in paths:
        below = tree
        for label in path.split(".") if path else ():
            below = below.setdefault(label, {})
        below[""] = path
    rest = _cut(value, tree, lists)
    if before is not None:
        lists = {path: _shared(each, before.lists.get(path)) for path, each in lists.items()}
    return Pieces(rest, lists)


def _cut(value: bytes, tree: dict[str, Any], lists: dict[str, Rows]) -> bytes:
    """JSON of a value without what is put into `lists`."""
    path = tree.get("")
    if path is not None and value[:1] == b"[":
        rows = _rows(value)
        known = sum(len(each.ids) for each in lists.values())
        if rows is not None and known + len(rows.ids) <= limits.CALL_DELTA_ROWS_MAX:
            lists[path] = rows
            return b"[]"
    if value[:1] != b"{" or not tree.keys() - {""}:
        return value
    members = [
        b"%b:%b" % (orjson.dumps(label), _cut(bytes(raw), below, lists) if below else bytes(raw))
        for label, raw in _OBJECT.decode(value).items()
        for below in (tree.get(label),)
    ]
    return b"{%b}" % b",".join(members)


def _rows(value: bytes) -> Rows | None:
    """A list whose items have an id each; None: it is another."""
    try:
        ids = tuple(each.id for each in _IDS.decode(value))
    except msgspec.ValidationError:
        return None
    if len(set(ids)) < len(ids):
        return None
    return Rows(ids, tuple(map(bytes, _LIST.decode(value))))


def _shared(rows: Rows, before: Rows | None) -> Rows:
    if before is None:
        return rows
    known = dict(zip(before.ids, before.rows, strict=True))
    kept = tuple(
        old if (old := known.get(id)) == row else row
        for id, row in zip(rows.ids, rows.rows, strict=True)
    )
    return Rows(before.ids if rows.ids == before.ids else rows.ids, kept)


def delta(old: Pieces, new: Pieces) -> bytes | None:
    """What leads from one value to another (FN581); None: only the whole value does."""
    if old.lists.keys() != new.lists.keys():
        return None
    is_rest_same = old.rest == new.rest
    lists = {
        path: changes
        for path, rows in new.lists.items()
        if (changes := _changes(old.lists[path], rows)) or not is_rest_same
    }
    return down.call_delta(rest=None if is_rest_same else new.rest, lists=lists)


def _changes(old: Rows, new: Rows) -> dict[str, bytes]:
    """`gone`, `put` and `order` of one list, as far as there is any."""
    before = dict(zip(old.ids, old.rows, strict=True))
    now = set(new.ids)
    gone = [id for id in old.ids if id not in now]
    put = [row for id, row in zip(new.ids, new.rows, strict=True) if before.get(id) != row]
    order = _placed(old.ids, new.ids)
    found = {
        "gone": orjson.dumps(gone) if gone else b"",
        "put": b"[%b]" % b",".join(put) if put else b"",
        "order": orjson.dumps(order) if order else b"",
    }
    return {name: value for name, value in found.items() if value}


def _placed(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, str]]:
    """Items whose place does not follow from the others', with their places: new ones, and as few
    as possible of those that were there."""
    if old == new:
        return []
    places = {id: place for place, id in enumerate(old)}
    known = [(at, places[id]) for at, id in enumerate(new) if id in places]
    stay = _rising([place for _, place in known])
    staying = {known[at][0] for at in stay}
    return [(at, id) for at, id in enumerate(new) if at not in staying]


def _rising(numbers: Sequence[int]) -> list[int]:
    """Places of a longest part of `numbers`, in order, that rises."""
    if all(one < other for one, other in pairwise(numbers)):
        return list(range(len(numbers)))
    ends: list[int] = []
    ends_at: list[int] = []
    before: list[int] = []
    for at, number in enumerate(numbers):
        length = bisect_left(ends, number)
        before.append(ends_at[length - 1] if length else -1)
        ends[length : length + 1] = [number]
        ends_at[length : length + 1] = [at]
    found, at = [], ends_at[-1]
    while at >= 0:
        found.append(at)
        at = before[at]
    return found


@dataclass(slots=True, eq=False)
class _Entry:
    """The values of one call: the current one, and those before it by their versions, oldest
    first."""

    version: bytes = NOTHING_HELD
    current: Pieces | None = None
    older: OrderedDict[bytes, tuple[Pieces, int]] = field(default_factory=OrderedDict)
    older_bytes: int = 0
    current_bytes: int = 0
    counted_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        return _ENTRY_BYTES + self.current_bytes + self.older_bytes

    def take(self, version: bytes, value: bytes, paths: Sequence[str]) -> None:
        before = self.current
        if len(value) > limits.CALL_DELTA_VALUE_BYTES_MAX:
            self.version, self.current, self.current_bytes = NOTHING_HELD, None, 0
            self.older.clear()
            self.older_bytes = 0
            return
        pieces = cut(value, paths, before)
        self._forget(version)
        if before is not None:
            own_bytes = before.lost_to(pieces)
            self.older[self.version] = (before, own_bytes)
            self.older_bytes += own_bytes
        self.version, self.current, self.current_bytes = version, pieces, pieces.size_bytes
        most_bytes = max(self.current_bytes, limits.CALL_DELTA_STEPS_BYTES_MAX)
        while len(self.older) > limits.CALL_DELTA_STEPS_MAX or self.older_bytes > most_bytes:
            self._forget(next(iter(self.older)))

    def _forget(self, version: bytes) -> None:
        _, own_bytes = self.older.pop(version, (None, 0))
        self.older_bytes -= own_bytes


class CallDeltas:
    """The values of an app's watched calls of which somebody wants deltas.

    Holds at most CALL_DELTA_BYTES_MAX; outlives the calls, for clients that come back. Does not
    hold what a client was told (the session does), or encoded deltas (`watch.Answer` does).
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self.kept_bytes = 0
        """About how much memory is held."""
        self.made = 0
        """Deltas computed, those included that were larger than the value."""

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, key: Hashable, version: bytes, value: bytes, paths: Sequence[str]) -> None:
        """A call answers this now.

        key   the call, and what its run looked at of the caller
        """
        entry = self._entries.pop(key, None) or _Entry()
        self._entries[key] = entry
        if entry.version == version:
            return
        entry.take(version, value, paths)
        self.kept_bytes += entry.size_bytes - entry.counted_bytes
        entry.counted_bytes = entry.size_bytes
        while self.kept_bytes > limits.CALL_DELTA_BYTES_MAX and self._entries:
            _, oldest = self._entries.popitem(last=False)
            self.kept_bytes -= oldest.counted_bytes

    def find(self, key: Hashable, held: bytes, version: bytes) -> bytes | None:
        """What leads from one version of a call to the current one, see `delta`.

        returns   None: that is not known; empty: only the whole value does
        """
        entry = self._entries.get(key)
        if entry is None or entry.version != version or entry.current is None:
            return None
        old, _ = entry.older.get(held, (None, 0))
        if old is None:
            return None
        self.made += 1
        return delta(old, entry.current) or b""
