"""What functions of an app are written with.

from trice.functions import Id, Mutation, Query, View, mutation, query

@query
async def recent(ctx: Query[Db], channel: Id[Channel]) -> list[MessageView]:
    return await ctx.db.messages.find(MessageView, where={"channel": channel})

docs/functions.md tells the rest. The words of a `schema.py` are in `trice.schema`.
"""

from trice.functions.bounds import Ge, Gt, Le, Len, Lt, MaxLen, MinLen, Predicate
from trice.functions.changes import Change, on_change
from trice.functions.channel import RefusedError
from trice.functions.contexts import Action, Context, Mutation, Query, Reader
from trice.functions.crons import cron, every
from trice.functions.declare import action, internal, mutation, query
from trice.functions.durations import days, hours, minutes, seconds
from trice.functions.endpoints import Request, Response, http
from trice.functions.function import FunctionError
from trice.functions.later import Retry
from trice.functions.reaching import Files, Mail, StoredFile, StreamWriter
from trice.functions.requests import Http
from trice.functions.settled import Settled
from trice.schema.declare import Id, Label, One
from trice.schema.views import Page, Paged, Sub, View

__all__ = [
    "Action",
    "Change",
    "Context",
    "Files",
    "FunctionError",
    "Ge",
    "Gt",
    "Http",
    "Id",
    "Label",
    "Le",
    "Len",
    "Lt",
    "Mail",
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
    "Request",
    "Response",
    "Retry",
    "Settled",
    "StoredFile",
    "StreamWriter",
    "Sub",
    "View",
    "action",
    "cron",
    "days",
    "every",
    "hours",
    "http",
    "internal",
    "minutes",
    "mutation",
    "on_change",
    "query",
    "seconds",
]
