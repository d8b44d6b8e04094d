"""Which event ids a table may have: most calls have one that nobody has sent before, and are spared
the look-up.

A Bloom filter (https://doi.org/10.1145/362686.362692): an id sets two bits. Ids that were deleted,
or whose transaction was undone, stay in it, and cost a look-up each.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

_BITS_OF_ID: Final = 16
"""With two bits set of sixteen, one id in seventy that is not there looks as if it were."""
_BITS_MIN: Final = 1 << 14
_BITS_MAX: Final = 1 << 24


class SeenIds:
    """Holds bits of ids, 2 MiB at most; more ids than that is made for cost more look-ups.

    Until it `is_whole` it may have any id. Who has the table open for writing learns its rows, and
    adds each one from then on. When there are too many ids for its bits it begins again, with twice
    as many.

    learned    the last row of the table that was learned
    Invariant: once it is whole, every row of the table was added. The loop and the writer's thread
    use it.
    """

    __slots__ = ("_bits", "_count", "_lock", "_whole", "learned")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._whole: bytearray | None = None
        self._bits = bytearray()
        self._begin(_BITS_MIN)

    @property
    def is_whole(self) -> bool:
        return self._whole is not None

    @property
    def size_bytes(self) -> int:
        return len(self._bits)

    def may_have(self, event_id: str) -> bool:
        """False: no row of the table has this id."""
        bits = self._whole
        if bits is None:
            return True
        one, other = _places(event_id, bits)
        return bool(bits[one >> 3] & (1 << (one & 7)) and bits[other >> 3] & (1 << (other & 7)))

    def add(self, event_id: str) -> None:
        """Note the id of a row that is written now."""
        with self._lock:  # a bit that another thread sets in the same byte is not lost
            self._add(event_id)

    def learn(self, rows: Iterable[tuple[int, str]], *, is_last: bool) -> None:
        """Note the next rows of the table: their numbers and ids.

        is_last   there are no others
        """
        with self._lock:
            begun = self._bits
            for number, event_id in rows:
                self._add(event_id)
                if self._bits is not begun:
                    return  # these rows are learned again, with those before
                self.learned = number
            if is_last:
                self._whole = self._bits

    def _add(self, event_id: str) -> None:
        self._count += 1
        if self._count * _BITS_OF_ID > 8 * len(self._bits) < _BITS_MAX:
            self._begin(16 * len(self._bits))
        for place in _places(event_id, self._bits):
            self._bits[place >> 3] |= 1 << (place & 7)

    def _begin(self, bits: int) -> None:
        self._whole = None
        self._bits = bytearray(bits >> 3)
        self.learned = self._count = 0


def _places(event_id: str, bits: bytearray) -> tuple[int, int]:
    """The two bits of an id. `hash` has a key of this process: nobody can choose ids that meet."""
    mixed, mask = hash(event_id), 8 * len(bits) - 1
    return mixed & mask, (mixed >> 32) & mask
