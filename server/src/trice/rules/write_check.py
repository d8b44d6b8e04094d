"""A rule to ask about what a transaction writes. No I/O.

It is a struct, so this module is not compiled (`scripts/compile.py`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from trice.cel.evaluate import Program
from trice.rules.environments import Action
from trice.transact.cascade import EntityKey

Scope = Literal["object", "link", "attr"]
"""What a check is about: an entity, a link at one of its ends, a new attr."""

Absent = Literal["", "me", "other", "both"]
"""Which entity is missing: the entity itself, the one at the other end of a link, or both."""


class WriteCheck(msgspec.Struct, frozen=True):
    """A rule to ask about an entity. Equal checks are asked once.

    key      the entity; for a new attr `attrs` and the attr's id
    label    the link's name at this end, for link and unlink; else empty
    origin   the entity whose parameters are used where `key` has none: the other end of a link, the
             root of a cascade
    absent   which entity is missing
    """

    scope: Scope
    action: Action
    key: EntityKey
    program: Program
    label: str = ""
    origin: EntityKey | None = None
    absent: Absent = ""
