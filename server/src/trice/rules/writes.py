"""Rules over transactions: which ones are asked about each write, and with what.

    write of                 entity existed: before          entity is new: after
    a field                  update                          create
    a link without rules     update source, view target      create source, view target if made
    a link with rules        link, at each end with a rule   the same
    removing a field         update                          -
    removing a link          update and view, or unlink      -
    delete, cascades too     delete, existing or not         -
    a new attr               -                               create of `attrs`

Where only the target's end has a rule and there is no target, the source is judged as without link
rules: Instant asks nobody, and a link could be bent to an id that its thief creates afterwards.
An entity that is stored in part but has no id yet is judged by both, update and create, when it
gets one. Each check runs once per entity.

source   instant-semantics §5.8; spec/rules.md R100-R126
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, assert_never

import msgspec

from trice.catalog.catalog import Catalog
from trice.cel.evaluate import Program
from trice.errors import PermissionDenied, TriceError
from trice.protocol.ids import AttrId, EntityId, find_uuid_bytes, uuid_text
from trice.rules.environments import Action
from trice.rules.judge import Judge
from trice.rules.questions import EVERYWHERE, Looks, Question, Questions, looks_of
from trice.rules.values import entity_map
from trice.store.engine import Statements
from trice.transact.permission import Proposal
from trice.transact.resolve import EntityKey

MakeJudge = Callable[[Statements, Catalog, Mapping[str, Any]], Judge]
"""(where to read, catalog, ruleParams) -> the judge of the transaction's caller."""

Scope = Literal["object", "link", "attr"]
"""What a check is about: an entity, a link at one of its ends, a new attr."""

