"""What a data folder of PocketBase becomes: collections to namespaces, relations to links, accounts
to users, files to files.

source   spec/archive.md AR150-AR159
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from trice.archive.fill import Progress
from trice.archive.pocketbase.collections import Collection, parse_collection
from trice.archive.pocketbase.database import DATABASE, PocketBaseFile
from trice.archive.pocketbase.records import Records, StoredFiles, type_of
from trice.archive.refusals import refused
from trice.archive.report import Note, listed
from trice.archive.tables.people import USERS, UserRows, user_label
from trice.archive.tables.plan import Proposal, Scanned, Told, ToldLink
from trice.archive.tables.scan import scan
from trice.files.rows import FILES
from trice.protocol.quoting import quote

STORAGE: Final = "storage"
_INNER: Final = "pb_data"
_NO_USERS: Final = "none"


def find_folder(path: Path) -> Path | None:
    """The data folder that a path names, itself or in it; None if there is none."""
    return next((each for each in (path, path / _INNER) if (each / DATABASE).is_file()), None)


@dataclass(frozen=True, slots=True)
class Choices:
    """What options say.

    names   namespaces by the name of their collection
    users   the collection whose records become users; "none": no one; None: the only one with
            accounts, or the one called `users`
    """

    names: Mapping[str, str] = field(default_factory=dict)
    users: str | None = None


async def propose(
    file: PocketBaseFile, folder: Path, choices: Choices, progress: Progress
) -> Proposal:
    """Read a data folder once.

    folder   what `find_folder` found
    raises   InvalidInput that names the place in it
    """
    every = [parse_collection(row) for row in file.collections()]
    coming = [each for each in every if not each.is_system and each.kind != "view"]
    for each in coming:
        if not file.has_table(each.name):
            raise refused(DATABASE, f"the collection {quote(each.name)} has no table.")
    if not coming:
        raise refused(DATABASE, "it has no collections.")
    known = {each.name for each in coming}
    for wanted in choices.names:
        if wanted not in known:
            shown = listed(sorted(known))
            raise refused("--namespace", f"no collection {quote(wanted)}. There are {shown}.")
    users = _users(coming, choices)
    etypes = {each.id: choices.names.get(each.name, each.name) for each in coming}
    if users is not None:
        etypes[users.id] = USERS
    tables = [_scanned(file, each, etypes, is_users=each is users) for each in coming]
    with_files = [each for each in coming if each.of_kind("file")]
    if with_files:
        files = StoredFiles(file, folder / STORAGE, with_files)
        told = Told(id_label="id", keeps_key=False)
        tables.insert(0, Scanned(files, FILES, told=told, also=STORAGE, is_system=True))
    await scan(tables, progress)
    return Proposal(tables, _notes(file, every, coming, users))


def _users(coming: Sequence[Collection], choices: Choices) -> Collection | None:
    """The collection whose records become users."""
    if choices.users == _NO_USERS:
        return None
    accounts = [each for each in coming if each.kind == "auth"]
    if choices.users is not None:
        for each in coming:
            if each.name == choices.users:
                return each
        shown = listed(sorted(each.name for each in accounts))
        raise refused("--users", f"no collection {quote(choices.users)}. With accounts: {shown}.")
    if len(accounts) == 1:
        return accounts[0]
    return next((each for each in accounts if each.name == "users"), None)


def _scanned(
    file: PocketBaseFile, collection: Collection, etypes: Mapping[str, str], *, is_users: bool
) -> Scanned:
    """A collection as a source, with all that it says of its fields."""
    label: Callable[[str], str] = user_label if is_users else str
    links: dict[str, ToldLink] = {}
    for each in collection.fields:
        target = FILES if each.kind == "file" else etypes.get(each.target or "")
        if target is not None:
            is_unique = each.name in collection.unique and not each.is_many
            links[label(each.name)] = ToldLink(
                target, is_many=each.is_many, is_cascade=each.is_cascade, is_unique=is_unique
            )
    created = [each.name for each in collection.of_kind("autodate") if each.name == "created"]
    told = Told(
        id_label="id",
        created_label=label(created[0]) if created else None,
        types={label(each.name): type_of(each) for each in collection.fields},
        links=links,
        unique=frozenset(map(label, collection.unique)),
        indexed=frozenset(map(label, collection.indexed)),
        required=frozenset(label(each.name) for each in collection.fields if each.is_required),
    )
    records = Records(file, collection)
    return Scanned(
        UserRows(records) if is_users else records,
        etypes[collection.id],
        told=told,
        also=collection.name,
        is_system=is_users,
    )


# --- what is told -------------------------------------------------------------------------------


def _notes(
    file: PocketBaseFile,
    every: Sequence[Collection],
    coming: Sequence[Collection],
    users: Collection | None,
) -> list[Note]:
    notes: list[Note] = []
    if users is not None:
        notes.append(
            Note(
                f"{file.count(users.name):,} users of `{users.name}` come without their passwords,"
                " of which PocketBase keeps hashes that only it can check.",
                "They sign in by a code that is sent to their address, and may choose a password"
                " then: docs/sign-in.md.",
            )
        )
    others = [each.name for each in coming if each.kind == "auth" and each is not users]
    if others:
        text = f"These accounts are no users here, but rows: {listed(others)}."
        notes.append(Note(text, "--users NAME makes users of one of them."))
    for name, what, next in (
        (
            "_externalAuths",
            "sign-ins with providers",
            "Register the providers again: docs/sign-in.md. Users are found by their address.",
        ),
        ("_superusers", "administrators", "Make accounts: trice accounts create EMAIL."),
        ("_admins", "administrators", "Make accounts: trice accounts create EMAIL."),
    ):
        if file.has_table(name) and (count := file.count(name)):
            notes.append(Note(f"{count:,} {what} do not come.", next))
    views = [each.name for each in every if each.kind == "view"]
    if views:
        text = f"Views do not come, as they are no data: {listed(views)}."
        notes.append(Note(text, "Ask for the same with queries and aggregates."))
    _note_fields(coming, notes)
    rules = [
        f"{each.name}.{rule}: {quote(text)}"
        for each in coming
        for rule, text in each.rules.items()
        if text is not None
    ]
    if rules:
        text = f"Rules do not come: {listed(rules)}."
        notes.append(Note(text, "Write them in CEL: docs/moving.md has a table of how."))
    notes.append(Note("Settings, hooks and logs do not come. Ids are made of `id`, kept in `key`."))
    return notes


def _note_fields(coming: Sequence[Collection], notes: list[Note]) -> None:
    """What of fields do not come, or came otherwise."""
    secrets = [f"{each.name}.{name}" for each in coming for name in each.secrets]
    if secrets:
        notes.append(Note(f"Fields of passwords do not come: {listed(secrets)}."))
    hidden = [f"{each.name}.{one.name}" for each in coming for one in each.fields if one.is_hidden]
    if hidden:
        text = f"These fields were hidden from clients, and are not now: {listed(hidden)}."
        notes.append(Note(text, "Hide them with rules for fields."))
    several = [f"{each.name}({names})" for each in coming for names in each.not_unique]
    if several:
        text = f"Unique indexes over several fields do not come: {listed(several)}."
        notes.append(Note(text, "Keep a field with both values, and declare it unique."))
    cascades = [
        f"{each.name}.{one.name}"
        for each in coming
        for one in each.of_kind("relation")
        if one.is_cascade and one.is_many
    ]
    if cascades:
        text = f"Links to many do not delete with what they lead to: {listed(cascades)}."
        notes.append(Note(text))
