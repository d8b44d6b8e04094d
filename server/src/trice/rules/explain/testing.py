"""Tests of rules: cases as data, and the conditions that they cover. No I/O.

    schema?  InstantSchemaDef as JSON        rules?  the document        open?  default of the app
    users?   {name: {email, …}}              data?   {etype: {name: {label: value}}}
    cases    [{name?, as, op, on?, query?, set?, link?, steps?, params?, field?, ip?, origin?,
               room?, topic?, data?, expect}]

Texts that start with `@` stand for ids: `@todos/milk`, `@alice` for a user; `@@` is a plain `@`.

source   spec/rules.md R170-R179
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from trice import limits
from trice.errors import invalid
from trice.protocol.ids import find_uuid_bytes
from trice.protocol.quoting import quote
from trice.rules.environments import ROOM_ACTIONS, RoomAction
from trice.rules.explain.results import Check
from trice.rules.rooms import ROOMS

DataOp = Literal[
    "view", "query", "create", "update", "merge", "delete", "link", "unlink", "transact"
]
Op = DataOp | RoomAction
Verdict = Literal["allow", "deny", "error"]

OPS: Final[tuple[Op, ...]] = (*get_args(DataOp), *ROOM_ACTIONS)
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
GUEST_NAME: Final = "guest"
_USERS: Final = "$users"

_NEEDS: Final[Mapping[Op, tuple[str, ...]]] = {
    "view": ("on",),
    "query": ("query",),
    "create": ("on",),
    "update": ("on", "set"),
    "merge": ("on", "set"),
    "delete": ("on",),
    "link": ("on", "link"),
    "unlink": ("on", "link"),
    "transact": ("steps",),
    "join": ("room",),
    "read": ("room",),
    "presence": ("room", "data"),
    "publish": ("room", "topic"),
}
_GIVEN: Final[Mapping[str, str]] = {
    "query": "query",
    "transact": "steps",
    "link": "link",
    "unlink": "link",
    **dict.fromkeys(ROOM_ACTIONS, "data"),
}
_KINDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("query", "set", "link", "params"), dict),
    **dict.fromkeys(("name", "on", "field", "room", "topic", "ip", "origin"), str),
    "steps": list,
}
_KIND_WORDS: Final[Mapping[type, str]] = {dict: "an object", str: "a text", list: "a list"}
_KEYS: Final = frozenset(
    (
        *("name", "as", "op", "on", "query", "set", "link", "steps"),
        *("room", "topic", "data", "params", "field", "ip", "origin", "expect"),
    )
)
_SUITE_KEYS: Final = frozenset(("schema", "rules", "open", "users", "data", "cases"))


@dataclass(frozen=True, slots=True)
class Case:
    """One operation of a user, and its expected result. Names are replaced by ids.

    who      name of a user; None: not signed in
    etype    namespace of `entity`; empty where the operation names none
    given    `set`, `link`, `query`, `steps` or `data`, depending on the operation
    links    links of a create
    label    a field, for "view"
    room     type and id of a room, for its operations
    expect   a verdict; for "query" the ids of the entities at the top of the answer, in any order
    """

    name: str
    who: str | None
    op: Op
    etype: str
    entity: str
    given: Any
    links: Mapping[str, Any]
    params: Mapping[str, Any]
    label: str | None
    room: tuple[str, str]
    topic: str | None
    ip: str
    origin: str
    expect: Verdict | frozenset[str]


@dataclass(frozen=True, slots=True)
class Suite:
    """A checked file of cases.

    users    name -> id
    rows     (etype, id, values) to begin with, users first
    names    id -> name, for people
    """

    schema: Any
    rules: Any
    is_open: bool
    users: Mapping[str, str]
    rows: tuple[tuple[str, str, Mapping[str, Any]], ...]
    names: Mapping[str, str]
    cases: tuple[Case, ...]


def parse_suite(document: Any) -> Suite:
    """Check a file of cases.

    raises   InvalidInput("validation-failed", data-type "rules-tests") with every fault, each as
             {message, in: path}
    """
    reader = _Reader()
    suite = reader.read(document)
    if reader.faults or suite is None:
        raise invalid("rules-tests", None, reader.faults)
    return suite


def id_of(etype: str, name: str) -> str:
    """The id that a name stands for, the same in every run; a name that is a uuid is itself."""
    if find_uuid_bytes(name) is not None:
        return name.lower()
    digits = hashlib.sha256(f"{etype}/{name}".encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"


class _Reader:
    """Reads a file. Holds the names and faults found so far."""

    def __init__(self) -> None:
        self.faults: list[dict[str, Any]] = []
        self._ids: dict[str, str] = {}

    def read(self, document: Any) -> Suite | None:
        """Read a whole file; None with faults."""
        if not isinstance(document, Mapping):
            self._report([], "The file must be an object with `cases`.")
            return None
        self._only(document, _SUITE_KEYS, [])
        users = self._entities({_USERS: document.get("users") or {}}, ["users"])
        data = self._entities(document.get("data") or {}, ["data"])
        rows = [*self._rows(users, ["users"]), *self._rows(data, ["data"])]
        given = document.get("cases")
        if not isinstance(given, list) or not 1 <= len(given) <= limits.RULE_CASES_MAX:
            message = f"`cases` must be a list of 1 to {limits.RULE_CASES_MAX:,} cases."
            self._report(["cases"], message)
            given = []
        names = [name for _, name, _ in users]
        cases = [self._case(case, index, names) for index, case in enumerate(given)]
        is_open = document.get("open", False)
        if not isinstance(is_open, bool):
            self._report(["open"], "`open` must be true or false.")
        return Suite(
            schema=document.get("schema"),
            rules=document.get("rules"),
            is_open=is_open is True,
            users={name: id_of(_USERS, name) for name in names},
            rows=tuple(rows),
            names={id_: name.removeprefix("$users/") for name, id_ in self._ids.items()},
            cases=tuple(case for case in cases if case is not None),
        )

    def _entities(
        self, section: Any, path: list[str | int]
    ) -> list[tuple[str, str, Mapping[str, Any]]]:
        """(etype, name, values as written); from now on every name is known."""
        found: list[tuple[str, str, Mapping[str, Any]]] = []
        for etype, named in self._object(section, path).items():
            inner = path if path == ["users"] else [*path, etype]
            for name, values in self._object(named, inner).items():
                found.append((str(etype), str(name), self._object(values, [*inner, str(name)])))
                self._ids[f"{etype}/{name}"] = id_of(str(etype), str(name))
        return found

    def _rows(
        self, entities: Iterable[tuple[str, str, Mapping[str, Any]]], path: list[str | int]
    ) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        for etype, name, values in entities:
            inner = [*path, name] if path == ["users"] else [*path, etype, name]
            yield etype, id_of(etype, name), self._resolved(values, inner)

    def _case(self, given: Any, index: int, users: list[str]) -> Case | None:
        path: list[str | int] = ["cases", index]
        before = len(self.faults)
        case = self._object(given, path)
        self._only(case, _KEYS, path)
        op = self._one_of(case, "op", OPS, path)
        who = self._one_of(case, "as", (GUEST_NAME, *users), path)
        expect = self._expect(case, op, path)
        for key in _NEEDS.get(op, ()) if op is not None else ():
            if key not in case:
                self._report(path, f"A case of `{op}` needs `{key}`.")
        for key, kind in _KINDS.items():
            if key in case and not isinstance(case[key], kind):
                self._report([*path, key], f"`{key}` must be {_KIND_WORDS[kind]}.")
        etype, entity = self._target(case, op, [*path, "on"])
        given_key = _GIVEN.get(op or "view", "set")
        if len(self.faults) > before or op is None or who is None or expect is None:
            return None
        return Case(
            name=str(case.get("name") or f"case {index + 1}"),
            who=None if who == GUEST_NAME else who,
            op=op,
            etype=etype,
            entity=entity,
            given=self._resolved(case.get(given_key, {}), [*path, given_key]),
            links=self._resolved(case.get("link", {}), [*path, "link"]) if op == "create" else {},
            params=self._resolved(case.get("params", {}), [*path, "params"]),
            label=case.get("field"),
            room=self._room(case, op, [*path, "room"]),
            topic=case.get("topic") if op == "publish" else None,
            ip=str(case.get("ip", "")),
            origin=str(case.get("origin", "")),
            expect=expect,
        )

    def _one_of(
        self, case: Mapping[str, Any], key: str, accepted: tuple[Any, ...], path: list[str | int]
    ) -> Any:
        found = case.get(key)
        if found in accepted:
            return found
        shown = ", ".join(map(str, accepted))
        self._report([*path, key], f"`{key}` must be one of: {shown}. It is {quote(found)}.")
        return None

    def _expect(
        self, case: Mapping[str, Any], op: Op | None, path: list[str | int]
    ) -> Verdict | frozenset[str] | None:
        found = case.get("expect")
        if op == "query" and isinstance(found, list):
            ids = self._resolved(found, [*path, "expect"])
            return frozenset(str(id_) for id_ in ids)
        verdict: Verdict | None = self._one_of(case, "expect", VERDICTS, path)
        return verdict

    def _target(
        self, case: Mapping[str, Any], op: Op | None, path: list[str | int]
    ) -> tuple[str, str]:
        """Namespace and id of `on: todos/milk`; a create may give a new name."""
        given = case.get("on")
        if given is None:
            return "", ""
        text = str(given).removeprefix("@")
        etype, has_slash, name = text.partition("/")
        if not has_slash:
            etype, name = _USERS, text
        known = f"{etype}/{name}"
        if op == "create" or find_uuid_bytes(name) is not None:
            self._ids.setdefault(known, id_of(etype, name))
        if known not in self._ids:
            self._report(path, self._unknown(text))
        return etype, id_of(etype, name)

    def _room(
        self, case: Mapping[str, Any], op: Op | None, path: list[str | int]
    ) -> tuple[str, str]:
        """Type and id of `room: chat/general` or `room: chat/@chats/general`."""
        if op not in ROOM_ACTIONS:
            return "", ""
        room_type, _, room_id = str(case["room"]).partition("/")
        return room_type, self._resolved(room_id, path)

    def _resolved(self, value: Any, path: list[str | int]) -> Any:
        """`value` with ids in place of names."""
        match value:
            case str() if value.startswith("@@"):
                return value[1:]
            case str() if value.startswith("@"):
                return self._named(value[1:], path)
            case list():
                return [self._resolved(item, [*path, at]) for at, item in enumerate(value)]
            case Mapping():
                return {key: self._resolved(item, [*path, key]) for key, item in value.items()}
            case _:
                return value

    def _named(self, text: str, path: list[str | int]) -> str:
        known = text if "/" in text else f"{_USERS}/{text}"
        found = self._ids.get(known)
        if found is None:
            self._report(path, self._unknown(text))
            return ""
        return found

    def _unknown(self, text: str) -> str:
        names = ", ".join(sorted(self._ids)) or "nothing"
        return f"There is no `{text}` in the data; there is: {names}."

    def _only(
        self, found: Mapping[str, Any], accepted: frozenset[str], path: list[str | int]
    ) -> None:
        for key in found:
            if key not in accepted:
                shown = ", ".join(sorted(accepted))
                self._report([*path, str(key)], f"`{key}` is not known; known are: {shown}.")

    def _object(self, found: Any, path: list[str | int]) -> Mapping[str, Any]:
        if isinstance(found, Mapping):
            return found
        self._report(path, f"`{'.'.join(map(str, path))}` must be an object.")
        return {}

    def _report(self, path: list[str | int], message: str) -> None:
        if len(self.faults) < limits.ERROR_SAMPLES_MAX:
            self.faults.append({"message": message, "in": path})


@dataclass(slots=True)
class RuleCoverage:
    """What was covered of one rule.

    allowed, denied   how often it decided so
    conditions        text -> the results it had
    """

    allowed: int = 0
    denied: int = 0
    conditions: dict[str, set[bool]] = field(default_factory=dict)

    @property
    def possible(self) -> int:
        """Results that its conditions can have: two each; a constant rule has one."""
        if self.conditions:
            return 2 * len(self.conditions)
        return 1 if self.allowed or self.denied else 2

    @property
    def seen(self) -> int:
        """Results that its conditions had."""
        if self.conditions:
            return sum(map(len, self.conditions.values()))
        return 1 if self.allowed or self.denied else 0


class Coverage:
    """Which rules of a document have decided, and the results of each of their conditions.

    rules   "todos.allow.view" -> what was covered, in the order of the document
    """

    def __init__(self, document: Any) -> None:
        self.rules = {place: RuleCoverage() for place in _places(document)}

    def add(self, check: Check) -> None:
        """Count one decision."""
        rule = self.rules.get(str(check.decided_by["rule"]))
        if rule is None:
            return
        if check.is_allowed:
            rule.allowed += 1
        else:
            rule.denied += 1
        for text, outcome in check.judgement.conditions.items():
            seen = rule.conditions.setdefault(text, set())
            if outcome is not None:
                seen.add(outcome)

    @property
    def percent(self) -> float:
        """The share of possible results that were seen; 100 for a document without rules."""
        possible = sum(rule.possible for rule in self.rules.values())
        seen = sum(rule.seen for rule in self.rules.values())
        return 100 * seen / possible if possible else 100.0


def _places(document: Any) -> Iterator[str]:
    """Every rule of a checked document, as a dotted path."""
    for etype, section in (document or {}).items():
        if etype == "$rateLimits":
            continue
        if etype == ROOMS:
            yield from _room_places(section)
            continue
        for action, rule in (section.get("allow") or {}).items():
            if isinstance(rule, Mapping):
                yield from (f"{etype}.allow.{action}.{label}" for label in rule)
            elif rule is not None:
                yield f"{etype}.allow.{action}"
        yield from (f"{etype}.fields.{label}" for label in section.get("fields") or {})


def _room_places(section: Mapping[str, Any]) -> Iterator[str]:
    for room_type, actions in section.items():
        for action, rule in (actions or {}).items():
            if action == "publish" and isinstance(rule, Mapping):
                yield from (f"{ROOMS}.{room_type}.publish.{topic}" for topic in rule)
            elif action in ROOM_ACTIONS and rule is not None:
                yield f"{ROOMS}.{room_type}.{action}"
