"""Forms of queries. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def form_of(links: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """`{"$": {…}, link: {…}}`; options that are None are left out."""
    given = {name: value for name, value in options.items() if value is not None}
    return {**({"$": given} if given else {}), **(links or {})}
