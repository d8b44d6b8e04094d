"""What random functions do, told twice: to a run of the engine, and to dictionaries. No I/O.

Program   actions of one function; what it writes depends on what it read
World     the data as dictionaries: accounts with items and tags
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

TEXT = {"valueType": "string", "required": False, "config": {"indexed": True, "unique": False}}
NUMBER = {"valueType": "number", "required": False, "config": {"indexed": True, "unique": False}}
NAME = {"valueType": "string", "required": False, "config": {"indexed": True, "unique": True}}
ANY = {"valueType": "json", "required": False, "config": {"indexed": False, "unique": False}}
SCHEMA = {
    "entities": {
        "accounts": {"attrs": {"kind": TEXT, "n": NUMBER, "name": NAME, "extra": ANY}},
        "items": {"attrs": {"n": NUMBER, "doc": ANY}},
        "tags": {"attrs": {}},
    },
    "links": {
        "itemsOwner": {
            "forward": {"on": "items", "has": "one", "label": "owner", "onDelete": "cascade"},
            "reverse": {"on": "accounts", "has": "many", "label": "items"},
        },
        "accountsTags": {
            "forward": {"on": "accounts", "has": "many", "label": "tags"},
            "reverse": {"on": "tags", "has": "many", "label": "accounts"},
        },
    },
}


def _id(kind: str, number: int) -> str:
    return f"{kind}{number:07d}-0000-4000-8000-000000000000"


ACCOUNTS = [_id("a", number) for number in range(4)]
ITEMS = [_id("b", number) for number in range(6)]
TAGS = [_id("c", number) for number in range(2)]
KINDS = ("a", "b")
ALL = {"accounts": {}}
"""The question of `("kind", None)`."""

Action = tuple[Any, ...]


class Refused(Exception):
    """The engine refuses what was written."""


@dataclass
class World:
    """All data, and whether accounts have the attr `extra`."""

    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: set[tuple[str, str]] = field(default_factory=set)
    has_extra: bool = True

    def copy(self) -> World:
        return copy.deepcopy(self)

    # --- writes --------------------------------------------------------------------------------

    def write(self, step: list[Any]) -> None:
        """Apply one step of the admin API."""
        op, etype, entity, *rest = step
        if isinstance(entity, dict):
            found = [one for one, row in self.accounts.items() if row.get("name") == entity["name"]]
            if not found:
                raise Refused
            entity = found[0]
        match op:
            case "create" | "update" | "merge" | "increment":
                self._change(op, etype, entity, rest[0])
            case "link":
                self.tags.add((entity, rest[0]["tags"]))
            case "unlink":
                self.tags.discard((entity, rest[0]["tags"]))
            case _:
                self._delete(etype, entity)

    def _change(self, op: str, etype: str, entity: str, values: dict[str, Any]) -> None:
        rows = self.accounts if etype == "accounts" else self.items
        if op == "create" and entity in rows:
            raise Refused
        if "extra" in values and not self.has_extra:
            raise Refused
        row = rows.setdefault(entity, {})
        for label, value in values.items():
            if label == "name" and any(
                other.get("name") == value for one, other in rows.items() if one != entity
            ):
                raise Refused
            if op == "increment":
                value = (row.get(label) or 0) + value
            elif op == "merge":
                value = dict(sorted({**row.get(label, {}), **value}.items()))
            row[label] = value

    def _delete(self, etype: str, entity: str) -> None:
        if etype == "items":
            self.items.pop(entity, None)
            return
        self.accounts.pop(entity, None)
        self.tags = {pair for pair in self.tags if pair[0] != entity}
        for item in [one for one, row in self.items.items() if row.get("owner") == entity]:
            del self.items[item]

    # --- reads ---------------------------------------------------------------------------------

    def read(self, action: Action) -> Any:
        """The answer of an action of `reading`, in the form of `plain`."""
        match action:
            case "account", entity:
                found = [entity] if entity in self.accounts else []
                return [(self._account(one), self._tags(one)) for one in found]
            case "kind", kind:
                rows_of = self.accounts.items()
                found = [one for one, row in rows_of if kind in (row.get("kind"), None)]
                return sorted(map(self._account, found))
            case "name", name:
                found = [one for one, row in self.accounts.items() if row.get("name") == name]
                return sorted(map(self._account, found))
            case "owner", owner:
                found = [one for one, row in self.items.items() if row.get("owner") == owner]
                return sorted(map(self._item, found))
            case "least", least:
                rows = [(row["n"], one) for one, row in self.items.items() if _has(row, least)]
                return [self._item(one) for _, one in sorted(rows)[:2]]
            case "band", least:
                found = [one for one, row in self.items.items() if row.get("n") == least]
                return sorted(map(self._item, found))
            case "count", least:
                return sum(_has(row, least) for row in self.items.values())
            case "owner-kind", kind:
                owned = self.items.items()
                found = [one for one, row in owned if self._owner(row).get("kind") == kind]
                return sorted(map(self._item, found))
            case "tag", tag, least:
                tagged = [one for one, of in self.tags if of == tag and one in self.accounts]
                return sorted((self._account(one), self._items(one, least)) for one in tagged)
            case _:
                raise AssertionError(action)

    def _account(self, entity: str) -> Any:
        return _row(entity, self.accounts[entity], ("kind", "n", "name", "extra"))

    def _item(self, entity: str) -> Any:
        return _row(entity, self.items[entity], ("n", "doc"))

    def _items(self, owner: str, least: int) -> Any:
        rows = self.items.items()
        found = [one for one, row in rows if row.get("owner") == owner and _has(row, least)]
        return sorted(map(self._item, found))

    def _owner(self, row: dict[str, Any]) -> dict[str, Any]:
        return self.accounts.get(row.get("owner") or "", {})

    def _tags(self, account: str) -> Any:
        return sorted(tag for one, tag in self.tags if one == account)


def _has(row: dict[str, Any], least: int) -> bool:
    return row.get("n") is not None and row["n"] >= least


def _row(entity: str, row: dict[str, Any], labels: tuple[str, ...]) -> Any:
    return (entity, tuple(repr(row.get(label)) for label in labels))


def question(action: Action) -> dict[str, Any]:
    """A read as InstaQL."""
    match action:
        case "account", entity:
            return {"accounts": {"$": {"where": {"id": entity}}, "tags": {}}}
        case "kind" | "name" as label, value:
            return {"accounts": {"$": {"where": {label: value}}}}
        case "owner", owner:
            return {"items": {"$": {"where": {"owner": owner}}}}
        case "least", least:
            where = {"n": {"$gte": least}}
            return {"items": {"$": {"where": where, "order": {"n": "asc"}, "limit": 2}}}
        case "band", least:
            return {"items": {"$": {"where": {"n": {"$gte": least, "$lt": least + 1}}}}}
        case "count", least:
            where = {"n": {"$gte": least}}
            return {"items": {"$": {"aggregate": {"count": True}, "where": where}}}
        case "owner-kind", kind:
            return {"items": {"$": {"where": {"owner.kind": kind}}}}
        case "tag", tag, least:
            below = {"$": {"where": {"n": {"$gte": least}}}}
            return {"accounts": {"$": {"where": {"tags.id": tag}}, "items": below}}
        case _:
            raise AssertionError(action)


def plain(action: Action, answer: dict[str, Any]) -> Any:
    """The engine's answer in a form to compare with `World.read`."""
    rows = answer.get("accounts", answer.get("items"))
    if action[0] == "count":
        assert isinstance(rows, dict)
        return rows["count"]
    assert isinstance(rows, list)
    match action[0]:
        case "account":
            return [(_told_account(row), sorted(tag["id"] for tag in row["tags"])) for row in rows]
        case "kind" | "name":
            return sorted(map(_told_account, rows))
        case "tag":
            return sorted(
                (_told_account(row), sorted(map(_told_item, row["items"]))) for row in rows
            )
        case "least":
            return list(map(_told_item, rows))
        case _:
            return sorted(map(_told_item, rows))


