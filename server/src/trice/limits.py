"""Every bound in the system: name with its unit, value, reason. No other file has such numbers.

The bounds of signing in and e-mail are in `auth_limits`.

It is one file because bounds are compared with each other: related ones are asserted below.
"""

from __future__ import annotations

# --- messages and sessions -------------------------------------------------------------------

MESSAGE_BYTES_MAX = 8 * 1024 * 1024
"""One message, or the body of an HTTP request if its route names no other bound (`api/bodies`).
Larger: `message-too-big`; a session goes on."""

FRAME_BYTES_MAX = MESSAGE_BYTES_MAX + 6 * 1024 * 1024
"""One WebSocket frame. If larger than a message, it is still read, for its event id, into a buffer
of 16 MiB, as a message needs. Larger: the socket closes with 1009 before the payload has come."""

MESSAGE_HEAD_BYTES = 64 * 1024
"""How much is kept of a message that is too big, to find its event id."""

MESSAGE_BYTES_ON_LOOP = 32 * 1024
"""Messages that are larger, once inflated, are inflated, weighed and decoded on a thread, one after
another, networks in turn; the session is not read meanwhile. Their transactions run on the writer's
thread. A message of this size takes 1 ms to decode, and 10 to check if it is the value of a
field."""

MESSAGE_WEIGHT_MAX = 1_150_000
"""What a message becomes when it is decoded, in units of 10 to 25 ns (`session/weigh`). 8 MiB of
steps as clients write them weigh 1,030,000. More: `message-too-big`."""

QUERY_WEIGHT_MAX = 250_000
"""The weight of a message with a query, which is parsed and repeated on the loop. The most values
that a statement can bind weigh 64,000. More: `message-too-big`."""

LONG_MESSAGES_MAX = 8
"""Messages larger than MESSAGE_BYTES_ON_LOOP that are decoded and not answered yet, 50 MB each at
worst. More wait, undecoded."""

LONG_MESSAGES_OF_NETWORK_MAX = 2
"""How many of those may come from one network."""

LONG_MESSAGES_BYTES_MAX = 256 * 1024 * 1024
LONG_MESSAGES_BYTES_OF_NETWORK_MAX = 64 * 1024 * 1024
"""Bytes, as they came, of such messages and bodies that wait to be read: all together, and of one
network. More: the socket closes with 1013, the request is answered 503."""

LONG_MESSAGE_RESTS = 3
"""After one was read, its network has no other read for this many times as long as that took."""

REFUSED_TOKENS_MAX = 4_096
"""Parts read of a message that the decoder refuses, to find its event id and where it broke."""

EXTENSION_FEATURES_MAX = 32
"""Features a client may ask for in `init`. More: `param-malformed`."""

ERROR_ECHO_BYTES_MAX = 64 * 1024
"""`original-event` of an error repeats the message up to this size; of larger ones only `op`,
`client-event-id` and `q`."""

ERROR_ECHO_QUERY_BYTES_MAX = 2 * 1024 * 1024
"""Size up to which that `q` is repeated, because the official clients know a failed query by its
`q` alone: 30,000 ids in `$in` are 1.2 MB. Larger: only `client-event-id` tells."""

OUTBOX_BYTES_MAX = 16 * 1024 * 1024
"""Bytes that may wait for one socket when a frame is added. More: the session is dropped."""

DEFLATE_BYTES_MIN = 512
"""Smaller frames are sent plain to clients that agreed on compression: the network packet they fill
in part costs the same. At 512 bytes deflating takes 6 µs and saves about half."""

DEFLATE_BYTES_MAX = 1024 * 1024
"""Larger frames are sent plain: deflating holds the loop, 3.7 ms for a frame of this size. The
deflated form that is kept of a shared frame is usually a seventh of it."""

RESULT_BYTES_MAX = 32 * 1024 * 1024
"""One answer, encoded. Larger: `parameter-limit-exceeded`; pages and `fields` make it smaller.
Joining the parts of an answer of this size takes 16 ms, in which nothing else runs."""

PONG_BACKLOG_BYTES_MAX = 128 * 1024
"""Bytes waiting for a socket above which pings are not answered one by one: only the latest is,
once the client reads. It is above the 64 KiB from which on transports report that."""

ERROR_MESSAGE_CHARS_MAX = 4_000
"""Text of an error, which may repeat what was sent. Longer: cut."""

OUTBOX_REFRESH_BYTES_MAX = 1024 * 1024
"""Above this backlog refreshes wait and are coalesced to the newest state of each query."""

BROADCAST_SENDS_A_TURN = 64
"""Sessions that are sent their news in one turn of the event loop (about 8 µs each). The others
wait for later turns, in which messages are handled and acknowledged first."""

BROADCAST_BYTES_A_TURN = 1024 * 1024
"""Bytes after which such a turn ends earlier, with the session that reached it."""

