"""Orders: placed, paid, shipped; or cancelled."""

from datetime import datetime
from typing import Annotated

from functions._people import staff
from schema import Db, Order, OrderLine, Status, User
from trice.functions import (
    Action,
    FunctionError,
    Id,
    Len,
    Mutation,
    Query,
    Retry,
    Sub,
    View,
    internal,
    minutes,
    mutation,
    query,
)

LINES_MAX = 50
UNPAID = minutes(30)
"""How long the goods of an order that is not paid are held back."""


class OrderLineView(View[OrderLine]):
    id: Id[OrderLine]
    name: str
    price: int
    quantity: int


class OrderView(View[Order]):
    id: Id[Order]
    status: Status
    placed_at: datetime
    address: str
    total: int
    lines: Annotated[list[OrderLineView], Sub(order={"name": "asc"}, limit=LINES_MAX)]


@query(auth="user")
async def mine(ctx: Query[Db, User]) -> list[OrderView]:
    """The caller's latest orders."""
    return await ctx.db.orders.find(
        OrderView, where={"customer": ctx.me.id}, order={"placed_at": "desc"}, limit=20
    )


@mutation(auth="user", rate="10/minute per user")
async def place(
    ctx: Mutation[Db, User],
    address: Annotated[str, Len(1, 500)],
    email: Annotated[str, Len(3, 200)],
) -> Id[Order]:
    """Order what is in the caller's cart.

    All of it or nothing: goods leave the stock, the cart is emptied, and prices stay as they
    are now. An order that is not paid in half an hour is cancelled.
    """
    lines = await ctx.db.cart_lines.find(where={"owner": ctx.me.id}, limit=LINES_MAX)
    if not lines:
        raise FunctionError("cart-empty", "There is nothing in the cart.")
    products = await ctx.db.products.get_many([line.product.id for line in lines])
    wanted = [
        (line, product)
        for line, product in zip(lines, products, strict=True)
        if product is not None and product.is_listed
    ]
    if len(wanted) < len(lines):
        raise FunctionError("not-for-sale", "Something in the cart is not for sale any more.")
    for line, product in wanted:
        if product.stock < line.quantity:
            raise FunctionError(
                "out-of-stock",
                f"There are {product.stock} of {product.name} left.",
                data={"product": product.id, "left": product.stock},
            )
    order = ctx.db.orders.create(
        placed_at=ctx.now,
        address=address,
        email=email,
        total=sum(line.quantity * product.price for line, product in wanted),
        customer=ctx.me.id,
    )
    for line, product in wanted:
        ctx.db.order_lines.create(
            name=product.name,
            price=product.price,
            quantity=line.quantity,
            order=order,
            product=product.id,
        )
        ctx.db.products.increment(product.id, stock=-line.quantity)
        ctx.db.cart_lines.delete(line.id)
    ctx.later(UNPAID).run(expire, order)
    return order


@mutation(auth="user")
async def cancel(ctx: Mutation[Db, User], order: Id[Order]) -> None:
    """Cancel an order of the caller's that is not paid."""
    found = await ctx.db.orders.first(where={"id": order, "customer": ctx.me.id})
    if found is None:
        raise FunctionError("no-such-order", "You have no such order.", status=404)
    if found.status != Status.PLACED:
        raise FunctionError("too-late", f"This order is {found.status} already.")
    await ctx.run(give_back, order)


@mutation(auth="user")
async def ship(ctx: Mutation[Db, User], order: Id[Order]) -> None:
    """Note that a paid order is on its way, and tell the customer. Staff only."""
    staff(ctx)
    found = await ctx.db.orders.get(order)
    if found is None or found.status != Status.PAID:
        raise FunctionError("not-paid", "Only orders that are paid are shipped.")
    ctx.db.orders.update(order, status=Status.SHIPPED)
    ctx.later().run(tell, order)


@internal.mutation
async def expire(ctx: Mutation[Db, User], order: Id[Order]) -> None:
    """Cancel an order, unless it was paid meanwhile."""
    found = await ctx.db.orders.get(order)
    if found is not None and found.status == Status.PLACED:
        await ctx.run(give_back, order)


@internal.mutation
async def give_back(ctx: Mutation[Db, User], order: Id[Order]) -> None:
    """Cancel an order and put its goods back."""
    ctx.db.orders.update(order, status=Status.CANCELLED)
    for line in await ctx.db.order_lines.find(where={"order": order}, limit=LINES_MAX):
        if line.product is not None:
            ctx.db.products.increment(line.product.id, stock=line.quantity)


class LetterView(View[Order]):
    id: Id[Order]
    email: str
    status: Status
    total: int


@internal.query
async def letter(ctx: Query[Db, User], order: Id[Order]) -> LetterView | None:
    """What a mail about an order needs."""
    return await ctx.db.orders.get(order, LetterView)


@internal.action(retry=Retry(times=5))
async def tell(ctx: Action[Db, User], order: Id[Order]) -> None:
    """Write to the customer how an order stands."""
    found = await ctx.run(letter, order)
    if found is None:
        return
    await ctx.mail.send(
        to=found.email,
        subject=f"Your order is {found.status}",
        text=f"Order {found.id} of {found.total / 100:.2f} is {found.status}.\n",
    )
