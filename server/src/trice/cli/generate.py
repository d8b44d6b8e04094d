"""`trice generate`: the functions of a project as a file of TypeScript or Python, or the types of a
schema as one of TypeScript.

Exit codes: 0 done · 1 not agreed, it cannot be written, or with --check it is old · 2 wrong usage,
no such schema, or functions that cannot be loaded
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from trice.cli.options import option
from trice.cli.project import find_root
from trice.cli.remote import yes_option
from trice.cli.schema_files import SCHEMA_FILES, find_schema_file, read_schema
from trice.cli.terminal import confirm, note, printable

CLIENT_FILE: Final = Path("client", "api.ts")
PYTHON_FILE: Final = Path("client", "api.py")
"""What is made of the functions of a project, below its folder."""


@click.command("generate")
@click.argument(
    "target", metavar="[TO]", required=False, type=click.Path(path_type=Path, dir_okay=False)
)
@option(
    "--schema",
    "schema_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of the schema; without this, the one in the working folder.",
)
@option("--check", "is_check", is_flag=True, help="Write nothing; fail if the file is old.")
@option("--python", "is_python", is_flag=True, help="Write client/api.py, for tricedb-client.")
@yes_option
def generate(
    *,
    target: Path | None,
    schema_file: Path | None,
    is_check: bool,
    is_python: bool,
    is_agreed: bool,
) -> None:
    """In a project of functions: write client/api.ts, by which apps in TypeScript call them with
    the types of their arguments and of what they return; with --python client/api.py, for programs
    in Python.

    With TO: write the types of a schema as interfaces, for `init` of tricedb. They are those that
    `i.schema` gives, and take the compiler a third of the work.

    \b
    Examples: trice generate
              trice generate --check            # in CI: fails if client/api.ts is old
              trice generate --python
              trice generate src/schema.gen.ts
    """
    if target is not None and is_python:
        raise click.UsageError("--python is for a project of functions, and names no file.")
    if target is not None:
        text, is_made = _schema_types(target, schema_file), False
    elif schema_file is not None:
        raise click.UsageError("--schema is for a file of a schema: name it, as schema.gen.ts.")
    else:
        target, is_made = _project() / (PYTHON_FILE if is_python else CLIENT_FILE), True
        text = api_text(target.parent.parent, is_python=is_python)
    before = target.read_bytes() if target.exists() else None
    if before == text.encode():
        note(f"{target} is up to date." if is_check else f"{target} is written.")
        return
    if is_check:
        told = "is old" if before is not None else "is missing"
        command = "trice generate --python" if is_python else "trice generate"
        raise click.ClickException(f"{target} {told}: run `{command}`, and check it in.")
    if before is not None and not (is_made and before.startswith(_MADE)):
        confirm(f"{target} is different. Overwrite it?", is_agreed=is_agreed)
    write_made(target, text)
    note(f"{target} is written.")


_MADE: Final = (b"// Made by `trice generate`", b"# Made by `trice generate --python`")


def api_text(root: Path, *, is_python: bool = False) -> str:
    """What client/api.ts of a project should be, or client/api.py. It runs the project's modules.

    raises  ClickException with file and line of all that is wrong
    """
    from trice.functions.loading import LoadErrors, load_program
    from trice.functions.python_api import write_python_api
    from trice.functions.typescript import write_api

    try:
        program = load_program(root)
    except LoadErrors as failure:
        lines = [
            f"{each.file}{'' if each.line is None else f':{each.line}'}: {each.message}"
            for each in failure.errors
        ]
        told = "\n".join(printable(line) for line in ("The code cannot be loaded.", *lines))
        raise click.ClickException(told) from None
    schema = program.schema
    if schema is None and (source := find_schema_file(root)) is not None:
        schema = read_schema(source)
    write = write_python_api if is_python else write_api
    return write(program.signatures, schema)


def write_made(target: Path, text: str) -> None:
    """Write a file that nobody edits, in a folder that may not be there yet."""
    from trice.cli.documents import write_text

    target.parent.mkdir(exist_ok=True)
    write_text(target, text)


def _project() -> Path:
    """The folder of the project that is meant: this one, or the nearest with a `trice.toml`."""
    root = find_root(Path())
    if (root / "functions").is_dir():
        return Path() if root == Path.cwd() else root
    told = "Here is no project: it has a folder functions/. Name a file for the types of a schema"
    raise click.UsageError(f"{told}, as `trice generate schema.gen.ts`.")


def _schema_types(target: Path, schema_file: Path | None) -> str:
    from trice.schema.interfaces import write_interfaces

    if target.suffix not in (".ts", ".mts"):
        raise click.UsageError(f"{target}: accepted are names such as schema.gen.ts.")
    source = schema_file or find_schema_file(Path())
    if source is None:
        told = f"There is none of {', '.join(SCHEMA_FILES)}. `trice pull` writes one."
        raise click.UsageError(told)
    if target.exists() and target.samefile(source):
        raise click.UsageError(f"{target} is the file of the schema itself.")
    return write_interfaces(read_schema(source), source.name)
