"""Options of commands, called in errors by the name that was used: the flag, or the variable."""

from __future__ import annotations

import re
from functools import partial

import click
from click.core import ParameterSource


class NamedAsUsed(click.Option):
    """An option that errors call by its variable when its value came from there."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        if ctx is not None and _is_from_variable(ctx, self):
            return f"'{self.envvar}'"
        return super().get_error_hint(ctx)


option = partial(click.option, cls=NamedAsUsed)


def named_as_used(ctx: click.Context, message: str) -> str:
    """A message about settings with the names that the caller knows them by."""
    for each in ctx.command.params:
        if isinstance(each, click.Option) and isinstance(each.envvar, str):
            names = (each.opts[0], each.envvar)
            wanted = names[_is_from_variable(ctx, each)]
            other = names[not _is_from_variable(ctx, each)]
            message = re.sub(rf"(?<![\w-]){other}(?![\w-])", wanted, message)
    return message


def file_error(failure: OSError) -> str:
    """What went wrong with which file, without Python's number."""
    reason = failure.strerror or str(failure)
    files = [str(name) for name in (failure.filename, failure.filename2) if name]
    return ": ".join([" -> ".join(files), reason]) if files else reason


def _is_from_variable(ctx: click.Context, each: click.Parameter) -> bool:
    return ctx.get_parameter_source(each.name or "") is ParameterSource.ENVIRONMENT
