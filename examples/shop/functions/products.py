"""What the shop sells."""

from typing import Annotated

from functions._people import staff
from schema import Db, Product, User
from trice.functions import (
    FunctionError,
    Ge,
    Id,
    Len,
    Mutation,
    Page,
    Paged,
    Predicate,
    Query,
    View,
    internal,
    mutation,
    query,
)


def is_slug(text: str) -> bool:
    """Whether a text is lower-case words with dashes."""
    return text.isascii() and text == text.lower() and text.replace("-", "").isalnum()


Slug = Annotated[str, Len(1, 60), Predicate(is_slug)]
Cents = Annotated[int, Ge(1)]


class ProductView(View[Product]):
    id: Id[Product]
    slug: str
    name: str
    about: str
    price: int
    stock: int


@query
async def listed(ctx: Query[Db], page: Paged, search: str = "") -> Page[ProductView]:
    """The products for sale by name, a page at a time."""
    where: dict[str, object] = {"is_listed": True}
    if search:
        escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        where["name"] = {"$ilike": f"%{escaped}%"}
    return await ctx.db.products.page(page, ProductView, where=where, order={"name": "asc"})


@query
async def one(ctx: Query[Db], slug: str) -> ProductView | None:
    """A product by its slug, listed or not: orders keep links to it."""
    return await ctx.db.products.lookup(ProductView, slug=slug)


async def _create(
    ctx: Mutation[Db, User], *, slug: str, name: str, about: str, price: int, stock: int
) -> Id[Product]:
    if await ctx.db.products.exists({"slug": slug}):
        raise FunctionError("slug-taken", "Another product has this slug.", data={"slug": slug})
    return ctx.db.products.create(slug=slug, name=name, about=about, price=price, stock=stock)


@mutation(auth="user")
async def create(
    ctx: Mutation[Db, User],
    slug: Slug,
    name: Annotated[str, Len(1, 120)],
    about: str,
    price: Cents,
    stock: Annotated[int, Ge(0)] = 0,
) -> Id[Product]:
    """Put a new product up for sale. Staff only."""
    staff(ctx)
    return await _create(ctx, slug=slug, name=name, about=about, price=price, stock=stock)


@mutation(auth="user")
async def restock(
    ctx: Mutation[Db, User], product: Id[Product], more: Annotated[int, Ge(1)]
) -> None:
    """Add to the stock of a product. Staff only."""
    staff(ctx)
    ctx.db.products.increment(product, stock=more)


_SAMPLES = (
    ("ink-black", "Black ink", "For pens that are filled by hand, 30 ml.", 790, 24),
    ("envelopes", "Envelopes", "Fifty of them, laid paper.", 900, 30),
    ("lamp", "Desk lamp", "Warm light, a heavy foot.", 5900, 5),
    ("notebook", "Notebook", "192 dotted pages that lie flat.", 1450, 40),
    ("pen", "Fountain pen", "A steel nib, medium.", 3200, 8),
    ("ruler", "Brass ruler", "15 cm, engraved.", 1800, 12),
    ("seal", "Wax seal", "A letter of yours, in brass.", 2400, 6),
    ("tape", "Paper tape", "Five colours, ten metres each.", 650, 2),
)


@internal.mutation
async def fill(ctx: Mutation[Db, User]) -> int:
    """Put some products up for sale, to try the shop: how many are new."""
    new = 0
    for slug, name, about, price, stock in _SAMPLES:
        if not await ctx.db.products.exists({"slug": slug}):
            ctx.db.products.create(slug=slug, name=name, about=about, price=price, stock=stock)
            new += 1
    return new
