"""Celery: work that is done later, for a user or for the app.

    celery --app on_celery worker

A client is made once, before workers fork; each process then uses connections of its own. A task
that runs again writes once: its id is the id of the transaction.
"""

from __future__ import annotations

import os

from celery import Celery, Task

from trice_client import Client, TriceError

queue = Celery("frameworks", broker=os.environ.get("CELERY_BROKER", "memory://"))
db = Client(
    os.environ["TRICE_APP"],
    server=os.environ["TRICE_URL"],
    admin_token=os.environ["TRICE_ADMIN_TOKEN"],
)


@queue.task(bind=True, acks_late=True, max_retries=5)
def count_todos(self: Task, report_id: str) -> int:
    """Write how many todos there are; a server that cannot be reached is tried again."""
    try:
        count: int = db.totals("todos", {"count": True})["count"]
        db.transact(db.tx.reports[report_id].update({"todos": count}), event_id=self.request.id)
    except TriceError as error:
        if error.code != "offline":
            raise
        raise self.retry(exc=error, countdown=2**self.request.retries) from error
    return count