def _told_account(row: dict[str, Any]) -> Any:
    return _row(row["id"], row, ("kind", "n", "name", "extra"))


def _told_item(row: dict[str, Any]) -> Any:
    return _row(row["id"], row, ("n", "doc"))


# --- programs ------------------------------------------------------------------------------------


def make_program(draw: random.Random) -> list[Action]:
    """A function: reads, writes, pauses, savepoints; perhaps without reads, perhaps long."""
    kind = draw.choice(("mixed",) * 5 + ("blind", "hot", "read", "long", "delete", "try"))
    if kind == "blind":
        return [("write", _writing(draw)) for _ in range(draw.randint(1, 3))]
    if kind == "hot":
        return [("write", ("increment", "accounts", draw.choice(ACCOUNTS[:2])))]
    if kind == "delete":  # what it reads depends on the links that the delete followed
        writes = [("write", ("delete", "accounts", draw.choice(ACCOUNTS)))]
        return [*writes, ("read", ("count", 0)), ("pause", 8), ("read", ("band", 1)), ("pause", 8)]
    if kind == "try":  # an error is caught: what it depended on must still hold
        tried = [("write", ("create", draw.choice(ACCOUNTS), draw.choice("xyz")))]
        tried.append(("read", ("account", ACCOUNTS[0])))
        return [("try", tried), ("pause", 8), ("write", _writing(draw)), ("pause", 8)]
    actions: list[Action] = []
    depth = 0
    for _ in range(draw.randint(2, 7)):
        chance = draw.random()
        if chance < 0.5 or kind == "read":
            actions.append(("read", _reading(draw)))
        elif chance < 0.85:
            actions.append(("write", _writing(draw)))
        elif chance < 0.93:
            actions.append(("sub",))
            depth += 1
        elif depth:
            actions.append(("end", draw.random() < 0.5))
            depth -= 1
        if draw.random() < 0.5:
            actions.append(("pause", draw.choice((1, 2, 4)) * (10 if kind == "long" else 1)))
    return actions + [("end", True)] * depth


