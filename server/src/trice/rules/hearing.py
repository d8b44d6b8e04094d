"""The checks of a transaction on one state of the data: what each rule sees, and its answer.

source   instant-semantics §5.8, §5.9; spec/rules.md R100-R127, R200-R203
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, assert_never

from trice.catalog.catalog import Catalog
from trice.cel.evaluate import Program
from trice.errors import PermissionDenied, TriceError
from trice.protocol.ids import AttrId, uuid_text
from trice.rules.demands import EVERYWHERE, Looks, looks_of
from trice.rules.environments import Action
from trice.rules.facts import RuleVariable, facts_of
from trice.rules.judge import UNKNOWN, Judge
from trice.rules.values import entity_map
from trice.rules.write_check import Absent, Scope, WriteCheck
from trice.store.engine import Statements
from trice.transact.cascade import EntityKey
from trice.transact.permission import Proposal

MakeJudge = Callable[[Statements, Catalog, Mapping[str, Any]], Judge]
"""(where to read, catalog, ruleParams) -> the judge of the transaction's caller."""

ATTRS: Final = "attrs"
"""The namespace of rules for creating attrs."""

_ABSENT: Final[Mapping[Absent, tuple[RuleVariable, ...]]] = {
    "": (),
    "me": ("data", "newData"),
    "other": ("linkedData",),
    "both": ("data", "newData", "linkedData"),
}
"""The variables of a missing entity that a rule must not read."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check of a transaction.

    id          the entity's id as text; for a new attr, the attr's id
    label       the link's name at this end, for link and unlink
    data        what the rule saw; None: there is no such entity
    new_data    None where the rule does not see it
    given       everything `Judge.evaluate` was given besides the program
    judge       can evaluate again while the transaction is open
    value       the program's value; None when there was an error
    error       why there is no value
    told        the error for a caller who may not read the rules; None: it is allowed
    """

    scope: Scope
    etype: str
    id: str
    action: Action
    label: str
    data: Mapping[str, Any] | None
    new_data: Mapping[str, Any] | None
    given: Mapping[str, Any]
    program: Program
    judge: Judge
    value: Any
    is_allowed: bool
    error: TriceError | None
    told: TriceError | None


