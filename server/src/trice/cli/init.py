"""`trice init`: a project that runs.

Exit codes: 0 done · 1 a file cannot be written · 2 wrong usage
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from trice.cli.init_files import FILES
from trice.cli.options import file_error
from trice.cli.terminal import note


@click.command("init")
@click.argument(
    "folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default="."
)
def init(*, folder: Path) -> None:
    """Write a project of functions into DIR, or here: a schema, rules that let only functions at
    the data, two functions and a test. Files that are there already stay as they are.

    \b
    Examples: trice init chat
              cd chat && trice dev
    """
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "project"
    written = 0
    for file, text in FILES.items():
        path = folder / file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as out:
                out.write(text.replace("{NAME}", name))
            written += 1
            note(f"  {path}")
        except FileExistsError:
            note(f"  {path} is there already, and stays.")
        except OSError as failure:
            raise click.ClickException(file_error(failure)) from None
    if written:
        where = "" if folder == Path() else f"cd {folder} && "
        note(f"Run `{where}trice dev`, and in another terminal")
        note(f'    {where}trice run messages.send \'{{"text": "hi"}}\'')
    else:
        note("Nothing was to be written.")
