import pytest

from functions import cart, orders
from schema import Order, Product, Status
from trice.functions import FunctionError, Id
from trice.testing import App, Caller

PLACE = {"address": "1 Quay, Kiel", "email": "alice@example.com"}


async def stock(app: App, product: Id[Product]) -> int:
    row = await app.get(Product, product)
    assert row is not None
    return row.stock


async def test_an_order_takes_goods_and_empties_the_cart(
    app: App, alice: Caller, pen: Id[Product], lamp: Id[Product]
) -> None:
    await alice.run(cart.put, pen, 2)
    await alice.run(cart.put, lamp, 1)
    async with alice.watch(orders.mine) as live:
        await alice.run(orders.place, **PLACE)
        (order,) = await live.next()
        assert (order.status, order.total) == (Status.PLACED, 12300)
        assert [(line.name, line.quantity) for line in order.lines] == [("Lamp", 1), ("Pen", 2)]
    assert (await alice.run(cart.mine)).lines == []
    assert (await stock(app, pen), await stock(app, lamp)) == (6, 0)


async def test_the_last_one_is_sold_once(
    app: App, alice: Caller, pen: Id[Product], lamp: Id[Product]
) -> None:
    bob = await app.user("bob@example.com")
    for each in (alice, bob):
        await each.run(cart.put, pen, 1)
        await each.run(cart.put, lamp, 1)
    await alice.run(orders.place, **PLACE)
    with pytest.raises(FunctionError) as failure:
        await bob.run(orders.place, **PLACE)
    assert failure.value.code == "out-of-stock"
    assert failure.value.data == {"product": lamp, "left": 0}
    # Nothing of it happened: the pen is still there, and in his cart.
    assert await stock(app, pen) == 7
    assert len((await bob.run(cart.mine)).lines) == 2


async def test_an_order_is_placed_once_though_others_wrote_meanwhile(
    app: App, alice: Caller, pen: Id[Product]
) -> None:
    await alice.run(cart.put, pen, 1)
    app.conflict(orders.place)
    await alice.run(orders.place, **PLACE)
    assert len(await alice.run(orders.mine)) == 1 and await stock(app, pen) == 7


async def test_nothing_is_no_order(alice: Caller) -> None:
    with pytest.raises(FunctionError) as failure:
        await alice.run(orders.place, **PLACE)
    assert failure.value.code == "cart-empty"


async def test_an_order_that_is_not_paid_gives_its_goods_back(
    app: App, alice: Caller, pen: Id[Product]
) -> None:
    await alice.run(cart.put, pen, 3)
    order = await alice.run(orders.place, **PLACE)
    await app.advance(minutes=29)
    assert await stock(app, pen) == 5
    await app.advance(minutes=1)
    row = await app.get(Order, order)
    assert row is not None and row.status == Status.CANCELLED
    assert await stock(app, pen) == 8


async def test_only_its_customer_cancels_an_order(
    app: App, alice: Caller, pen: Id[Product]
) -> None:
    await alice.run(cart.put, pen, 1)
    order = await alice.run(orders.place, **PLACE)
    bob = await app.user("bob@example.com")
    with pytest.raises(FunctionError) as failure:
        await bob.run(orders.cancel, order)
    assert failure.value.code == "no-such-order"
    await alice.run(orders.cancel, order)
    assert await stock(app, pen) == 8
    with pytest.raises(FunctionError) as failure:
        await alice.run(orders.cancel, order)
    assert failure.value.code == "too-late"
    await app.advance(hours=1)
    assert await stock(app, pen) == 8
