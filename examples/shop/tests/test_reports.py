from datetime import date

from functions import cart, orders, reports
from schema import Order, Product, Status
from trice.functions import Id
from trice.testing import App, Caller


async def test_each_day_is_summed_up_once(
    app: App, alice: Caller, staff: Caller, pen: Id[Product]
) -> None:
    await alice.run(cart.put, pen, 2)
    order = await alice.run(orders.place, address="1 Quay", email="alice@example.com")
    # What the payment provider's call does (test_payments.py).
    paid = {"status": "paid", "paid_at": app.now.isoformat()}
    await app.admin.transact([["update", "orders", order, paid]])
    await app.advance(days=2)
    found = await staff.run(reports.latest)
    assert [(each.day, each.orders, each.total) for each in found] == [
        (date(2026, 1, 2), 0, 0),
        (date(2026, 1, 1), 1, 6400),
    ]
    row = await app.get(Order, order)
    assert row is not None and row.status == Status.PAID
