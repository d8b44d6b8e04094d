"""A rule to ask about what a transaction writes. No I/O.

A struct, and so apart from what is compiled (`scripts/compile.py`).
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
"""Who is not there: the entity itself, the one at the other end of a link, or both of them."""


class WriteCheck(msgspec.Struct, frozen=True):
    """A rule to ask about an entity. Equal checks are one.

    key      the entity; of a new attr `attrs` and the attr's id
    label    the link's name at this end, for link and unlink; else empty
    origin   the entity whose parameters it takes over, under its own: the other end of a link, the
             root of a cascade
    absent   who is not there
    """

    scope: Scope
    action: Action
    key: EntityKey
    program: Program
    label: str = ""
    origin: EntityKey | None = None
    absent: Absent = ""
