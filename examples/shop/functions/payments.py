"""Payments: the provider has a page where customers pay, and tells us when they did.

PAYMENT_URL   where pages are made: POST {"order", "amount"} answers {"url"}
PAYMENT_KEY   signs what the provider sends: HMAC-SHA256 of the body, in hex
"""

import hashlib
import hmac
from typing import Annotated

import msgspec
from msgspec import Meta

from functions.orders import tell
from schema import Db, Order, Status, User
from trice.functions import (
    Action,
    FunctionError,
    Id,
    Mutation,
    Query,
    Request,
    Response,
    View,
    action,
    http,
    internal,
)


class DueView(View[Order]):
    id: Id[Order]
    status: Status
    total: int


class Event(msgspec.Struct):
    """What the provider sends."""

    event: Annotated[str, Meta(min_length=1, max_length=200)]
    order: str
    amount: int


class _Page(msgspec.Struct):
    url: str


@internal.query
async def due(ctx: Query[Db, User], order: Id[Order]) -> DueView | None:
    """An order of the caller's."""
    return await ctx.db.orders.first(DueView, where={"id": order, "customer": ctx.me.id})


@action(auth="user", rate="10/minute per user")
async def begin(ctx: Action[Db, User], order: Id[Order]) -> str:
    """The address of a page where the caller pays an order."""
    found = await ctx.run(due, order)
    if found is None or found.status != Status.PLACED:
        raise FunctionError("nothing-due", "There is nothing to pay for this order.")
    provider = ctx.env.get("PAYMENT_URL")
    if provider is None:
        raise FunctionError(
            "no-provider", "This shop has no payment provider: `trice env set PAYMENT_URL`."
        )
    answer = await ctx.http.post(provider, json={"order": found.id, "amount": found.total})
    answer.raise_for_status()
    return msgspec.json.decode(answer.content, type=_Page).url


@http.post("/payments", auth="none")
async def told(ctx: Action[Db, User], request: Request) -> Response:
    """The provider tells of a payment. It tells again until we answer 2xx, so twice is once."""
    expected = hmac.new(ctx.env["PAYMENT_KEY"].encode(), request.body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(request.headers.get("x-signature", ""), expected):
        return Response.json({"error": "The signature is wrong."}, status=401)
    try:
        event = msgspec.json.decode(request.body, type=Event)
    except msgspec.DecodeError as failure:
        return Response.json({"error": str(failure)}, status=400)
    await ctx.run(note, event)
    return Response(status=204)


@internal.mutation
async def note(ctx: Mutation[Db, User], event: Event) -> None:
    """Keep a payment, and the order as paid if it is the whole sum.

    Money for an order that is cancelled, paid already, or not ours is kept as due back.
    """
    if await ctx.db.payments.exists({"event": event.event}):
        return
    found = await ctx.db.orders.first(where={"id": event.order})
    pays = found is not None and found.status == Status.PLACED and event.amount >= found.total
    ctx.db.payments.create(
        event=event.event,
        amount=event.amount,
        is_due_back=not pays,
        order=None if found is None else found.id,
    )
    if found is not None and pays:
        ctx.db.orders.update(found.id, status=Status.PAID, paid_at=ctx.now)
        ctx.later().run(tell, found.id)