BROADCAST_SENDS_A_LANE = 8
"""How many of those sends go to one live query before another live query with news has its turn."""

BROADCAST_TURN_MS = 4
"""A turn goes on beyond those numbers for as long as all other work of the loop took since the last
turn, but no longer than this. So even with many writers, watchers get half of the time."""

FIRST_ANSWERS_A_TURN = 16
"""Queries that are run for their first answer in one turn of the event loop (about 0.3 ms each).
More wait, in order, while the loop sends the answers and handles other messages."""

FIRST_ANSWERS_TURN_MS = 4
"""If the queries are large, such a turn ends after this long."""

SESSION_QUERIES_MAX = 2_000
"""Live queries of one session. More: `parameter-limit-exceeded`."""

SESSION_QUERIES_BYTES_MAX = 16 * 1024 * 1024
"""The JSON of those queries, all together; it is kept twice. More: `parameter-limit-exceeded`."""

SESSION_TRANSACTS_MAX = 1_000
"""Unacknowledged transactions of one session. More: the socket is not read until some finish."""

SESSION_TRANSACTS_BYTES_MAX = 32 * 1024 * 1024
"""Size of those transactions, all together."""

SESSION_EARLY_MESSAGES_MAX = 1_000
"""Messages sent before `init-ok`, for which clients should wait. More: the socket closes."""

SESSION_EARLY_BYTES_MAX = 16 * 1024 * 1024
"""Size of those messages, all together."""

SESSION_TURN_BYTES = 32 * 1024
SESSION_TURN_OVERHEAD_BYTES = 128
"""Bytes of one session's messages that are handled in one turn of the event loop, each counted with
this overhead: some 170 short ones, 4 ms. More: the next turns; the socket is not read meanwhile."""

QUERIES_BYTES_MAX = 256 * 1024 * 1024
QUERIES_BYTES_OF_NETWORK_MAX = 64 * 1024 * 1024
"""Live queries of sessions as JSON, all together and of one network; in memory they are two to five
times as large. More: `parameter-limit-exceeded`."""

SESSION_QUERIES_FREE_BYTES = 16 * 1024
"""How much of each session is not counted there; the queries of one screen are a tenth of this."""

SESSION_OWED_BYTES_MAX = 4 * 1024 * 1024
SESSION_OWED_OVERHEAD_BYTES = 200
"""Event ids of add-query messages that wait for their answer, each counted with this overhead:
20,000 of one query that takes long. More: `parameter-limit-exceeded`."""

SOCKET_READ_BYTES = 32 * 1024
"""Bytes read of a WebSocket in one go: 5,500 frames at most, 5 ms. The rest waits in the system."""

SESSION_HELD_BYTES_MAX = 2 * FRAME_BYTES_MAX
"""Messages that had come already when a session stopped being read, each counted with
SESSION_HELD_OVERHEAD_BYTES. One read of a socket can hold this much. More: the socket closes."""

SESSION_HELD_OVERHEAD_BYTES = 64
"""What one such message takes beside its text."""

PING_INTERVAL_MS = 5_000
"""How often a WebSocket is pinged (instant-realtime §2.5)."""

IDLE_TIMEOUT_MS = 15_000
"""A socket is dropped if nothing, not even a pong, came from it for this long."""

SSE_RETRY_MS = 500
"""How long admin event streams tell clients to wait before they reconnect."""

INIT_TIMEOUT_MS = 10_000
"""A session that has not sent `init` for this long is dropped."""

HTTP_HEADER_BYTES_MAX = 256 * 1024
"""All headers of a request. `create-instant-app` sends a schema in one (instant-http §0.2)."""

HTTP_GRACE_MS = 20_000
"""How long the headers of a request may take, a body may take without the bytes below, and an
answer may wait to be read. Longer: 408, or the connection is cut. As Apache's mod_reqtimeout.
A WebSocket message in fragments may take the same time; then its socket closes with 1013."""

HTTP_BYTES_PER_SECOND_MIN = 500
"""So many bytes that come of a body, or are read of an answer, add one second to that time."""

HTTP_AHEAD_MS_MAX = 60_000
"""How much time may be added at any moment: a client that sent a gigabyte may not pause for days
before the end. A client that stops then is given HTTP_GRACE_MS more."""

HTTP_CHECK_MS = 1_000
"""How often the deadlines of HTTP connections are checked; 1 µs for each connection."""

HTTP_CONNECTIONS_MAX = 4_000
"""HTTP connections open at once, with event streams, without WebSockets. One more closes an idle
one. If none is idle, the new one is answered 503, but for /health."""

HTTP_CONNECTIONS_OF_NETWORK_MAX = 500
"""Those of one network, such as an office behind a router, with six for each browser. No bound
behind `--trusted-proxies`: all are the proxy's."""

