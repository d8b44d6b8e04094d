import pytest

from functions import products
from schema import Product
from trice.functions import FunctionError, Id, Paged, RefusedError
from trice.testing import App, Caller


async def test_products_are_listed_by_name_in_pages(app: App) -> None:
    new = await app.admin.run(products.fill)
    assert new == 8 and await app.admin.run(products.fill) == 0
    names: list[str] = []
    page = Paged(size=4)
    while True:
        found = await app.guest.run(products.listed, page)
        names += [each.name for each in found.items]
        if found.next is None:
            break
        page = Paged(size=4, after=found.next)
    assert names == sorted(names, key=str.lower) and len(names) == 8


async def test_a_search_takes_its_text_as_it_is(app: App, pen: Id[Product]) -> None:
    for search, count in (("PE", 1), ("%", 0), ("_en", 0), ("lamp", 0)):
        found = await app.guest.run(products.listed, Paged(size=10), search)
        assert len(found.items) == count, search


async def test_only_staff_change_what_is_sold(app: App, alice: Caller, pen: Id[Product]) -> None:
    with pytest.raises(FunctionError, match="staff") as failure:
        await alice.run(products.restock, pen, 1)
    assert failure.value.code == "staff-only"
    with pytest.raises(RefusedError) as refused:
        await app.guest.run(products.restock, pen, 1)
    assert refused.value.code == "signed-out"


async def test_a_slug_is_taken_once(staff: Caller, pen: Id[Product]) -> None:
    with pytest.raises(FunctionError) as failure:
        await staff.run(products.create, "pen", "Another", "…", 100)
    assert failure.value.code == "slug-taken"
    with pytest.raises(RefusedError, match="slug"):
        await staff.run(products.create, "Not a slug", "Another", "…", 100)
