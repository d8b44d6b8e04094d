"""Files: what uploads and downloads cost. The floor is nginx (bench/floor/nginx.py).

Large ones are sent and read by processes of their own, by a thread that only waits.
"""

from __future__ import annotations

import asyncio
import sys
import time
import urllib.parse
import urllib.request

import orjson

from connection import Connection
from data import Writer
from process import BENCH, ServerProcess
from scale import Scale
from transfer import TIMEOUT_S, blocks, download, forget_cached, upload
from workloads import DELIVERY_LIMIT_S, PAUSE_S, Cost, Row, percentile, rest

RULES = {"$files": {"allow": {"create": "true", "view": "true"}}}
MB = 1_000_000
_ACK = b'"transact-ok"'


def upload_url(server: ServerProcess, app_id: str) -> str:
    return f"{server.url}/storage/upload?app_id={app_id}"


def signed_url(server: ServerProcess, app_id: str, path: str) -> str:
    """The URL of a file's bytes."""
    asked = urllib.parse.urlencode({"app_id": app_id, "filename": path})
    with urllib.request.urlopen(f"{server.url}/storage/signed-download-url?{asked}") as answer:
        url: str = orjson.loads(answer.read())["data"]
    return url


async def large(server: ServerProcess, scale: Scale) -> list[Row]:
    """One large file at a time: sent, read whole and by range."""
    size = scale.large_file_bytes
    label = f"a file of {size / MB:,.0f} MB"
    sent = Row("file_upload", f"{label}: uploaded", "MB/s")
    cpu = Row("file_upload_cpu", f"{label}: server CPU of an upload", "s")
    peak = Row("file_upload_peak", f"{label}: server grows at its peak during uploads by", "MB")
    cold = Row("file_cold", f"{label}: read whole from the disk", "MB/s")
    warm = Row("file_warm", f"{label}: read whole from the system's memory", "MB/s")
    half = Row("file_range", f"{label}: its second half read by range", "MB/s")
    reading = Row("file_read_cpu", f"{label}: server CPU of a read", "s")
    reading_peak = Row("file_read_peak", f"{label}: server grows at its peak during reads by", "MB")
    app_id = server.create_app(RULES)
    target = upload_url(server, app_id)
    await asyncio.to_thread(upload, target, {"path": "first.bin"}, scale.small_file_bytes, mark=-1)
    await rest(server, scale)
    before_mb = server.rss_mb()
    server.forget_peak()
    for n in range(scale.rounds):
        cost = Cost(server)
        started = time.perf_counter()
        await asyncio.to_thread(upload, target, {"path": "large.bin"}, size, mark=n)
        sent.samples.append(size / MB / (time.perf_counter() - started))
        sent.client_share.append(cost.client_share())
        cpu.samples.append(cost.server_s())
    peak.samples.append(server.peak_mb() - before_mb)
    url = await asyncio.to_thread(signed_url, server, app_id, "large.bin")
    await rest(server, scale)
    before_mb = server.rss_mb()
    server.forget_peak()
    for _ in range(scale.rounds):
        for row, span in ((cold, None), (warm, None), (half, (size // 2, size - 1))):
            if row is cold:
                if not server.directory:
                    continue
                forget_cached(server.directory)
            cost = Cost(server)
            started = time.perf_counter()
            found = await asyncio.to_thread(download, [url], span=span)
            row.samples.append(found / MB / (time.perf_counter() - started))
            row.client_share.append(cost.client_share())
            if row is warm:
                reading.samples.append(cost.server_s())
            if found != (size if span is None else span[1] - span[0] + 1):
                raise RuntimeError(f"{found} bytes came")
    reading_peak.samples.append(server.peak_mb() - before_mb)
    return [sent, cpu, peak, cold, warm, half, reading, reading_peak]


async def small(server: ServerProcess, scale: Scale) -> list[Row]:
    """Many small files, uploaded and read by clients that have an address each: one network may
    have so many uploads under way only."""
    count, clients = scale.small_files, scale.file_clients
    label = f"{count:,} files of {scale.small_file_bytes / 1000:,.0f} kB, {clients} clients"
    rate = Row("small_upload", f"{label}: uploaded", "1/s")
    most = Row("small_upload_p99", f"{label}: an upload p99", "ms")
    cpu = Row("small_upload_cpu", f"{label}: server CPU an upload", "ms")
    reads = Row("small_read", f"{label}: read", "1/s")
    read_cpu = Row("small_read_cpu", f"{label}: server CPU a read", "ms")
    app_id = server.create_app(RULES)
    split = urllib.parse.urlsplit(upload_url(server, app_id))
    data = b"".join(blocks(scale.small_file_bytes, 0))
    for n in range(scale.rounds):
        names = [f"small-{n}-{each}" for each in range(count)]
        requests = [
            b"PUT %b?%b HTTP/1.1\r\nhost: %b\r\npath: %b\r\ncontent-length: %d\r\n\r\n%b"
            % (
                *(split.path.encode(), split.query.encode(), split.netloc.encode()),
                *(name.encode(), len(data), name.encode().ljust(32) + data[32:]),
            )
            for name in names
        ]
        await _in_turn(server, requests, rate, most, cpu, clients=clients)
        urls = [await asyncio.to_thread(signed_url, server, app_id, name) for name in names[:20]]
        gets = [urllib.parse.urlsplit(url) for url in urls]
        requests = [
            b"GET %b HTTP/1.1\r\nhost: %b\r\n\r\n"
            % (f"{each.path}?{each.query}".encode(), each.netloc.encode())
            for each in (gets * (count // len(gets) + 1))[:count]
        ]
        await _in_turn(server, requests, reads, None, read_cpu, clients=clients)
    return [rate, most, cpu, reads, read_cpu]


async def _in_turn(
    server: ServerProcess,
    requests: list[bytes],
    rate: Row,
    most: Row | None,
    cpu: Row,
    *,
    clients: int,
) -> None:
    """Send each request, on connections that stay open; note a sample of each row."""
    host, port = urllib.parse.urlsplit(server.url).netloc.split(":")
    took_ms: list[float] = []
    waiting = requests[::-1]

    async def work(number: int) -> None:
        own = (f"127.0.0.{2 + number % 250}", 0) if host == "127.0.0.1" else None
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=own)
        try:
            while waiting:
                started = time.perf_counter()
                writer.write(waiting.pop())
                await _answer(reader)
                took_ms.append((time.perf_counter() - started) * 1000)
        finally:
            writer.close()

    cost = Cost(server)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(work(number))
    rate.samples.append(len(requests) / (time.perf_counter() - started))
    rate.client_share.append(cost.client_share())
    cpu.samples.append(cost.server_s() * 1000 / len(requests))
    if most is not None:
        most.samples.append(percentile(took_ms, 0.99))


async def _answer(reader: asyncio.StreamReader) -> None:
    """Read one answer whole.

    raises   RuntimeError for one that says something else than done
    """
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DELIVERY_LIMIT_S)
    lines = head.lower().split(b"\r\n")
    size = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    body = await reader.readexactly(size)
    if head[9:10] != b"2":
        raise RuntimeError((head + body)[:500].decode())


async def beside_upload(server: ServerProcess, scale: Scale) -> list[Row]:
    """One client writes, one write at a time: alone, then while a large file is uploaded by another
    process."""
    size = scale.beside_file_bytes
    label = f"a write beside an upload of {size / MB:,.0f} MB"
    rows = [
        Row("beside_upload_p50", f"{label}: acknowledged p50", "ms"),
        Row("beside_upload_p99", f"{label}: acknowledged p99", "ms"),
    ]
    alone = [
        Row("upload_alone_p50", "the same write without an upload: acknowledged p50", "ms"),
        Row("upload_alone_p99", "the same write without an upload: acknowledged p99", "ms"),
    ]
    app_id = server.create_app(RULES)
    connection = await Connection.open(server.url, app_id)
    writer = Writer(connection.attrs)

    async def write_until(is_over: asyncio.Event, found: list[Row]) -> None:
        """Write at least `scale.beside_upload_writes` times, and until it is over."""
        took_ms: list[float] = []
        while len(took_ms) < scale.beside_upload_writes or not is_over.is_set():
            started = time.perf_counter()
            await connection.ask_raw(writer.create(len(took_ms)), _ACK)
            took_ms.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(PAUSE_S)
        for row, share in zip(found, (0.5, 0.99), strict=True):
            row.samples.append(percentile(took_ms, share))

    for n in range(scale.rounds):
        await rest(server, scale)
        is_over = asyncio.Event()
        is_over.set()
        await write_until(is_over, alone)
        is_over.clear()
        target = upload_url(server, app_id)
        sender = await asyncio.create_subprocess_exec(
            sys.executable, BENCH / "transfer.py", target, "beside.bin", str(size), str(n)
        )
        writing = asyncio.create_task(write_until(is_over, rows))
        code = await asyncio.wait_for(sender.wait(), TIMEOUT_S)
        is_over.set()
        await writing
        if code != 0:
            raise RuntimeError("the upload failed")
    connection.close()
    return [*rows, *alone]


ALL = (large, small)
"""What nginx can do too."""
