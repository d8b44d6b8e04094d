"""The data of the shop. Money is whole cents."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from trice.schema import Indexed, Namespace, One, Schema, Table, Unique, Users, link


class Status(StrEnum):
    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"


class User(Users):
    is_staff: bool | None


class Product(Namespace):
    slug: Annotated[str, Unique]
    name: Annotated[str, Indexed]
    about: str
    price: int
    stock: int = 0
    is_listed: Annotated[bool, Indexed] = True


class CartLine(Namespace):
    quantity: int
    changed_at: Annotated[datetime, Indexed]
    owner: One[User] = link(back="cart", on_delete="cascade")
    product: One[Product] = link(back="in_carts", on_delete="cascade")


class Order(Namespace):
    status: Annotated[Status, Indexed] = Status.PLACED
    placed_at: Annotated[datetime, Indexed]
    paid_at: Annotated[datetime | None, Indexed]
    address: str
    email: str
    total: int
    customer: One[User] = link(back="orders", on_delete="cascade")


class OrderLine(Namespace):
    name: Annotated[str, Indexed]
    price: int
    quantity: int
    order: One[Order] = link(back="lines", on_delete="cascade")
    product: One[Product] | None = link(back="sold")


class Payment(Namespace):
    """What the payment provider told, once for each of its events."""

    event: Annotated[str, Unique]
    amount: int
    is_due_back: bool = False
    order: One[Order] | None = link(back="payments")


class Report(Namespace):
    """The sales of a day."""

    day: Annotated[date, Unique]
    orders: int
    total: int


class Db(Schema):
    users: Table[User]
    products: Table[Product]
    cart_lines: Table[CartLine]
    orders: Table[Order]
    order_lines: Table[OrderLine]
    payments: Table[Payment]
    reports: Table[Report]
