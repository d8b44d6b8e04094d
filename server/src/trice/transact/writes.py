"""What steps become: writes on known entities. No I/O.

They are structs, so this module is not compiled (`scripts/compile.py`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from trice.catalog.attr import Attr
from trice.catalog.values import Cell
from trice.protocol.ids import EntityId
from trice.transact.steps import Mode

Op = Literal["add", "merge", "increment", "retract", "delete"]
Key = tuple[Attr, Cell]


class Write(msgspec.Struct, frozen=True):
    """One triple to add, merge, increment or remove, for an entity whose id is known.

    value    JSON; for a link the target's id; for the id attr not used
    key      the lookup that named the entity: its value is written too when the entity is new
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
    """What a step was to do to an entity that its lookup did not find.

    etype   the namespace of the missed entity
    at      how many writes of `op` come before it; rules are asked in the order of steps
    link    the write, when the missed entity is an end of a link; if it is the target, the value is
            `_NOBODY`. None: the entity was to lose a value (retract), to be deleted, or to be
            changed (add, merge, increment) where none may be made
    is_source   the source of `link` is missed; its target too if the value is `_NOBODY`
    """

    op: Op
    etype: str
    at: int
    link: Write | None = None
    is_source: bool = False