_ATTRS: Final = "attrs"
_NOBODY: Final = EntityId(bytes(16))
"""Whom a lookup did not find."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check of a transaction.

    id          the entity, as text; of a new attr its id
    label       the link's name at this end, for link and unlink
    data        what the rule saw; None: there is no such entity
    new_data    None where the rule does not see it
    given       everything `Judge.evaluate` was given besides the program
    judge       evaluates again, while the transaction is open
    value       of the program; None when there was an error
    error       why there is no value
    told        what somebody who may not read the rules is told; None: it is allowed
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


class _Check(msgspec.Struct, frozen=True):
    """A rule to ask about an entity. Equal checks are one.

    key      the entity; of a new attr `attrs` and the attr's id
    label    the link's name at this end, for link and unlink; else empty
    origin   the entity whose parameters it takes over, under its own: the other end of a link, the
             root of a cascade
    """

    scope: Scope
    action: Action
    key: EntityKey
    program: Program
    label: str = ""
    origin: EntityKey | None = None


class WriteChecks:
    """Judges one transaction (`transact.permission.Checks`); used once.

    Holds the checks that wait for the data as it will be, and the caller as they were before. Runs
    on any thread: it touches nothing but the transaction and its judges.
    """

    def __init__(
        self,
        questions: Questions,
        make_judge: MakeJudge,
        *,
        recorder: list[CheckResult] | None = None,
    ) -> None:
        """
        questions  of the rules in force; all of them if they are recorded
        recorder   receives every check, rules that are always true included; then no check stops
                   the transaction, and who asked must look at them
        """
        assert questions.has_all == (recorder is not None)
        self._questions = questions
        self._make_judge = make_judge
        self._recorder = recorder
        self._pre: dict[_Check, None] = {}
        self._post: dict[_Check, None] = {}
        self._modified: dict[EntityKey, dict[str, None]] = {}
        self._auth: Mapping[str, Any] | None = None

    def before(self, proposal: Proposal) -> None:
        """Judge everything about entities that exist.

        raises   PermissionDenied("permission-denied" | "permission-evaluation-failed"),
                 LimitExceeded("rate-limited")
        cost     one statement per namespace with rows that the writes themselves do not need, one
                 for the caller's, and what the rules read; nothing where rules are always true
        """
        self._collect(proposal)
        if self._pre or self._post:
            hearing = self._hear(proposal, self._pre, is_after=False)
            # As of now: what a transaction does to its caller gives no rights in it.
            if self._auth is None and any(hearing.looks(check).at_auth for check in self._post):
                self._auth = hearing.read_auth()

    def after(self, proposal: Proposal) -> None:
        """Judge what the transaction made; raises as `before`."""
        if self._post:
            self._hear(proposal, self._post, is_after=True)

    def _collect(self, proposal: Proposal) -> None:
        """Find the checks: first what is asked, then, knowing which entities existed, when."""
        asked: dict[tuple[Question, EntityId, EntityId | None], None] = {}
        rows: dict[str, dict[EntityId, None]] = {}
        for write in proposal.writes():
            for question in self._questions.about(write):
                me: EntityId = write.value if question.is_target else write.entity
                rows.setdefault(question.etype, {})[me] = None
                other: EntityId | None = None
                if question.other:
                    other = write.entity if question.is_target else EntityId(write.value)
                    if question.sees_other:
                        rows.setdefault(question.other, {})[other] = None
                asked[question, me, other] = None
        deletes: dict[_Check, None] = {}
        for etype, deleted in proposal.deletes.items():
            deciding = self._questions.deciding(etype, "delete")
            if deciding is not None:
                rows.setdefault(etype, {}).update(dict.fromkeys(deleted))
                for entity, root in deleted.items():
                    key = (etype, entity)
                    origin = None if root == key else root
                    deletes[_Check("object", *_of(deciding, key), origin=origin)] = None
        for etype, entities in rows.items():
            proposal.load(etype, entities)
        for question, me, other in asked:
            self._schedule(proposal, question, (question.etype, me), other)
        for op, etype in proposal.missed:
            deciding = self._questions.deciding(etype, "delete" if op == "delete" else "update")
            if deciding is not None:
                self._pre[_Check("object", *_of(deciding, (etype, _NOBODY)))] = None
        self._pre.update(deletes)
        create = self._questions.deciding(_ATTRS, "create") if proposal.added else None
        if create is not None:
            for attr in proposal.added:
                attr_id = find_uuid_bytes(attr.id)
                assert attr_id is not None, f"the id of {attr.name} is no uuid"
                self._post[_Check("attr", *_of(create, (_ATTRS, attr_id)))] = None
        if asked:
            self._note_modified(proposal)

    def _schedule(
        self, proposal: Proposal, question: Question, key: EntityKey, other: EntityId | None
    ) -> None:
        """Turn a question into checks, before or after the writes."""
        origin = None if other is None else (question.other, other)
        scope: Scope = "link" if question.label else "object"
        known, new = question.known, question.new
        if question.instead_of is not None:
            assert origin is not None
            is_made = question.instead_of == "link" and proposal.is_made(origin)
            if is_made or proposal.has_existed(origin):
                return
            origin = None
        has_existed = proposal.has_existed(key)
        if has_existed and known is not None:
            self._pre[_Check(scope, *_of(known, key), question.label, origin)] = None
        if new is None:
            return
        if has_existed:
            is_asked = new[0] == "create" and proposal.has_appeared(key)
        else:
            is_asked = not question.is_target or proposal.is_made(key)
        if is_asked:
            self._post[_Check(scope, *_of(new, key), question.label, origin)] = None

    def _note_modified(self, proposal: Proposal) -> None:
        """`request.modifiedFields`: the labels that add-triple and deep-merge write, but `id`."""
        for write in proposal.writes():
            if write.op != "retract" and not write.attr.is_id:
                labels = self._modified.setdefault((write.attr.etype, write.entity), {})
                labels[write.attr.label] = None

    def _hear(self, proposal: Proposal, checks: Iterable[_Check], *, is_after: bool) -> _Hearing:
        """Ask the rules, in the order of the writes, deletes last."""
        hearing = _Hearing(
            proposal,
            self._make_judge,
            is_after=is_after,
            recorder=self._recorder,
            modified=self._modified,
            auth=self._auth,
        )
        for check in checks:
            hearing.hear(check)
        self._auth = hearing.auth
        return hearing


class _Hearing:
    """The checks on one state of the data: before the writes, or after them.

    Holds judges by whose parameters they know, and entities as rules see them.

    auth   the caller, once a rule has asked for them
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
    ) -> None:
        self.auth = auth
        self._proposal = proposal
        self._make_judge = make_judge
        self._is_after = is_after
        self._recorder = recorder
        self._modified = modified
        self._judges: dict[tuple[EntityKey | None, EntityKey | None], Judge] = {}
        self._old: dict[EntityKey, dict[str, Any] | None] = {}
        self._new: dict[EntityKey, dict[str, Any]] = {}

    def looks(self, check: _Check) -> Looks:
        """What must be prepared for a check: everything, if it is recorded."""
        return looks_of(check.program) if self._recorder is None else EVERYWHERE

    def read_auth(self) -> Mapping[str, Any]:
        """The caller as they are in this state of the data."""
        return self._judge(None, None).auth

    def hear(self, check: _Check) -> None:
        """Ask a rule, showing it what its action may see; refuse, or record what came out."""
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

    def _other_end(self, check: _Check) -> dict[str, Any]:
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
        if check.action == "link":
            found["actions"] = {
                "data": "create" if self._is_after else "update",
                "linkedData": "update" if has_existed else "create",
            }
        return found

    def _decide(self, check: _Check, given: dict[str, Any]) -> None:
        params = self._proposal.params
        judge = self._judge(
            check.key if check.key in params else None,
            check.origin if check.origin in params else None,
        )
        asked = {"etype": check.key[0], "action": check.action, **given}
        if self._recorder is None:
            if not judge.allows(check.program, **asked):
                raise _denied(check)
            return
        value: Any = None
        error: TriceError | None = None
        told: TriceError | None = None
        try:
            value = judge.evaluate(check.program, **asked)
            if value is None or value is False:
                told = _denied(check)
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

    def _judge(self, mine: EntityKey | None, origin: EntityKey | None) -> Judge:
        """The judge who knows the parameters of one entity and, under them, those of another."""
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


def _of(deciding: tuple[Action, Program], key: EntityKey) -> tuple[Action, EntityKey, Program]:
    action, program = deciding
    return action, key, program


def _denied(check: _Check) -> PermissionDenied:
    """The refusal. It tells neither data nor whether the entity exists."""
    etype = check.key[0]
    place = [etype, "object"]
    match check.action:
        case "create" | "update" if check.scope == "attr":
            reason = "`attrs.create` does not allow new attributes"
            place = [_ATTRS, "attr"]
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
