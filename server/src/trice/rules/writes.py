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

Whoever is not there (a lookup finds nobody, an update in mode `update` or a delete names nobody) is
judged too, by the rule that would be asked of somebody. Where the caller might not see somebody, it
must allow without looking at them, so that the answer is that to one who is hidden.

source   instant-semantics §5.8; spec/rules.md R100-R127, R200-R203
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from trice.cel.evaluate import Program
from trice.protocol.ids import EntityId, find_uuid_bytes
from trice.rules.demands import Demand, Demands
from trice.rules.environments import Action
from trice.rules.hearing import ATTRS, CheckResult, Hearing, MakeJudge
from trice.rules.write_check import Absent, Scope, WriteCheck
from trice.transact.cascade import EntityKey
from trice.transact.permission import Proposal
from trice.transact.writes import Missed, Write

_NOBODY: Final = EntityId(bytes(16))
"""Whom a lookup did not find."""


class WriteChecks:
    """Judges one transaction (`transact.permission.Checks`); used once.

    Holds the checks that wait for the data as it will be, and the caller as they were before. Runs
    on any thread: it touches nothing but the transaction and its judges.
    """

    def __init__(
        self,
        questions: Demands,
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
        self._pre: dict[WriteCheck, None] = {}
        self._post: dict[WriteCheck, None] = {}
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
        asked: dict[tuple[Demand, EntityId, EntityId | None] | Missed, None] = {}
        rows: dict[str, dict[EntityId, None]] = {}
        strict: set[EntityKey] = set()
        sourceless = {id(each.link) for each in proposal.missed if each.is_source}
        for write in proposal.asked():
            if isinstance(write, Missed):
                asked[write] = None
                if write.link is not None and write.link.mode == "update":
                    strict.add((write.link.attr.etype, write.link.entity))
                continue
            if write.mode == "update":
                strict.add((write.attr.etype, write.entity))
            if sourceless and id(write) in sourceless:
                continue  # asked as somebody missed
            for question in self._questions.about(write):
                me: EntityId = write.value if question.is_target else write.entity
                rows.setdefault(question.etype, {})[me] = None
                other: EntityId | None = None
                if question.other:
                    other = write.entity if question.is_target else EntityId(write.value)
                    if question.sees_other:
                        rows.setdefault(question.other, {})[other] = None
                asked[question, me, other] = None
        for etype, deleted in proposal.deletes.items():
            if self._questions.deciding(etype, "delete") is not None:
                rows.setdefault(etype, {}).update(dict.fromkeys(deleted))
        for link, is_source in ((each.link, each.is_source) for each in proposal.missed):
            if link is not None:
                rows.setdefault(link.attr.etype, {})[link.entity] = None
                if is_source:
                    rows.setdefault(_target_of(link)[0], {})[link.value] = None
        for etype, entities in rows.items():
            proposal.load(etype, entities)
        for each in asked:
            if isinstance(each, Missed):
                self._schedule_missed(proposal, each, strict)
            else:
                question, me, other = each
                self._schedule(proposal, question, (question.etype, me), other, strict)
        self._schedule_deletes(proposal)
        create = self._questions.deciding(ATTRS, "create") if proposal.added else None
        if create is not None:
            for attr in proposal.added:
                attr_id = find_uuid_bytes(attr.id)
                assert attr_id is not None, f"the id of {attr.name} is no uuid"
                self._post[WriteCheck("attr", *_of(create, (ATTRS, attr_id)))] = None
        if asked:
            self._note_modified(proposal)

    def _schedule_missed(
        self, proposal: Proposal, missed: Missed, strict: AbstractSet[EntityKey]
    ) -> None:
        """Ask of nobody what would be asked of somebody."""
        nobody = (missed.etype, _NOBODY)
        link = missed.link
        if link is None:
            deciding = self._questions.deciding(missed.etype, "update")
            if deciding is not None:
                self._pre[WriteCheck("object", *_of(deciding, nobody), absent="me")] = None
            return
        if missed.is_source:
            self._schedule_sourceless(proposal, link)
            return
        source = (link.attr.etype, link.entity)
        has_existed = proposal.has_existed(source)
        is_kept = source in strict and not has_existed
        for question in self._questions.about(link):
            if question.instead_of is not None or question.known is None:
                continue
            scope: Scope = "link" if question.label else "object"
            if question.is_target:
                of = _of(question.known, nobody)
                origin = source if question.label else None
                absent: Absent = "both" if question.label and is_kept else "me"
                self._pre[WriteCheck(scope, *of, question.label, origin, absent)] = None
            elif not question.label:
                self._schedule(proposal, question, source, None, strict)
            elif link.op != "retract" or has_existed:
                checks = self._pre if has_existed or is_kept else self._post
                of = _of(question.known, source)
                absent = "both" if is_kept else "other"
                checks[WriteCheck(scope, *of, question.label, nobody, absent)] = None

    def _schedule_sourceless(self, proposal: Proposal, link: Write) -> None:
        """Ask about a link from nobody, and to nobody if its value says so."""
        source, target = (link.attr.etype, link.entity), _target_of(link)
        is_nobody = link.value == _NOBODY
        has_target = is_nobody or proposal.has_existed(target)
        for question in self._questions.about(link):
            is_asked = has_target == (question.instead_of is None) or not (
                question.is_target or question.instead_of
            )
            if question.known is None or not is_asked:
                continue
            scope: Scope = "link" if question.label else "object"
            me, other = (target, source) if question.is_target else (source, target)
            absent: Absent = "both" if question.label and is_nobody else "me"
            if question.is_target and not is_nobody:
                absent = "other" if question.label else ""
            origin = other if question.label else None
            of = _of(question.known, me)
            self._pre[WriteCheck(scope, *of, question.label, origin, absent)] = None

    def _schedule_deletes(self, proposal: Proposal) -> None:
        """Ask about whom the transaction deletes, and about whom it does not find."""
        missed = {each.etype for each in proposal.missed if each.op == "delete"}
        for etype, found in proposal.deletes.items():
            deciding = self._questions.deciding(etype, "delete")
            if deciding is None:
                continue
            if etype in missed:
                nobody = (etype, _NOBODY)
                self._pre[WriteCheck("object", *_of(deciding, nobody), absent="me")] = None
            for entity, root in found.items():
                key = (etype, entity)
                origin = None if root == key else root
                absent: Absent = "" if proposal.has_existed(key) else "me"
                check = WriteCheck("object", *_of(deciding, key), origin=origin, absent=absent)
                self._pre[check] = None

    def _schedule(
        self,
        proposal: Proposal,
        question: Demand,
        key: EntityKey,
        other: EntityId | None,
        strict: AbstractSet[EntityKey],
    ) -> None:
        """Turn a question into checks, before or after the writes.

        strict   entities that may only be changed, not made
        """
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
            # A source that must not be made is nobody, whatever is written to it.
            absent: Absent = ""
            if origin is not None and origin in strict and not proposal.has_existed(origin):
                absent = "other"
            self._pre[WriteCheck(scope, *_of(known, key), question.label, origin, absent)] = None
        if not has_existed and known is not None and not question.is_target and key in strict:
            self._pre[WriteCheck(scope, *_of(known, key), question.label, origin, "me")] = None
        if new is None:
            return
        if has_existed:
            is_asked = new[0] == "create" and proposal.has_appeared(key)
        else:
            is_asked = not question.is_target or proposal.is_made(key)
        if is_asked:
            self._post[WriteCheck(scope, *_of(new, key), question.label, origin)] = None

    def _note_modified(self, proposal: Proposal) -> None:
        """`request.modifiedFields`: the labels that add-triple and deep-merge write, but `id`."""
        for each in proposal.asked():
            write = each.link if isinstance(each, Missed) else each
            if write is not None and write.op != "retract" and not write.attr.is_id:
                labels = self._modified.setdefault((write.attr.etype, write.entity), {})
                labels[write.attr.label] = None

    def _hear(self, proposal: Proposal, checks: Iterable[WriteCheck], *, is_after: bool) -> Hearing:
        """Ask the rules, in the order of the writes, deletes last."""
        hearing = Hearing(
            proposal,
            self._make_judge,
            is_after=is_after,
            recorder=self._recorder,
            modified=self._modified,
            auth=self._auth,
            view=self._questions.view,
        )
        for check in checks:
            hearing.hear(check)
        self._auth = hearing.auth
        return hearing


def _target_of(link: Write) -> EntityKey:
    assert link.attr.reverse is not None
    return link.attr.reverse.etype, link.value


def _of(deciding: tuple[Action, Program], key: EntityKey) -> tuple[Action, EntityKey, Program]:
    action, program = deciding
    return action, key, program