HTTP_EXTRA_CONNECTIONS_MAX = 256
"""Connections beyond these bounds, each open until it was answered 503; a sixteenth of the
descriptors if that is less. More: the oldest is cut."""

HTTP_PIPELINED_MAX = 16
"""Requests sent ahead on one connection that wait for earlier answers, 3 kB each. More: 503."""

UNFINISHED_BYTES_MAX = 128 * 1024 * 1024
UNFINISHED_BYTES_OF_NETWORK_MAX = 32 * 1024 * 1024
"""Bytes in memory of requests that are not whole yet, all together and of one network; the same
again for WebSocket messages in fragments or parts. More: 503, or the socket closes with 1013."""

UNFINISHED_FREE_BYTES = 16 * 1024
"""How much of each is not counted, so that a small request gets through whatever others send."""

HTTP_UNREAD_BYTES_MAX = 256 * 1024 * 1024
HTTP_UNREAD_BYTES_OF_NETWORK_MAX = 128 * 1024 * 1024
"""Bytes of answers that clients have not read, all together and of one network. More: 503 in place
of a large answer, and answers in pieces wait."""

HTTP_UNREAD_FREE_BYTES = 64 * 1024
"""An answer, or a piece of one, of so many bytes is never refused for it."""

SESSIONS_MAX = 20_000
SESSIONS_OF_NETWORK_MAX = 15_000
"""Sessions open at once, 20 kB each: all together, and of one network. More: 503."""

STOP_GRACE_MS = 5_000
"""At shutdown, how long sessions and writes get to finish."""

CLOSE_GRACE_MS = 5_000
"""What was sent before a close may take this long to leave; then the connection is cut."""

SESSIONS_LEFT_MAX = 250
"""Ended sessions whose memory was not given back to the system yet, 5 MB; or as many as are open,
if that is more. More: it is given back when the sessions are checked next."""

# --- queries -----------------------------------------------------------------------------------

QUERY_DEPTH_MAX = 32
"""Forms inside each other, and links in one dotted path."""

QUERY_BYTES_MAX = 2 * 1024 * 1024
"""One `add-query` or `remove-query`, as JSON; a query with 30,000 ids has 1.2 MB. Larger:
`parameter-limit-exceeded`."""

QUERY_FORMS_MAX = 500
"""Forms in one query, all levels together. More: `supported-size?`."""

QUERY_CONDITIONS_MAX = 1_000
"""Conditions in one query, all forms together, lists included. More: `supported-size?`."""

QUERY_LINKS_MAX = 4_000
"""Links that the paths of all those conditions walk together. More: `supported-size?`."""

QUERY_IN_VALUES_MAX = 30_000
"""Values in all lists of one query: of `$in`, `fields` and aggregates. More: `supported-size?`."""

QUERY_COMPOSED_MAX = 40_000
"""Conditions and links in all statements of a query, those of rules included (10 µs each). More:
`parameter-limit-exceeded`."""

QUERY_STEPS_ON_LOOP = 30_000
"""Steps (`query.cost`) of checking a query for its caller's rights (about 2.5 ms); steps of reading
are not among them. More: a thread does all of it."""

QUERY_READ_BYTES_MAX = 128 * 1024 * 1024
"""Memory of the rows read for one answer. More: `parameter-limit-exceeded`; pages and `fields` make
it less."""

QUERY_BRANCHES_MAX = 256
"""Alternatives a `where` may expand to once negations over shared links are written out."""

QUERY_ROWS_MAX = 1_000_000
"""Entities in one answer, all levels together. More: `parameter-limit-exceeded`."""

QUERY_BRANCH_TESTS_MAX = 2_000
"""Tests in all those alternatives together. More of either: `parameter-limit-exceeded`."""

AGGREGATE_MEASURES_MAX = 50
"""Attrs that one aggregate sums, averages or compares. More: `supported-size?`."""

AGGREGATE_GROUPS_MAX = 10_000
"""Groups of one aggregate. More: `parameter-limit-exceeded`; a `where` makes them fewer."""

QUERY_BINDINGS_MAX = 32_000
"""Values bound in one statement; SQLite allows 32,766. More: `parameter-limit-exceeded`."""

QUERY_SQL_CHARS_MAX = 900_000
"""Length of one statement; SQLite allows 1,000,000. More: `parameter-limit-exceeded`."""

READ_STEPS_ON_LOOP = 60_000
"""SQLite instructions a read may take on the loop (about 5 ms); beyond, it moves to a thread."""

READ_TIMEOUT_MS = 5_000
"""How long a session's query may take (instant-realtime §14). Longer: `timeout`."""

ADMIN_READ_TIMEOUT_MS = 30_000
"""The same for the admin API."""

READER_THREADS = 2
"""Threads for long reads; more would only wait for the interpreter lock."""

