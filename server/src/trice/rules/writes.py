"""Rules over transactions: which rules are asked about each write, and what they see.

    write of                 entity existed: before          entity is new: after
    a field                  update                          create
    a link without rules     update source, view target      create source, view target if made
    a link with rules        link, at each end with a rule   the same
    removing a field         update                          -
    removing a link          update and view, or unlink      -
    delete, cascades too     delete, existing or not         -
    a new attr               -                               create of `attrs`

Where only the target's end has a rule and there is no target, the source is judged as without link
rules. Instant asks no rule there, so a link could be set to an id that an attacker creates
afterwards. An entity that is stored in part but has no id yet is judged by both update and create
when it gets its id. Each check runs once per entity.

A missing entity (a lookup finds nobody, an update in mode `update` or a delete names nobody) is
judged too, by the rule that an existing one would be. Where the caller might not see an existing
one, the rule must allow without reading it. So missing and hidden entities get the same answer.

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
"""The entity that a lookup did not find."""


class WriteChecks:
    """Judges one transaction (`transact.permission.Checks`); used once.

    Holds the checks that wait for the data after the writes, and the caller's row before them. Runs
    on any thread: it touches only the transaction and its judges.
    """

    def __init__(
        self,
        demands: Demands,
        make_judge: MakeJudge,
        *,
        recorder: list[CheckResult] | None = None,
    ) -> None:
        """
        demands    those of the rules in force; with `has_all` if checks are recorded
        recorder   receives every check, rules that are always true included; then no check stops
                   the transaction, and the caller must read the checks
        """
        assert demands.has_all == (recorder is not None)
        self._demands = demands
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
                 for the caller's row, and what the rules read; nothing if rules are always true
        """
        self._collect(proposal)
        if self._pre or self._post:
            hearing = self._hear(proposal, self._pre, is_after=False)
            # Read before the writes: a transaction's changes of its caller give it no rights.
            if self._auth is None and any(hearing.looks(check).at_auth for check in self._post):
                self._auth = hearing.read_auth()

    def after(self, proposal: Proposal) -> None:
        """Judge what the transaction made; raises as `before`."""
        if self._post:
            self._hear(proposal, self._post, is_after=True)

    def _collect(self, proposal: Proposal) -> None:
        """Find the checks. When each is asked depends on which entities existed."""
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
                continue  # it is asked about as a missed entity
            for demand in self._demands.about(write):
                me: EntityId = write.value if demand.is_target else write.entity
                rows.setdefault(demand.etype, {})[me] = None
                other: EntityId | None = None
                if demand.other:
                    other = write.entity if demand.is_target else EntityId(write.value)
                    if demand.sees_other:
                        rows.setdefault(demand.other, {})[other] = None
                asked[demand, me, other] = None
        for etype, deleted in proposal.deletes.items():
            if self._demands.deciding(etype, "delete") is not None:
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
                demand, me, other = each
                self._schedule(proposal, demand, (demand.etype, me), other, strict)
        self._schedule_deletes(proposal)
        create = self._demands.deciding(ATTRS, "create") if proposal.added else None
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
        """Schedule for a missed entity the checks that an existing one would get."""
        nobody = (missed.etype, _NOBODY)
        link = missed.link
        if link is None:
            deciding = self._demands.deciding(missed.etype, "update")
            if deciding is not None:
                self._pre[WriteCheck("object", *_of(deciding, nobody), absent="me")] = None
            return
        if missed.is_source:
            self._schedule_sourceless(proposal, link)
            return
        source = (link.attr.etype, link.entity)
        has_existed = proposal.has_existed(source)
        is_kept = source in strict and not has_existed
        for demand in self._demands.about(link):
            if demand.instead_of is not None or demand.known is None:
                continue
            scope: Scope = "link" if demand.label else "object"
            if demand.is_target:
                of = _of(demand.known, nobody)
                origin = source if demand.label else None
                absent: Absent = "both" if demand.label and is_kept else "me"
                self._pre[WriteCheck(scope, *of, demand.label, origin, absent)] = None
            elif not demand.label:
                self._schedule(proposal, demand, source, None, strict)
            elif link.op != "retract" or has_existed:
                checks = self._pre if has_existed or is_kept else self._post
                of = _of(demand.known, source)
                absent = "both" if is_kept else "other"
                checks[WriteCheck(scope, *of, demand.label, nobody, absent)] = None

    def _schedule_sourceless(self, proposal: Proposal, link: Write) -> None:
        """Schedule the checks of a link from nobody, whose target may be nobody too."""
        source, target = (link.attr.etype, link.entity), _target_of(link)
        is_nobody = link.value == _NOBODY
        has_target = is_nobody or proposal.has_existed(target)
        for demand in self._demands.about(link):
            is_asked = has_target == (demand.instead_of is None) or not (
                demand.is_target or demand.instead_of
            )
            if demand.known is None or not is_asked:
                continue
            scope: Scope = "link" if demand.label else "object"
            me, other = (target, source) if demand.is_target else (source, target)
            absent: Absent = "both" if demand.label and is_nobody else "me"
            if demand.is_target and not is_nobody:
                absent = "other" if demand.label else ""
            origin = other if demand.label else None
            of = _of(demand.known, me)
            self._pre[WriteCheck(scope, *of, demand.label, origin, absent)] = None

    def _schedule_deletes(self, proposal: Proposal) -> None:
        """Schedule the checks of deleted entities, and of those to delete that do not exist."""
        missed = {each.etype for each in proposal.missed if each.op == "delete"}
        for etype, found in proposal.deletes.items():
            deciding = self._demands.deciding(etype, "delete")
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
        demand: Demand,
        key: EntityKey,
        other: EntityId | None,
        strict: AbstractSet[EntityKey],
    ) -> None:
        """Turn a demand into checks, before or after the writes.

        strict   entities that may only be changed, not made
        """
        origin = None if other is None else (demand.other, other)
        scope: Scope = "link" if demand.label else "object"
        known, new = demand.known, demand.new
        if demand.instead_of is not None:
            assert origin is not None
            is_made = demand.instead_of == "link" and proposal.is_made(origin)
            if is_made or proposal.has_existed(origin):
                return
            origin = None
        has_existed = proposal.has_existed(key)
        if has_existed and known is not None:
            # A source that must not be made counts as missing, whatever is written to it.
            absent: Absent = ""
            if origin is not None and origin in strict and not proposal.has_existed(origin):
                absent = "other"
            self._pre[WriteCheck(scope, *_of(known, key), demand.label, origin, absent)] = None
        if not has_existed and known is not None and not demand.is_target and key in strict:
            self._pre[WriteCheck(scope, *_of(known, key), demand.label, origin, "me")] = None
        if new is None:
            return
        if has_existed:
            is_asked = new[0] == "create" and proposal.has_appeared(key)
        else:
            is_asked = not demand.is_target or proposal.is_made(key)
        if is_asked:
            self._post[WriteCheck(scope, *_of(new, key), demand.label, origin)] = None

    def _note_modified(self, proposal: Proposal) -> None:
        """`request.modifiedFields`: the labels that steps write, except `id`."""
        for each in proposal.asked():
            write = each.link if isinstance(each, Missed) else each
            if write is not None and write.op != "retract" and not write.attr.is_id:
                labels = self._modified.setdefault((write.attr.etype, write.entity), {})
                labels[write.attr.label] = None

    def _hear(self, proposal: Proposal, checks: Iterable[WriteCheck], *, is_after: bool) -> Hearing:
        """Ask the rules in the order of the writes, deletes last."""
        hearing = Hearing(
            proposal,
            self._make_judge,
            is_after=is_after,
            recorder=self._recorder,
            modified=self._modified,
            auth=self._auth,
            view=self._demands.view,
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
