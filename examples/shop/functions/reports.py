"""What was sold."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from functions._people import staff
from schema import Db, Report, User
from trice.functions import Id, Mutation, Query, View, cron, query

_ZONE = ZoneInfo("Europe/Berlin")


class ReportView(View[Report]):
    id: Id[Report]
    day: date
    orders: int
    total: int


@query(auth="user")
async def latest(ctx: Query[Db, User]) -> list[ReportView]:
    """The sales of the last days, the newest first. Staff only."""
    staff(ctx)
    return await ctx.db.reports.find(ReportView, order={"day": "desc"}, limit=31)


@cron("5 0 * * *", tz="Europe/Berlin", missed="all")
async def close_day(ctx: Mutation[Db, User]) -> None:
    """Sum up the orders that were paid yesterday."""
    assert ctx.scheduled_for is not None, "it runs as a cron"
    today = ctx.scheduled_for.astimezone(_ZONE).date()
    day = today - timedelta(days=1)
    begin, end = (datetime.combine(each, time(), _ZONE) for each in (day, today))
    sold = await ctx.db.orders.totals(
        where={"and": [{"paid_at": {"$gte": begin}}, {"paid_at": {"$lt": end}}]}, sum=["total"]
    )
    ctx.db.reports.create(day=day, orders=sold["count"], total=sold["sum"]["total"] or 0)
