"""What an export of Convex becomes: tables to namespaces, ids of documents to links.

    scan ──> columns with ids of one table ──> do rows with some of them exist? ──> links

An id says the number of its table, but components number their tables anew, so numbers alone would
make links to rows of another table.

source   spec/archive.md AR140-AR149
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Final

from trice.archive.convex.entries import STORAGE, ConvexZip
from trice.archive.convex.tables import CREATED, ID, Documents, IdColumn, StoredFiles
from trice.archive.fill import Progress
from trice.archive.refusals import refused
from trice.archive.report import Note, listed
from trice.archive.tables.people import USERS, UserRows
from trice.archive.tables.plan import Proposal, Scanned, Told, ToldLink
from trice.archive.tables.scan import BytesRead, breathing, scan
from trice.files.rows import FILES
from trice.protocol.quoting import quote

_AUTH: Final = frozenset(
    {
        *("authAccounts", "authSessions", "authRefreshTokens", "authVerificationCodes"),
        *("authVerifiers", "authRateLimits"),
    }
)
"""Tables of Convex Auth besides `users`: sessions, and secrets that only it can use."""

_TOLD: Final = Told(
    id_label=ID,
    created_label=CREATED,
    types={ID: "string", CREATED: "number"},
    indexed=frozenset({CREATED}),
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What options say.

    names           namespaces by the name of their table
    users           the table whose rows become users
    has_components  tables of components come too
    """

    names: Mapping[str, str] = field(default_factory=dict)
    users: str | None = None
    has_components: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """A table that comes. path: of its component, empty for the app."""

    path: str
    documents: Documents
    scanned: Scanned

    def columns(self) -> dict[str, IdColumn]:
        """The columns that may have ids."""
        columns = self.scanned.columns.items()
        return {label: each for label, each in columns if isinstance(each, IdColumn)}


async def propose(zip: ConvexZip, choices: Choices, progress: Progress) -> Proposal:
    """Read an export once, and some tables of it to the first rows that are linked to.

    raises   InvalidInput that names the place in the export
    """
    notes: list[Note] = []
    found = _tables(zip, choices, notes)
    if not found:
        raise refused("the export", "it has no table.")
    await scan([each.scanned for each in found], progress)
    _note_changed(found, notes)
    links, strays = _candidates(found)
    confirmed = await _confirmed(found, links, progress)
    for table in found:
        told = dict(links[table.scanned.etype])
        for label in list(told):
            if (table.scanned.etype, label) not in confirmed:
                strays.append(f"{table.scanned.etype}.{label}")
                del told[label]
        table.scanned.told = replace(table.scanned.told, links=told)
    _note_rest(zip, strays, notes)
    return Proposal([each.scanned for each in found], notes)


def _tables(zip: ConvexZip, choices: Choices, notes: list[Note]) -> list[_Found]:
    """The tables that come; notes about others."""
    found: list[_Found] = []
    left_out: dict[str, list[str]] = {"auth": [], "component": [], "system": []}
    has_auth = {"authAccounts", "authSessions"} <= zip.entities.keys()
    for key in zip.entities:
        folder, _, table = key.rpartition("/")
        path = folder.replace("_components/", "")
        name = f"{path}/{table}" if path else table
        if path and not choices.has_components:
            left_out["component"].append(name)
        elif table == STORAGE and not path:
            found.append(_found(StoredFiles(zip, key), path, FILES, choices, name))
        elif table.startswith("_"):
            if table != "_tables":
                left_out["system"].append(name)
        elif has_auth and not path and table in _AUTH - choices.names.keys():
            left_out["auth"].append(name)
        else:
            etype = choices.names.get(name, name.replace("/", "_"))
            found.append(_found(Documents(zip, key), path, etype, choices, name))
    known = {each.scanned.also for each in found}
    for option, wanted in (
        ("--users", choices.users),
        *(("--namespace", name) for name in choices.names),
    ):
        if wanted is not None and wanted not in known - {STORAGE}:
            shown = listed(sorted(name for name in known if name and name != STORAGE))
            raise refused(option, f"the export has no table {quote(wanted)}. It has {shown}.")
    _note_tables(left_out, choices, notes)
    return found


def _found(documents: Documents, path: str, etype: str, choices: Choices, name: str) -> _Found:
    is_users = name == choices.users
    scanned = Scanned(
        UserRows(documents) if is_users else documents,
        USERS if is_users else etype,
        told=_TOLD,
        also=name,
        is_system=is_users or isinstance(documents, StoredFiles),
        new_column=lambda: IdColumn(is_csv=False),
    )
    return _Found(path, documents, scanned)


