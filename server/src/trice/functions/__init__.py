"""What functions of an app are written with.

from trice.functions import Id, Mutation, Query, View, mutation, query

@query
async def recent(ctx: Query[Db], channel: Id[Channel]) -> list[MessageView]:
    return await ctx.db.messages.find(MessageView, where={"channel": channel})

docs/functions.md tells the rest. The words of a `schema.py` are in `trice.schema`.
"""

from typing import TYPE_CHECKING, Any

from trice.functions.bounds import Ge, Gt, Le, Len, Lt, MaxLen, MinLen, Predicate
from trice.functions.channel import RefusedError
from trice.functions.contexts import Action, Context, Mutation, Query, Reader
from trice.functions.crons import cron, every
from trice.functions.declare import action, internal, mutation, query
from trice.functions.durations import days, hours, minutes, seconds
from trice.functions.function import FunctionError
from trice.functions.later import Retry
from trice.schema.declare import Id, Label, One
from trice.schema.views import Page, Paged, Sub, View

__all__ = [
    "Action",
    "Context",
    "FunctionError",
    "Ge",
    "Gt",
    "Id",
    "Label",
    "Le",
    "Len",
    "Lt",
    "MaxLen",
    "MinLen",
    "Mutation",
    "One",
    "Page",
    "Paged",
    "Predicate",
    "Query",
    "Reader",
    "RefusedError",
    "Retry",
    "Sub",
    "View",
    "action",
    "cron",
    "days",
    "every",
    "hours",
    "internal",
    "minutes",
    "mutation",
    "query",
    "seconds",
]

if not TYPE_CHECKING:
    _NOT_BUILT = ("http", "on_change", "Request", "Response", "Change")

    def __getattr__(name: str) -> Any:
        """Tell what is missing from what does not exist."""
        if name in _NOT_BUILT:
            raise AttributeError(f"{name} is not built yet in this version of trice")
        raise AttributeError(f"trice.functions has no {name}")
