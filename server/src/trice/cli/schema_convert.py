"""`trice schema convert`: a file of a schema, or of rules, as one of another kind.

Exit codes: 0 done · 1 not agreed, or it cannot be written · 2 wrong usage, or no such schema
"""

from __future__ import annotations

from pathlib import Path

import click

from trice.cli.options import read_json
from trice.cli.remote import yes_option
from trice.cli.schema_files import Kind, read_rules, read_schema, rules_text, schema_text
from trice.cli.terminal import confirm, note, printable


@click.command("convert")
@click.argument("source", metavar="FROM", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("target", metavar="TO", type=click.Path(path_type=Path, dir_okay=False))
@yes_option
def convert(*, source: Path, target: Path, is_agreed: bool) -> None:
    """Write a schema, or rules, as a file of another kind. The names say which: schema.py,
    schema.json, instant.schema.ts; rules.yaml, rules.json, instant.perms.ts.

    Example: trice schema convert instant.schema.ts schema.py
    """
    from trice.cli.documents import write_text

    kinds = {_kind_of(path) for path in (source, target)} - {None}
    if len(kinds) > 1:
        told = "One is a file of a schema and the other of rules, by their names."
        raise click.UsageError(f"{source} and {target}: {told}")
    kind = next(iter(kinds), None) or _kind_by_content(source)
    if kind == "schema":
        document = read_schema(source)
        text = schema_text(target, document)
        for lost in _lost(target, document):
            note(f"Left out, as TypeScript has no words for it: {printable(lost)}")
    else:
        text = rules_text(target, read_rules(source))
    if target.exists() and target.read_bytes() != text.encode():
        confirm(f"{target} is different. Overwrite it?", is_agreed=is_agreed)
    write_text(target, text)
    note(f"{target} is written.")


def _kind_of(path: Path) -> Kind | None:
    """What a file is by its name; None if that is open."""
    name = path.name.lower()
    if path.suffix == ".py" or "schema" in name:
        return "schema"
    if path.suffix in (".yaml", ".yml") or "rules" in name or "perms" in name:
        return "rules"
    return None


def _kind_by_content(path: Path) -> Kind:
    if path.suffix != ".json":
        told = "Call it schema… or rules…: its name does not say which it is."
        raise click.UsageError(f"{path}: {told}")
    document = read_json(path)
    return "schema" if isinstance(document, dict) and "entities" in document else "rules"


def _lost(target: Path, document: dict[str, object]) -> list[str]:
    from trice.schema.typescript import left_out

    return left_out(document) if target.suffix in (".ts", ".mts") else []