class Hearing:
    """The checks on one state of the data: before the writes, or after them.

    Holds judges by the entities whose parameters they know, and entities as rules see them.

    auth   the caller, after a rule first read it
    view   the rule for seeing entities of a namespace
    """

    def __init__(
        self,
        proposal: Proposal,
        make_judge: MakeJudge,
        *,
        is_after: bool,
        recorder: list[CheckResult] | None,
        modified: Mapping[EntityKey, Iterable[str]],
        auth: Mapping[str, Any] | None,
        view: Callable[[str], Program],
    ) -> None:
        self.auth = auth
        self._view = view
        self._proposal = proposal
        self._make_judge = make_judge
        self._is_after = is_after
        self._recorder = recorder
        self._modified = modified
        self._judges: dict[tuple[EntityKey | None, EntityKey | None], Judge] = {}
        self._old: dict[EntityKey, dict[str, Any] | None] = {}
        self._new: dict[EntityKey, dict[str, Any]] = {}

    def looks(self, check: WriteCheck) -> Looks:
        """What must be prepared for a check: everything, if checks are recorded."""
        return looks_of(check.program) if self._recorder is None else EVERYWHERE

    def read_auth(self) -> Mapping[str, Any]:
        """The caller's row in this state of the data."""
        return self._judge(None, None).auth

    def hear(self, check: WriteCheck) -> None:
        """Ask a rule with what its action may see; refuse the transaction, or record the check."""
        looks = self.looks(check)
        is_read = check.action in ("view", "delete")
        given: dict[str, Any] = {"data": None, "auth": {}}
        if check.scope == "attr":
            attr_id = AttrId(uuid_text(check.key[1]))
            given["data"] = given["new_data"] = self._proposal.catalog.by_id[attr_id].wire()
        else:
            if looks.at_data:
                given["data"] = self._now(check.key)
            if looks.at_new_data and not is_read:
                given["new_data"] = self._after(check.key)
        if looks.at_request and not is_read:
            given["modified"] = tuple(self._modified.get(check.key, ()))
        if check.scope == "link":
            given.update(self._other_end(check))
        if looks.at_auth:
            if self.auth is None:
                self.auth = self.read_auth()
            given["auth"] = self.auth
        self._decide(check, given)

    def _other_end(self, check: WriteCheck) -> dict[str, Any]:
        """What a rule for a link sees besides the entity itself."""
        other = check.origin
        assert other is not None
        has_existed = self._proposal.has_existed(other)
        entity: Mapping[str, Any] | None = None
        if has_existed:
            entity = self._now(other)
        elif self._proposal.is_made(other):
            entity = self._after(other)
        found: dict[str, Any] = {"linked": (other[0], entity)}
        hidden = _ABSENT[check.absent]
        if check.action == "link":
            found["actions"] = {
                "data": "create" if self._is_after else "update",
                "linkedData": "update" if has_existed or "linkedData" in hidden else "create",
            }
        return found

    def _decide(self, check: WriteCheck, given: dict[str, Any]) -> None:
        params = self._proposal.params
        judge = self._judge(
            check.key if check.key in params else None,
            check.origin if check.origin in params else None,
        )
        asked = {"etype": check.key[0], "action": check.action, **given}
        if self._recorder is None:
            value = self._value(judge, check, asked)
            if value is None or value is False:
                raise denied(check)
            return
        value = None
        error: TriceError | None = None
        told: TriceError | None = None
        try:
            value = self._value(judge, check, asked)
            if value is None or value is False:
                told = denied(check)
        except TriceError as failure:
            error = failure
            told = judge.as_told(failure, check.key[0], check.action)
        self._recorder.append(
            CheckResult(
                scope=check.scope,
                etype=check.key[0],
                id=uuid_text(check.key[1]),
                action=check.action,
                label=check.label,
                data=given["data"],
                new_data=given.get("new_data"),
                given=asked,
                program=check.program,
                judge=judge,
                value=value,
                is_allowed=told is None,
                error=error,
                told=told,
            )
        )

    def _value(self, judge: Judge, check: WriteCheck, asked: dict[str, Any]) -> Any:
        """The value of a check's program. For a missing entity it is False if the program must read
        that entity, and the caller might not see an existing one."""
        if not check.absent:
            return judge.evaluate(check.program, **asked)
        mentions = facts_of(check.program).mentions
        absent = [each for each in _ABSENT[check.absent] if mentions(each)]
        ends = {each: check.origin if each == "linkedData" else check.key for each in absent}
        unknown = []
        for variable, end in ends.items():
            assert end is not None
            if not self._hides_nobody(judge, end[0]):
                unknown.append(variable)
        if not unknown:
            return judge.evaluate(check.program, **asked)
        if "linkedData" in unknown:
            assert check.origin is not None
            asked["linked"] = (check.origin[0], UNKNOWN)
        if "data" in unknown or "newData" in unknown:
            asked.update(data=UNKNOWN, new_data=UNKNOWN)
        value: Any = False
        try:
            value = judge.evaluate(check.program, **asked)
        except PermissionDenied as failure:
            if failure.code != "permission-evaluation-failed":
                raise
        # A variable that is compared as a whole would decide without being read.
        return value if facts_of(check.program).whole.isdisjoint(unknown) else False

    def _hides_nobody(self, judge: Judge, etype: str) -> bool:
        """Whether the caller sees every entity of a namespace, with any data."""
        view = self._view(etype)
        facts = facts_of(view)
        if facts.constant is not None or facts.mentions("data") or facts.mentions("rateLimit"):
            return facts.constant is True
        return judge.allows_all(view, etype=etype)

    def _judge(self, mine: EntityKey | None, origin: EntityKey | None) -> Judge:
        """The judge that knows the parameters of `mine` over those of `origin`."""
        judge = self._judges.get((mine, origin))
        if judge is None:
            merged: dict[str, Any] = {}
            for key in (origin, mine):
                if key is not None:
                    merged.update(self._proposal.params[key])
            judge = self._make_judge(self._proposal.statements, self._proposal.catalog, merged)
            self._judges[mine, origin] = judge
        return judge

    def _now(self, key: EntityKey) -> dict[str, Any] | None:
        """`data`: the entity in the state of the data that is judged."""
        if self._is_after:
            return self._after(key)
        if key not in self._old:
            cells = self._proposal.old(key)
            columns = self._proposal.columns(key[0])
            self._old[key] = (
                None if cells is None else entity_map(uuid_text(key[1]), columns, cells)
            )
        return self._old[key]

    def _after(self, key: EntityKey) -> dict[str, Any]:
        """`newData`: the entity with everything the transaction writes."""
        found = self._new.get(key)
        if found is None:
            columns, cells = self._proposal.columns(key[0]), self._proposal.new(key)
            found = self._new[key] = entity_map(uuid_text(key[1]), columns, cells)
        return found


def denied(check: WriteCheck) -> PermissionDenied:
    """The refusal. It does not tell data, nor whether the entity exists."""
    etype = check.key[0]
    place = [etype, "object"]
    match check.action:
        case "create" | "update" if check.scope == "attr":
            reason = "`attrs.create` does not allow new attributes"
            place = [ATTRS, "attr"]
        case "create" | "update":
            reason = f"`{etype}.create` or `{etype}.update` does not allow this write"
        case "view":
            reason = f"`{etype}.view` does not allow a link to this entity"
        case "delete":
            reason = f"`{etype}.delete` does not allow this delete"
        case "link" | "unlink":
            reason = f"`{etype}.{check.action}.{check.label}` does not allow this"
        case _:
            assert_never(check.action)
    return PermissionDenied(
        "permission-denied",
        f"Permission denied: not perms-pass? ({reason})",
        {"input": place, "expected": "perms-pass?"},
    )