THREAD_SWITCH_US = 500
"""How long a thread that wants to run Python waits for the thread that runs it. A COMMIT needs two
such waits beside a busy loop, and the loop needs one after each pause beside a long read. With
Python's default of 5,000, a broadcast delays an acknowledgement by 10 ms."""

READER_THREADS_OF_NETWORK = 1
"""How many of those one network may use at a time. Its other reads wait even if a thread is free,
so that the next caller need not wait for all of them."""

READS_WAITING_MAX = 1_000
"""Long reads of an app that wait for a thread. More: `overloaded` for the newest read of the
network that has most of them."""

READS_WAITING_OF_NETWORK_MAX = 500
"""Such reads of one network. More: `overloaded`."""

READ_WAIT_MS = 30_000
"""How long a read waits for its turn; its own time begins after that. Longer: `overloaded`."""

LIKE_PATTERN_CHARS_MAX = 4_000
"""A pattern of `$like` or `$ilike`. SQLite refuses 50,000 bytes; our translation may triple it."""

# --- transactions ------------------------------------------------------------------------------

TX_STEPS_MAX = 100_000
"""Steps in one transaction. More: `parameter-limit-exceeded` (instant-semantics §1.11)."""

TX_ATTR_STEPS_MAX = 1_000
"""Steps in one transaction that change attrs: each is a change of tables. More:
`parameter-limit-exceeded`."""

TX_STATEMENT_SHAPES_MAX = 256
"""Texts of inserts and updates remembered for each namespace. More: they are composed again."""

TX_LAYOUTS_MAX = 1_024
"""Namespaces, and links, whose texts a writer remembers. More: all are composed again."""

TX_LOOKUP_BATCH_MAX = 64
"""Lookups of one attr that one statement answers."""

ERROR_SAMPLES_MAX = 20
"""Entities that one error names. More are only counted."""

TX_CASCADE_MAX = 1_000_000
"""Entities that one delete may delete by cascade."""

TX_STEPS_ON_LOOP = 600
"""Low-level steps applied on the event loop (about 5 ms). More: on the writer's thread."""

TX_ADMIN_STEPS_ON_LOOP = 150
"""The same for the admin API, whose steps hold several values each."""

TX_GROUP_MAX = 500
"""Transactions that share one fsync. It bounds how long the loop works before it commits."""

COMMIT_ON_LOOP_MS = 0.5
"""If COMMITs took no longer, the next may run on the event loop (`store.sqlite.commit_place`)."""

COMMIT_ON_LOOP_BYTES = 128 * 1024
"""What such a transaction may write: old and new rows, with 1 KiB for each cell and pair."""

WRITE_AHEAD_PAGES = 8_000
"""Pages of 4 kB in the write-ahead log, from which on it is copied into the file. Random ids change
hundreds of pages in each group; a page that was written several times is copied once. That gives
20 % more writes/s than 1,000 pages do."""

WRITE_AHEAD_PAGES_MAX = 64_000
"""Past so many (256 MB) long reads wait until those under way have ended and it is copied."""

TX_QUEUE_MAX = 10_000
"""Transactions of an app waiting for the writer. More: `overloaded`."""

TX_LOG_ROWS_MAX = 1_000_000
"""Rows of the `tx` log kept (about 250 bytes each), however young they are."""

TX_LOG_DAYS = 7
"""How long rows of the log are kept, unless `--history-days` says otherwise."""

TX_LOG_TRIM_EVERY = 100
"""Commits between two trims of the log; a trim deletes at most twice as many rows (0.2 ms)."""

TX_LOG_SAME_BYTES_MAX = 2_048
"""Bytes of unchanged cells that the log repeats of a changed entity. Larger ones are left out: to
change a flag beside a document of megabytes must not write the document again."""

EVENT_IDS_KEPT = 32_000
"""Newest transactions of an app whose event ids are kept in memory (130 bytes each), to recognise
replays. They are read when the file is opened (30 ms)."""

INDEXED_VALUE_BYTES_MAX = 1_012
"""UTF-8 bytes of a string in an indexed or unique attr (1,024 as PostgreSQL jsonb, measured)."""

JSON_VALUE_DEPTH_MAX = 100
"""Levels of one stored value."""

TX_GROUP_WORK_MS = 8
"""A group takes no further transaction after this long on the event loop."""

STORE_BUSY_MS = 100
"""How long a write waits, and holds the loop, if another process has locked the file. Longer:
`overloaded`."""

# --- catalog -----------------------------------------------------------------------------------

ATTRS_PER_NAMESPACE_MAX = 900
"""Attrs of a namespace. Each takes at most two columns of its table; SQLite allows 2,000."""

VIEW_COLUMNS_MAX = 100
"""Attrs that the view of a namespace shows to people; later ones are in its table only. A new attr
makes the view anew (20 µs a column), and every connection parses it again (3 µs)."""

