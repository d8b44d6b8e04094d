"""The binds of a namespace: names for expressions, and which of them an expression needs. No I/O.

source   instant-semantics §5.3; spec/rules.md R10-R13
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

from trice.cel.ast import Name, walk
from trice.cel.parse import Expression


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place of a document.

    path    keys from the root
    hint    what to write instead; may be empty
    """

    path: tuple[str, ...]
    message: str
    hint: str = ""

    def wire(self) -> dict[str, Any]:
        """`{"message", "in", "hint"?}`, as errors and warnings show it."""
        found: dict[str, Any] = {"message": self.message, "in": list(self.path)}
        return {**found, "hint": self.hint} if self.hint else found


@dataclass(slots=True)
class Binds:
    """Binds of one namespace, `$default`'s included.

    broken   names that have no value, and why; None: that was reported already
    paths    the path of each name in the document
    """

    values: dict[str, Expression] = field(default_factory=dict)
    broken: dict[str, Fault | None] = field(default_factory=dict)
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)


def names_in(expression: Expression) -> set[str]:
    """Every name that it mentions, even those of its own loops: one bind too many does no harm."""
    return {node.name for node, _ in walk(expression.root) if isinstance(node, Name)}


def broken_of(names: set[str], used: list[str], binds: Binds) -> list[Fault | None]:
    """The faults of binds that `names` need, directly or not; None: that was reported."""
    if not binds.broken:
        return []
    reached = names.union(*(names_in(binds.values[name]) for name in used))
    return [fault for name, fault in binds.broken.items() if name in reached]


def in_order(names: set[str], binds: Binds) -> Iterator[str]:
    """Binds that `names` need, each after the binds that it needs itself; raises CycleError."""
    needs: dict[str, set[str]] = {}
    waiting = sorted(names & binds.values.keys())
    while waiting:
        name = waiting.pop()
        if name not in needs:
            needs[name] = names_in(binds.values[name]) & binds.values.keys()
            waiting.extend(sorted(needs[name]))
    return iter(TopologicalSorter(needs).static_order())
