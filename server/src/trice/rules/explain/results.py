"""Judgements with explanations: of the entities a query finds, of the checks of a transaction.

source   instant-http §3.2, §3.3; spec/rules.md R157-R163
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trice import limits
from trice.cel.evaluate import Program
from trice.cel.flip import conditions
from trice.cel.trace import Trace
from trice.errors import LimitExceeded, TriceError
from trice.protocol.ids import EntityId, uuid_text
from trice.query.tree import Tree
from trice.rate_limit import Buckets
from trice.rules.document import Rules
from trice.rules.explain.why import Setting, code_of, decided_by, explain
from trice.rules.hearing import CheckResult
from trice.rules.judge import Judge
from trice.rules.room_rights import RoomDeed, asked_by, room_denial, room_value
from trice.rules.rooms import DENIED, ROOMS


@dataclass(frozen=True, slots=True)
class Judgement:
    """One evaluation that was traced.

    explanation   as `rules.explain.why` makes it
    conditions    the result of each condition of the expression: whether it allows; None: it was
                  not evaluated, or had no value
    """

    program: Program
    explanation: Mapping[str, Any]
    conditions: Mapping[str, bool | None]


class Traces:
    """The traced form of each program, made at its first use. For one thread at a time."""

    def __init__(self) -> None:
        self._traces: dict[int, Trace] = {}

    def of(self, program: Program) -> Trace:
        """The trace of `program`, without notes."""
        trace = self._traces.get(id(program))
        if trace is None:
            trace = self._traces[id(program)] = Trace(program, silent=("rateLimit.",))
        trace.clear()
        return trace


class TracingJudge(Judge):
    """A judge that notes why. Its results and errors are those of a plain `Judge`.

    Holds its judgements in order. Set `traces` and `judgements` to share them among judges.
    """

    traces: Traces
    judgements: list[Judgement]
    _other: str | None = None

    def share(
        self, traces: Traces, judgements: list[Judgement], buckets: Buckets | None = None
    ) -> TracingJudge:
        """Note into `judgements` from now on.

        buckets   to take tokens from instead of those of the app
        """
        self.traces = traces
        self.judgements = judgements
        self._buckets = buckets or self._buckets
        return self

    def evaluate(
        self,
        program: Program,
        *,
        etype: str,
        action: str,
        data: Mapping[str, Any] | None,
        new_data: Mapping[str, Any] | None = None,
        linked: tuple[str, Mapping[str, Any] | None] | None = None,
        actions: Mapping[str, str] | None = None,
        modified: tuple[str, ...] = (),
        auth: Mapping[str, Any] | None = None,
    ) -> Any:
        """As `Judge.evaluate`; notes tell the namespace at the other end of a link."""
        self._other = None if linked is None else linked[0]
        return super().evaluate(
            program,
            etype=etype,
            action=action,
            data=data,
            new_data=new_data,
            linked=linked,
            actions=actions,
            modified=modified,
            auth=auth,
        )

    def ask(self, program: Program, variables: dict[str, Any], *, etype: str, action: str) -> Any:
        """As `Judge.ask`, with a note."""
        # Beyond this the caller gets an error at the end instead of the checks.
        trace = self.traces.of(program) if len(self.judgements) <= limits.DEBUG_CHECKS_MAX else None
        failure: TriceError | None = None
        try:
            asked = program if trace is None else trace.program
            return super().ask(asked, variables, etype=etype, action=action)
        except TriceError as error:
            failure = error
            raise
        finally:
            if trace is not None:
                self._note(program, trace, etype, self._other, variables["auth"], failure)

    def _note(
        self,
        program: Program,
        trace: Trace,
        etype: str,
        other: str | None,
        auth: Mapping[str, Any],
        failure: TriceError | None,
    ) -> None:
        """Keep the evaluation that `trace` has just watched."""
        setting = Setting(
            etype=etype,
            other=other,
            is_signed_in=auth.get("id") is not None,
            catalog=self.catalog,
        )
        explanation = explain(trace, setting)
        if failure is not None and explanation["error"] is None:
            # The expression did not fail by itself: a budget or a rate limit is used up.
            explanation["error"] = {"message": failure.message, "part": None}
        self.judgements.append(Judgement(program, explanation, dict(_outcomes(trace))))


def _outcomes(trace: Trace) -> Iterator[tuple[str, bool | None]]:
    for text, node in conditions(trace).items():
        seen = trace.found(node)
        if seen is None or seen.error or seen.is_aside:
            yield text, None
        else:
            yield text, seen.value is not None and seen.value is not False


@dataclass(frozen=True, slots=True)
class Check:
    """One check as debug forms show it.

    scope         "view", or what a transaction's check is about: "object", "link", "attr"
    id            the entity, as text
    label         of a field with a rule of its own, or of a link; None: the entity
    record        `data` as the rule saw it; None: there is no such entity
    value         the program's value; None with an error
    error         why there is no value
    told          the error for a caller who may not read the rules; None: no error
    """

    scope: str
    etype: str
    id: str
    action: str
    label: str | None
    record: Mapping[str, Any] | None
    new_record: Mapping[str, Any] | None
    value: Any
    is_allowed: bool
    error: TriceError | None
    judgement: Judgement
    decided_by: Mapping[str, Any]
    told: TriceError | None

    @property
    def program(self) -> dict[str, str]:
        """The rule as the debug forms of the HTTP API show it."""
        program = self.judgement.program
        return {
            "etype": self.etype,
            "action": self.action,
            "code": code_of(program.expression, program.binds),
            "display-code": program.expression.source,
        }

    @property
    def explanation(self) -> dict[str, Any]:
        """Which rule decided, the values of its parts, and what would have had to be true."""
        return {**self.decided_by, **self.judgement.explanation}


def query_checks(tree: Tree, rules: Rules, judge: TracingJudge) -> list[Check]:
    """Judge every entity of an answer as an admin gets it, and every field with a rule of its own.

    tree     that answer, with the entities that conditions read
    returns  entities in the order of the levels; for each the view rule, then fields
    raises   LimitExceeded beyond limits.DEBUG_CHECKS_MAX
    """
    checks: list[Check] = []
    for (etype, entity), labels in _shown(tree).items():
        record = judge.entity(etype, entity)
        fields = [(label, rules.find_field(etype, label)) for label in labels]
        for label, program in [(None, rules.find(etype, "view")), *fields]:
            if program is None:
                continue
            if len(checks) >= limits.DEBUG_CHECKS_MAX:
                raise _too_many("query", "Ask for a page with `limit`.")
            value, error = None, None
            try:
                value = judge.evaluate(program, etype=etype, action="view", data=record)
            except TriceError as failure:
                error = failure
            checks.append(
                Check(
                    scope="view",
                    etype=etype,
                    id=uuid_text(entity),
                    action="view",
                    label=label,
                    record=record,
                    new_record=None,
                    value=value,
                    is_allowed=value is not None and value is not False,
                    error=error,
                    judgement=judge.judgements[-1],
                    decided_by=decided_by(rules, etype, "view", label),
                    told=None if error is None else judge.as_told(error, etype, "view"),
                )
            )
    return checks


def _shown(tree: Tree) -> dict[tuple[str, EntityId], dict[str, None]]:
    """Every entity of the answer, with its labels that the answer shows or tests."""
    found: dict[tuple[str, EntityId], dict[str, None]] = {}
    for node in tree.walk():
        projection = node.form.projection
        columns = () if projection is None else projection.columns
        for entity in node.ids():
            labels = found.setdefault((node.form.etype, entity), {})
            labels.update(dict.fromkeys(attr.label for attr in columns))
    return found


def _too_many(what: str, advice: str) -> LimitExceeded:
    return LimitExceeded(
        "parameter-limit-exceeded",
        f"The {what} needs more than {limits.DEBUG_CHECKS_MAX:,} checks of rules; at most so many"
        f" are explained. {advice}",
        {"checks-max": limits.DEBUG_CHECKS_MAX},
    )


def write_checks(
    results: Sequence[CheckResult], judgements: Sequence[Judgement], rules: Rules
) -> list[Check]:
    """The checks of a transaction with their explanations.

    judgements   those of the judges that made `results`, in the same order
    raises       LimitExceeded beyond limits.DEBUG_CHECKS_MAX
    """
    if len(judgements) > limits.DEBUG_CHECKS_MAX:
        raise _too_many("transaction", "Send fewer steps.")
    return [
        Check(
            scope=result.scope,
            etype=result.etype,
            id=result.id,
            action=result.action,
            label=result.label or None,
            record=result.data,
            new_record=result.new_data,
            value=result.value,
            is_allowed=result.is_allowed,
            error=result.error,
            judgement=judgement,
            decided_by=decided_by(rules, result.etype, result.action, result.label or None),
            told=result.told,
        )
        for result, judgement in zip(results, judgements, strict=True)
    ]


def room_checks(deed: RoomDeed, judge: TracingJudge) -> list[Check]:
    """What the rules of rooms say to a deed; empty for an app without such rules.

    To join with something to show asks `presence` too, as sessions do.
    """
    rooms = judge.rules.rooms
    if rooms is None:
        return []
    actions = asked_by(deed)
    if deed.action == "join" and deed.data:
        actions += ("presence",)
    checks = []
    for action in actions:
        place = rooms.find(action, deed.room_type, deed.topic)
        value, error = None, None
        try:
            value = False if place is None else room_value(judge, place, deed)
        except TriceError as failure:
            error = failure
        judgement = _UNNAMED if place is None else judge.judgements[-1]
        told: TriceError | None = None
        if error is not None:
            told = judge.as_told(error, f"{ROOMS}.{deed.room_type}", action)
        elif value is None or value is False:
            told = room_denial(deed, action, place)
        checks.append(
            Check(
                scope="room",
                etype=f"{ROOMS}.{deed.room_type}",
                id=deed.room_id,
                action=action,
                label=deed.topic,
                record=deed.data,
                new_record=None,
                value=value,
                is_allowed=told is None,
                error=error,
                judgement=judgement,
                decided_by={
                    "rule": None if place is None else ".".join(place.path),
                    "origin": "default" if place is None else "rule",
                },
                told=told,
            )
        )
    return checks


_UNNAMED: Final = Judgement(
    DENIED,
    {
        "source": "false",
        "binds": {},
        "allowed": False,
        "value": False,
        "error": None,
        "parts": [],
        "values": [],
        "needed": None,
    },
    {},
)
"""What is not named in `$rooms` is denied, and no expression decides it."""
