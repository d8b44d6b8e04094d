"""Who may do what."""

from schema import Db, User
from trice.functions import Context, FunctionError


def staff(ctx: Context[Db, User]) -> None:
    """Let staff in, and nobody else."""
    if not ctx.me.is_staff:
        raise FunctionError("staff-only", "Only the staff of the shop does that.", status=403)
