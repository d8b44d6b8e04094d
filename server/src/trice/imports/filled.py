"""What an app holds that was filled out of sight, beside its quotas."""

from __future__ import annotations

import asyncio
from functools import partial

from trice.apps.quotas import Allowed
from trice.archive.load import Filled
from trice.catalog.system import system_attrs
from trice.errors import LimitExceeded


async def check_quotas(allowed: Allowed, filled: Filled) -> None:
    """Refuse an app that holds more than it may.

    raises   LimitExceeded("app-quota-exceeded")
    cost     nothing where rows and bytes have no bound; else they are counted on a thread
    """
    used = {"file-bytes": filled.report.file_bytes}
    if allowed.rows is not None or allowed.bytes is not None:
        opening = partial(filled.loading.open, system_attrs(), is_new=False)
        engine = await asyncio.to_thread(opening)
        try:
            stored = await engine.used()
        finally:
            await engine.close()
        used |= {"rows": stored.rows, "bytes": stored.bytes}
    for name, current in used.items():
        most = allowed.find(name)
        if most is not None and current > most:
            raise LimitExceeded(
                "app-quota-exceeded",
                f"The app would hold {current:,} {name}, and {most:,} are the"
                f" most{allowed.advice}.",
                {"quota": name, "current": current, "limit": most},
            )
