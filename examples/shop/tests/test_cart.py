import pytest

from functions import cart, products
from schema import CartLine, Product
from trice.functions import FunctionError, Id, RefusedError
from trice.testing import App, Caller


async def test_a_cart_is_live_and_knows_its_total(
    alice: Caller, staff: Caller, pen: Id[Product], lamp: Id[Product]
) -> None:
    async with alice.watch(cart.mine) as live:
        assert (live.value.lines, live.value.total) == ([], 0)
        await alice.run(cart.put, pen, 2)
        assert (await live.next()).total == 6400
        await alice.run(cart.put, lamp, 1)
        assert (await live.next()).total == 12300
        await alice.run(cart.put, pen, 0)
        assert [line.product.slug for line in (await live.next()).lines] == ["lamp"]
        await staff.run(products.create, "ink", "Ink", "Black.", 790)
        assert live.pending == 0


async def test_put_says_how_many_there_are_not_how_many_more(
    alice: Caller, pen: Id[Product]
) -> None:
    for _ in range(3):
        await alice.run(cart.put, pen, 2)
    (line,) = (await alice.run(cart.mine)).lines
    assert line.quantity == 2


async def test_a_cart_is_its_owners(app: App, alice: Caller, pen: Id[Product]) -> None:
    await alice.run(cart.put, pen, 1)
    bob = await app.user("bob@example.com")
    assert (await bob.run(cart.mine)).lines == []
    assert await bob.query({"cart_lines": {}}) == {"cart_lines": []}


async def test_what_is_not_for_sale_stays_out(app: App, alice: Caller) -> None:
    old = await app.create(Product, slug="old", name="Old", about="…", price=1, is_listed=False)
    with pytest.raises(FunctionError) as failure:
        await alice.run(cart.put, old, 1)
    assert failure.value.code == "not-for-sale"
    with pytest.raises(RefusedError, match="quantity"):
        await alice.run(cart.put, old, 100)


async def test_forgotten_carts_are_emptied(app: App, alice: Caller, pen: Id[Product]) -> None:
    await alice.run(cart.put, pen, 1)
    ((line,),) = ((await alice.run(cart.mine)).lines,)
    await app.advance(days=29)
    assert await app.get(CartLine, line.id) is not None
    await app.advance(days=1, hours=2)
    assert await app.get(CartLine, line.id) is None
