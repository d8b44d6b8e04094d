"""An app with rules, and callers who are not admins."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from support.transact_app import App, raw, uid
from trice.catalog.catalog import Catalog
from trice.errors import PermissionDenied
from trice.identity import GUEST, Identity
from trice.protocol.ids import EntityId
from trice.rate_limit import Buckets
from trice.rules.demands import Demands
from trice.rules.document import Rules
from trice.rules.hearing import CheckResult
from trice.rules.judge import Caller, Judge
from trice.rules.writes import WriteChecks
from trice.store.commit import Commit
from trice.store.engine import Statements
from trice.transact.permission import Proposal


class RuledApp:
    """The app of `app` under `rules`."""

    def __init__(self, app: App, rules: Any = None) -> None:
        self.app = app
        self.rules = Rules.parse(rules)
        self.questions = Demands(self.rules, has_all=False)
        self.buckets = Buckets(app.runtime)

    def act(
        self,
        steps: Any,
        *,
        user: int | None = None,
        recorder: list[CheckResult] | None = None,
        is_long: bool = False,
    ) -> Commit:
        """A transaction of a signed-in user, or of a guest without one."""
        return self.app.transact(
            steps, is_admin=False, checks=self.checks(user, recorder), is_long=is_long
        )

    def is_allowed(self, steps: Any, *, user: int | None = None) -> bool:
        """Whether the transaction is accepted; a denied one must have changed nothing."""
        before = self.app.snapshot()
        try:
            self.act(steps, user=user)
        except PermissionDenied as denial:
            assert denial.code == "permission-denied", denial.message
            assert self.app.snapshot() == before, "a denied transaction wrote something"
            return False
        return True

    def would_allow(self, steps: Any, *, user: int | None = None) -> bool:
        """Whether the transaction would be accepted; nothing is changed."""
        try:
            self.app.transact(steps, is_admin=False, checks=_Trial(self.checks(user)))
        except PermissionDenied as denial:
            assert denial.code == "permission-denied", denial.message
            return False
        except _Undone:
            return True
        raise AssertionError("the rules were not asked after the writes")

    def denied(self, steps: Any, *, user: int | None = None) -> PermissionDenied:
        """The refusal of a transaction that must be denied."""
        before = self.app.snapshot()
        with pytest.raises(PermissionDenied) as caught:
            self.act(steps, user=user)
        assert self.app.snapshot() == before, "a denied transaction wrote something"
        return caught.value

    def put(self, etype: str, number: int, **values: Any) -> list[Any]:
        """Steps as clients send them for update and create."""
        return self.app.put_steps(etype, number, **values)

    def set(self, etype: str, subject: Any, op: str = "add-triple", **values: Any) -> list[Any]:
        """Steps that write fields, the id left out."""
        return [[op, _subject(subject), self._id(etype, key), v] for key, v in values.items()]

    def link(self, etype: str, subject: Any, label: str, target: Any) -> list[Any]:
        return ["add-triple", _subject(subject), self._id(etype, label), _subject(target)]

    def unlink(self, etype: str, subject: Any, label: str, target: Any) -> list[Any]:
        return ["retract-triple", _subject(subject), self._id(etype, label), _subject(target)]

    def delete(self, etype: str, subject: Any) -> list[Any]:
        return ["delete-entity", _subject(subject), etype]

    def params(self, etype: str, subject: Any, **params: Any) -> list[Any]:
        return ["rule-params", _subject(subject), etype, params]

    def by(self, etype: str, label: str, value: Any) -> list[Any]:
        """A lookup."""
        return [self._id(etype, label), value]

    def _id(self, etype: str, label: str) -> str:
        return self.app.attr(etype, label).id

    def checks(self, user: int | None, recorder: list[CheckResult] | None = None) -> WriteChecks:
        identity = GUEST if user is None else Identity("user", user_id=EntityId(raw(user)))
        questions = self.questions
        if recorder is not None:
            questions = Demands(self.rules, has_all=True)
        return WriteChecks(questions, partial(self._judge, identity), recorder=recorder)

    def _judge(
        self,
        identity: Identity,
        statements: Statements,
        catalog: Catalog,
        params: Mapping[str, Any],
    ) -> Judge:
        return Judge(
            self.rules,
            Caller(identity, params),
            statements,
            catalog,
            runtime=self.app.runtime,
            buckets=self.buckets,
            app_id=uid(1, "f"),
        )


def _subject(given: Any) -> Any:
    return uid(given) if isinstance(given, int) else given


class _Undone(Exception):
    """A trial ended, and must be undone."""


class _Trial:
    """Checks that finally undo what they allowed."""

    def __init__(self, checks: WriteChecks) -> None:
        self._checks = checks

    def before(self, proposal: Proposal) -> None:
        self._checks.before(proposal)

    def after(self, proposal: Proposal) -> None:
        self._checks.after(proposal)
        raise _Undone
