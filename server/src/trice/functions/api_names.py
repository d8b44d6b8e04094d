"""Names in files that `trice generate` makes of functions, for any language. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Names:
    """Holds the names of one file, each of which one thing has."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def take(self, wanted: str) -> str:
        """The name that is wanted, or, if another thing has it, that with the next number."""
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}{number}", number + 1
        self._taken.add(name)
        return name


def pascal(parts: Iterable[str]) -> str:
    """`messages`, `send_all` → `MessagesSendAll`."""
    words = [word for part in parts for word in re.findall(r"\w+", part.replace("_", " "))]
    name = "".join(word[0].upper() + word[1:] for word in words) or "Function"
    return f"F{name}" if name[0].isdigit() else name
