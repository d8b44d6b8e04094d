"""Random transactions under random rules, held against the table of checks written out naively.

The oracle looks at the whole data before and after a transaction, asks every rule for every step,
and evaluates rules in Python. `TRICE_FUZZ_SEED` picks another first seed; `TRICE_FUZZ_SECONDS` adds
seeds for that long. A failure names its seed.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.ruled_app import RuledApp
from support.transact_app import App, uid
from trice.errors import InvalidInput
from trice.protocol.ids import uuid_text
from trice.transact.permission import Proposal

SEEDS = 12
TRANSACTIONS = 40
Key = tuple[str, str]
Row = dict[str, Any]


@dataclass
class Seen:
    """What a rule sees."""

    data: Row
    new: Row
    linked: Row
    actions: tuple[str, str]
    params: Row
    modified: list[str]
    refs: Callable[[str], list[Any]]


ANY = {
    "true": lambda s: True,
    "false": lambda s: False,
    "data.x == 1": lambda s: s.data.get("x") == 1,
    "data.x != 1": lambda s: s.data.get("x") != 1,
    "data.id != null": lambda s: s.data.get("id") is not None,
    "ruleParams.k == 1": lambda s: s.params.get("k") == 1,
    "ruleParams.k != 2": lambda s: s.params.get("k") != 2,
    "1 in data.ref('b.x')": lambda s: 1 in s.refs("b"),
}
WRITING = {
    **ANY,
    "newData.x == data.x": lambda s: s.new.get("x") == s.data.get("x"),
    "newData.x != 2": lambda s: s.new.get("x") != 2,
    "newData.y == null || newData.x == 1": lambda s: s.new.get("y") is None or s.new.get("x") == 1,
    "request.modifiedFields == ['x']": lambda s: s.modified == ["x"],
    "size(request.modifiedFields) < 2": lambda s: len(s.modified) < 2,
}
LINKING = {
    **WRITING,
    "linkedData.x == 1": lambda s: s.linked.get("x") == 1,
    "linkedData.id == null || linkedData.x != 2": lambda s: s.linked.get("x") != 2,
}
LINK = {
    **LINKING,
    "actions.data == 'update'": lambda s: s.actions[0] == "update",
    "actions.linkedData == 'create'": lambda s: s.actions[1] == "create",
}
POOLS: dict[str, dict[str, Callable[[Seen], bool]]] = {
    "view": ANY,
    "delete": ANY,
    "create": WRITING,
    "update": WRITING,
    "link": LINK,
    "unlink": LINKING,
}

# label -> (source, its label), (target, its label). Every namespace calls its links a1 … and b.
LINKS = {
    "one": (("notes", "one"), ("lists", "ones")),
    "b": (("notes", "b"), ("lists", "b")),
    "up": (("lists", "up"), ("lists", "downs")),
}


@dataclass
class State:
    """Everything stored. A row is there if anything of cardinality one is."""

    rows: dict[Key, Row] = field(default_factory=dict)
    born: set[Key] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def read(cls, proposal: Proposal) -> State:
        state = cls()
        for etype in ("notes", "lists"):
            namespace = proposal.catalog.namespaces[etype]
            names = [attr.column for attr in namespace.columns]
            listed = "".join(f', "{name}"' for name in names)
            rows = proposal.statements.rows(f'SELECT id, _created_ms{listed} FROM "{etype}"')
            for entity, created, *cells in rows:
                assert isinstance(entity, bytes)
                key = (etype, uuid_text(entity))
                values = {
                    attr.label: uuid_text(cell) if isinstance(cell, bytes) else cell
                    for attr, cell in zip(namespace.columns, cells, strict=True)
                    if cell is not None
                }
                state.rows[key] = {"id": key[1], **values}
                if created is not None:
                    state.born.add(key)
        attr = proposal.catalog.find_forward("notes", "b")
        assert attr is not None
        for ends in proposal.statements.rows(f'SELECT source, target FROM "{attr.table}"'):
            source, target = (uuid_text(end) for end in ends if isinstance(end, bytes))
            state.pairs.add((source, target))
        return state

    def refs(self, key: Key, path: str) -> list[Any]:
        """`x` of the entities at the other end of `b`."""
        assert path == "b"
        etype, me = key
        if etype == "notes":
            far, ends = "lists", [target for source, target in self.pairs if source == me]
        else:
            far, ends = "notes", [source for source, target in self.pairs if target == me]
        return [self.rows[far, end].get("x") for end in ends if (far, end) in self.born]


@dataclass
class Oracle:
    """Checks that allow everything and keep what was there before and after."""

    before_state: State = field(default_factory=State)
    after_state: State = field(default_factory=State)

    def before(self, proposal: Proposal) -> None:
        self.before_state = State.read(proposal)

    def after(self, proposal: Proposal) -> None:
        self.after_state = State.read(proposal)
        raise _Undone


class _Undone(Exception):
    pass


class Verdict:
    """Every check that the table asks for, evaluated."""

    def __init__(self, app: App, rules: dict[str, Any], steps: list[Any], oracle: Oracle) -> None:
        self.old, self.new = oracle.before_state, oracle.after_state
        self.rules = rules
        self.labels = {attr.id: attr.label for attr in app.catalog.by_id.values()}
        self.etypes = {attr.id: attr.etype for attr in app.catalog.by_id.values()}
        self.denied: list[tuple[str, Key]] = []
        self.params: dict[Key, Row] = {}
        self.modified: dict[Key, list[str]] = {}
        self.deleted: set[Key] = set()
        for step in steps:
            self.note(step)
        for step in steps:
            self.judge(step)

    def note(self, step: list[Any]) -> None:
        match step:
            case ["rule-params", subject, etype, params]:
                key = (etype, self.find(subject))
                self.params[key] = {**self.params.get(key, {}), **params}
            case ["add-triple" | "deep-merge-triple" | "increment-triple", subject, attr, *_]:
                label = self.labels[attr]
                listed = self.modified.setdefault((self.etypes[attr], self.find(subject)), [])
                if label != "id" and label not in listed:
                    listed.append(label)

    def find(self, subject: Any) -> str:
        """An id, or the holder of a code: before, else after."""
        if isinstance(subject, str):
            return subject
        for state in (self.old, self.new):
            for key, row in state.rows.items():
                if key[0] == "notes" and row.get("code") == subject[1]:
                    return key[1]
        raise AssertionError(subject)

    def rule(self, etype: str, action: str, label: str | None = None) -> str | None:
        allow = self.rules.get(etype, {}).get("allow", {})
        if label is None:
            return str(allow.get(action, "true"))
        found = allow.get(action, {}).get(label)
        return None if found is None else str(found)

    def judge(self, step: list[Any]) -> None:
        match step:
            case ["delete-entity", entity, etype]:
                self.delete((etype, entity), (etype, entity))
            case ["rule-params", *_]:
                pass
            case [op, subject, attr, value]:
                key = (self.etypes[attr], self.find(subject))
                label = self.labels[attr]
                if label in LINKS:
                    target = (LINKS[label][1][0], self.find(value))
                    self.link(key, label, target, is_retract=op == "retract-triple")
                else:
                    self.write(key, is_retract=op == "retract-triple")

    def delete(self, key: Key, root: Key) -> None:
        if key in self.deleted:
            return
        self.deleted.add(key)
        params = {**self.params.get(root, {}), **self.params.get(key, {})}
        rule = str(self.rule(key[0], "delete"))
        if key not in self.old.rows and "data" in rule and not self.shows_all(key[0]):
            self.denied.append((f"delete of nobody: {rule}", key))
        else:
            self.ask("delete", rule, key, self.old, params=params)
        for other, row in self.old.rows.items():
            if other[0] == key[0] == "lists" and row.get("up") == key[1]:
                self.delete(other, root)

    def shows_all(self, etype: str) -> bool:
        """Whether everybody is shown, whatever their data; nobody sends params for that."""
        return str(self.rule(etype, "view")) in ("true", "ruleParams.k != 2")

    def write(self, key: Key, *, is_retract: bool) -> None:
        is_there = key in self.old.rows
        if is_there:
            self.ask("update", self.rule(key[0], "update"), key, self.old)
        appears = key in self.new.born and key not in self.old.born
        if not is_retract and (not is_there or appears):
            self.ask("create", self.rule(key[0], "create"), key, self.new)

    def link(self, source: Key, label: str, target: Key, *, is_retract: bool) -> None:
        action = "unlink" if is_retract else "link"
        (from_etype, from_label), (to_etype, to_label) = LINKS[label]
        forward = self.rule(from_etype, action, from_label)
        reverse = self.rule(to_etype, action, to_label)
        is_made = target not in self.old.rows and target in self.new.rows
        is_known = target in self.old.rows
        if forward is None and reverse is None:
            self.write(source, is_retract=is_retract)
            if is_known:
                self.ask("view", self.rule(to_etype, "view"), target, self.old)
            elif is_made and not is_retract:
                self.ask("view", self.rule(to_etype, "view"), target, self.new)
            return
        if forward is not None:
            if source in self.old.rows:
                self.ask(action, forward, source, self.old, other=target)
            elif not is_retract:
                self.ask(action, forward, source, self.new, other=target)
        if reverse is not None:
            if is_known:
                self.ask(action, reverse, target, self.old, other=source)
            elif is_made and not is_retract:
                self.ask(action, reverse, target, self.new, other=source)
            elif forward is None and reverse != "true":
                self.write(source, is_retract=is_retract)

    def ask(
        self,
        action: str,
        rule: str | None,
        key: Key,
        state: State,
        *,
        other: Key | None = None,
        params: Row | None = None,
    ) -> None:
        assert rule is not None
        data = state.rows.get(key, {}) if action == "delete" else self.row(state, key)
        linked: Row = {}
        if other is not None:
            if other in self.old.rows:
                linked = self.row(state, other)
            else:
                linked = self.new.rows.get(other, {})
        of_link = {**self.params.get(other, {}), **self.params.get(key, {})} if other else None
        seen = Seen(
            data=data,
            new=self.row(self.new, key),
            linked=linked,
            actions=(
                "update" if state is self.old else "create",
                "update" if other in self.old.rows else "create",
            ),
            params=params or of_link or self.params.get(key, {}),
            modified=self.modified.get(key, []),
            refs=lambda path: state.refs(key, path) if data.get("id") else [],
        )
        if not POOLS[action][rule](seen):
            self.denied.append((f"{action}: {rule}", key))

    def row(self, state: State, key: Key) -> Row:
        """An entity; one that was deleted first and not written again as it was."""
        written = self.old.rows.get(key) if key in self.deleted else None
        return state.rows.get(key) or written or {"id": key[1]}


def make_app(path: Path) -> App:
    app = App(path)
    attr = app.attr_json
    app.transact(
        [
            ["add-attr", each]
            for each in (
                attr("notes", "id"),
                attr("notes", "x"),
                attr("notes", "y"),
                attr("notes", "code", unique=True),
                attr("lists", "id"),
                attr("lists", "x"),
                attr("lists", "y"),
                attr("notes", "one", to=("lists", "ones")),
                attr("notes", "b", to=("lists", "b"), cardinality="many"),
                attr("lists", "up", to=("lists", "downs"), on_delete="cascade"),
            )
        ]
    )
    return app


def random_rules(draw: random.Random) -> dict[str, Any]:
    def one_of(action: str) -> str:
        # Most rules allow, or hardly any transaction would get through.
        return "true" if draw.random() < 0.3 else draw.choice(list(POOLS[action]))

    rules: dict[str, Any] = {}
    for etype in ("notes", "lists"):
        allow: dict[str, Any] = {
            action: one_of(action)
            for action in ("view", "create", "update", "delete")
            if draw.random() < 0.6
        }
        for action in ("link", "unlink"):
            labels = {
                label: one_of(action)
                for ends in LINKS.values()
                for end, label in ends
                if end == etype and draw.random() < 0.3
            }
            if labels:
                allow[action] = labels
        rules[etype] = {"allow": allow}
    return rules


def random_steps(app: App, draw: random.Random) -> Iterator[list[Any]]:
    """Deletes first, then anything."""
    if draw.random() < 0.2:
        yield ["delete-entity", uid(draw.randint(1, 5)), draw.choice(("notes", "lists"))]
    for _ in range(draw.randint(1, 4)):
        etype = draw.choice(("notes", "lists"))
        subject: Any = uid(draw.randint(1, 5))
        if etype == "notes" and draw.random() < 0.2:
            subject = [app.attr("notes", "code").id, draw.choice("pqrs")]
        match draw.choice(
            ("put", "set", "set", "merge", "sum", "retract", "link", "link", "unlink", "params")
        ):
            case "put":
                yield ["add-triple", subject, app.attr(etype, "id").id, subject]
                yield ["add-triple", subject, app.attr(etype, "x").id, draw.randint(0, 2)]
            case "set" | "merge" as kind:
                op = "add-triple" if kind == "set" else "deep-merge-triple"
                yield [op, subject, app.attr(etype, draw.choice("xy")).id, draw.randint(0, 2)]
            case "sum":
                yield ["increment-triple", subject, app.attr(etype, "x").id, draw.randint(0, 2)]
            case "retract" if isinstance(subject, str):
                yield ["retract-triple", subject, app.attr(etype, "x").id, draw.randint(0, 2)]
            case "link" | "unlink" as kind:
                label = draw.choice([each for each, ends in LINKS.items() if ends[0][0] == etype])
                op = "add-triple" if kind == "link" else "retract-triple"
                if kind == "link" or isinstance(subject, str):
                    yield [op, subject, app.attr(etype, label).id, uid(draw.randint(1, 5))]
            case "params" if isinstance(subject, str):
                yield ["rule-params", subject, etype, {"k": draw.randint(1, 2)}]


def story(seed: int, path: Path) -> tuple[int, int]:
    """One app, many rules and transactions; return how many were allowed and denied."""
    draw = random.Random(seed)
    app = make_app(path)
    allowed = denied = 0
    try:
        for number in (1, 2, 3):
            app.put("notes", number, x=draw.randint(0, 2), code="pqr"[number - 1])
            app.put("lists", number, x=draw.randint(0, 2))
        for _ in range(TRANSACTIONS):
            rules = random_rules(draw)
            ruled = RuledApp(app, rules)
            steps = list(random_steps(app, draw))
            oracle = Oracle()
            try:
                app.transact(steps, checks=oracle)
            except _Undone:
                pass
            except InvalidInput:
                continue
            verdict = Verdict(app, rules, steps, oracle)
            about = f"seed {seed}: rules {rules}, steps {steps}, denied by {verdict.denied}"
            assert ruled.would_allow(steps) is not bool(verdict.denied), about
            assert ruled.is_allowed(steps) is not bool(verdict.denied), about
            allowed += not verdict.denied
            denied += bool(verdict.denied)
            if verdict.denied and draw.random() < 0.3:
                app.transact(steps)
    finally:
        app.close()
    return allowed, denied


@pytest.mark.rule("R100", "R107", "R108", "R110", "R111", "R113", "R114")
def test_transactions_are_judged_as_the_table_says(tmp_path: Path) -> None:
    first = int(os.environ.get("TRICE_FUZZ_SEED", "0"))
    ends = time.monotonic() + float(os.environ.get("TRICE_FUZZ_SECONDS", "0"))
    counts: list[tuple[int, int]] = []
    while len(counts) < SEEDS or time.monotonic() < ends:
        seed = first + len(counts)
        counts.append(story(seed, tmp_path / f"{seed}.db"))
    assert min(sum(each) for each in zip(*counts, strict=True)) > SEEDS
