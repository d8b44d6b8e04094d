"""Rules as a Visibility: which part of the data one caller may see.

source   instant-semantics §5.7; spec/rules.md R87-R92
"""

from __future__ import annotations

from collections.abc import Iterable

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.cel.errors import EvaluationError
from trice.cel.evaluate import Program
from trice.protocol.ids import AttrId, EntityId
from trice.query.ast import NOTHING, Scope, is_judged
from trice.query.visibility import NO_DEPENDS, Depends, FixedVisibility
from trice.rules.conditions import Conditions
from trice.rules.document import Rules
from trice.rules.facts import Facts, facts_of
from trice.rules.judge import AUTH_PREFIX, USERS, Caller, Judge
from trice.rules.judged import judged_rows
from trice.rules.references import follow_path, is_reachable, resolve_path


class RuledVisibility:
    """What the rules let one caller, who is no admin, see of one state.

    Holds the scopes asked for so far, and what they were made from. Used by one thread at a time.
    """

    def __init__(self, rules: Rules, judge: Judge, catalog: Catalog) -> None:
        self._rules = rules
        self._judge = judge
        self._catalog = catalog
        self._conditions = Conditions(catalog, judge)
        self._entities: dict[str, Scope] = {}
        self._fields: dict[AttrId, Scope] = {}
        self._paths: set[tuple[str, str]] = set()
        self._is_user_read = False
        self._is_path_computed = False
        self.is_lasting = True
        """Whether the scopes hold as long as what they were made from stays the same. Scopes that
        name the time, take tokens, or keep what they read do not."""

    def entities(self, etype: str) -> Scope:
        """What an entity must meet to be visible; empty: every entity is."""
        found = self._entities.get(etype)
        if found is None:
            found = self._scope(self._rules.find(etype, "view"), etype, "view")
            self._entities[etype] = found
        return found

    def field(self, attr: Attr) -> Scope:
        """What an entity must meet to show its `attr`."""
        found = self._fields.get(attr.id)
        if found is None:
            program = self._rules.find_field(attr.etype, attr.label)
            found = ()
            if program is not None:
                found = self._scope(program, attr.etype, f"fields.{attr.label}")
            self._fields[attr.id] = found
        return found

    def masks(self, etype: str) -> bool:
        """Whether a field of the namespace has a rule."""
        return bool(self._rules.fields_of(etype))

    @property
    def steps(self) -> int:
        """The cost of judging rows in Python so far, in steps of evaluation."""
        return self._judge.steps

    def frozen(self) -> FixedVisibility:
        """The scopes asked for so far, without the state they were made on."""
        return FixedVisibility(dict(self._entities), dict(self._fields), self.depends)

    @property
    def depends(self) -> Depends:
        """What the scopes asked for so far were made from."""
        entities: set[tuple[str, EntityId]] = set()
        attrs: set[AttrId] = set()
        etypes: set[str] = set()
        user_id = self._judge.caller.identity.user_id
        if user_id is not None and self._is_user_read:
            entities.add((USERS, user_id))
        for start, path in self._paths:
            etypes.add(start)
            for attr, etype in follow_path(self._catalog, start, path):
                attrs.add(attr.id)
                etypes.add(etype)
        if self._is_path_computed:
            # Each entity may have a path of its own, over any attr.
            attrs.update(self._catalog.by_id)
            etypes.update(self._catalog.namespaces)
        if not entities and not attrs and not etypes:
            return NO_DEPENDS
        return Depends(
            entities=frozenset(entities),
            attrs=frozenset(attrs),
            births=frozenset(etypes),
            etypes=frozenset(etypes),
        )

    def _scope(self, program: Program, etype: str, action: str) -> Scope:
        facts = facts_of(program)
        if facts.constant is not None:
            return () if facts.constant else NOTHING
        self._note(facts, etype)
        judge = self._judge
        scope = self._conditions.scope_of(
            program, etype, lambda: judged_rows(program, etype=etype, action=action, judge=judge)
        )
        if is_judged(scope) or facts.mentions("request", "time") or facts.mentions("rateLimit"):
            self.is_lasting = False
        return scope

    def _note(self, facts: Facts, etype: str) -> None:
        """Note what a rule depends on besides its conditions: the caller (only `auth.id` never
        changes), refs whose path does not exist yet, and refs whose path the entity gives."""
        if self._judge.caller.identity.user_id is not None:
            paths = (path.removeprefix(AUTH_PREFIX) for path in facts.paths("auth"))
            self._paths.update((USERS, path) for path in paths)
        broken = (path for path in facts.paths("data") if not self._leads_on(etype, path))
        self._paths.update((etype, path) for path in broken)
        self._is_path_computed |= "data" in facts.computed_refs
        if "auth" in facts.whole or facts.labels("auth") - {"id"}:
            self._is_user_read = True

    def _leads_on(self, etype: str, path: str) -> bool:
        """Whether all names of `path` exist; then the conditions made of it contain them."""
        try:
            return is_reachable(self._catalog, resolve_path(self._catalog, etype, path))
        except EvaluationError:
            return False


def view_key(rules: Rules, etypes: Iterable[str], caller: Caller) -> str:
    """A key that is equal for callers to whom the rules show the same of these namespaces.

    etypes    every namespace a query reads
    returns   equal texts for callers with equal answers, given equal `ruleParams`, which are part
              of the query; "all" when nothing depends on the caller
    """
    identity = caller.identity
    parts: dict[str, str] = {}
    for etype in etypes:
        programs = [rules.find(etype, "view"), *rules.fields_of(etype).values()]
        for facts in map(facts_of, programs):
            if facts.mentions("auth"):
                parts["user"] = identity.name
            if facts.mentions("request", "ip"):
                parts["ip"] = identity.ip
            if facts.mentions("request", "origin"):
                parts["origin"] = identity.origin
    return repr(sorted(parts.items())) if parts else "all"