def _reading(draw: random.Random) -> Action:
    return draw.choice(
        (
            ("account", draw.choice(ACCOUNTS)),
            ("account", draw.choice(ACCOUNTS)),
            ("kind", draw.choice(KINDS)),
            ("name", draw.choice("xyz")),
            ("owner", draw.choice(ACCOUNTS)),
            ("least", draw.randint(0, 6)),
            ("count", draw.randint(0, 6)),
            ("band", draw.randint(0, 6)),
            ("band", draw.randint(0, 6)),
            ("owner-kind", draw.choice(KINDS)),
            ("tag", draw.choice(TAGS), draw.randint(0, 6)),
        )
    )


def _writing(draw: random.Random) -> Action:
    kinds = ("account", "account", "item", "item", "item", "increment", "merge", "link", "unlink")
    match draw.choice((*kinds, "delete", "delete-item", "create", "by-name")):
        case "account":
            label = draw.choice(("kind", "n", "extra"))
            return ("update", "accounts", draw.choice(ACCOUNTS), label)
        case "item":
            owner = f"owner{draw.randint(0, 3)}"
            return ("update", "items", draw.choice(ITEMS), draw.choice(("n", owner)))
        case "increment":
            etype = draw.choice(("accounts", "items"))
            return ("increment", etype, draw.choice(ACCOUNTS if etype == "accounts" else ITEMS))
        case "merge":
            return ("merge", "items", draw.choice(ITEMS))
        case "link" | "unlink" as op:
            return (op, draw.choice(ACCOUNTS), draw.choice(TAGS))
        case "create":
            return ("create", draw.choice(ACCOUNTS), draw.choice("xyz"))
        case "by-name":
            return ("by-name", draw.choice("xyz"))
        case "delete":
            return ("delete", "accounts", draw.choice(ACCOUNTS))
        case _:
            return ("delete", "items", draw.choice(ITEMS))


def step_of(action: Action, answers: list[Any]) -> list[Any]:
    """The step that a write means after these answers."""
    mixed = crc32(repr(answers).encode())
    match action:
        case "update", "items" as etype, entity, label if label != "n":
            owner = ACCOUNTS[(mixed + int(label[-1])) % len(ACCOUNTS)]
            return ["update", etype, entity, {"owner": owner}]
        case "update", etype, entity, "kind":
            return ["update", etype, entity, {"kind": KINDS[mixed % 2]}]
        case "update", etype, entity, label:
            return ["update", etype, entity, {label: mixed % 7}]
        case "increment", etype, entity:
            return ["increment", etype, entity, {"n": mixed % 3 - 1}]
        case "merge", etype, entity:
            return ["merge", etype, entity, {"doc": {f"k{mixed % 3}": mixed % 5}}]
        case "link" | "unlink" as op, account, tag:
            return [op, "accounts", account, {"tags": tag}]
        case "create", account, name:
            return ["create", "accounts", account, {"name": name, "n": mixed % 7}]
        case "by-name", name:
            return ["update", "accounts", {"name": name}, {"n": mixed % 7}, {"upsert": False}]
        case "delete", etype, entity:
            return ["delete", etype, entity]
        case _:
            raise AssertionError(action)


def carry_out(program: list[Action], world: World) -> tuple[World, list[Any], bool]:
    """The program alone on a copy of this data: the data after it, its answers (None is a refusal,
    and the last unless it is caught), and whether all it wrote is accepted."""
    alone = _Alone(world.copy(), [])
    is_ended = alone.act(program)
    return alone.world, alone.answers, not alone.is_refused and not is_ended


@dataclass
class _Alone:
    """A program while it is carried out."""

    world: World
    answers: list[Any]
    is_refused: bool = False
    saved: list[tuple[World, bool]] = field(default_factory=list)

    def act(self, program: list[Action]) -> bool:
        """Whether it ended by a refusal."""
        for action in program:
            match action:
                case "read", read:
                    self.answers.append(None if self.is_refused else self.world.read(read))
                    if self.is_refused:
                        return True
                case "write", write:
                    self._write(write)
                case ("sub",):
                    self.saved.append((self.world.copy(), self.is_refused))
                case "end", is_kept:
                    self._end(is_kept=is_kept)
                case "try", tried:
                    self.saved.append((self.world.copy(), self.is_refused))
                    self._end(is_kept=not self.act(tried))
                case _:
                    pass
        return False

    def _write(self, write: Action) -> None:
        if not self.is_refused:
            try:
                self.world.write(step_of(write, self.answers))
            except Refused:
                self.is_refused = True

    def _end(self, *, is_kept: bool) -> None:
        before = self.saved.pop()
        if not is_kept:
            self.world, self.is_refused = before
