"""Evaluate rules for one caller on one state of the data.

Python judges rules only here: rows that SQL cannot judge, checks of writes, sign-up, the debug
forms and `trice explain`.

source   instant-semantics §5.4, §5.5, §5.9, §5.11; spec/rules.md R50-R69
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from trice import limits
from trice.catalog.catalog import Catalog
from trice.catalog.dates import iso_text
from trice.cel.errors import BudgetExceeded, EvaluationError
from trice.cel.evaluate import Program, evaluate
from trice.cel.times import MILLISECOND_NS
from trice.cel.values import Budget, Timestamp, kind_of, show
from trice.errors import LimitExceeded, PermissionDenied, TriceError
from trice.identity import Identity
from trice.protocol.ids import EntityId, find_uuid_bytes, uuid_text
from trice.query.sql.entities import select_entity, select_reference
from trice.rate_limit import Buckets, Refusal
from trice.rules.document import Rules
from trice.rules.facts import facts_of
from trice.rules.references import is_reachable, resolve_path
from trice.rules.values import entity_map, reference_values
from trice.runtime import Runtime
from trice.store.engine import Statements, WorkTooLong

USERS: Final = "$users"
AUTH_PREFIX: Final = "$user."
"""How the path of `auth.ref` begins."""


class _Unknown:
    """Data that must not be read. A rule that reads it has no value, unless its rest decides."""

    def get(self, field: str) -> Any:
        """The value that `ref` starts from."""
        raise EvaluationError("there is no such entity.")


UNKNOWN: Final[Any] = _Unknown()
"""`data` of a missing entity, where the caller must not learn that it is missing. It is no map, so
reading a field of it fails."""

_VALUES_PER_STEP: Final = 8
_KEY_CHARS_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity of a caller, with what its request says.

    rule_params   `ruleParams`; missing keys read as null
    is_detailed   evaluation errors carry the text of the expression language (admins debugging)
    """

    identity: Identity
    rule_params: Mapping[str, Any] = field(default_factory=dict)
    is_detailed: bool = False


class Meter:
    """How much may be judged on the loop in one transaction, by all of its judges.

    steps_left   steps of evaluation that are left, 0.1 to 0.2 µs each
    undo         functions that undo effects of evaluations, before the transaction is judged again
    """

    __slots__ = ("steps_left", "undo")

    def __init__(self, steps: int = limits.JUDGED_STEPS_ON_LOOP) -> None:
        self.steps_left = steps
        self.undo: list[Callable[[], None]] = []

    def take(self, steps: int) -> None:
        """Count an evaluation; raises WorkTooLong when no steps are left."""
        self.steps_left -= steps
        if self.steps_left < 0:
            for undo in self.undo:
                undo()
            raise WorkTooLong