# --- links --------------------------------------------------------------------------------------

_Links = dict[str, dict[str, ToldLink]]
"""By namespace and label."""


def _candidates(found: Sequence[_Found]) -> tuple[_Links, list[str]]:
    """Columns that have only ids of one table, and names of those whose table do not come."""
    tables: dict[tuple[str, int], str] = {}
    for each in found:
        ids = each.columns().get(ID)
        if ids is not None and ids.is_ids and ids.number is not None:
            tables[each.path, ids.number] = each.scanned.etype
    links: _Links = {}
    strays: list[str] = []
    for each in found:
        ours = links.setdefault(each.scanned.etype, {})
        for label, column in each.columns().items():
            if label == ID or not column.is_ids or column.number is None:
                continue
            target = tables.get((each.path, column.number))
            if target is None:
                strays.append(f"{each.scanned.etype}.{label}")
            else:
                ours[label] = ToldLink(target, is_many=column.is_many)
    return links, strays


async def _confirmed(
    found: Sequence[_Found], links: _Links, progress: Progress
) -> Set[tuple[str, str]]:
    """The columns, as namespace and label, of which a row exists that they lead to."""
    confirmed: set[tuple[str, str]] = set()
    for target in found:
        wanted: dict[str, set[tuple[str, str]]] = {}
        for each in found:
            for label, link in links[each.scanned.etype].items():
                if link.target == target.scanned.etype:
                    for sample in each.columns()[label].samples:
                        wanted.setdefault(sample, set()).add((each.scanned.etype, label))
        left = set().union(*wanted.values())
        if not left:
            continue
        source = target.scanned.source
        told = BytesRead([source], progress, passes=1)
        async for _, row in breathing(source, told.more):
            left -= wanted.get(str(row.get(ID)), set())
            if not left:
                break
        confirmed |= set().union(*wanted.values()) - left
    return confirmed


# --- what is told -------------------------------------------------------------------------------


def _note_tables(left_out: Mapping[str, list[str]], choices: Choices, notes: list[Note]) -> None:
    if left_out["auth"]:
        text = f"Tables of Convex Auth do not come: {listed(left_out['auth'])}. They hold sessions"
        text += " and secrets that only it can use. People sign in by a code sent to their address"
        if choices.users is None:
            notes.append(Note(f"{text}, once they are users here.", "Import with --users users."))
        else:
            text += ", or with a provider that you register."
            notes.append(Note(text, "docs/sign-in.md tells how."))
    if left_out["component"]:
        notes.append(
            Note(
                f"Tables of components do not come: {listed(left_out['component'])}.",
                "--components brings them, as namespaces such as `agent_threads`.",
            )
        )
    if left_out["system"]:
        notes.append(Note(f"Tables of Convex itself do not come: {listed(left_out['system'])}."))


def _note_changed(found: Sequence[_Found], notes: list[Note]) -> None:
    """What the reading that just ended has counted."""
    for each in found:
        changed, name = each.documents.changed, each.scanned.etype
        if changed.inner_ids:
            notes.append(
                Note(
                    f"{changed.inner_ids:,} ids inside of objects of `{name}` stay texts. Rows are"
                    f" found by them: where `{ID}` is the id."
                )
            )
        if changed.large:
            notes.append(
                Note(
                    f"{changed.large:,} integers of `{name}` are beyond 2^53, where JavaScript"
                    " rounds them.",
                    f"--type {name}.COLUMN=string keeps all digits.",
                )
            )
        if changed.infinite:
            text = f"{changed.infinite:,} numbers of `{name}` are infinite or NaN, and become null."
            notes.append(Note(text))
        if changed.binary:
            text = f"{changed.binary:,} values of bytes in `{name}` become texts in base64."
            notes.append(Note(text))


def _note_rest(zip: ConvexZip, strays: Sequence[str], notes: list[Note]) -> None:
    if strays:
        text = f"Values that look like ids, but of no row that comes, stay texts: {listed(strays)}."
        next = None
        if STORAGE not in zip.entities:
            next = (
                "If they are ids of files, export again: npx convex export --include-file-storage"
                " --path export.zip."
            )
        notes.append(Note(text, next))
    if zip.is_old:
        notes.append(
            Note(
                "The export is of an older form, in which 64-bit integers and bytes are texts.",
                "--type NAMESPACE.COLUMN=number reads integers as numbers.",
            )
        )
    notes.append(
        Note(
            "Functions, indexes and validators are in no export. Ids are made of `_id`, which each"
            " row keeps, unique and indexed.",
            "Declare indexes and required fields in instant.schema.ts, and push it.",
        )
    )
