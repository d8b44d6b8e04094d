"""People and goods that most tests need."""

import pytest

from functions import products
from schema import Product
from trice.functions import Id
from trice.testing import App, Caller


@pytest.fixture
async def alice(app: App) -> Caller:
    return await app.user("alice@example.com")


@pytest.fixture
async def staff(app: App) -> Caller:
    return await app.user("staff@example.com", is_staff=True)


@pytest.fixture
async def pen(app: App, staff: Caller) -> Id[Product]:
    return await staff.run(products.create, "pen", "Pen", "A steel nib.", 3200, stock=8)


@pytest.fixture
async def lamp(app: App, staff: Caller) -> Id[Product]:
    return await staff.run(products.create, "lamp", "Lamp", "Warm light.", 5900, stock=1)
