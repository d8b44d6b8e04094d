"""Part of a rule as conditions: when it is true, when false, and whether it can fail. No I/O.

An expression has three outcomes for an entity: true, false, error. SQL has no errors, so a part may
become conditions only where it cannot fail. Null makes expressions fail: `data.n < 5` fails exactly
where `n` is null, and `data.n != null && data.n < 5` never fails. So each formula has conditions,
and for each outcome the cases of null and not null in which it can occur. These are overestimates,
but exact enough to see that guarded parts are safe.

source   spec/rules.md R70-R79
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

from trice import limits
from trice.protocol.ids import AttrId
from trice.query.ast import NOTHING, AllOf, AnyOf, Scope

Case = frozenset[tuple[AttrId, bool]]
"""Attrs that are null (True) or not null (False), all at the same time."""

Cases = frozenset[Case]
"""At least one of these cases."""

NEVER: Final[Cases] = frozenset()
ALWAYS: Final[Cases] = frozenset((frozenset(),))
_CASES_MAX: Final = 16
"""More cases than this become "always", which is an overestimate too."""


def is_null(attr: AttrId) -> Cases:
    """The case that `attr` is null."""
    return frozenset((frozenset(((attr, True),)),))


def is_not_null(attr: AttrId) -> Cases:
    """The case that `attr` is not null."""
    return frozenset((frozenset(((attr, False),)),))


def _either(one: Cases, two: Cases) -> Cases:
    if ALWAYS in (one, two):
        return ALWAYS
    joined = one | two
    return joined if len(joined) <= _CASES_MAX else ALWAYS


def _both(one: Cases, two: Cases) -> Cases:
    found = frozenset(
        left | right
        for left in one
        for right in two
        if not any((attr, not null) in right for attr, null in left)
    )
    return found if len(found) <= _CASES_MAX else ALWAYS


@dataclass(frozen=True, slots=True)
class Formula:
    """A boolean part of a rule.

    when_true, when_false   what an entity must meet; None: not expressible as conditions
    can_be_true, can_be_false, can_fail   cases in which that outcome can occur; overestimates

    Invariant: where it cannot fail, an entity meets exactly one of `when_true` and `when_false`.
    """

    when_true: Scope | None
    when_false: Scope | None
    can_be_true: Cases
    can_be_false: Cases
    can_fail: Cases

    @property
    def is_total(self) -> bool:
        """Whether it never fails."""
        return not self.can_fail

    @property
    def is_true(self) -> bool:
        """Whether it is true for every entity."""
        return self.when_true == () and not self.can_fail

    @property
    def is_false(self) -> bool:
        """Whether it is false for every entity."""
        return self.when_false == () and not self.can_fail


TRUE: Final = Formula((), NOTHING, ALWAYS, NEVER, NEVER)
FALSE: Final = Formula(NOTHING, (), NEVER, ALWAYS, NEVER)
FAILING: Final = Formula(NOTHING, NOTHING, NEVER, NEVER, ALWAYS)
"""A formula that fails for every entity."""

OPAQUE: Final = Formula(None, None, ALWAYS, ALWAYS, ALWAYS)
"""A formula of which nothing is known: Python must decide."""


def known(value: bool) -> Formula:
    """A part whose value is known."""
    return TRUE if value else FALSE


def negate(operand: Formula) -> Formula:
    """`!operand`."""
    return Formula(
        operand.when_false,
        operand.when_true,
        operand.can_be_false,
        operand.can_be_true,
        operand.can_fail,
    )


def conjunction(operands: Sequence[Formula]) -> Formula:
    """`a && b && …`: one false operand makes it false, even if others fail."""
    kept = [operand for operand in operands if not operand.is_true]
    if not kept:
        return TRUE
    if len(kept) == 1:
        return kept[0]
    if any(operand.is_false for operand in kept):
        return FALSE
    return _bounded(reduce(_and, kept))


def disjunction(operands: Sequence[Formula]) -> Formula:
    """`a || b || …`."""
    return negate(conjunction([negate(operand) for operand in operands]))


def _and(one: Formula, two: Formula) -> Formula:
    fails = _either(
        _both(one.can_fail, _either(two.can_be_true, two.can_fail)),
        _both(one.can_be_true, two.can_fail),
    )
    return Formula(
        all_of((one.when_true, two.when_true)),
        any_of((one.when_false, two.when_false)),
        _both(one.can_be_true, two.can_be_true),
        _either(one.can_be_false, two.can_be_false),
        fails,
    )


def choice(condition: Formula, then: Formula, otherwise: Formula) -> Formula:
    """`condition ? then : otherwise`."""
    if condition.is_true:
        return then
    if condition.is_false:
        return otherwise
    yes, no = condition.can_be_true, condition.can_be_false
    return _bounded(
        Formula(
            _chosen(condition, then.when_true, otherwise.when_true),
            _chosen(condition, then.when_false, otherwise.when_false),
            _either(_both(yes, then.can_be_true), _both(no, otherwise.can_be_true)),
            _either(_both(yes, then.can_be_false), _both(no, otherwise.can_be_false)),
            _either(
                condition.can_fail,
                _either(_both(yes, then.can_fail), _both(no, otherwise.can_fail)),
            ),
        )
    )


def _chosen(condition: Formula, then: Scope | None, otherwise: Scope | None) -> Scope | None:
    return any_of((all_of((condition.when_true, then)), all_of((condition.when_false, otherwise))))


def all_of(scopes: Sequence[Scope | None]) -> Scope | None:
    """The scope that meets every one of these. Tests of links stay in scopes of their own."""
    if NOTHING in scopes:
        return NOTHING
    joined: Scope = ()
    for scope in scopes:
        if scope is None:
            return None
        joined += scope
    return joined


def any_of(scopes: Sequence[Scope | None]) -> Scope | None:
    """The scope that meets at least one of these."""
    if () in scopes:
        return ()
    alternatives: list[Scope] = []
    for scope in scopes:
        if scope is None:
            return None
        match scope:
            case (AnyOf(scopes=inner),):
                alternatives += inner
            case _:
                alternatives.append(scope)
    if len(alternatives) == 1:
        return alternatives[0]
    return (AnyOf(tuple(alternatives)),) if alternatives else NOTHING


def _bounded(formula: Formula) -> Formula:
    """`formula`, without its conditions if they are too many."""
    when_true, when_false = formula.when_true, formula.when_false
    if _size(when_true) <= limits.RULE_CONDITIONS_MAX >= _size(when_false):
        return formula
    return Formula(
        when_true if _size(when_true) <= limits.RULE_CONDITIONS_MAX else None,
        when_false if _size(when_false) <= limits.RULE_CONDITIONS_MAX else None,
        formula.can_be_true,
        formula.can_be_false,
        formula.can_fail,
    )


def _size(scope: Scope | None) -> int:
    """How many conditions a scope has, nested ones included."""
    total = 0
    waiting = [scope or ()]
    while waiting and total <= limits.RULE_CONDITIONS_MAX:
        found = waiting.pop()
        total += len(found)
        for condition in found:
            match condition:
                case AllOf(scopes) | AnyOf(scopes):
                    waiting.extend(scopes)
                case _:
                    pass
    return total
