"""Case files: seed, command, input, `----`, expected. Read, alias, render, write back.

    # Q12: a comparison on an unset attribute matches nothing (line 11)
    # client: skip (why official clients show something else)
    seed library
    query
    {"books": {"$": {"where": {"pages": {"$gt": 100}}}}}
    ----
    books: [b2 b5]

A blank line ends an expected part; another command of the same case may follow. In the input
`"@b1"` is the uuid of alias b1, `"#books.title"` the id of an attr, `"<end books>"` the end cursor
of the case's previous answer; answers are written with aliases.

    query             as an admin: ids, nested by link; then where pages begin and end
    query as=guest    as somebody without an account, judged by the rules in force
    query full        whole objects
    query infer       a link to at most one entity is that object or null
    query flat        triples, each with the rank of its time among those of the answer
    transact          admin steps, or low-level ones; `ok` or what was refused
    transact as=guest, transact strict (no missing attrs)
    transact low      steps of a session, whatever they look like; transact high: of the admin API
    transact event=X  with that client-event-id; a replay is `ok again`
    rules             puts a rules document in force; before, guests may do everything
    attrs books       the attrs of a namespace: type, flags, types seen
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[3] / "spec" / "cases"
ALIAS: Final = re.compile(r"([a-z]{1,4})(\d+)")
ALIAS_UUID: Final = re.compile(r"ca5e0000-0000-4000-8000-([0-9a-f]{8})([0-9a-f]{4})")


@dataclass
class Command:
    """One step of a case. `words` are what stands on the command's line."""

    words: list[str]
    source: str
    expected: str


@dataclass
class Case:
    """One case of a file.

    header    the comment lines, as they are
    rules     ids such as Q12
    skips     who does not run it: "client" or "model", with the reason
    """

    path: Path
    header: list[str]
    seed: str
    commands: list[Command] = field(default_factory=list)

    @property
    def rules(self) -> list[str]:
        return re.findall(r"[A-Z]\d+", self.header[0].partition(":")[0])

    @property
    def skips(self) -> dict[str, str]:
        found = (re.match(r"# (client|model): skip \((.+)\)", line) for line in self.header)
        return {match[1]: match[2] for match in found if match}

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}: {self.header[0][2:]}"


def read_cases(path: Path) -> list[Case]:
    """Parse one file."""
    cases: list[Case] = []
    blocks = re.split(r"\n\n+", path.read_text().strip())
    for block in blocks:
        lines = block.split("\n")
        header = [line for line in lines if line.startswith("# ")]
        lines = lines[len(header) :]
        if header:
            assert lines[0].startswith("seed "), f"{path}: {header[0]}"
            cases.append(Case(path, header, lines.pop(0)[5:]))
        rule = lines.index("----")
        source, expected = "\n".join(lines[1:rule]), "\n".join(lines[rule + 1 :])
        cases[-1].commands.append(Command(lines[0].split(), source, expected))
    return cases


def write_cases(path: Path, cases: list[Case]) -> None:
    """Write a file back, expected parts included."""
    blocks = []
    for case in cases:
        head = [*case.header, f"seed {case.seed}"]
        for command in case.commands:
            source = [command.source] if command.source else []
            body = [" ".join(command.words), *source, "----", command.expected]
            blocks.append("\n".join([*head, *body]))
            head = []
    path.write_text("\n\n".join(blocks) + "\n")


# --- aliases -------------------------------------------------------------------------------------


def alias_uuid(alias: str) -> str:
    """The uuid of an alias; uuids order like the numbers of aliases with the same letters."""
    match = ALIAS.fullmatch(alias)
    assert match, alias
    letters = match[1].encode().hex().rjust(8, "0")
    return f"ca5e0000-0000-4000-8000-{letters}{int(match[2]):04x}"


def with_aliases(text: str) -> str:
    """`text` with every such uuid written as its alias."""

    def alias(match: re.Match[str]) -> str:
        return bytes.fromhex(match[1]).lstrip(b"\0").decode() + str(int(match[2], 16))

    return ALIAS_UUID.sub(alias, text)


def resolve(value: Any, attr_ids: dict[str, str], cursors: dict[str, Any]) -> Any:
    """Input with aliases, attr names and cursors replaced by what they stand for."""
    if isinstance(value, dict):
        return {k: resolve(one, attr_ids, cursors) for k, one in value.items()}
    if isinstance(value, list):
        return [resolve(one, attr_ids, cursors) for one in value]
    if not isinstance(value, str):
        return value
    if value.startswith("<"):
        return cursors[value]
    if value.startswith("#"):
        return attr_ids[value[1:]]
    return re.sub(r"@([a-z]{1,4}\d+)", lambda match: alias_uuid(match[1]), value)


# --- seeds -----------------------------------------------------------------------------------


