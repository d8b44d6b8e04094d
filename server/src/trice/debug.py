"""Queries and transactions that tell why rules decided as they did, for authors of rules.

Both do what the real ones do, but on threads: explaining takes a hundred times as long as judging.

source   instant-http §3.2, §3.3; spec/rules.md R160-R169
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from trice.catalog.catalog import Catalog
from trice.database import Database
from trice.errors import PermissionDenied, TriceError
from trice.identity import Identity
from trice.protocol.ids import TxId
from trice.query.encode import AnswerSize, nested_json
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.query.run import run
from trice.rate_limit import Buckets
from trice.rules.demands import Demands
from trice.rules.document import Rules
from trice.rules.explain.results import (
    Check,
    Judgement,
    Traces,
    TracingJudge,
    query_checks,
    room_checks,
    write_checks,
)
from trice.rules.explain.why import json_of
from trice.rules.hearing import CheckResult
from trice.rules.judge import Caller
from trice.rules.room_rights import RoomDeed
from trice.rules.visible import RuledVisibility
from trice.rules.writes import WriteChecks
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.engine import Snapshot, Statements, WriteTx
from trice.transact.admin import expand_admin_steps
from trice.transact.apply import apply


@dataclass(frozen=True, slots=True)
class DebuggedQuery:
    """An answer, and every check it depended on."""

    result_json: bytes
    checks: list[Check]

    def wire_json(self, warnings: list[dict[str, Any]]) -> bytes:
        """The body that `POST /admin/query_perms_check` answers (instant-http §3.2).

        warnings   those of the rules that were asked
        raises   LimitExceeded when it would be larger than limits.RESULT_BYTES_MAX
        """
        size = AnswerSize()
        size.add(len(self.result_json))
        checks = []
        for check in self.checks:
            checks.append(orjson.dumps(_query_check(check)))
            size.add(len(checks[-1]) + 1)
        warned = orjson.dumps(warnings)
        size.add(len(warned))
        parts = (self.result_json, b",".join(checks), warned)
        return b'{"result":%b,"check-results":[%b],"warnings":%b}' % parts


def _query_check(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "entity": check.etype,
        "label": check.label,
        "record": check.record,
        "program": check.program,
        "check": json_of(check.value),
        "explanation": check.explanation,
    }


@dataclass(frozen=True, slots=True)
class DebuggedTransaction:
    """What a transaction did or would have done.

    tx             its id; for one that was undone, the id it would have had
    is_ok          whether every check passed
    is_committed   False: everything was undone
    """

    tx: TxId
    is_ok: bool
    is_committed: bool
    checks: list[Check]

    @property
    def told(self) -> TriceError | None:
        """The failure that the caller of the real transaction gets: the first refusal, or None."""
        return _first_refusal(self.checks)

    def wire(self) -> dict[str, Any]:
        """The body that `POST /admin/transact_perms_check` answers (instant-http §3.3)."""
        return {
            "tx-id": self.tx,
            "all-checks-ok?": self.is_ok,
            "committed?": self.is_committed,
            "told": None if self.told is None else self.told.body(),
            "check-results": [_wire_check(check) for check in self.checks],
        }


def _first_refusal(checks: list[Check]) -> TriceError | None:
    return next((check.told for check in checks if check.told is not None), None)


def _wire_check(check: Check) -> dict[str, Any]:
    return {
        "scope": check.scope,
        "etype": check.etype,
        "action": check.action,
        "eid": check.id,
        "label": check.label,
        "bindings": {"data": check.record, "new-data": check.new_record},
        "check-result": json_of(check.value),
        "check-pass?": check.is_allowed,
        "error": None if check.error is None else check.error.body(),
        "program": check.program,
        "explanation": check.explanation,
    }


@dataclass(frozen=True, slots=True)
class DebuggedRoom:
    """What rules of rooms say to one deed.

    is_ruled   whether there are such rules; without them everything is allowed, and `checks` empty
    """

    is_ruled: bool
    checks: list[Check]

    @property
    def told(self) -> TriceError | None:
        """The failure that the member gets: the first refusal, or None."""
        return _first_refusal(self.checks)

    def wire(self) -> dict[str, Any]:
        """The body that `POST /admin/room_perms_check` answers."""
        return {
            "has-rules?": self.is_ruled,
            "all-checks-ok?": self.told is None,
            "told": None if self.told is None else self.told.body(),
            "check-results": [_wire_check(check) for check in self.checks],
        }


class _Undone(Exception):
    """Carries the outcome of a transaction that must leave no trace."""

    def __init__(self, outcome: DebuggedTransaction) -> None:
        self.outcome = outcome


class Explainer:
    """Explains what one identity may do under one document of rules.

    Holds the traced rules, compiled once for many questions. It answers one question at a time.

    rules   the rules that are explained
    """

    def __init__(
        self, database: Database, identity: Identity, rules: Rules, *, runtime: Runtime
    ) -> None:
        """
        identity   a user or guest; admins are not judged
        rules      the rules in force, or others to try out
        """
        assert not identity.is_admin, "no rule applies to admins"
        self._database = database
        self._identity = identity
        self.rules = rules
        self._runtime = runtime
        self._traces = Traces()

    async def query(self, source: Any, *, is_inferring: bool = False) -> DebuggedQuery:
        """Answer a query, and judge every entity that it finds when no rules apply.

        raises   as `Database.query_nested`; evaluation errors have their details, and the
                 `explanation` in `hint`; LimitExceeded
        """

        def work(snapshot: Snapshot) -> DebuggedQuery:
            catalog, spend = snapshot.catalog, snapshot.spend
            query = parse(source, catalog, is_admin=False, spend=spend)
            caller = Caller(self._identity, query.rule_params, is_detailed=True)
            # The answer itself took tokens of rate limits; explaining it must not take them again.
            judge = self._judge(caller, snapshot, snapshot.catalog, [], Buckets(self._runtime))
            everything = run(plan(query, catalog, dialect=snapshot.dialect, spend=spend), snapshot)
            checks = query_checks(everything, self.rules, judge)
            judge = self._judge(caller, snapshot, snapshot.catalog, [])
            visibility = RuledVisibility(self.rules, judge, snapshot.catalog)
            try:
                made = plan(query, catalog, visibility, dialect=snapshot.dialect, spend=spend)
                tree = run(made, snapshot)
            except PermissionDenied as failure:
                raise _explained(failure, checks) from failure
            result_json = nested_json(
                tree, is_inferring=is_inferring, spend=spend, url_of=self._database.url_of
            )
            return DebuggedQuery(result_json, checks)

        return await self._database.read_on_thread(work, turn_key=self._identity.turn_key)

    async def transact(
        self, steps: Any, *, throw_on_missing_attrs: bool = False, may_commit: bool = False
    ) -> DebuggedTransaction:
        """Run a transaction of the admin API with every check, then undo it.

        may_commit   keep it if every check passes
        raises       as `Database.transact_admin`, but for denials and the failures that come after
                     one: these are among the checks
        """
        outcomes: list[DebuggedTransaction] = []

        def work(tx: WriteTx) -> Commit:
            judgements: list[Judgement] = []
            recorder: list[CheckResult] = []

            def make_judge(
                statements: Statements, catalog: Catalog, params: Mapping[str, Any]
            ) -> TracingJudge:
                caller = Caller(self._identity, params, is_detailed=True)
                return self._judge(caller, statements, catalog, judgements)

            checks = WriteChecks(Demands(self.rules, has_all=True), make_judge, recorder=recorder)

            def outcome() -> DebuggedTransaction:
                found = write_checks(recorder, judgements, self.rules)
                is_ok = all(check.is_allowed for check in found)
                return DebuggedTransaction(tx.tx, is_ok, is_ok and may_commit, found)

            try:
                commit = apply(
                    tx,
                    expand_admin_steps(
                        steps,
                        tx.catalog,
                        throw_on_missing_attrs=throw_on_missing_attrs,
                        runtime=self._runtime,
                    ),
                    is_admin=False,
                    identity_name=self._identity.name,
                    event_id=None,
                    runtime=self._runtime,
                    checks=checks,
                )
            except TriceError:
                if all(result.is_allowed for result in recorder):
                    raise
                # The real transaction ends at the first refusal, which its caller is told.
                raise _Undone(outcome()) from None
            found = outcome()
            if not found.is_committed:
                raise _Undone(found)
            outcomes.append(found)
            return commit

        try:
            tx = await self._database.write_on_thread(work, turn_key=self._identity.turn_key)
        except _Undone as undone:
            return undone.outcome
        return replace(outcomes[-1], tx=tx)

    async def room(self, deed: RoomDeed) -> DebuggedRoom:
        """Judge what a caller wants to do in a room. Takes no tokens of rate limits.

        raises   Unavailable
        """

        def work(snapshot: Snapshot) -> list[Check]:
            caller = Caller(self._identity, deed.rule_params, is_detailed=True)
            judge = self._judge(caller, snapshot, snapshot.catalog, [], Buckets(self._runtime))
            return room_checks(deed, judge)

        checks = await self._database.read_on_thread(work, turn_key=self._identity.turn_key)
        return DebuggedRoom(self.rules.rooms is not None, checks)

    def _judge(
        self,
        caller: Caller,
        statements: Statements,
        catalog: Catalog,
        judgements: list[Judgement],
        buckets: Buckets | None = None,
    ) -> TracingJudge:
        judge = self._database.rights.judge(
            caller, statements, catalog, self.rules, kind=TracingJudge
        )
        assert isinstance(judge, TracingJudge)
        return judge.share(self._traces, judgements, buckets)


def _explained(failure: PermissionDenied, checks: list[Check]) -> PermissionDenied:
    """`failure` with the explanation of the first check that failed, if one did, and with the text
    that callers get who may not read the rules."""
    for check in checks:
        if check.error is not None:
            told = None if check.told is None else check.told.body()
            hint = {**failure.hint, "explanation": check.explanation, "told": told}
            return PermissionDenied(failure.code, failure.message, hint)
    return failure
