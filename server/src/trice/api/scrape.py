"""`GET /metrics`: the counts of the server, in the form of Prometheus.

Nothing is counted only for this page: it reads numbers that the parts keep anyway. The first
request imports the library. Only the busiest few apps are named.
"""

from __future__ import annotations

import asyncio
import hmac
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, get_args

from starlette.requests import Request
from starlette.responses import Response

from trice import limits
from trice.api.callers import bearer_token
from trice.api.load import LAG_BOUNDS_MS
from trice.apps.apps import App
from trice.calls.hooks.hooks import Hooks
from trice.calls.hooks.rows import State
from trice.calls.workers.workers import Workers
from trice.errors import NotFound
from trice.files.files import Files
from trice.files.variants import Variants
from trice.metrics import AppCounts, BackupCounts, CallCounts, LiveCounts, QuotaCounts, WorkCounts
from trice.rooms.rooms import Rooms
from trice.streams.streams import Streams
from trice.webhooks.webhooks import Webhooks

if TYPE_CHECKING:
    # Imported with the first request, as it takes 4 MB.
    from prometheus_client.core import Metric

_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PATHS: Final = ("patched", "counted", "rerun_node", "rerun_query", "rerun_on_thread")


def may_see(request: Request) -> bool:
    """Whether the request has the token of `--metrics-token`; never if none is set."""
    expected: str | None = request.app.state.settings.metrics_token
    given = bearer_token(request)
    if expected is None or given is None:
        return False
    return hmac.compare_digest(given.encode(), expected.encode())


async def metrics(request: Request) -> Response:
    """`GET /metrics` with `Authorization: Bearer TOKEN`; without the token, the page is not found.

    The address does not count: behind a proxy, all requests come from this machine.
    """
    if not may_see(request):
        raise NotFound("route-not-found", "Oops! We couldn't match this route.", {})
    if "prometheus_client" not in sys.modules:
        await asyncio.to_thread(_load)
    return Response(_load()(_Collector(request.app.state)), media_type=_TYPE)


def _load() -> Callable[[Any], bytes]:
    from prometheus_client import generate_latest

    return generate_latest


