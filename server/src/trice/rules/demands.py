"""Which rules a write of an attr asks, and about which entities. No I/O.

source   instant-semantics §5.2, §5.8; spec/rules.md R100-R126
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from trice import limits
from trice.catalog.attr import Attr
from trice.cel.evaluate import Program
from trice.rules.document import Rules
from trice.rules.environments import Action, EntityAction, LinkAction
from trice.rules.facts import facts_of
from trice.transact.writes import Write


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """The rules that writing an attr asks about one of its ends.

    known        the rule that decides when the entity existed
    new          the rule that decides when the transaction makes it
    label        the link's name at this end, for link and unlink; else empty
    other        namespace at the other end, if it matters; else empty
    sees_other   whether the row at the other end matters
    instead_of   asked about a source if only the target's end has a rule, and there is no target
    """

    etype: str
    is_target: bool
    known: tuple[Action, Program] | None
    new: tuple[Action, Program] | None
    label: str = ""
    other: str = ""
    sees_other: bool = False
    instead_of: LinkAction | None = None


@dataclass(frozen=True, slots=True)
class Looks:
    """What a program reads; nothing else is prepared for it."""

    at_data: bool
    at_new_data: bool
    at_request: bool
    at_auth: bool
    at_other_end: bool


EVERYWHERE: Final = Looks(True, True, True, True, True)


@lru_cache(maxsize=limits.RULE_FACTS_KEPT)
def looks_of(program: Program) -> Looks:
    """What `program` reads, its binds included."""
    facts = facts_of(program)
    has_actions = "actions" in facts.whole or any(name == "actions" for name, _ in facts.fields)
    return Looks(
        facts.mentions("data"),
        facts.mentions("newData"),
        facts.mentions("request"),
        facts.mentions("auth"),
        facts.mentions("linkedData") or has_actions,
    )


class Demands:
    """The demands of writes under one set of rules, by names of attrs: valid for every catalog.

    Holds the demands made so far, at most limits.RULE_DEMANDS_KEPT of them.

    has_all   rules that are always true are asked too
    """

    def __init__(self, rules: Rules, *, has_all: bool) -> None:
        self.has_all = has_all
        self._rules = rules
        self._made: dict[tuple[object, bool], tuple[Demand, ...]] = {}

    def about(self, write: Write) -> tuple[Demand, ...]:
        """The demands of a write."""
        attr = write.attr
        is_retract = write.op == "retract"
        of: object = attr.etype
        if attr.is_ref:
            assert attr.reverse is not None
            of = (attr.etype, attr.label, attr.reverse.etype, attr.reverse.label)
        memo = (of, is_retract)
        found = self._made.get(memo)
        if found is None:
            if len(self._made) >= limits.RULE_DEMANDS_KEPT:
                self._made.clear()
            made = self._of_link(attr, "unlink" if is_retract else "link") if attr.is_ref else None
            if made is None:
                made = self._of_source(attr, is_retract=is_retract)
                if attr.is_ref:
                    made += self._of_target(attr, is_retract=is_retract)
            found = self._made[memo] = tuple(
                each for each in made if each.known is not None or each.new is not None
            )
        return found

    def deciding(self, etype: str, action: EntityAction) -> tuple[Action, Program] | None:
        """The rule for an action; None if there is nothing to ask."""
        return self._unless_always(action, self._rules.find(etype, action))

    def view(self, etype: str) -> Program:
        """The rule that says which entities the caller sees."""
        return self._rules.find(etype, "view")

    def _of_source(self, attr: Attr, *, is_retract: bool) -> list[Demand]:
        """Demand update or create of the entity that holds the attr."""
        create = None if is_retract else self.deciding(attr.etype, "create")
        return [Demand(attr.etype, False, self.deciding(attr.etype, "update"), create)]

    def _of_target(self, attr: Attr, *, is_retract: bool) -> list[Demand]:
        """Demand view of a link's target."""
        assert attr.reverse is not None
        view = self.deciding(attr.reverse.etype, "view")
        return [Demand(attr.reverse.etype, True, view, None if is_retract else view)]

    def _of_link(self, attr: Attr, action: LinkAction) -> list[Demand] | None:
        """The rules for the link itself; None when neither end has one."""
        assert attr.reverse is not None
        demands: list[Demand] = []
        programs: dict[bool, Program] = {}
        for end, other, is_target in (
            (attr.forward, attr.reverse, False),
            (attr.reverse, attr.forward, True),
        ):
            program = self._rules.find_link(end.etype, action, end.label)
            if program is None:
                continue
            programs[is_target] = program
            rule = self._unless_always(action, program)
            demands.append(
                Demand(
                    end.etype,
                    is_target,
                    rule,
                    rule if action == "link" else None,
                    end.label,
                    other.etype,
                    self.has_all or looks_of(program).at_other_end,
                )
            )
        if not programs:
            return None
        if False not in programs and facts_of(programs[True]).constant is not True:
            update = self.deciding(attr.etype, "update")
            create = self.deciding(attr.etype, "create") if action == "link" else None
            target = attr.reverse.etype
            demands.append(
                Demand(attr.etype, False, update, create, "", target, True, instead_of=action)
            )
        return demands

    def _unless_always(self, action: Action, program: Program) -> tuple[Action, Program] | None:
        is_asked = self.has_all or facts_of(program).constant is not True
        return (action, program) if is_asked else None
