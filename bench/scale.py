"""How much of each workload is done: WHOLE for figures, QUICK to check that all of it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes and durations of one run. Tuples: one row, or set of rows, for each number.

    rounds             samples of a row, if the round can be repeated
    server_limit_s     time limit of the run for each server, and for two at least. Nothing begins
                       after it; the report names what is left out
    workload_limit_s   time limit of one workload on one server, with its preparation
    growth_limit_s     the growing table stops growing after this; its rows are kept
    rest_window_s      a server rests when it used at most a tenth of a CPU for this long; the
                       bench waits for that up to rest_limit_s
    write_clients      pairs of sessions and transactions in flight in each
    quiet_s            how long CPU is measured without writes; pings come every five seconds
    own_rows           todos of each owner before a write creates one more
    room_moves_per_s   of each member; small_moves_per_s of all small rooms together
    stream_pieces      of each stream; stream_pieces_per_s of all together
    beside_…           a file that is uploaded while one client writes, and at least so many writes
    neighbour_…        sockets of a noisy app, and how often a quiet one beside it is asked
    socket_queries     live queries that share a socket, if they need not have one each
    job_rows           of the table that a job indexes, which has its own time limit, job_limit_s
    backup_bytes       of an app that is backed up, and at least so many writes beside it
    hook_events        that one receiver gets; hook_writes of one client beside webhooks
    function_…         calls that are timed in a round; clients at once, others beside a sleeper;
                       watchers of one function; rows that one watches; commits beside one; starts
                       of a process; jobs; calls at a fixed rate beside so many hostile callers
    sdk_times          changes that are timed in each round; sdk_seconds of changes at sdk_rate
    pyclient_times     queries, changes, and fiftieths of transactions that are timed in a round
    left_wait_s        wait before memory is read after all have left: it is returned late
    """

    rounds: int
    server_limit_s: float
    workload_limit_s: float
    growth_limit_s: float
    rest_window_s: float
    rest_limit_s: float
    idle_s: float
    quiet_s: float
    write_round_s: float
    write_clients: tuple[tuple[int, int], ...]
    fan_out_subscribers: tuple[int, ...]
    fan_out_writes: int
    deflated_subscribers: int
    beside_subscribers: int
    beside_writes: int
    own_filter_clients: tuple[int, ...]
    own_filter_writes: int
    own_rows: int
    first_answer_rows: tuple[int, ...]
    first_answer_owners: int
    growth_rows: tuple[int, ...]
    growth_queries: tuple[int, ...]
    growth_writes: int
    socket_queries: int
    reconnect_clients: int
    reconnect_rows: int
    memory_sockets: int
    left_wait_s: float
    broadcast_subscribers: int
    broadcast_writes: int
    stalled_rows: int
    stalled_writes: int
    room_members: int
    room_moves_per_s: int
    room_round_s: float
    small_rooms: int
    small_moves_per_s: int
    idle_members: int
    streams: int
    stream_pieces: int
    stream_pieces_per_s: int
    stream_round_s: float
    stream_followers: int
    followed_pieces_per_s: int
    sleeper_bytes: int
    replayed_bytes: int
    large_file_bytes: int
    beside_file_bytes: int
    beside_upload_writes: int
    neighbour_sockets: int
    neighbour_steps: int
    small_files: int
    small_file_bytes: int
    file_clients: int
    rules_rounds: int
    rules_rows: int
    rules_queries: int
    rules_writes: int
    job_rows: int
    job_alone_s: float
    job_limit_s: float
    backup_bytes: int
    backup_writes: int
    hook_events: int
    hook_writes: int
    function_calls: int
    function_clients: int
    function_warm_s: float
    function_others: int
    function_beside_s: float
    function_watchers: int
    function_rows: int
    function_commits: int
    function_starts: int
    function_jobs: int
    function_steps: int
    function_hostile: int
    sdk_limit_s: float
    sdk_rows: tuple[int, int]
    sdk_times: int
    sdk_queries: int
    sdk_shared_rows: int
    sdk_rate: int
    sdk_seconds: int
    sdk_clients: int
    sdk_crowd_rows: int
    pyclient_limit_s: float
    pyclient_rows: tuple[int, int]
    pyclient_times: int
    pyclient_queries: int


