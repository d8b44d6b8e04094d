"""The rules of one app that are in force, and what they let a caller see and write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trice.catalog.catalog import Catalog
from trice.identity import Identity
from trice.query.ast import Query
from trice.query.reads.etypes import etypes_of
from trice.query.visibility import EVERYTHING, Visibility
from trice.rate_limit import Buckets
from trice.rules.demands import Demands
from trice.rules.document import Rules
from trice.rules.judge import Caller, Judge, Meter
from trice.rules.visible import RuledVisibility, view_key
from trice.rules.writes import WriteChecks
from trice.runtime import Runtime
from trice.store.engine import Snapshot, Statements

ADMIN_RIGHTS: Final = "admin"
"""The rights of the admin, to whom no rule applies."""


class Rights:
    """Holds the rules in force, and the buckets they take tokens from. Does not hold decisions.
    version   a new one for each rules document that is put in force
    """

    def __init__(self, rules: Rules, *, runtime: Runtime, buckets: Buckets, app_id: str) -> None:
        self._runtime = runtime
        self._buckets = buckets
        self._app_id = app_id
        self.version = -1
        self.put(rules)

    def put(self, rules: Rules) -> None:
        """Put rules in force."""
        self.rules = rules
        self._demands = Demands(rules, has_all=False)
        self.version += 1

    def judge(
        self,
        caller: Caller,
        statements: Statements,
        catalog: Catalog,
        rules: Rules | None = None,
        *,
        kind: type[Judge] = Judge,
        meter: Meter | None = None,
    ) -> Judge:
        """The judge that evaluates rules for `caller` on one state of the data.

        rules   rules to try out in place of those in force
        kind    a judge that explains, for debugging
        meter   counts what it costs, if that is bounded
        """
        return kind(
            rules or self.rules,
            caller,
            statements,
            catalog,
            runtime=self._runtime,
            buckets=self._buckets,
            app_id=self._app_id,
            meter=meter,
        )

    def visible_to(self, query: Query, identity: Identity, snapshot: Snapshot) -> Visibility:
        """Which part of a snapshot a query of `identity` sees."""
        if identity.is_admin:
            return EVERYTHING
        caller = Caller(identity, query.rule_params)
        rules = self.rules
        judge = self.judge(caller, snapshot, snapshot.catalog, rules)
        return RuledVisibility(rules, judge, snapshot.catalog)

    def write_checks(
        self, identity: Identity, meter: Meter | None, judges: list[Judge]
    ) -> WriteChecks | None:
        """The checks of a transaction of `identity`; None for an admin.

        judges   receives the judges that are made for it
        """
        if identity.is_admin:
            return None
        rules = self.rules

        def make_judge(
            statements: Statements, catalog: Catalog, params: Mapping[str, Any]
        ) -> Judge:
            caller = Caller(identity, params)
            judges.append(self.judge(caller, statements, catalog, rules, meter=meter))
            return judges[-1]

        return WriteChecks(self._demands, make_judge)

    def to_answer(self, query: Query, identity: Identity) -> str:
        """The rights to the answer of `query`: equal for identities whose answers are equal."""
        if identity.is_admin:
            return ADMIN_RIGHTS
        etypes = etypes_of(query)
        if etypes is None:
            return self.own(identity)
        key = view_key(self.rules, etypes, Caller(identity, query.rule_params))
        return f"{self.version}:{key}"

    def own(self, identity: Identity) -> str:
        """Rights that only this identity has, in all of its sessions."""
        return f"{self.version}:{identity.name} {identity.ip} {identity.origin}"

    def are_of_all(self, rights: str) -> bool:
        """Whether an answer to these rights is made of nothing that belongs to one caller."""
        return rights in (ADMIN_RIGHTS, f"{self.version}:all")
