"""What plain functions, without `async`, are written with: a `ctx` whose words block.

from trice.functions import Id, mutation
from trice.sync import Mutation

@mutation
def rename(ctx: Mutation[Db], channel: Id[Channel], title: str) -> None:
    if ctx.db.channels.get(channel) is not None:
        ctx.db.channels.update(channel, title=title)

They run on threads of their process. All else is that of `trice.functions`; docs/functions.md.
"""

from trice.functions.blocking import Action, Context, Mutation, Query, Reader

__all__ = ["Action", "Context", "Mutation", "Query", "Reader"]
