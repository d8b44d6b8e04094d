"""Bounds of what an app keeps so that calls are quick: plans, and what commits changed."""

from __future__ import annotations

from typing import Final

PLANS_KEPT_MAX: Final = 512
"""Plans of an app that are kept by what their queries look like, those used last. About 10 kB each.
Others are made anew for each query."""

OUTLINE_BYTES_MAX: Final = 2_000
"""A query that is longer without the texts it compares with is planned each time: it has long
lists, or is one of few."""

OUTLINE_HOLES_MAX: Final = 4
"""Ids and texts of a query that may differ; more than these are part of what it looks like."""

KEPT_PLAN_STEPS_MAX: Final = 10_000
"""Steps (`query.cost`) that making a plan to keep may take on the loop, 0.8 ms. Queries that expand
to more are planned each time, where they are run."""

INDEXED_CHANGES_MAX: Final = 1_000
"""Rows and pairs of a commit that are listed while functions run, which takes 2 ms. With a larger
one each run is compared by itself."""