class _Collector:
    """Reads the numbers once."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        apps = self._state.apps.in_memory
        yield from _process(self._state)
        yield from _requests(self._state)
        yield from _totals(self._state.apps.counts_of_closed, apps)
        yield from _queues(self._state, apps)
        yield _quotas(self._state.apps.meters.counts)
        yield from _rooms(self._state.hub.rooms)
        if self._state.hub.streams is not None:
            yield from _streams(self._state.hub.streams)
        if self._state.files is not None:
            yield from _files(self._state.files)
            yield from _variants(self._state.variants)
        yield from _webhooks(self._state.webhooks)
        yield from _hooks(self._state.hooks)
        yield from _functions(self._state)
        yield from _background(self._state.background.counts)
        yield _lag(self._state.load.lag)
        yield from _backups(self._state.backup_counts)
        yield from _busiest(apps)


def _gauge(name: str, text: str, value: float | None) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(f"trice_{name}", text, value=float("nan") if value is None else value)


def _counter(name: str, text: str, value: float) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    return CounterMetricFamily(f"trice_{name}", text, value=value)


def _by(kind: Any, name: str, text: str, label: str, values: Mapping[Any, float]) -> Metric:
    family: Metric = kind(f"trice_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)  # type: ignore[attr-defined]
    return family


def _process(state: Any) -> Iterator[Metric]:
    process = state.load.process()
    yield _gauge("memory_bytes", "Resident memory.", process["memory-bytes"])
    yield _gauge("descriptors", "Open files and sockets.", process["descriptors"])
    yield _gauge("descriptors_max", "How many may be open.", process["descriptors-max"])
    yield _gauge("sessions", "Connected clients.", len(state.hub))
    yield _gauge("apps_open", "Apps whose databases are open.", len(state.apps.in_memory))


def _backups(counts: BackupCounts | None) -> Iterator[Metric]:
    if counts is None:
        return
    newest = None if counts.newest_ms is None else counts.newest_ms / 1000
    text = "When the newest good backup began, in Unix time; NaN: there is none."
    yield _gauge("backup_newest_seconds", text, newest)
    yield _gauge("backup_last_ms", "How long the latest backup took.", counts.last_ms)
    yield _gauge("backup_bytes", "The size of the latest backup.", counts.bytes)
    shipped = None if counts.shipped_ms is None else counts.shipped_ms / 1000
    text = "Up to when all that was written is shipped, in Unix time; NaN: never."
    yield _gauge("backup_shipped_seconds", text, shipped)
    text = "Transactions that were shipped."
    yield _counter("backup_shipped_rows", text, counts.shipped_rows)
    text = "Copies of apps that shipping needed."
    yield _counter("backup_bases", text, counts.bases)
    text = "Bytes of backups that were not there yet."
    yield _counter("backup_put_bytes", text, counts.put_bytes)
    text = "Apps that were damaged when they were last copied."
    yield _gauge("backup_damaged_apps", text, counts.damaged_apps)
    text = "Files whose bytes were missing at the latest backup."
    yield _gauge("backup_missing_files", text, counts.missing_files)


def _requests(state: Any) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    by_class = {f"{n}xx": count for n, count in enumerate(state.requests.by_class) if n}
    yield _by(CounterMetricFamily, "http_requests", "Requests answered.", "status", by_class)
    slow = CounterMetricFamily("trice_slow", "Queries and transactions over --slow-ms.")
    slow.add_metric([], state.slow_log.count)
    yield slow
    connections = state.connections
    if connections is not None:
        counts = connections.counts
        ends = {
            "refused": counts.refused,
            "closed_idle": counts.closed_idle,
            "too_slow": counts.too_slow,
            "malformed": counts.malformed,
        }
        text = "HTTP connections that a bound or deadline ended."
        yield _by(CounterMetricFamily, "http_ended", text, "reason", ends)
        yield _gauge("http_connections", "Open HTTP connections.", len(connections))
        held = {"unfinished": connections.unfinished_bytes, "unread": connections.unread_bytes}
        from prometheus_client.core import GaugeMetricFamily

        text = "Bytes of requests that are not whole, and of answers not read."
        yield _by(GaugeMetricFamily, "http_held_bytes", text, "what", held)


def _totals(closed: AppCounts, apps: list[App]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    total = AppCounts(LiveCounts())
    for each in (closed, *(app.database.counts for app in apps)):
        total.add(each)
    live = total.live
    writes = {"commits": total.commits, "groups": total.groups}
    text = "Transactions made durable, and the waits for the disk that they shared."
    yield _by(CounterMetricFamily, "writes", text, "what", writes)
    paths = {name: getattr(live, name) for name in _PATHS}
    yield _by(CounterMetricFamily, "queries", "How live queries were refreshed.", "path", paths)
    outcomes = {"changed": live.changed, "silent": live.silent}
    text = "Whether a refresh differed from what clients had."
    yield _by(CounterMetricFamily, "refreshes", text, "outcome", outcomes)


def _queues(state: Any, apps: list[App]) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    waiting = [app.database.waiting for app in apps]
    news, first_answers = state.hub.waiting
    depths = {
        "transactions": sum(writes for writes, _ in waiting),
        "long_reads": sum(reads for _, reads in waiting),
        "news": news,
        "first_answers": first_answers,
        "app_turns": state.apps.loop_shares.waiting,
    }
    yield _by(GaugeMetricFamily, "waiting", "What waits for its turn.", "queue", depths)


def _quotas(counts: QuotaCounts) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    text = "What quotas of apps refused."
    return _by(CounterMetricFamily, "quota_refusals", text, "quota", asdict(counts))


def _rooms(rooms: Rooms) -> Iterator[Metric]:
    counts = rooms.counts
    yield _gauge("rooms", "Rooms with members.", len(rooms))
    yield _gauge("room_members", "Sessions in rooms, once for each room.", rooms.seats)
    yield _counter("room_patches", "Patches of presence, each for a whole room.", counts.patches)
    yield _counter("room_messages", "Messages to topics.", counts.broadcasts)
    told = "Messages to topics that were kept for a session, once for each session."
    yield _counter("room_messages_delivered", told, counts.deliveries)
    told = "Messages to topics that were dropped, because a client was too slow."
    yield _counter("room_messages_dropped", told, counts.dropped)


def _streams(streams: Streams) -> Iterator[Metric]:
    from prometheus_client.core import SummaryMetricFamily

    counts = streams.counts
    yield _gauge("streams", "Streams that are written or read.", len(streams))
    yield _gauge("stream_writers", "Streams that have a writer.", streams.writers)
    yield _gauge("stream_readers", "Subscriptions to streams.", streams.readers)
    told = "Memory for text of streams that is not on disk yet."
    yield _gauge("stream_buffered_bytes", told, streams.buffered_bytes)
    yield _counter("stream_appends", "Appends to streams.", counts.appends)
    yield _counter("stream_appended_bytes", "Their bytes.", counts.appended_bytes)
    yield _counter("stream_parts", "Parts of streams made durable.", counts.parts)
    told = "Flushes of streams that failed: their writers start again."
    yield _counter("stream_flushes_failed", told, counts.flushes_failed)
    told = "How long flushes of streams took."
    family = SummaryMetricFamily("trice_stream_flush_seconds", told)
    family.add_metric([], count_value=counts.flushes, sum_value=counts.flush_ms / 1000)
    yield family


def _files(files: Files) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    counts = files.counts
    yield _gauge("uploads", "Uploads under way.", files.uploads)
    told = "Bytes on disk of files that are not whole yet: uploads, and parts of streams."
    yield _gauge("spool_bytes", told, files.spool.held_bytes)
    told = "Uploads in parts that are not whole."
    yield _gauge("partial_uploads", told, len(files.partials))
    yield _gauge("partial_uploads_bytes", "Their bytes on disk.", files.partials.disk_bytes)
    ends = {"stored": counts.stored, "not_stored": counts.not_stored}
    told = "Uploads that ended: the file is there, or they failed, were refused or cut off."
    yield _by(CounterMetricFamily, "uploads_ended", told, "outcome", ends)
    told = "Bytes of uploads that came, also of those that were not stored."
    yield _counter("file_received_bytes", told, counts.received_bytes)
    yield _counter("file_stored_bytes", "Bytes of files that were stored.", counts.stored_bytes)
    told = "Bytes of files and variants read to be sent; not those that a bucket sends itself."
    yield _counter("file_sent_bytes", told, counts.sent_bytes)
    told = "Files deleted because no row named them any more."
    yield _counter("files_swept", told, counts.swept)
    told = "Files kept, equal ones once for each app, as the latest sweep found them."
    yield _gauge("files_kept", told, counts.kept)
    yield _gauge("files_kept_bytes", "Their bytes.", counts.kept_bytes)


def _variants(variants: Variants) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    counts = variants.counts
    outcomes = {"found": counts.found, "made": counts.made, "failed": counts.failed}
    told = "Image variants asked for: on disk, made, or not to be made."
    yield _by(CounterMetricFamily, "image_variants", told, "outcome", outcomes)
    yield _gauge("image_variants_kept", "Image variants on disk.", variants.kept)
    told = "Their bytes. NaN before anybody asked for one."
    yield _gauge("image_variants_kept_bytes", told, variants.kept_bytes)


def _webhooks(webhooks: Webhooks) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    deliveries = webhooks.deliveries
    outcomes = asdict(deliveries.counts)
    text = "Attempts to deliver an event: error will be tried again, failed not."
    yield _by(CounterMetricFamily, "webhook_attempts", text, "outcome", outcomes)
    yield _gauge("webhook_events_unfinished", "Events to be delivered.", deliveries.waiting)
    yield _gauge("webhook_deliveries", "Deliveries under way.", deliveries.running)
    text = "Transactions that no webhook heard of, because the log had lost them."
    yield _counter("webhook_lost_transactions", text, webhooks.outbox.lost)


def _hooks(hooks: Hooks) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    told = "Functions that follow changes: stopped ones wait at one that fails, broken ones miss"
    states = {state: hooks.count(state) for state in get_args(State)}
    yield _by(GaugeMetricFamily, "hooks", f"{told} what was committed.", "state", states)
    told = "Changes that a function failed for, and that were parked as failed jobs."
    yield _counter("hook_changes_parked", told, hooks.parked)


def _functions(state: Any) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    counts: CallCounts = state.functions.counts
    told = "Runs of functions; each try of a mutation is one."
    yield _by(CounterMetricFamily, "function_runs", told, "kind", counts.runs)
    spent = {kind: ms / 1000 for kind, ms in counts.spent_ms.items()}
    told = "How long they took, waiting for a worker included."
    yield _by(CounterMetricFamily, "function_run_seconds", told, "kind", spent)
    told = "Calls of clients and jobs that failed."
    yield _by(CounterMetricFamily, "function_failures", told, "code", counts.failures)
    told = "Calls that were sent again, and answered by what was kept."
    yield _counter("function_kept_answers", told, counts.kept)
    told = "Runs of mutations in vain, by who overtook them; empty: a transaction of a client."
    family = CounterMetricFamily("trice_function_conflicts", told, labels=["function", "by"])
    for pair, count in counts.conflicts.items():
        family.add_metric(pair, count)
    yield family
    yield _gauge("live_calls", "Answers of watched functions.", len(state.live_functions))
    workers = state.workers
    if isinstance(workers, Workers):
        told = "Processes of functions, the spare left out."
        yield _by(GaugeMetricFamily, "function_workers", told, "state", workers.by_state)
        yield _gauge("function_calls_waiting", "Calls that wait for one.", workers.waiting)
        became = {name: value for name, value in asdict(workers.counts).items() if name != "calls"}
        told = "What became of these processes, and of calls in them."
        yield _by(CounterMetricFamily, "function_worker_events", told, "event", became)


def _background(counts: Mapping[str, WorkCounts]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    figures: tuple[tuple[Any, str, str, Callable[[WorkCounts], float]], ...] = (
        (CounterMetricFamily, "runs", "Runs that ended.", lambda each: each.runs),
        (CounterMetricFamily, "failures", "Runs that failed.", lambda each: each.failures),
        (GaugeMetricFamily, "running", "Runs under way.", lambda each: each.running),
        (GaugeMetricFamily, "waiting", "What waits for a run.", lambda each: each.waiting),
        (GaugeMetricFamily, "last_seconds", "The latest run.", lambda each: each.last_ms / 1000),
    )
    for kind, name, text, value in figures:
        values = {work: value(each) for work, each in counts.items()}
        yield _by(kind, f"background_{name}", f"Background work: {text}", "work", values)


def _lag(lag: Any) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    buckets, count = [], 0
    for bound_ms, found in zip((*LAG_BOUNDS_MS, None), lag.by_class, strict=True):
        count += found
        buckets.append(("+Inf" if bound_ms is None else str(bound_ms / 1000), count))
    text = "How late the event loop was."
    family = HistogramMetricFamily("trice_loop_lag_seconds", text)
    family.add_metric([], buckets, sum_value=lag.sum_ms / 1000)
    return family


def _busiest(apps: list[App]) -> Iterator[Metric]:
    """The figures of the few apps with most work since they were opened."""
    from prometheus_client.core import GaugeMetricFamily

    def work(app: App) -> int:
        live = app.database.counts.live
        return app.database.counts.commits + live.touched + live.rerun_query

    top = sorted(apps, key=work, reverse=True)[: limits.METRICS_APPS_MAX]
    figures: dict[str, tuple[str, Callable[[App], int]]] = {
        "users": ("Sessions and requests that use an app.", lambda app: app.users),
        "live_queries": ("Its live queries.", lambda app: app.database.live_queries),
        "commits": ("Its commits since it was opened.", lambda app: app.database.counts.commits),
        "work": ("Its commits, and queries touched or run, since it was opened.", work),
    }
    for name, (text, value) in figures.items():
        values = {app.id: value(app) for app in top}
        yield _by(GaugeMetricFamily, f"app_{name}", text, "app", values)
