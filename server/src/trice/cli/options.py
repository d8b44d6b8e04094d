"""Options of commands. Errors call them by the name that was used: the flag, or the variable."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource


class NamedAsUsed(click.Option):
    """An option that errors call by its variable, if its value came from that."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        if ctx is not None and _is_from_variable(ctx, self):
            return f"'{self.envvar}'"
        return super().get_error_hint(ctx)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        try:
            return super().type_cast_value(ctx, value)
        except click.BadParameter:
            if not self.is_flag:
                raise
            message = f"{value!r} is neither 1 nor 0, true nor false, yes nor no, on nor off."
            raise click.BadParameter(message, ctx=ctx, param=self) from None


_OF_OTHER_COMMANDS: Final = (
    *("TRICE_URL", "TRICE_TOKEN", "TRICE_APP", "TRICE_ORG", "TRICE_ADMIN_TOKEN"),
)
"""Variables of the commands that ask a server: no mistake where one is started."""

option = partial(click.option, cls=NamedAsUsed)

data_dir_option: Final[Callable[..., Any]] = option(
    "--data-dir",
    envvar="TRICE_DATA_DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default="trice-data",
    show_default=True,
    help="The data directory of the server, which may be running.",
)
"""For what the operator does on a server."""


def named_as_used(ctx: click.Context, message: str) -> str:
    """A message about settings, with the names that the user of the command knows."""
    for each in ctx.command.params:
        if isinstance(each, click.Option) and isinstance(each.envvar, str):
            names = (each.opts[0], each.envvar)
            wanted = names[_is_from_variable(ctx, each)]
            other = names[not _is_from_variable(ctx, each)]
            message = re.sub(rf"(?<![\w-]){other}(?![\w-])", wanted, message)
    return message


def file_error(failure: OSError) -> str:
    """What went wrong with which file, without the number that Python adds."""
    reason = failure.strerror or str(failure)
    files = [str(name) for name in (failure.filename, failure.filename2) if name]
    return ": ".join([" -> ".join(files), reason]) if files else reason


def no_data_dir(folder: Path) -> str:
    """What is wrong with a folder that no server has used, and what to do."""
    told = "is no data directory of trice: it has no platform.db. Name yours with --data-dir."
    return f"{folder} {told}"


def unknown_variables(ctx: click.Context) -> dict[str, str | None]:
    """`TRICE_` variables that no command knows, each with the variable that was probably meant."""
    own = (each.envvar for each in ctx.command.params)
    known = [*(name for name in own if isinstance(name, str)), *_OF_OTHER_COMMANDS]
    unknown = [name for name in sorted(os.environ) if name.startswith("TRICE_")]
    return {
        name: next(iter(difflib.get_close_matches(name, known, n=1)), None)
        for name in unknown
        if name not in known
    }


def read_text(path: Path) -> str:
    """Read a file of UTF-8. A file that cannot be read is wrong usage, told in words."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as failure:
        raise click.UsageError(f"{file_error(failure)}.") from None
    except UnicodeDecodeError as failure:
        message = f"{path} is not text in UTF-8: its byte {failure.start} is part of no character."
        raise click.UsageError(message) from None


def read_json(path: Path) -> Any:
    """Read the JSON document in a file; anything else is wrong usage."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as failure:
        raise click.UsageError(f"{path} is not valid JSON: {failure}.") from None


def json_argument(text: str, name: str, kind: type, example: str) -> Any:
    """Read the JSON of an argument, or of standard input for `-`; anything else is wrong usage."""
    raw = sys.stdin.read() if text == "-" else text
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as cause:
        raise click.UsageError(f"{name} is not valid JSON: {cause}. Example: {example}") from None
    if not isinstance(found, kind):
        raise click.UsageError(f"{name} has another form than this example: {example}")
    return found


def _is_from_variable(ctx: click.Context, each: click.Parameter) -> bool:
    return ctx.get_parameter_source(each.name or "") is ParameterSource.ENVIRONMENT
