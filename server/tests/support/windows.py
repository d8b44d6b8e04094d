"""What lies between two cursors, held against the whole order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Ask = Callable[[dict[str, Any]], tuple[list[int], dict[str, Any]]]
"""Asks for a page by its options of `$`: the numbers of its rows, and its page info."""


def check_window(
    ask: Ask,
    whole: Sequence[int],
    cursors: Sequence[Any],
    ends: tuple[int, int],
    *,
    is_inclusive: bool,
    few: int,
) -> None:
    """Check the page between two rows of `whole`, its ends, and parts of it.

    cursors   of each row of `whole`
    ends      places of the two rows
    few       how many rows the parts have
    """
    low, high = ends
    window = {
        "after": cursors[low],
        "before": cursors[high],
        "afterInclusive": is_inclusive,
        "beforeInclusive": is_inclusive,
    }
    wanted = list(whole[low : high + 1] if is_inclusive else whole[low + 1 : high])
    found, info = ask(window)
    assert found == wanted
    if found:
        assert info["has-previous-page?"] is (whole[0] != found[0])
        assert info["has-next-page?"] is (whole[-1] != found[-1])
    skipped = few - 1
    assert ask({**window, "last": few})[0] == wanted[-few:]
    assert ask({**window, "limit": few, "offset": skipped})[0] == wanted[skipped : skipped + few]
    assert ask({**window, "last": few, "offset": skipped})[0] == wanted[:-skipped][-few:]
