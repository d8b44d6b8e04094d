"""How much one app may hold, and holds: rows and bytes. What all engines have in common. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from trice.errors import LimitExceeded
from trice.store.commit import Commit


@dataclass(frozen=True, slots=True)
class Quota:
    """What one app may hold.

    rows     rows of all namespaces and pairs of all links, together; None: as many as there are
    bytes    bytes that its storage takes, the log of transactions included; None: what there is
             room for
    advice   what can be done about a refusal: the end of its message
    """

    rows: int | None = None
    bytes: int | None = None
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """What one app holds: `rows` and `bytes` as in `Quota`."""

    rows: int
    bytes: int


def growth(commit: Commit) -> int:
    """How many rows and pairs a commit adds, less those that it removes."""
    entities = sum((each.new is not None) - (each.old is not None) for each in commit.entities)
    return entities + sum(1 if pair.is_added else -1 for pair in commit.pairs)


def only_takes(commit: Commit) -> bool:
    """Whether a commit only removes; such a one is never refused."""
    return (
        not commit.is_catalog_changed
        and all(each.new is None for each in commit.entities)
        and not any(pair.is_added for pair in commit.pairs)
    )


def check_rows(quota: Quota, commit: Commit, *, held: int) -> int:
    """Refuse a commit that adds rows beyond the quota.

    held     rows before it
    returns  how many it adds
    raises   LimitExceeded("app-quota-exceeded"); the transaction must be undone
    """
    added = growth(commit)
    if quota.rows is not None and added > 0 and held + added > quota.rows:
        raise exceeded(quota, "rows", held, quota.rows)
    return added


def exceeded(quota: Quota, name: str, current: int, limit: int) -> LimitExceeded:
    """The error of an app that is full."""
    return LimitExceeded(
        "app-quota-exceeded",
        f"This app is full: it holds {current:,} {name}, and {limit:,} are the most."
        f" Delete something{quota.advice}.",
        {"quota": name, "current": current, "limit": limit},
    )
