"""Hooks as rows of `$hooks`: each function is one transaction, or part of one.

A row says how far a hook is. Who moves it says from where: of two who do, one is refused. That is
what makes a mutation run once for a change: its transaction moves the place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from trice.calls.hooks.reading import Place
from trice.calls.jobs.schedule import JOBS
from trice.database import Change, Database, Look
from trice.errors import Conflict, NotFound, no_record
from trice.functions.signature import Signature
from trice.protocol.ids import find_uuid_bytes
from trice.system_rows import find_row

HOOKS: Final = "$hooks"

State = Literal["active", "stopped", "broken"]
Fields = dict[str, Any]

_HEALED: Final[Fields] = {"state": "active", "failures": 0, "dueAt": None, "error": None}


@dataclass(frozen=True, slots=True)
class HookRow:
    """One row of `$hooks`.

    failures   how often the change that comes next has failed
    due_ms     when it is tried again
    error      what it failed with: {"code", "message", …}
    parked     how many changes were parked since the hook is there
    """

    id: str
    name: str
    state: State
    place: Place
    failures: int = 0
    due_ms: int = 0
    error: Fields | None = None
    parked: int = 0

    @classmethod
    def load(cls, fields: Mapping[str, Any]) -> HookRow:
        """Read a row, as `system_rows` finds it."""
        return cls(
            id=fields["id"],
            name=fields["name"],
            state=fields["state"],
            place=Place(int(fields["place"]), int(fields.get("done") or 0)),
            failures=int(fields.get("failures") or 0),
            due_ms=int(fields.get("dueAt") or 0),
            error=fields.get("error"),
            parked=int(fields.get("parked") or 0),
        )


async def listed(database: Database) -> list[HookRow]:
    """The hooks of an app, by name."""
    return await database.look(_all)


async def reconcile(
    database: Database, signatures: Iterable[Signature], *, new_id: Callable[[], str]
) -> list[HookRow]:
    """Let the rows be those of the hooks that are deployed: a new one starts from now, one that has
    another name goes on, one that is gone is dropped. Returns them."""
    wanted = _wanted(signatures)
    found = await database.look(_all)
    if {row.name for row in found} == wanted.keys():
        return found

    def work(change: Change) -> None:
        rows = {row.name: row for row in _all(change)}
        for name, signature in wanted.items():
            if rows.pop(name, None) is not None:
                continue
            earlier = next((each for each in signature.also if each in rows), None)
            if earlier is not None and earlier not in wanted:
                change.write(["update", HOOKS, rows.pop(earlier).id, {"name": name}])
            else:
                change.write(["create", HOOKS, new_id(), {"name": name, **_from_now(change)}])
        change.write(*(["delete", HOOKS, row.id] for row in rows.values()))

    await database.change(work)
    return await database.look(_all)


async def prepare(
    database: Database,
    signatures: Iterable[Signature],
    before: Iterable[Signature],
    *,
    new_id: Callable[[], str],
) -> None:
    """Before other functions are in force: hooks that are new have a place from now on, so that
    nothing is missed that is committed once they are.

    before   the functions that are in force
    """
    known = _wanted(before)
    new = [
        name
        for name, each in _wanted(signatures).items()
        if name not in known and not any(also in known for also in each.also)
    ]
    if not new:
        return

    def work(change: Change) -> None:
        rows = {row.name: row for row in _all(change)}
        for name in new:
            if name in rows:  # of a deploy that did not come so far
                change.write(["update", HOOKS, rows[name].id, _from_now(change)])
            else:
                change.write(["create", HOOKS, new_id(), {"name": name, **_from_now(change)}])

    await database.change(work)


def get_at(look: Look, hook_id: str, place: Place) -> HookRow:
    """A hook that is at a place.

    raises   Conflict("job-over") when it is elsewhere, broken, or dropped
    """
    raw = find_uuid_bytes(hook_id)
    found = None if raw is None else find_row(look, HOOKS, "id", raw)
    row = None if found is None else HookRow.load(found.fields)
    if row is None or row.state == "broken" or row.place != place:
        raise Conflict(
            "job-over", "The hook was dropped or resumed, or another server followed the change."
        )
    return row


def move(change: Change, hook_id: str, before: Place, after: Place) -> None:
    """A hook is done with something, in this transaction.

    raises   Conflict("job-over") when it is not where the caller believes
    """
    row = get_at(change, hook_id, before)
    fields: Fields = {"place": after.tx, "done": after.done}
    if row.failures or row.state != "active":
        fields |= _HEALED
    change.write(["update", HOOKS, hook_id, fields])


async def save(database: Database, hook_id: str, before: Place, after: Place) -> None:
    """`move`, in a transaction of its own."""
    await database.change(lambda change: move(change, hook_id, before, after))


async def fail(
    database: Database,
    hook_id: str,
    place: Place,
    *,
    failures: int,
    due_ms: int,
    error: Fields,
    state: State,
) -> None:
    """The change at a place has failed. raises   Conflict("job-over")"""

    def work(change: Change) -> None:
        get_at(change, hook_id, place)
        told: Fields = {"failures": failures, "dueAt": due_ms, "error": error, "state": state}
        change.write(["update", HOOKS, hook_id, told])

    await database.change(work)


async def park(
    database: Database, hook_id: str, before: Place, after: Place, *, job_id: str, job: Fields
) -> None:
    """A change goes to `$jobs`, as a job that failed, and the hook goes on after it.

    raises   Conflict("job-over")
    """

    def work(change: Change) -> None:
        row = get_at(change, hook_id, before)
        moved: Fields = {"place": after.tx, "done": after.done, "parked": row.parked + 1}
        change.write(["update", HOOKS, hook_id, moved | _HEALED])
        change.write(["create", JOBS, job_id, job])

    await database.change(work)


async def give_up(database: Database, hook_id: str, place: Place, error: Fields) -> None:
    """A hook is broken: the log lacks what comes next. raises   Conflict("job-over")"""

    def work(change: Change) -> None:
        get_at(change, hook_id, place)
        told: Fields = {"state": "broken", "error": error, "dueAt": None, "failures": 0}
        change.write(["update", HOOKS, hook_id, told])

    await database.change(work)


async def resume(database: Database, name: str) -> HookRow:
    """Let a hook go on: a broken one from now, one that waits at once. Returns its row as it was.

    raises   NotFound
    """

    def work(change: Change) -> HookRow:
        found = find_row(change, HOOKS, "name", name)
        if found is None:
            raise unknown_hook(name)
        row = HookRow.load(found.fields)
        if row.state == "broken":
            change.write(["update", HOOKS, row.id, _from_now(change)])
        elif row.failures or row.state != "active":
            change.write(["update", HOOKS, row.id, _HEALED])
        return row

    return await database.change(work)


def unknown_hook(name: str) -> NotFound:
    """The error for a hook that the app does not have."""
    return no_record("hook", "The app has no hook with this name.", {"name": name[:200]})


def _wanted(signatures: Iterable[Signature]) -> dict[str, Signature]:
    return {each.name: each for each in signatures if each.hook is not None}


def _from_now(change: Change) -> Fields:
    return {"place": change.tx, "done": 0, **_HEALED}


def _all(look: Look) -> list[HookRow]:
    found: Sequence[Mapping[str, Any]] = look.find({HOOKS: {}})[HOOKS]
    return sorted(map(HookRow.load, found), key=lambda row: row.name)