ATTRS_PER_APP_MAX = 20_000
"""Attrs of an app: all of them travel to every client in `init-ok`."""

SCHEMA_PARSED_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of the SQL that made all tables and indexes, times the columns that one transaction adds to
existing namespaces: SQLite parses all of it for each (20 to 90 ns a byte). More:
`parameter-limit-exceeded`. Columns of a new namespace are made with it and do not count."""

NAME_BYTES_MAX = 255
"""UTF-8 bytes of a namespace or label."""

INDEX_RENEWED_ROWS_MAX = 250_000
"""Rows read when a file is opened, to make indexes anew that an older version made with other
columns: a quarter of a second. Indexes of larger tables stay as they are."""

STATISTICS_CHANGES_MIN = 1_000
"""Changes of a table after which SQLite is told how its values are spread; any plan does for
fewer."""

STATISTICS_ENTRIES_MAX = 10_000
"""Entries of each index of a table of pairs that are read for that. If there are more, the spread
is guessed from these. No column is null there, and there is one index for each direction."""

STATISTICS_SAMPLE_ROWS = 12_000
"""Rows of a namespace that are read for that: all of them, or a sample. A value in fewer than one
of 4,000 rows is seldom in the sample, and counts as rare."""

STATISTICS_SAMPLE_ENTRIES_MAX = 200_000
"""Those rows times the indexes of the table; more indexes make the sample smaller."""

STATISTICS_RUN_ROWS = 6
"""Neighbouring rows that are read at each place of a sample. To read them from one page is cheaper
than from six, but rows written together are alike."""

STATISTICS_TABLES_AT_OPEN_MAX = 8
"""Tables with old statistics that are counted when a file is opened: up to 120 ms each. More wait
for the next write."""

# --- live --------------------------------------------------------------------------------------

LIVE_QUERIES_MAX = 100_000
"""Distinct live queries of an app (equal ones count once). More: `overloaded`."""

LIVE_RECENT_COMMITS = 1_000
"""Commits kept in memory, to check whether the answer of a slow run still holds. An answer older
than these is run again."""

LIVE_RESULTS_BYTES_MAX = 256 * 1024 * 1024
"""Encoded answers kept for each app, without the frames made of them. More: those used least
recently are dropped, and run again when needed."""

LIVE_DELTA_STEPS_MAX = 64
"""Earlier answers of a live query from which a delta can lead to the current one. A client that
holds an older one gets the full form."""

LIVE_DELTA_STEPS_BYTES_MAX = 256 * 1024
"""Size of the differences between those, or the size of the answer if that is more. They are kept
as whole entities, so a delta is smaller. More: the oldest are forgotten."""

LIVE_DELTA_BYTES_MAX = 64 * 1024 * 1024
"""What each app keeps for deltas: the pieces of current answers, the differences to earlier ones,
and frames made of both. More: queries used least recently lose theirs and go on in full."""

LIVE_PATCH_ROWS_MAX = 2_000
"""Rows and links of an answer that is kept to be patched. Larger ones are run again as a whole."""

LIVE_PATCH_CHANGES_A_MS = 100
"""Changes that an answer is patched for, a ms of its last run (10 µs each). More: run it again."""

LIVE_PATCH_CONDITIONS_MAX = 4_000
"""Conditions of a query, with their links, listed values and characters of patterns, that are
checked in memory against a commit. The answer of a larger query is run again as a whole."""

LIVE_TREE_WEIGHT = 3
"""Bytes that a kept answer counts in LIVE_RESULTS_BYTES_MAX for each byte of its JSON: its cells as
objects, its encoded entities, and the indexes over them."""

LIVE_PLAN_BYTES = 6_000
"""Bytes that its plan counts there."""

LIVE_SHAPES_MAX = 256
"""Plans of an app that are kept, those used last; queries that differ only in ids share one. Others
are made anew for each query."""

LIVE_GROWN_MAX = 256
"""Entries that patches may add to the read set of a query before it is made anew."""

LIVE_RECENT_CHANGES = 100_000
"""Rows and pairs that the commits of LIVE_RECENT_COMMITS changed. More: the oldest leave."""

LIVE_TOTALS_CHANGES_MAX = 5_000
"""Changed rows that wait to be counted into one live aggregate (1 µs each). More: it is run
again."""

LIVE_TOTALS_GROUPS_MAX = 1_000_000
"""Groups kept for the live aggregates of an app, all together (some 400 bytes each). More: those
used least recently are run again when needed."""

LIVE_TURN_MS = 4
"""A round of refreshes lets the event loop do other work after this long."""

ENTITY_CACHE_ROWS_MAX = 20_000
"""Encoded entities kept for each app; the oldest leave first."""

ENTITY_CACHE_BYTES_MAX = 16 * 1024 * 1024
"""The JSON of those entities, all together."""

# --- apps --------------------------------------------------------------------------------------

EPHEMERAL_APP_MS = 14 * 24 * 3600 * 1000
"""Life of a throw-away app (instant-http §5.6)."""

APP_SWEEP_INTERVAL_MS = 30_000
"""How often the server looks for databases that no caller uses, and for expired apps. An expired
app stops answering at once, not only then."""

APPS_OPEN_MAX = 500
"""App databases open at once, 0.6 MB each and more once used. More: those without connections
close. Those in use stay open, up to what descriptors allow."""

APP_IDLE_MS = 600_000
"""A database that was not used for this long is closed."""

EPHEMERAL_APP_IDLE_MS = 60_000
"""The same for a throw-away app."""

EPHEMERAL_APPS_IDLE_MAX = 32
"""Unused databases of throw-away apps that stay open. More: the one used least recently closes."""

EPHEMERAL_APPS_OPEN_MAX = 100
"""Databases of throw-away apps open at once, with those in use, 0.9 MB each with its thread.
Anybody can make such apps and stay connected. More: `overloaded`."""

APP_FILE_DESCRIPTORS = 12
"""Descriptors of one database: file and write-ahead log for the writer, short reads and
READER_THREADS; the index of that log; a temporary file each for writer and readers."""

DESCRIPTORS_WANTED = 65_536
"""Descriptors that a server asks the system for when it starts; it takes what it may have."""

DESCRIPTORS_FOR_APPS = 0.5
DESCRIPTORS_FOR_APPS_OF_MANY = 0.3
"""Share of the descriptors that databases may use: half, while that is less than APPS_OPEN_MAX of
them need, then less. The rest is for connections, so that clients can always connect. More:
`overloaded`."""

DESCRIPTORS_SPARE = 64
"""How many of the rest connections may not use: they are for the log, the registry and what the
start opened; a sixteenth if that is less. More connections: as beyond HTTP_CONNECTIONS_MAX."""

APP_ROWS_KEPT = 2_000
"""Rows of the registry kept decoded, with rules and settings: those used last."""

APP_ROWS_KEPT_BYTES_MAX = 16 * 1024 * 1024
"""The JSON of those rows; decoded it takes about five times as much."""

RULES_KEPT_BYTES_MAX = 1024 * 1024
"""JSON of the rules documents whose programs are kept until their app is opened again: those used
last. The programs take some fifty times as much."""

APP_FAILURES_TOLD_MAX = 1_000
"""Apps that cannot be opened, of which the server remembers that the log has said why."""

PLATFORM_CHECKED_BYTES_MAX = 16 * 1024 * 1024
"""Size up to which platform.db is read through at start, to find damage: 10 ms."""

PLATFORM_IMPORT_APPS = 100
"""Apps that one transaction takes over from the list of an earlier version, each with at most 256
KiB of rules. More: in the next transaction."""

APPS_EXPIRED_PER_SWEEP = 1_000
"""Throw-away apps that one sweep deletes. More: in the next sweep."""

EPHEMERAL_ROWS_MAX = 50_000
"""Entities and links of a throw-away app. More: `app-quota-exceeded`."""

EPHEMERAL_BYTES_MAX = 64 * 1024 * 1024
"""File of a throw-away app, with its log of transactions. More: `app-quota-exceeded`."""

EPHEMERAL_LOG_ROWS_KEPT = 1_000
"""Newest transactions that its log keeps once it takes more than half of that."""

EPHEMERAL_LOG_TRIM_ROWS = 20
"""Older ones that each transaction forgets then (10 µs)."""

EPHEMERAL_USERS_MAX = 200
"""Connections and requests that use a throw-away app at a time. More: `app-quota-exceeded`."""

assert HTTP_CONNECTIONS_OF_NETWORK_MAX < HTTP_CONNECTIONS_MAX
assert MESSAGE_BYTES_MAX < UNFINISHED_BYTES_OF_NETWORK_MAX < UNFINISHED_BYTES_MAX
assert RESULT_BYTES_MAX < HTTP_UNREAD_BYTES_OF_NETWORK_MAX < HTTP_UNREAD_BYTES_MAX
assert SESSIONS_OF_NETWORK_MAX < SESSIONS_MAX
assert 2 * QUERY_BINDINGS_MAX < QUERY_WEIGHT_MAX < MESSAGE_WEIGHT_MAX
assert MESSAGE_BYTES_ON_LOOP <= MESSAGE_HEAD_BYTES < MESSAGE_BYTES_MAX < FRAME_BYTES_MAX
assert PONG_BACKLOG_BYTES_MAX < OUTBOX_REFRESH_BYTES_MAX
assert ERROR_ECHO_QUERY_BYTES_MAX < OUTBOX_BYTES_MAX
assert LONG_MESSAGES_OF_NETWORK_MAX < LONG_MESSAGES_MAX
assert FRAME_BYTES_MAX < LONG_MESSAGES_BYTES_OF_NETWORK_MAX < LONG_MESSAGES_BYTES_MAX
assert OUTBOX_REFRESH_BYTES_MAX < OUTBOX_BYTES_MAX
assert MESSAGE_BYTES_MAX < OUTBOX_BYTES_MAX
assert BROADCAST_SENDS_A_LANE < BROADCAST_SENDS_A_TURN
assert PING_INTERVAL_MS * 2 < IDLE_TIMEOUT_MS
assert READ_TIMEOUT_MS < ADMIN_READ_TIMEOUT_MS
assert TX_STEPS_ON_LOOP < TX_STEPS_MAX
assert TX_GROUP_MAX <= TX_QUEUE_MAX
assert ATTRS_PER_NAMESPACE_MAX * 2 + 10 <= 2_000
assert QUERY_IN_VALUES_MAX < QUERY_BINDINGS_MAX
assert QUERY_BYTES_MAX < SESSION_QUERIES_BYTES_MAX
assert SESSION_QUERIES_BYTES_MAX < QUERIES_BYTES_OF_NETWORK_MAX < QUERIES_BYTES_MAX
assert READER_THREADS_OF_NETWORK < READER_THREADS
assert READS_WAITING_OF_NETWORK_MAX < READS_WAITING_MAX
assert EPHEMERAL_APPS_IDLE_MAX < EPHEMERAL_APPS_OPEN_MAX < APPS_OPEN_MAX
assert EPHEMERAL_APP_IDLE_MS <= APP_IDLE_MS
assert 4 + 2 * READER_THREADS + 1 + 1 + READER_THREADS <= APP_FILE_DESCRIPTORS
assert MESSAGE_BYTES_MAX < EPHEMERAL_BYTES_MAX
assert EPHEMERAL_LOG_ROWS_KEPT <= EVENT_IDS_KEPT

# --- rules -------------------------------------------------------------------------------------

RULES_EXPRESSIONS_MAX = 2_000
"""Expressions of one document, with those that namespaces take from `$default`; about 0.2 ms each
to compile. More: `validation-failed`."""

RULES_PARTS_MAX = 100_000
"""Parts of all these expressions together, with their binds counted at each use: 4 µs and 250 bytes
each to compile. More: `validation-failed`."""

RULES_BYTES_MAX = 256 * 1024
"""A rules document, as JSON; large apps have 20 kB. Larger: `validation-failed`."""

RULES_VALUES_MAX = 10_000
"""Values in a rules document, lists included, 64 bytes each once read. More:
`validation-failed`."""

RULES_SAVES_WAITING_MAX = 100
RULES_SAVES_WAITING_OF_NETWORK_MAX = 50
"""Documents that wait to be compiled or checked for warnings, all together and from one network;
half a second each at most, one at a time. More: `overloaded` for the newest document of the network
that has most of them."""

assert RULES_SAVES_WAITING_OF_NETWORK_MAX < RULES_SAVES_WAITING_MAX

RULES_WARNED_KEPT = 64
"""Documents whose latest warnings are kept, up to 50 kB each."""

RATE_LIMIT_CAPACITY_MAX = 1_000_000_000
"""Tokens in one bucket, and tokens refilled at once. More: `validation-failed`."""

RATE_LIMIT_PERIOD_MS_MIN = 1_000
RATE_LIMIT_PERIOD_MS_MAX = 24 * 3600 * 1000
"""How often a bucket refills (instant-semantics §5.6)."""

# --- expressions of rules (cel) ----------------------------------------------------------------

CEL_SOURCE_CHARS_MAX = 10_000
"""Text of one expression. Longer: it does not compile."""

CEL_NODES_MAX = 2_000
"""Parts of one expression, with its binds. More: it does not compile."""

CEL_DEPTH_MAX = 80
"""Levels of one expression, with its binds. Parsing takes five Python frames a level, of which the
interpreter allows 1,000. More: it does not compile."""

CEL_STEPS_MAX = 20_000
"""Steps of one evaluation: one for each part evaluated (0.1 to 0.2 µs), more for long values.
More: the evaluation fails, within 5 ms."""

CEL_STRING_CHARS_MAX = 1_000_000
"""Length of a string or byte string that an expression makes. Longer: the evaluation fails."""

CEL_LIST_ITEMS_MAX = 20_000
"""Items of a list that an expression makes. More: the evaluation fails."""

CEL_PATTERN_CHARS_MAX = 1_000
"""A regular expression for `matches`. Longer: refused."""

CEL_PATTERN_MEMORY_BYTES_MAX = 128 * 1024
"""Memory of a compiled regular expression, with its caches. More: refused."""

CEL_PATTERNS_KEPT = 256
"""Compiled regular expressions kept; the oldest leave first."""

CEL_PATTERN_STEPS = 5_000
"""Steps that it costs to compile a regular expression during an evaluation (up to 1 ms)."""

RATE_BUCKETS_MAX = 100_000
"""Buckets of rate limits that are kept, 200 bytes each. More: the owner with most buckets loses
those that are full, or will be full soonest."""

CEL_TRACE_NOTES_MAX = 10_000
"""Values of parts that a traced evaluation notes; in a loop one for each item. More: not shown."""

JUDGED_STEPS_ON_LOOP = 30_000
"""Steps of evaluations, plus ten for each row, that rules in Python may take in one read on the
loop (2,000 rows of a short rule, about 6 ms), or in one transaction. More: it moves to a thread.
`$ilike` counts with them where SQLite cannot do it alone."""

RULE_REF_VALUES_MAX = 20_000
"""Values that one `data.ref` or `auth.ref` may find. More: the evaluation fails."""

RULE_REF_STEPS = 300
"""Steps of an evaluation that each statement of a `ref` costs (about 40 µs)."""

RULE_MEMO_MAX = 10_000
"""Entities, references and judgements kept while one state is judged. More: they are read again."""

RULE_FACTS_KEPT = 1_000
"""Programs whose analysis is kept (a few kB each). More: those used least recently leave."""

RULE_DEMANDS_KEPT = 1_000
"""Kinds of writes whose demands on rules an app remembers. More: all are made anew."""

RULE_CONDITIONS_MAX = 200
"""Conditions that a rule may become in SQL. More: its rows are judged in Python."""

RULE_IN_VALUES_MAX = 500
"""Values of one `in` among those; ids are bound as one list and may be `RULE_REF_VALUES_MAX`."""

DEBUG_CHECKS_MAX = 1_000
"""Checks of rules that one debugging query or transaction explains: 0.3 ms and a few kB each. More:
`parameter-limit-exceeded`."""

RULE_WARNINGS_MAX = 50
"""Warnings about a rules document that are told. More: only that there are more."""

RULE_WARNING_CHARS_MAX = 500
"""Text of one warning, which repeats names of the document. Longer: cut."""

RULE_WARNING_STEPS = 200_000
"""Parts of expressions that are checked for warnings, about 1 µs each, on a thread. More: a warning
says that the rest was not checked."""

RULE_CASES_MAX = 5_000
"""Cases in one file of `trice test-rules`, a few ms each. More: refused."""

# --- what strangers may cost -------------------------------------------------------------------

HINT_BYTES_MAX = 16 * 1024
"""A value in the `hint` of an error, as JSON. Larger: left out."""

EPHEMERAL_APPS_OF_NETWORK_PER_HOUR = 1_000
"""Throw-away apps made from one network, 0.3 MB of disk each; test suites make hundreds. More:
`rate-limited`."""

EPHEMERAL_ATTRS_A_TOKEN = 50
"""Such an app counts as one more for each 50 attrs of its schema; an indexed attr takes 7 kB."""

APP_TITLE_CHARS_MAX = 200
"""Title of an app, which stands in the subject of e-mails. Longer: `param-malformed`."""

IPV6_SITE_FACTOR = 16
"""A limit for a network is, with IPv6, for a prefix of 64 bits. This many times the limit is for a
prefix of 48 bits: one customer may have 65,536 networks of 64 bits."""

RULE_SCOPES_KEPT = 1_000
"""View rules kept as conditions, by rule and caller, about 1 kB each. More: all are forgotten."""

# --- background work -----------------------------------------------------------------------------

BACKGROUND_WAIT_MS_MAX = 300_000
"""Longest wait between runs of periodic work that keeps failing. The wait begins with the interval
of the work, which may be longer, and doubles."""

# --- what is written down ------------------------------------------------------------------------

LOG_REPEAT_MS = 60_000
"""How often the log says again that connections are being refused."""

LAG_PROBE_MS = 100
"""How often the server measures how late the event loop is; a stall this long is always seen."""

LAG_MINUTE_MS = 60_000
"""The period whose lag /health/load tells."""

METRICS_APPS_MAX = 10
"""Apps that /metrics names: the busiest. Each is a series of its own where metrics are stored."""

METRICS_TOKEN_CHARS_MIN = 16
"""Length of `--metrics-token`. Shorter: refused at the start."""

SLOW_LINES_MAX = 60
SLOW_LINES_PER_APP_MAX = 20
"""Lines about slow queries and transactions in a minute: of all apps, and of one. More are counted,
and the next line tells the number."""

SLOW_PARTS_MAX = 20
"""Levels of a query, and steps of SQLite's plan, that one such line names."""

LOG_VALUE_CHARS_MAX = 10_000
"""One value in a log line. Longer: cut; an e-mail that is only logged is shorter."""
