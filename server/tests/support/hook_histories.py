"""What hooks follow that are played on servers that end, and what must be true in the end.

The model is naive: it keeps a list of all changes, as it made them. A mutation has noted exactly
those that its hook follows, in order; an action has done them in order, the one at which a server
ended perhaps again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from support.hook_stage import HookStage
from support.job_stage import Ctx
from trice.errors import InvalidInput

PLANS: dict[str, tuple[str, dict[str, Any]]] = {
    "all": ("mutation", {"create": True, "update": None, "delete": True}),
    "texts": ("mutation", {"update": ("a",)}),
    "sent": ("action", {"create": True, "update": ("b",), "delete": True}),
    "born": ("action", {"create": True}),
}
"""Hooks: kind, and what each follows."""


@dataclass(frozen=True)
class Made:
    """A change as the model knows it.

    row      what the row has then, or had; of an updated one what changed
    """

    kind: str
    id: str
    row: dict[str, str]

    def text(self, name: str) -> str:
        """What a hook notes of it."""
        values = " ".join(f"{label}={value}" for label, value in sorted(self.row.items()))
        return f"{name} {self.kind} {self.id[:8]} {values}"


@dataclass
class Model:
    """Items, and every change of them: by transaction, as the rows of one have no order that a
    client could know."""

    random: random.Random
    new_id: Callable[[], str]
    items: dict[str, dict[str, str]] = field(default_factory=dict)
    changes: list[list[Made]] = field(default_factory=list)
    count: int = 0

    def steps(self) -> list[Any]:
        """A transaction: some items made, changed or deleted, each once; or none of them."""
        if self.random.random() < 0.3:
            return [["update", "others", self.new_id(), {"a": "x"}]]
        found: list[Any] = []
        made: list[Made] = []
        touched: set[str] = set()
        for _ in range(self.random.choice((1, 1, 1, 2, 5))):
            there = [each for each in self.items if each not in touched]
            chosen = self.random.random()
            if not there or chosen < 0.4:
                found.append(self._create(made, touched))
            elif chosen < 0.8:
                found.append(self._update(self.random.choice(there), made, touched))
            else:
                item = self.random.choice(there)
                touched.add(item)
                made.append(Made("deleted", item, self.items.pop(item)))
                found.append(["delete", "items", item])
        self.changes.append(made)
        return found

    def _value(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def _create(self, made: list[Made], touched: set[str]) -> Any:
        item = self.new_id()
        self.items[item] = {"a": self._value()}
        touched.add(item)
        made.append(Made("created", item, dict(self.items[item])))
        return ["update", "items", item, dict(self.items[item])]

    def _update(self, item: str, made: list[Made], touched: set[str]) -> Any:
        labels = self.random.choice((("a",), ("b",), ("a", "b")))
        fields = {label: self._value() for label in labels}
        self.items[item] |= fields
        touched.add(item)
        made.append(Made("updated", item, fields))
        return ["update", "items", item, fields]

    def expected(self, name: str) -> list[list[str]]:
        """What a hook must have noted, by transaction."""
        plan = PLANS[name][1]
        return [
            found
            for made in self.changes
            if (found := sorted(each.text(name) for each in made if _is_wanted(each, plan)))
        ]


def _is_wanted(made: Made, plan: dict[str, Any]) -> bool:
    if made.kind == "updated":
        wanted = plan.get("update", ())
        return wanted is None or bool(set(wanted) & set(made.row))
    return bool(plan.get("create" if made.kind == "created" else "delete", False))


def add_hooks(stage: HookStage, choices: random.Random) -> None:
    """The hooks of `PLANS`. Some runs fail, a few times each."""
    failures: dict[str, int] = {}

    async def follow(ctx: Ctx) -> None:
        name, change = ctx.job.function, ctx.job.args["change"]
        row = change["before"] if change["after"] is None else change["after"]
        row = {label: value for label, value in row.items() if label in ("a", "b")}
        text = Made(change["kind"], change["id"], row).text(name)
        _check(change)
        if failures.setdefault(ctx.job.id, choices.choice((0, 0, 0, 1, 3))):
            failures[ctx.job.id] -= 1
            raise InvalidInput("validation-failed", text)
        if PLANS[name][0] == "mutation":
            ctx.note(text)
        else:
            await ctx.effect(text)

    for name, (kind, plan) in PLANS.items():
        stage.hook(kind, name, follow, **plan)


def _check(change: dict[str, Any]) -> None:
    """The rows of a change are as its kind says."""
    before, after = change["before"], change["after"]
    match change["kind"]:
        case "created":
            assert before is None and after["a"].startswith("v"), change
        case "deleted":
            assert after is None and before["a"].startswith("v"), change
        case _:
            assert set(before) == set(after) == set(change["changed"]), change
            assert all(before[label] != after[label] for label in after), change


def check(model: Model, noted: Sequence[str], done_outside: Sequence[str]) -> None:
    """Look whether each hook ran as often as it should, and in order.

    noted          texts of notes, as they were committed
    done_outside   what actions did, in order
    """
    for name, (kind, _) in PLANS.items():
        found = [text for text in (*noted, *done_outside) if text.startswith(f"{name} ")]
        if kind == "action":
            found = [text for text, _ in groupby(found)]
        for expected in model.expected(name):
            assert sorted(found[: len(expected)]) == expected, name
            del found[: len(expected)]
        assert not found, f"{name}: nothing twice"
