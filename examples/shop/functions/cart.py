"""The cart of each customer."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from functions.products import ProductView
from schema import CartLine, Db, Product, User
from trice.functions import (
    FunctionError,
    Ge,
    Id,
    Le,
    Mutation,
    Query,
    View,
    every,
    hours,
    mutation,
    query,
)

LINES_MAX = 50
FORGOTTEN_AFTER = timedelta(days=30)


class CartLineView(View[CartLine]):
    id: Id[CartLine]
    quantity: int
    product: ProductView


@dataclass
class Cart:
    """What a customer wants to buy, and what it costs."""

    lines: list[CartLineView]
    total: int


@query(auth="user")
async def mine(ctx: Query[Db, User]) -> Cart:
    """The caller's cart."""
    lines = await ctx.db.cart_lines.find(
        CartLineView, where={"owner": ctx.me.id}, order={"changed_at": "asc"}, limit=LINES_MAX
    )
    return Cart(lines, sum(line.quantity * line.product.price for line in lines))


@mutation(auth="user", rate="120/minute per user")
async def put(
    ctx: Mutation[Db, User],
    product: Id[Product],
    quantity: Annotated[int, Ge(0), Le(99)],
) -> None:
    """Have so many of a product in the cart; 0 takes it out."""
    mine = {"owner": ctx.me.id}
    line = await ctx.db.cart_lines.first(where={**mine, "product": product})
    if line is not None:
        if quantity == 0:
            ctx.db.cart_lines.delete(line.id)
        elif quantity != line.quantity:
            ctx.db.cart_lines.update(line.id, quantity=quantity)
        return
    if quantity == 0:
        return
    if not await ctx.db.products.exists({"id": product, "is_listed": True}):
        raise FunctionError("not-for-sale", "This product is not for sale.")
    if await ctx.db.cart_lines.count(mine) >= LINES_MAX:
        raise FunctionError("cart-full", f"A cart has {LINES_MAX} lines at most.")
    ctx.db.cart_lines.create(
        quantity=quantity, changed_at=ctx.now, owner=ctx.me.id, product=product
    )


@every(hours(1))
async def forget(ctx: Mutation[Db, User]) -> None:
    """Empty carts that nobody came back to."""
    old = {"changed_at": {"$lt": ctx.now - FORGOTTEN_AFTER}}
    for line in await ctx.db.cart_lines.find(where=old, limit=1000):
        ctx.db.cart_lines.delete(line.id)
