"""From files and options to a schema: which column is the id, which are links, of which type. No
I/O.

    scanned files ─┐
    --id           ├─> Plan: tables with fields, links, key columns ──> schema document
    --type --link ─┘

source   spec/archive.md AR84-AR88
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from trice.archive.refusals import refused
from trice.archive.report import Note
from trice.archive.tables.infer import Column, ColumnType, get_type
from trice.archive.tables.read import Source
from trice.catalog.system import system_attrs
from trice.protocol.quoting import quote

ID: Final = "id"


@dataclass(frozen=True, slots=True)
class ToldLink:
    """A link that a source knows of: by ids of the namespace `target`."""

    target: str
    is_many: bool
    is_cascade: bool = False
    is_unique: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a source itself says of its columns. Options may say otherwise.

    id_label       what ids are made of
    keeps_key      whether an attr keeps it
    created_label  when a row was made: milliseconds, or a date
    required       labels of values that no row may lack, if none does
    """

    id_label: str | None = None
    keeps_key: bool = True
    created_label: str | None = None
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    links: Mapping[str, ToldLink] = field(default_factory=dict)
    unique: Set[str] = frozenset()
    indexed: Set[str] = frozenset()
    required: Set[str] = frozenset()


@dataclass(slots=True)
class Scanned:
    """A source, and what is known once it was read.

    etype       the namespace that it becomes
    told        what the source says of its columns
    also        another name by which options may call the namespace
    is_system   whether it may become a namespace of the server
    new_column  makes what looks at the values of a column
    columns     by label, in the order of the file
    """

    source: Source
    etype: str
    told: Told = field(default_factory=Told)
    also: str | None = None
    is_system: bool = False
    new_column: Callable[[], Column] | None = None
    columns: dict[str, Column] = field(default_factory=dict)
    rows: int = 0

    @property
    def name(self) -> str:
        return self.source.name

    def make_column(self) -> Column:
        return Column(self.source.is_csv) if self.new_column is None else self.new_column()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an export of another system becomes.

    tables  scanned, with what it says of them
    notes   what does not come, or comes changed
    """

    tables: list[Scanned]
    notes: list[Note]


@dataclass(frozen=True, slots=True)
class Link:
    """A link by keys.

    label    of the column, and of the link
    target   the namespace it leads to
    key      the column of the target that the values are of; None: its id
    reverse  label of the other side
    is_many  values may be lists
    is_cascade  rows end with the one that they link to
    is_unique   no two rows link to the same one
    """

    label: str
    target: str
    key: str | None
    reverse: str
    is_many: bool
    is_cascade: bool = False
    is_unique: bool = False


@dataclass(slots=True)
class Table:
    """What becomes of a file.

    id_label   the column that ids are made of; None: each row gets a new one
    key_label  the attr that keeps keys that are no uuids; None: all are
    types      of columns by label; the id too
    unique     labels of attrs that are unique and indexed: keys of links
    indexed    labels of other attrs that are indexed
    required   labels of attrs that every row has, and must have
    """

    scanned: Scanned
    id_label: str | None = None
    key_label: str | None = None
    types: dict[str, ColumnType] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    unique: set[str] = field(default_factory=set)
    indexed: set[str] = field(default_factory=set)
    required: set[str] = field(default_factory=set)

    @property
    def etype(self) -> str:
        return self.scanned.etype

    def fields(self) -> Iterator[tuple[str, str]]:
        """Attrs that are no links, each with the column that it comes from."""
        if self.key_label is not None and self.key_label != self.id_label:
            assert self.id_label is not None, "a key is made of it"
            yield self.key_label, self.id_label
        for label in self.types:
            is_key = label == self.id_label and label != self.key_label
            if not is_key and label not in self.links:
                yield label, label


@dataclass(frozen=True, slots=True)
class Wishes:
    """What options say: `COLUMN` or `NAMESPACE.COLUMN`; `NAMESPACE.COLUMN=TYPE`;
    `NAMESPACE.COLUMN=NAMESPACE.COLUMN[:BACK]`."""

    ids: Sequence[str] = ()
    types: Sequence[str] = ()
    links: Sequence[str] = ()


def plan_tables(scanned: Sequence[Scanned], wishes: Wishes) -> list[Table]:
    """Decide what becomes of each column.

    raises   InvalidInput that names the option or the file
    """
    tables = {each.etype: Table(each) for each in scanned}
    for table in tables.values():
        table.types = {label: column.type for label, column in table.scanned.columns.items()}
        table.types.update(table.scanned.told.types)
        table.id_label = table.scanned.told.id_label
        if table.id_label is None and ID in table.types:
            table.id_label = ID
    for wish in wishes.ids:
        _choose_id(tables, wish)
    decided: set[tuple[str, str]] = set()
    for wish in wishes.types:
        name, _, wanted = wish.rpartition("=")
        table, label = _find_column(tables, name, "--type")
        table.types[label] = get_type(wanted, "--type")
        decided.add((table.etype, label))
    for table in tables.values():
        _keep_key(table)
        _take_told(table)
    for wish in wishes.links:
        _add_link(tables, wish)
    for table in tables.values():
        _add_told_links(tables, table, decided)
    for table in tables.values():
        if ID in table.types and table.id_label != ID:
            problem = f"it has a column `{ID}` that is not its id. Rename one of the two."
            raise refused(table.scanned.name, problem)
    return list(tables.values())


def schema_document(tables: Sequence[Table]) -> dict[str, Any]:
    """The schema of tables, as clients send schemas."""
    entities: dict[str, Any] = {}
    links: dict[str, Any] = {}
    for table in tables:
        attrs: dict[str, dict[str, Any]] = {}
        for label, column in table.fields():
            is_unique = label in table.unique
            is_indexed = is_unique or label in table.indexed
            attrs[label] = {
                "valueType": table.types[column],
                "config": {"unique": is_unique, "indexed": is_indexed},
            }
            if label in table.required:
                attrs[label]["required"] = True
        entities[table.etype] = {"attrs": attrs}
        for link in table.links.values():
            links[f"{len(links)}"] = {
                "forward": {
                    "on": table.etype,
                    "label": link.label,
                    "has": "many" if link.is_many else "one",
                    "onDelete": "cascade" if link.is_cascade else None,
                },
                "reverse": {
                    "on": link.target,
                    "label": link.reverse,
                    "has": "one" if link.is_unique else "many",
                },
            }
    return {"entities": entities, "links": links}


def _choose_id(tables: Mapping[str, Table], wish: str) -> None:
    found = [table for table in tables.values() if wish in table.types]
    if found:
        for table in found:
            table.id_label = wish
        return
    table, label = _find_column(tables, wish, "--id")
    table.id_label = label


def _keep_key(table: Table) -> None:
    """Give keys that are no uuids an attr."""
    label = table.id_label
    if label is None:
        return
    column = table.scanned.columns.get(label)
    if column is None or column.are_uuids or not table.scanned.told.keeps_key:
        return
    if table.types[label] == "json":
        # Numbers and texts in one column: any of them is a key.
        if table.scanned.columns[label].is_csv:
            table.types[label] = "string"
        elif "json" in table.scanned.columns[label].kinds:
            problem = f"its column `{label}` has lists or objects, which are no ids."
            raise refused(table.scanned.name, problem)
    key = label if label != ID else "key"
    while key != label and key in table.types:
        key = f"{key}_"
    table.key_label = key
    table.unique.add(key)


def _add_link(tables: Mapping[str, Table], wish: str) -> None:
    source_name, _, rest = wish.partition("=")
    table, label = _find_column(tables, source_name, "--link")
    if label == table.id_label:
        raise refused("--link", f"`{source_name}` is the id of its rows; it cannot be a link too.")
    target, target_label, reverse = _find_target(tables, rest)
    key: str | None = target_label
    if target_label in (ID, target.id_label):
        if target.id_label is None:
            problem = f"rows of {target.scanned.name} have no id; choose one with --id."
            raise refused("--link", problem)
        key = None
    elif target.types[target_label] == "json" or target_label in target.links:
        raise refused("--link", f"`{rest}` has no texts or numbers to link by.")
    else:
        target.unique.add(target_label)
    if label in table.unique:
        raise refused("--link", f"`{source_name}` is a link, and the key of another link.")
    taken = _taken(tables, target)
    if reverse is None:
        reverse = table.etype if table.etype not in taken else f"{table.etype}_{label}"
    if reverse in taken:
        problem = f"`{target.etype}` has `{reverse}` already. Name the way back: `{wish}:NAME`."
        raise refused("--link", problem)
    is_many = table.scanned.columns[label].is_list
    table.links[label] = Link(label, target.etype, key, reverse, is_many)


@cache
def system_labels(etype: str) -> frozenset[str]:
    """Labels that a namespace of the server has by itself, of both sides of links."""
    attrs = system_attrs()
    ours = {attr.label for attr in attrs if attr.etype == etype}
    theirs = {attr.reverse.label for attr in attrs if attr.reverse and attr.reverse.etype == etype}
    return frozenset(ours | theirs)


def _taken(tables: Mapping[str, Table], target: Table) -> set[str]:
    """Labels that a link back from a namespace cannot have."""
    taken = {*target.types, *(name for name, _ in target.fields()), ID}
    for each in tables.values():
        taken |= {link.reverse for link in each.links.values() if link.target == target.etype}
    return taken | system_labels(target.etype)


def _take_told(table: Table) -> None:
    """Take over what a source says of values."""
    told, columns, rows = table.scanned.told, table.scanned.columns, table.scanned.rows
    labels = {label for label, _ in table.fields()} - told.links.keys()
    table.unique |= told.unique & labels
    table.indexed |= told.indexed & labels
    if table.etype == "$users":
        table.unique |= {"email"} & labels  # so that twins are told before the end
    if not table.etype.startswith("$"):
        required = told.required & labels & columns.keys()
        table.required |= {label for label in required if columns[label].count == rows}


def _add_told_links(
    tables: Mapping[str, Table], table: Table, decided: Set[tuple[str, str]]
) -> None:
    """Add the links that a source knows of, unless options said what the columns are."""
    for label, link in table.scanned.told.links.items():
        target = tables.get(link.target)
        is_decided = (table.etype, label) in decided or label in table.links
        if target is None or is_decided or label == table.id_label:
            continue
        taken = _taken(tables, target)
        base = table.etype.lstrip("$")
        names = [base, f"{base}_{label}", *(f"{base}_{label}_{each}" for each in range(2, 99))]
        table.links[label] = Link(
            label,
            target.etype,
            key=None,
            reverse=next(name for name in names if name not in taken),
            is_many=link.is_many,
            is_cascade=link.is_cascade and not link.is_many,
            is_unique=link.is_unique,
        )


def _find_target(tables: Mapping[str, Table], text: str) -> tuple[Table, str, str | None]:
    """The column that a link leads to, and the name of the way back if there is one."""
    name, colon, reverse = text.rpartition(":")
    if colon and text.count(".") and _split(tables, text) is None:
        return *_find_column(tables, name, "--link", has_id=True), reverse
    return *_find_column(tables, text, "--link", has_id=True), None


def _split(tables: Mapping[str, Table], name: str) -> tuple[Table, str] | None:
    """The table and label in `NAMESPACE.COLUMN`, either of which may have points too."""
    also = {table.scanned.also: table for table in tables.values()}
    for at, letter in enumerate(name):
        if letter != ".":
            continue
        table = tables.get(name[:at]) or also.get(name[:at])
        if table is not None:
            label = name[at + 1 :]
            if label in table.types or label == ID:
                return table, label
    return None


def _find_column(
    tables: Mapping[str, Table], name: str, option: str, *, has_id: bool = False
) -> tuple[Table, str]:
    found = _split(tables, name)
    if found is None or (not has_id and found[1] not in found[0].types):
        known = [f"{table.etype}.{label}" for table in tables.values() for label in table.types]
        shown = ", ".join(known[:20]) + (" …" if len(known) > 20 else "")
        raise refused(option, f"no file has a column {quote(name)}. There are {shown}.")
    return found