WHOLE = Scale(
    rounds=3,
    server_limit_s=540,
    workload_limit_s=120,
    growth_limit_s=270,
    rest_window_s=0.1,
    rest_limit_s=5,
    idle_s=0.5,
    quiet_s=5.5,
    write_round_s=1.5,
    write_clients=((1, 1), (10, 1), (50, 1), (1, 64)),
    fan_out_subscribers=(100, 500, 2_000),
    fan_out_writes=40,
    deflated_subscribers=500,
    beside_subscribers=2_000,
    beside_writes=30,
    own_filter_clients=(200, 2_000, 10_000),
    own_filter_writes=150,
    own_rows=10,
    first_answer_rows=(20, 1_000, 10_000),
    first_answer_owners=100,
    growth_rows=(1_000, 100_000, 1_000_000),
    growth_queries=(10, 10_000),
    growth_writes=200,
    socket_queries=1_000,
    reconnect_clients=500,
    reconnect_rows=50,
    memory_sockets=5_000,
    left_wait_s=6,
    broadcast_subscribers=500,
    broadcast_writes=100,
    stalled_rows=200,
    stalled_writes=300,
    room_members=200,
    room_moves_per_s=20,
    room_round_s=3,
    small_rooms=2_000,
    small_moves_per_s=2_000,
    idle_members=5_000,
    streams=100,
    stream_pieces=100,
    stream_pieces_per_s=10_000,
    stream_round_s=3,
    stream_followers=50,
    followed_pieces_per_s=200,
    sleeper_bytes=100_000_000,
    replayed_bytes=1_000_000_000,
    large_file_bytes=1_000_000_000,
    beside_file_bytes=2_000_000_000,
    beside_upload_writes=500,
    neighbour_sockets=200,
    neighbour_steps=200,
    small_files=1_000,
    small_file_bytes=10_000,
    file_clients=50,
    rules_rounds=9,
    rules_rows=50,
    rules_queries=60,
    rules_writes=60,
    job_rows=1_000_000,
    job_alone_s=5,
    job_limit_s=400,
    backup_bytes=50_000_000,
    backup_writes=300,
    hook_events=3_000,
    hook_writes=300,
    function_calls=300,
    function_clients=50,
    function_warm_s=2,
    function_others=10,
    function_beside_s=1.5,
    function_watchers=500,
    function_rows=1_000,
    function_commits=10_000,
    function_starts=5,
    function_jobs=30,
    function_steps=150,
    function_hostile=8,
    sdk_limit_s=240,
    sdk_rows=(1_000, 10_000),
    sdk_times=8,
    sdk_queries=100,
    sdk_shared_rows=200,
    sdk_rate=60,
    sdk_seconds=2,
    sdk_clients=500,
    sdk_crowd_rows=20,
    pyclient_limit_s=240,
    pyclient_rows=(1_000, 10_000),
    pyclient_times=10,
    pyclient_queries=1_000,
)

QUICK = Scale(
    rounds=1,
    server_limit_s=90,
    workload_limit_s=20,
    growth_limit_s=20,
    rest_window_s=0.01,
    rest_limit_s=0.1,
    idle_s=0,
    quiet_s=0.05,
    write_round_s=0.05,
    write_clients=((1, 1), (3, 1), (1, 4)),
    fan_out_subscribers=(2, 5),
    fan_out_writes=3,
    deflated_subscribers=5,
    beside_subscribers=5,
    beside_writes=3,
    own_filter_clients=(3,),
    own_filter_writes=4,
    own_rows=2,
    first_answer_rows=(20,),
    first_answer_owners=5,
    growth_rows=(10, 100),
    growth_queries=(2, 20),
    growth_writes=4,
    socket_queries=10,
    reconnect_clients=4,
    reconnect_rows=5,
    memory_sockets=5,
    left_wait_s=0,
    broadcast_subscribers=3,
    broadcast_writes=4,
    stalled_rows=20,
    stalled_writes=5,
    room_members=3,
    room_moves_per_s=20,
    room_round_s=0.2,
    small_rooms=2,
    small_moves_per_s=50,
    idle_members=10,
    streams=3,
    stream_pieces=4,
    stream_pieces_per_s=100,
    stream_round_s=0.2,
    stream_followers=3,
    followed_pieces_per_s=50,
    sleeper_bytes=3_000_000,
    replayed_bytes=3_000_000,
    large_file_bytes=2_000_000,
    beside_file_bytes=2_000_000,
    beside_upload_writes=4,
    neighbour_sockets=4,
    neighbour_steps=4,
    small_files=6,
    small_file_bytes=1_000,
    file_clients=3,
    rules_rounds=1,
    rules_rows=3,
    rules_queries=2,
    rules_writes=4,
    job_rows=6_000,
    job_alone_s=0.05,
    job_limit_s=20,
    backup_bytes=200_000,
    backup_writes=4,
    hook_events=40,
    hook_writes=4,
    function_calls=3,
    function_clients=3,
    function_warm_s=0.1,
    function_others=2,
    function_beside_s=0.1,
    function_watchers=5,
    function_rows=20,
    function_commits=20,
    function_starts=1,
    function_jobs=2,
    function_steps=4,
    function_hostile=1,
    sdk_limit_s=60,
    sdk_rows=(5, 10),
    sdk_times=2,
    sdk_queries=3,
    sdk_shared_rows=4,
    sdk_rate=20,
    sdk_seconds=1,
    sdk_clients=3,
    sdk_crowd_rows=4,
    pyclient_limit_s=60,
    pyclient_rows=(5, 10),
    pyclient_times=2,
    pyclient_queries=3,
)
