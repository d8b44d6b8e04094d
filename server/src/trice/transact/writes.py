"""What steps come to: writes on known entities. No I/O.

Structs, and with them apart from what is compiled (`scripts/compile.py`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from trice.catalog.attr import Attr
from trice.catalog.values import Cell
from trice.protocol.ids import EntityId
from trice.transact.steps import Mode

Op = Literal["add", "merge", "retract", "delete"]
Key = tuple[Attr, Cell]


class Write(msgspec.Struct, frozen=True):
    """One triple to add, merge or remove, for an entity whose id is known.

    value    JSON; for a link the target's id; for the id attr not used
    key      the lookup the entity was named by: written too when the entity is new
    is_new   the lookup found nothing, so the entity got a fresh id
    """

    op: Op
    attr: Attr
    entity: EntityId
    value: Any
    mode: Mode | None = None
    key: Key | None = None
    is_new: bool = False


class Missed(msgspec.Struct, frozen=True):
    """What a step was to do to somebody that its lookup did not find.

    etype   the namespace of the one missed
    at      how many writes of `op` come before it; what is asked is asked in the steps' order
    link    the write, when the one missed is an end of a link: as its target, its value stands for
            nobody. None: somebody to remove a value from (retract), to delete, or to change (add,
            merge) where nobody may be made
    is_source   the source of `link` is missed, and its target too if its value stands for nobody
    """

    op: Op
    etype: str
    at: int
    link: Write | None = None
    is_source: bool = False
