"""Runs the cases of a suite on an app of their own, with the real engine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from trice.catalog.catalog import Catalog
from trice.database import Change, Database
from trice.debug import Explainer
from trice.errors import TriceError
from trice.identity import ADMIN, GUEST, Identity
from trice.protocol.ids import AppId, find_uuid_bytes
from trice.rules.document import Rules
from trice.rules.environments import ROOM_ACTIONS
from trice.rules.explain.results import Check
from trice.rules.explain.testing import Case, Coverage, Suite, Verdict
from trice.rules.room_rights import RoomDeed
from trice.rules.warnings import warnings_wire
from trice.runtime import Runtime
from trice.server import open_engines


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a case.

    got       a verdict; ids for "query" cases that expect ids
    problem   why the case could not be tried; "" when it could
    checks    the checks of every rule that was asked
    """

    case: Case
    got: Verdict | frozenset[str]
    problem: str
    checks: Sequence[Check]

    @property
    def is_passed(self) -> bool:
        return not self.problem and self.got == self.case.expect


async def run_suite(
    suite: Suite, *, runtime: Runtime
) -> tuple[list[Outcome], Coverage, list[dict[str, Any]]]:
    """Try every case on the data of the suite; no case sees the writes of another.

    returns  the outcomes, which rules were tried, and warnings: [{"message", "in", "hint"?}]
    raises   InvalidInput when the schema, the rules or the data are wrong
    """
    rules = Rules.parse(suite.rules, is_open=suite.is_open)
    coverage = Coverage(suite.rules)
    outcomes: list[Outcome] = []
    with (
        tempfile.TemporaryDirectory(prefix="trice-rules-") as folder,
        closing(open_engines(Path(folder), runtime=runtime)) as engines,
    ):
        database = await Database.open(
            partial(engines.open, AppId("app"), is_new=True),
            runtime=runtime,
            rules=rules,
            schema=suite.schema,
        )
        try:
            await _seed(database, suite)
            warnings = warnings_wire(rules, database.catalog)
            explainers: dict[tuple[str | None, str, str], Explainer] = {}
            for case in suite.cases:
                key = (case.who, case.ip, case.origin)
                explainer = explainers.get(key)
                if explainer is None:
                    identity = _identity(suite, case)
                    explainer = Explainer(database, identity, rules, runtime=runtime)
                    explainers[key] = explainer
                outcome = await _try(explainer, case, database.catalog)
                for check in outcome.checks:
                    coverage.add(check)
                outcomes.append(outcome)
        finally:
            await database.close()
    return outcomes, coverage, warnings


async def _seed(database: Database, suite: Suite) -> None:
    """Write the first data. Links come last, when the entities they lead to are there."""
    own: list[Any] = []
    system: list[Any] = []
    links: list[Any] = []
    for etype, entity, values in suite.rows:
        fields, linked = _split(database.catalog, etype, values)
        steps = system if etype.startswith("$") else own
        steps.append(["update", etype, entity, fields])
        if linked:
            links.append(["link", etype, entity, linked])

    def write_system(change: Change) -> None:
        change.write(*system)

    if system:
        await database.change(write_system)
    if own or links:
        await database.transact_admin([*own, *links], identity=ADMIN)


def _split(
    catalog: Catalog, etype: str, values: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split what is to be written into fields and links, by the schema."""
    links = {label: value for label, value in values.items() if _is_link(catalog, etype, label)}
    return {label: values[label] for label in values if label not in links}, links


def _is_link(catalog: Catalog, etype: str, label: str) -> bool:
    attr = catalog.find_name(etype, label)
    return attr is not None and attr.is_ref


def _identity(suite: Suite, case: Case) -> Identity:
    if case.who is None:
        return replace(GUEST, ip=case.ip, origin=case.origin)
    user_id = find_uuid_bytes(suite.users[case.who])
    return Identity("user", user_id, ip=case.ip, origin=case.origin)


async def _try(explainer: Explainer, case: Case, catalog: Catalog) -> Outcome:
    """Run one case, and undo its writes."""
    try:
        if case.op in ("view", "query"):
            return await _read(explainer, case)
        if case.op in ROOM_ACTIONS:
            return await _visit(explainer, case)
        found = await explainer.transact(list(_steps(case, catalog)))
    except TriceError as failure:
        is_evaluation = failure.code == "permission-evaluation-failed"
        return Outcome(case, "error", "" if is_evaluation else failure.message, ())
    failures = [check.error for check in found.checks if check.error is not None]
    got: Verdict = "error" if failures else "allow" if found.is_ok else "deny"
    return Outcome(case, got, "", found.checks)


async def _visit(explainer: Explainer, case: Case) -> Outcome:
    """Ask the rules of rooms."""
    assert case.op in ROOM_ACTIONS
    room_type, room_id = case.room
    deed = RoomDeed(case.op, room_type, room_id, case.topic, case.given, case.params)
    found = await explainer.room(deed)
    is_error = any(check.error is not None for check in found.checks)
    got: Verdict = "error" if is_error else "allow" if found.told is None else "deny"
    return Outcome(case, got, "", found.checks)


async def _read(explainer: Explainer, case: Case) -> Outcome:
    query = case.given
    if case.op == "view":
        query = {case.etype: {"$": {"where": {"id": case.entity}}}}
    if case.params:
        query = {**query, "$$ruleParams": dict(case.params)}
    found = await explainer.query(query)
    result = orjson.loads(found.result_json)
    if case.op == "view":
        entities = result[case.etype]
        label = case.label
        is_seen = bool(entities) and (label is None or label in entities[0])
        return Outcome(case, "allow" if is_seen else "deny", "", found.checks)
    if isinstance(case.expect, frozenset):
        ids = frozenset(entity["id"] for form in result.values() for entity in form)
        return Outcome(case, ids, "", found.checks)
    is_whole = all(check.is_allowed for check in found.checks)
    return Outcome(case, "allow" if is_whole else "deny", "", found.checks)


def _steps(case: Case, catalog: Catalog) -> Iterator[Any]:
    """The case as steps of the admin API."""
    if case.params and case.entity:
        yield ["ruleParams", case.etype, case.entity, dict(case.params)]
    match case.op:
        case "transact":
            yield from case.given
        case "delete":
            yield ["delete", case.etype, case.entity, {}]
        case "link" | "unlink":
            yield [case.op, case.etype, case.entity, case.given]
        case _:
            fields, links = _split(catalog, case.etype, case.given)
            yield [case.op, case.etype, case.entity, fields]
            links |= case.links
            if links:
                yield ["link", case.etype, case.entity, links]