class Judge:
    """Evaluates programs for one caller on one snapshot or open write.

    Holds what it read: the caller's user, entities, references. Make one judge for each state: data
    that was read before a write must not be used after it. Used by one thread at a time.

    budget   of the current evaluation; it also pays for what `ref` reads
    steps    of all evaluations so far
    """

    def __init__(
        self,
        rules: Rules,
        caller: Caller,
        statements: Statements,
        catalog: Catalog,
        *,
        runtime: Runtime,
        buckets: Buckets,
        app_id: str,
        meter: Meter | None = None,
    ) -> None:
        self.rules = rules
        self.caller = caller
        self._meter = meter
        self.catalog = catalog
        self._statements = statements
        self._buckets = buckets
        self._app_id = app_id
        self._auth: dict[str, Any] | None = None
        self._rows: dict[tuple[str, EntityId], dict[str, Any] | None] = {}
        self._references: dict[tuple[str, EntityId, str], list[Any]] = {}
        self.budget = Budget()
        self.steps = 0
        self._now_ns = runtime.now_ms() * MILLISECOND_NS
        self._limits = {
            f"rateLimit.{name}.limit": _Limit(self, name, rules) for name in rules.rate_limits
        }

    @property
    def auth(self) -> Mapping[str, Any]:
        """`auth`: the caller's `$users` row; without a user, a map whose keys are null."""
        return self._auth_map()

    def auth_for(self, program: Program) -> dict[str, Any]:
        """As much of `auth` as `program` can read: for the id alone no row is read."""
        facts = facts_of(program)
        user_id = self.caller.identity.user_id
        if user_id is None or "auth" in facts.whole or facts.labels("auth") - {"id"}:
            return self._auth_map()
        return {"id": uuid_text(user_id)}

    def _auth_map(self) -> dict[str, Any]:
        found = self._auth
        if found is None:
            user_id = self.caller.identity.user_id
            row = None if user_id is None else self._read(USERS, user_id)
            if user_id is None:
                found = {}
            elif row is None:
                # Tokens end with their user; requests under way still belong to that user.
                found = {"id": uuid_text(user_id)}
            else:
                created_ms, user = row
                found = {
                    **user,
                    "app_id": self._app_id,
                    "created_at": iso_text(created_ms),
                    "isGuest": user.get("type") == "guest",
                }
            self._auth = found
        return found

    def entity(self, etype: str, entity: EntityId) -> dict[str, Any] | None:
        """`data`: the attrs of cardinality one of an entity, links as uuid text; None: no entity.

        cost   one statement, the first time
        """
        key = (etype, entity)
        if key not in self._rows:
            if len(self._rows) >= limits.RULE_MEMO_MAX:
                self._rows.clear()
            row = self._read(etype, entity)
            self._rows[key] = None if row is None else row[1]
        return self._rows[key]

    def _read(self, etype: str, entity: EntityId) -> tuple[int, dict[str, Any]] | None:
        """The creation time of an entity, and its attrs."""
        namespace = self.catalog.namespaces.get(etype)
        if namespace is None or not namespace.has_rows:
            return None
        statements = self._statements
        found = statements.rows(select_entity(namespace, statements.dialect), (entity,))
        if not found or found[0][0] is None:
            return None
        created_ms, *cells = found[0]
        assert isinstance(created_ms, int)
        return created_ms, entity_map(uuid_text(entity), namespace.columns, cells)

    def scope(
        self,
        *,
        etype: str,
        data: Any,
        auth: dict[str, Any],
        modified: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Every variable and function of a rule that sees one entity.

        auth   see `auth_for`
        data   a dict that may be refilled for another entity between evaluations, or UNKNOWN
        """
        identity = self.caller.identity
        return {
            "auth": auth,
            "data": data,
            "rateLimit": {},
            "request": {
                "ip": identity.ip,
                "modifiedFields": list(modified),
                "origin": identity.origin,
                "time": Timestamp(self._now_ns),
            },
            "ruleParams": dict(self.caller.rule_params),
            "auth.ref": lambda path: self.reference(
                USERS, auth.get("id"), path.removeprefix(AUTH_PREFIX)
            ),
            "data.ref": lambda path: self.reference(etype, data.get("id"), path),
            **self._limits,
        }

    def ask(self, program: Program, variables: dict[str, Any], *, etype: str, action: str) -> Any:
        """As `run`, for a check that an explanation shows."""
        return self.run(program, variables, etype=etype, action=action)

    def run(self, program: Program, variables: dict[str, Any], *, etype: str, action: str) -> Any:
        """The value of a program with the variables of `scope`, or more; raises as `evaluate`."""
        self.budget = Budget()
        try:
            value = evaluate(program, variables, self.budget)
        except (EvaluationError, BudgetExceeded, RecursionError) as error:
            raise self.failure(etype, action, error) from error
        steps = limits.CEL_STEPS_MAX - self.budget.steps_left
        self.steps += steps
        if self._meter is not None:
            self._meter.take(steps)
        return value

    def start(self) -> Budget:
        """The budget of an evaluation that begins now."""
        self.budget = Budget()
        return self.budget

    def failure(
        self, etype: str, action: str, error: BaseException, *, is_detailed: bool | None = None
    ) -> PermissionDenied:
        """The error for the caller when a rule has no value.

        is_detailed   whether it gives the reason; None: as for the caller
        Only callers who may read rules and data are told the reason; others that it may be a typo.
        All are told that a rule is too expensive, because that tells nothing of the data.
        """
        rule = f"Could not evaluate permission rule for `{etype}.{action}`"
        match error:
            case BudgetExceeded():
                kind, reason = "budget-exceeded", str(error)
            case RecursionError():
                kind, reason = "budget-exceeded", "It is nested too deeply."
            case _ if self.caller.is_detailed if is_detailed is None else is_detailed:
                kind, reason = "evaluation-error", str(error)
            case _:
                kind, reason = "evaluation-error", "You may have a typo"
        if reason == "You may have a typo":
            message = (
                f"{rule}. {reason}, or the rule does not expect this data: a missing value, for "
                "example. The app's admin sees the reason with `trice explain`."
            )
        else:
            message = f"{rule}: {reason}"
        denied = PermissionDenied(
            "permission-evaluation-failed",
            message,
            {"rule": [etype, action], "error": {"type": kind, "message": reason, "hint": None}},
        )
        denied.__cause__ = error  # `as_told` reads it, and a compiled `raise` forgets its `from`
        return denied

    def allows_all(self, program: Program, *, etype: str) -> bool:
        """Whether a view rule that does not read `data` shows every entity of `etype`."""
        variables = self.variables(etype=etype, data=None, auth=self.auth_for(program))
        try:
            value = self.run(program, variables, etype=etype, action="view")
        except PermissionDenied:
            return False
        return value is not None and value is not False

    def as_told(self, failure: TriceError, etype: str, action: str) -> TriceError:
        """The failure of a rule as it is told to callers who may not read the rule."""
        cause = failure.__cause__
        if cause is None or not isinstance(failure, PermissionDenied):
            return failure
        return self.failure(etype, action, cause, is_detailed=False)

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
        """The value of a program.

        data, new_data   as `entity` gives them; `data.ref` starts from `data["id"]`
        linked           namespace and entity at the other end, for link and unlink
        actions          "create" or "update" for `data` and `linkedData`, for link
        modified         labels that the transaction writes on the entity
        auth             used in place of the caller: the future user at sign-up
        raises           PermissionDenied("permission-evaluation-failed"),
                         LimitExceeded("rate-limited")
        """
        variables = self.variables(
            etype=etype,
            data=data,
            new_data=new_data,
            linked=linked,
            actions=actions,
            modified=modified,
            auth=self.auth_for(program) if auth is None else auth,
        )
        return self.ask(program, variables, etype=etype, action=action)

    def variables(
        self,
        *,
        etype: str,
        data: Mapping[str, Any] | None,
        new_data: Mapping[str, Any] | None = None,
        linked: tuple[str, Mapping[str, Any] | None] | None = None,
        actions: Mapping[str, str] | None = None,
        modified: tuple[str, ...] = (),
        auth: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The variables that `evaluate` gives a program, for code that evaluates by itself."""
        found = self.scope(
            etype=etype,
            data=_as_data(data),
            auth=self._auth_map() if auth is None else _as_data(auth),
            modified=modified,
        )
        found["newData"] = _as_data(new_data)
        other_etype, other = linked or (etype, None)
        other_data = _as_data(other)
        found["linkedData"] = other_data
        found["linkedData.ref"] = lambda path: self.reference(
            other_etype, other_data.get("id"), path
        )
        found["actions"] = _as_data(actions)
        return found

    def allows(self, program: Program, **given: Any) -> bool:
        """Whether the value of `evaluate` allows: anything but null and false does."""
        value = self.evaluate(program, **given)
        return value is not None and value is not False

    @property
    def has_read_user(self) -> bool:
        """Whether the caller's `$users` row was read."""
        return self._auth is not None and self.caller.identity.user_id is not None

    @property
    def references(self) -> Iterable[tuple[str, EntityId, str]]:
        """Namespace, entity (empty: none) and path of each `ref` that was read."""
        return self._references.keys()

    def reference(self, etype: str, start: Any, path: str) -> list[Any]:
        """What `ref` returns: one statement, the first time."""
        self.budget.charge(1)
        entity = find_uuid_bytes(start)
        key = (etype, entity or EntityId(b""), path)
        found = self._references.get(key)
        if found is None:
            ref = resolve_path(self.catalog, etype, path)
            found = []
            if entity is not None and is_reachable(self.catalog, ref):
                self.budget.charge(limits.RULE_REF_STEPS)
                rows = self._statements.rows(
                    select_reference(self.catalog, ref, self._statements.dialect),
                    ((entity,), limits.RULE_REF_VALUES_MAX + 1),
                )
                found = self.checked_reference(
                    path, reference_values(ref.attr, [row[0] for row in rows])
                )
            if len(self._references) >= limits.RULE_MEMO_MAX:
                self._references.clear()
            self._references[key] = found
        self.budget.charge(len(found) // _VALUES_PER_STEP)
        return found

    def checked_reference(self, path: str, values: list[Any]) -> list[Any]:
        """`values`; raises if they are too many for an expression."""
        if len(values) > limits.RULE_REF_VALUES_MAX:
            raise EvaluationError(
                f"ref({show(path)}) finds more than {limits.RULE_REF_VALUES_MAX:,} values."
            )
        return values

    def limit(self, name: str, rules: Rules, key: Any, tokens: Any) -> bool:
        """`rateLimit.<name>.limit(key, tokens)`: true, or LimitExceeded("rate-limited")."""
        if type(tokens) is not int or tokens < 1:
            raise EvaluationError(
                f"rateLimit.{name}.limit takes a positive number of tokens; it was given "
                f"{show(tokens)}."
            )
        bucket = (self._app_id, name, _bucket_key(name, key))
        rates = rules.rate_limits[name]
        refusal = self._buckets.take(bucket, rates, tokens)
        if refusal is not None:
            raise _rate_limited(refusal, self._now_ns // MILLISECOND_NS)
        if self._meter is not None:
            self._meter.undo.append(partial(self._buckets.give_back, bucket, rates, tokens))
        return True


class _Limit:
    """`rateLimit.<name>.limit` as an expression calls it."""

    __slots__ = ("_judge", "_name", "_rules")

    def __init__(self, judge: Judge, name: str, rules: Rules) -> None:
        self._judge = judge
        self._name = name
        self._rules = rules

    def __call__(self, key: Any, tokens: Any = 1) -> bool:
        return self._judge.limit(self._name, self._rules, key, tokens)


def _as_data(given: Mapping[str, Any] | None) -> Any:
    """A map as expressions read data: a dict, whose missing keys are null. UNKNOWN stays."""
    if given is None:
        return {}
    return given if type(given) is dict or given is UNKNOWN else dict(given)


def _bucket_key(name: str, key: Any) -> tuple[str, object]:
    """The name of a bucket of one limit; equal for keys that are equal and of one kind."""
    match key:
        case None | bool() | int() | float():
            return kind_of(key), key
        case str() if len(key) <= _KEY_CHARS_MAX:
            return "string", key
        case str():
            return "hash", hashlib.sha256(key.encode(errors="replace")).digest()
        case _:
            raise EvaluationError(
                f"rateLimit.{name}.limit takes a text, number, boolean or null as its key, "
                f"not {show(key)}."
            )


def _rate_limited(refusal: Refusal, now_ms: int) -> LimitExceeded:
    retry_at_ms = refusal.retry_at_ms
    hint: dict[str, Any] = {
        "retry-at": None if retry_at_ms is None else iso_text(retry_at_ms),
        "retry-after": None if retry_at_ms is None else max(retry_at_ms - now_ms, 1),
        "remaining-tokens": refusal.remaining_tokens,
    }
    return LimitExceeded("rate-limited", "Your request exceeded the rate limit.", hint)
