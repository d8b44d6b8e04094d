import hashlib
import hmac
import json

import pytest

from functions import cart, orders, payments
from schema import Order, Product, Status
from trice.functions import FunctionError, Id
from trice.testing import App, Caller

KEY = "secret-secret"


@pytest.fixture
async def order(app: App, alice: Caller, pen: Id[Product]) -> Id[Order]:
    app.env["PAYMENT_KEY"] = KEY
    await alice.run(cart.put, pen, 1)
    return await alice.run(orders.place, address="1 Quay", email="alice@example.com")


async def tell(app: App, event: dict[str, object], key: str = KEY) -> int:
    body = json.dumps(event).encode()
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-signature": signature}
    return (await app.request("POST", "/payments", body=body, headers=headers)).status


async def status(app: App, order: Id[Order]) -> Status:
    row = await app.get(Order, order)
    assert row is not None
    return row.status


async def test_a_payment_is_told_once_though_it_comes_twice(
    app: App, alice: Caller, order: Id[Order]
) -> None:
    event = {"event": "e1", "order": order, "amount": 3200}
    async with alice.watch(orders.mine) as live:
        assert await tell(app, event) == 204
        assert (await live.next())[0].status == Status.PAID
    assert await tell(app, event) == 204
    assert [mail.subject for mail in app.mail.sent] == ["Your order is paid"]
    await app.advance(hours=1)
    assert await status(app, order) == Status.PAID


async def test_nobody_else_tells_of_payments(app: App, order: Id[Order]) -> None:
    event = {"event": "e1", "order": order, "amount": 3200}
    assert await tell(app, event, key="another") == 401
    assert await tell(app, {"event": "e1"}) == 400
    assert await status(app, order) == Status.PLACED


async def test_money_that_pays_nothing_is_due_back(app: App, order: Id[Order]) -> None:
    await tell(app, {"event": "too-little", "order": order, "amount": 1})
    await app.advance(minutes=30)
    assert await status(app, order) == Status.CANCELLED
    await tell(app, {"event": "too-late", "order": order, "amount": 3200})
    found = await app.admin.query({"payments": {}})
    assert {each["event"]: each["is_due_back"] for each in found["payments"]} == {
        "too-little": True,
        "too-late": True,
    }


async def test_the_provider_is_asked_for_a_page(app: App, alice: Caller, order: Id[Order]) -> None:
    with pytest.raises(FunctionError) as failure:
        await alice.run(payments.begin, order)
    assert failure.value.code == "no-provider"
    app.env["PAYMENT_URL"] = "https://pay.example/pages"
    app.http.answer("https://pay.example/pages", json={"url": "https://pay.example/1"})
    assert await alice.run(payments.begin, order) == "https://pay.example/1"
    assert json.loads(app.http.requests[0].content) == {"order": order, "amount": 3200}
    bob = await app.user("bob@example.com")
    with pytest.raises(FunctionError) as failure:
        await bob.run(payments.begin, order)
    assert failure.value.code == "nothing-due"