def load_seed(name: str) -> tuple[dict[str, Any], list[Any]]:
    """A seed's schema document, as clients send it, and its rows as admin steps."""
    seed = json.loads((ROOT / "seeds" / f"{name}.json").read_text())
    entities = {
        etype: {"attrs": {label: _data_attr(spec) for label, spec in fields.items()}}
        for etype, fields in seed["entities"].items()
    }
    links = {f"link{number}": _link(text) for number, text in enumerate(seed["links"])}
    return {"entities": entities, "links": links}, seed["rows"]


def _data_attr(spec: str) -> dict[str, Any]:
    kind, *flags = spec.split()
    config = {"indexed": "indexed" in flags, "unique": "unique" in flags}
    return {
        "valueType": kind,
        "required": "required" in flags,
        "isIndexed": config["indexed"],
        "config": config,
    }


def _link(text: str) -> dict[str, Any]:
    sides = []
    for side in text.split(" <-> "):
        name, has, *flags = side.split()
        on, label = name.split(".")
        body: dict[str, Any] = {"on": on, "label": label, "has": has}
        body |= {"onDelete": "cascade"} if "cascade" in flags else {}
        body |= {"required": True} if "required" in flags else {}
        sides.append(body)
    return {"forward": sides[0], "reverse": sides[1]}


# --- answers ---------------------------------------------------------------------------------


def render_tree(tree: dict[str, Any], query: dict[str, Any], *, is_full: bool) -> str:
    """Ids by alias, nested by link; whole objects when `is_full`."""
    lines: list[str] = []
    for label, rows in tree.items():
        _render(label, rows, query[label], "", is_full, lines)
    return with_aliases("\n".join(lines))


def _render(
    label: str, rows: Any, form: dict[str, Any], indent: str, is_full: bool, lines: list[str]
) -> None:
    links = [name for name in form if name != "$"]
    if isinstance(rows, dict) and "aggregate" in form.get("$", {}):
        lines += [f"{indent}{line}" for line in _totals(label, rows)]
    elif rows is None:
        lines.append(f"{indent}{label}: null")
    elif isinstance(rows, list) and not rows:
        lines.append(f"{indent}{label}: []")
    elif isinstance(rows, list) and not links and not is_full:
        lines.append(f"{indent}{label}: [{' '.join(row['id'] for row in rows)}]")
    else:
        is_one = isinstance(rows, dict)
        lines.append(f"{indent}{label}:{' (one)' if is_one else ''}")
        for row in [rows] if is_one else rows:
            fields = {k: v for k, v in sorted(row.items()) if k != "id" and k not in links}
            shown = f" {json.dumps(fields, ensure_ascii=False, sort_keys=True)}" if is_full else ""
            lines.append(f"{indent}  {row['id']}{shown}")
            for link in links:
                _render(link, row.get(link), form[link], indent + "    ", is_full, lines)


def _totals(label: str, totals: dict[str, Any]) -> list[str]:
    if totals.keys() == {"count"}:
        return [f"{label}: count {totals['count']}"]
    if "groups" not in totals:
        return [f"{label}: {_json(totals)}"]
    return [f"{label}:", *(f"  {_json(group)}" for group in totals["groups"])]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def render_flat(flat: list[Any], attr_names: dict[str, str]) -> str:
    """Triples by entity and attr, with the ranks of their times, then totals by form."""
    (node,) = flat
    (triples,) = node["data"]["datalog-result"]["join-rows"]
    ranks = {time: rank for rank, time in enumerate(sorted({t[3] for t in triples}), 1)}
    lines = sorted(f"{e} {attr_names[a]} {_json(v)} t{ranks[t]}" for e, a, v, t in triples)
    for label, totals in node["data"].get("aggregate", {}).items():
        lines += [f"aggregate {line}" for line in _totals(label, totals)]
    return with_aliases("\n".join(lines or ["no triples"]))


def render_pages(pages: dict[str, Any]) -> str:
    """One line per top form that has page info."""
    lines = []
    for label, page in sorted(pages.items()):
        start, end = (
            cursor[0] if cursor else "none"
            for cursor in (page.get("start-cursor"), page.get("end-cursor"))
        )
        flags = [name for name in ("next", "previous") if page[f"has-{name}-page?"]]
        lines.append(f"page {label}: {start} to {end}, more: {' '.join(flags) or 'none'}")
    return with_aliases("\n".join(lines))


def render_error(code: str, hint: dict[str, Any]) -> str:
    """The code and what was checked, where it is at fault, what was expected, and plain facts."""
    checked = f" ({hint['data-type']})" if "data-type" in hint else ""
    lines = [f"error {code}{checked}"]
    for entry in hint.get("errors", []):
        expected = entry.get("expected", entry.get("expected?"))
        place = [f"in {json.dumps(entry['in'], ensure_ascii=False)}"] if "in" in entry else []
        parts = [*place, *([f"expected {expected}"] if expected else [])]
        lines += ["  " + " ".join(parts)] if parts else []
    names = ("record-type", "etype", "label", "namespace", "attribute", "value")
    facts = {name: hint[name] for name in (*names, "checked-data-type") if name in hint}
    if facts:
        lines.append(f"  hint {json.dumps(facts, ensure_ascii=False)[:150]}")
    return with_aliases("\n".join(lines))
