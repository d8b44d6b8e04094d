"""Every bound in the system: name with its unit, value, reason. Nothing else invents a number.

Those of signing in and e-mail are in `auth_limits`.

It is one file because bounds are compared with each other: what happens at each is said beside it,
and related ones are asserted against each other below.
"""

from __future__ import annotations

# --- messages and sessions -------------------------------------------------------------------

MESSAGE_BYTES_MAX = 8 * 1024 * 1024
"""One message, or the body of an HTTP request whose route says no other bound (`api/bodies`).
Larger: `message-too-big`; a session goes on."""

FRAME_BYTES_MAX = MESSAGE_BYTES_MAX + 6 * 1024 * 1024
"""One WebSocket frame. Between a message and this it is read, for its event id, into a buffer of 16
MiB as a message needs it too. Larger: the socket closes with 1009 before its payload has come."""

MESSAGE_HEAD_BYTES = 64 * 1024
"""Kept of a message that is too big, to find whose it was."""

MESSAGE_BYTES_ON_LOOP = 32 * 1024
"""Messages that are larger, once inflated, are inflated, weighed and decoded on a thread, one after
another, networks in turn; the session is not read meanwhile. Their transactions run on the writer's
thread. On the loop as much takes 1 ms to decode, and 10 to check as one document of a field."""

MESSAGE_WEIGHT_MAX = 1_150_000
"""What a message becomes when it is decoded, in units of 10 to 25 ns (`session/weigh`). 8 MiB of
steps as clients write them weigh 1,030,000. More: `message-too-big`."""

QUERY_WEIGHT_MAX = 250_000
"""The same of a message with a query, which is parsed and repeated on the loop. As many values as a
statement can bind weigh 64,000. More: `message-too-big`."""

LONG_MESSAGES_MAX = 8
"""Messages larger than MESSAGE_BYTES_ON_LOOP decoded and not answered yet, 50 MB each at worst.
More wait, undecoded."""

LONG_MESSAGES_OF_NETWORK_MAX = 2
"""Of those, as many come from one network address."""

LONG_MESSAGES_BYTES_MAX = 256 * 1024 * 1024
LONG_MESSAGES_BYTES_OF_NETWORK_MAX = 64 * 1024 * 1024
"""Bytes of such messages and bodies that wait to be read, as they came, all together and of one
network address. More: the socket closes with 1013, the request is answered 503."""

LONG_MESSAGE_RESTS = 3
"""Times as long as reading one took, its network address has no other read."""

REFUSED_TOKENS_MAX = 4_096
"""Parts read of a message that the decoder refuses, to find whose it was and where it broke."""

EXTENSION_FEATURES_MAX = 32
"""Features a client may ask for in `init`. More: `param-malformed`."""

ERROR_ECHO_BYTES_MAX = 64 * 1024
"""`original-event` of an error repeats the message up to this size; of larger ones only `op`,
`client-event-id` and `q`."""

ERROR_ECHO_QUERY_BYTES_MAX = 2 * 1024 * 1024
"""Of which `q` is repeated up to this size, because the official clients know a failed query by its
`q` alone: 30,000 ids in `$in` are 1.2 MB. Larger: `client-event-id` has to do."""

OUTBOX_BYTES_MAX = 16 * 1024 * 1024
"""Bytes waiting for one socket before a frame is added. Fuller: the session is dropped."""

DEFLATE_BYTES_MIN = 512
"""Smaller frames are sent plain to those who agreed on compression: the network packet they fill
in part costs the same. At 512 bytes deflating takes 6 µs and saves about half."""

DEFLATE_BYTES_MAX = 1024 * 1024
"""Larger frames are sent plain: deflating holds the loop, 3.7 ms for as much as this. What is kept
of shared ones is smaller than they are, a seventh as a rule."""

RESULT_BYTES_MAX = 32 * 1024 * 1024
"""One answer, encoded. Larger: `parameter-limit-exceeded`; pages and `fields` make it smaller. To
join the parts of one as large takes 16 ms, in which nothing else runs."""

PONG_BACKLOG_BYTES_MAX = 128 * 1024
"""Bytes waiting for a socket above which pings are not answered one by one: the latest is, once
the client reads. More than the 64 KiB from which transports tell when that is."""

ERROR_MESSAGE_CHARS_MAX = 4_000
"""Text of an error, which may name what was sent. Longer ones are cut."""

OUTBOX_REFRESH_BYTES_MAX = 1024 * 1024
"""Above this backlog refreshes wait and are coalesced to the newest state of each query."""

BROADCAST_SENDS_A_TURN = 64
"""Sessions sent their news in one turn of the event loop (about 8 µs each). The others wait for
the next ones, in which messages are handled and acknowledged first."""

BROADCAST_BYTES_A_TURN = 1024 * 1024
"""Bytes after which such a turn ends earlier, with the session that reached it."""

BROADCAST_SENDS_A_LANE = 8
"""Of those sends, as many go to one live query before others that have news get theirs."""

BROADCAST_TURN_MS = 4
"""A turn goes on beyond those numbers for as long as everything else of the loop took since the
last one, but no longer than this: under many writers, who listens gets half of the time."""

FIRST_ANSWERS_A_TURN = 16
"""Queries run for their first answer in one turn of the event loop (about 0.3 ms each). More wait,
in order, while the loop sends what was found and handles other messages."""

FIRST_ANSWERS_TURN_MS = 4
"""Such a turn ends earlier after this long, when the queries are large."""

SESSION_QUERIES_MAX = 2_000
"""Live queries of one session. More: `parameter-limit-exceeded`."""

SESSION_QUERIES_BYTES_MAX = 16 * 1024 * 1024
"""Their JSON, all together; it is kept twice. More: `parameter-limit-exceeded`."""

SESSION_TRANSACTS_MAX = 1_000
"""Unacknowledged transactions of one session. More: the socket is not read until some finish."""

SESSION_TRANSACTS_BYTES_MAX = 32 * 1024 * 1024
"""The same transactions, all together."""

SESSION_EARLY_MESSAGES_MAX = 1_000
"""Messages sent before `init-ok`. Clients wait for it; more closes the socket."""

SESSION_EARLY_BYTES_MAX = 16 * 1024 * 1024
"""The same messages, all together."""

SESSION_TURN_BYTES = 32 * 1024
SESSION_TURN_OVERHEAD_BYTES = 128
"""Messages of one session that are handled in one turn of the event loop, each with this much more:
some 170 short ones, 4 ms. The others wait for the next turns, and the socket is not read."""

QUERIES_BYTES_MAX = 256 * 1024 * 1024
QUERIES_BYTES_OF_NETWORK_MAX = 64 * 1024 * 1024
"""The live queries of all sessions as JSON, all together and of one network address; in memory they
are two to five times as large. More: `parameter-limit-exceeded`."""

SESSION_QUERIES_FREE_BYTES = 16 * 1024
"""As much of each session is not counted there: a screen of an app asks a tenth of it."""

SESSION_OWED_BYTES_MAX = 4 * 1024 * 1024
SESSION_OWED_OVERHEAD_BYTES = 200
"""Event ids of add-query messages that wait for their answer, each with this much more: 20,000 of
one query that takes long. More: `parameter-limit-exceeded`."""

SOCKET_READ_BYTES = 32 * 1024
"""Read of a WebSocket in one go: 5,500 frames at most, 5 ms. The rest waits in the system."""

SESSION_HELD_BYTES_MAX = 2 * FRAME_BYTES_MAX
"""Messages that had come already when a session stopped being read, each counted with
SESSION_HELD_OVERHEAD_BYTES: what one read of a socket can hold. More closes the socket."""

SESSION_HELD_OVERHEAD_BYTES = 64
"""What one of them takes beside its text."""

PING_INTERVAL_MS = 5_000
"""A WebSocket ping this often (instant-realtime §2.5)."""

IDLE_TIMEOUT_MS = 15_000
"""A socket from which nothing came for this long, pongs included, is dropped."""

SSE_RETRY_MS = 500
"""What admin event streams tell clients to wait before reconnecting."""

INIT_TIMEOUT_MS = 10_000
"""A session that has not sent `init` by then is dropped."""

HTTP_HEADER_BYTES_MAX = 256 * 1024
"""All headers of a request. `create-instant-app` sends a schema in one (instant-http §0.2)."""

HTTP_GRACE_MS = 20_000
"""How long the headers of a request may take, a body may take without the bytes below, and an
answer may wait to be read. Longer: 408, or the connection is cut. As Apache's mod_reqtimeout.
A WebSocket message in fragments may take as long; then its socket closes with 1013."""

HTTP_BYTES_PER_SECOND_MIN = 500
"""What comes of a body, or is read of an answer, prolongs that time by this measure."""

HTTP_AHEAD_MS_MAX = 60_000
"""By as much at most at any moment: who sent a gigabyte may not rest for days before its end. Who
stops then is given HTTP_GRACE_MS more."""

HTTP_CHECK_MS = 1_000
"""How often deadlines of HTTP connections are looked at; 1 µs for each connection."""

HTTP_CONNECTIONS_MAX = 4_000
"""HTTP connections open at once, event streams included, WebSockets not. One more closes an idle
one; if none is idle, it is answered 503 but for /health."""

HTTP_CONNECTIONS_OF_NETWORK_MAX = 500
"""Those of one network address, an office behind a router with six for each browser. Not behind
`--trusted-proxies`: the proxy has them all."""

HTTP_EXTRA_CONNECTIONS_MAX = 256
"""Connections beyond these bounds, each until it is told so; a sixteenth of the descriptors if that
is less. More: the oldest is cut."""

HTTP_PIPELINED_MAX = 16
"""Requests sent ahead on one connection that wait for earlier answers, 3 kB each. More: 503."""

UNFINISHED_BYTES_MAX = 128 * 1024 * 1024
UNFINISHED_BYTES_OF_NETWORK_MAX = 32 * 1024 * 1024
"""Bytes in memory of requests that are not whole yet, all together and of one network address; and
as many of WebSocket messages in fragments or parts. More: 503, or the socket closes with 1013."""

UNFINISHED_FREE_BYTES = 16 * 1024
"""As much of each is not counted: whatever others send, a small request gets through."""

HTTP_UNREAD_BYTES_MAX = 256 * 1024 * 1024
HTTP_UNREAD_BYTES_OF_NETWORK_MAX = 128 * 1024 * 1024
"""Bytes of answers that clients have not read, all together and of one network address. A large
answer beyond: 503 in its place."""

HTTP_UNREAD_FREE_BYTES = 64 * 1024
"""As much of each is not counted."""

SESSIONS_MAX = 20_000
SESSIONS_OF_NETWORK_MAX = 15_000
"""Sessions open at once, 20 kB each, and those of one network address. More: 503."""

STOP_GRACE_MS = 5_000
"""At shutdown, how long sessions and writes get to finish."""

CLOSE_GRACE_MS = 5_000
"""What was sent before a close may take this long to leave; then the connection is cut."""

SESSIONS_LEFT_MAX = 250
"""Sessions that ended and whose memory was not given back to the system yet, 5 MB; as many as are
open if those are more. Then it is, at the next look at the sessions."""

# --- queries -----------------------------------------------------------------------------------

QUERY_DEPTH_MAX = 32
"""Nested forms, and links in one dotted path."""

QUERY_BYTES_MAX = 2 * 1024 * 1024
"""One `add-query` or `remove-query`, as JSON: 30,000 ids and what stands around them have 1.2 MB.
Larger: `parameter-limit-exceeded`."""

QUERY_FORMS_MAX = 500
"""Forms in one query, all levels together. More: `supported-size?`."""

QUERY_CONDITIONS_MAX = 1_000
"""Conditions in one query, all forms together, lists included. More: `supported-size?`."""

QUERY_LINKS_MAX = 4_000
"""Links walked by the paths of all those conditions together. More: `supported-size?`."""

QUERY_IN_VALUES_MAX = 30_000
"""Values in all lists of one query: of `$in`, `fields` and aggregates. More: `supported-size?`."""

QUERY_COMPOSED_MAX = 40_000
"""Conditions and links in all statements of a query, those of rules included (10 µs each). More:
`parameter-limit-exceeded`."""

QUERY_STEPS_ON_LOOP = 30_000
"""Steps (`query.cost`) of checking a query for its caller's rights (about 2.5 ms), besides those
of reading. Beyond, all of it is left to a thread."""

QUERY_READ_BYTES_MAX = 128 * 1024 * 1024
"""What the rows read for one answer take in memory. More: `parameter-limit-exceeded`; pages and
`fields` make it less."""

QUERY_BRANCHES_MAX = 256
"""Alternatives a `where` may expand to once negations over shared links are written out."""

QUERY_ROWS_MAX = 1_000_000
"""Entities in one answer, all levels together. More: `parameter-limit-exceeded`."""

QUERY_BRANCH_TESTS_MAX = 2_000
"""Tests in all those alternatives together. More of either: `parameter-limit-exceeded`."""

AGGREGATE_MEASURES_MAX = 50
"""Attributes that one aggregate sums, averages or compares. More: `supported-size?`."""

AGGREGATE_GROUPS_MAX = 10_000
"""Groups of one aggregate. More: `parameter-limit-exceeded`; a `where` makes them fewer."""

QUERY_BINDINGS_MAX = 32_000
"""Values bound in one statement; SQLite allows 32,766. More: `parameter-limit-exceeded`."""

QUERY_SQL_CHARS_MAX = 900_000
"""Length of one statement; SQLite allows 1,000,000. More: `parameter-limit-exceeded`."""

READ_STEPS_ON_LOOP = 60_000
"""SQLite instructions a read may take on the loop (about 5 ms); beyond, it moves to a thread."""

READ_TIMEOUT_MS = 5_000
"""A session's query may take this long (instant-realtime §14); then `timeout`."""

ADMIN_READ_TIMEOUT_MS = 30_000
"""The same for the admin API."""

READER_THREADS = 2
"""Threads for long reads; more only fight over the interpreter lock."""

THREAD_SWITCH_US = 500
"""How long a thread that wants to run Python waits for another that runs it. A COMMIT needs two
such turns beside the busy loop, and the loop one after each pause beside a long read; at Python's
own 5,000 a broadcast delays an acknowledgement by 10 ms."""

READER_THREADS_OF_NETWORK = 1
"""Of those, how many one network may have at a time. More of its reads wait, although one is free:
whoever comes next would wait for all of them."""

READS_WAITING_MAX = 1_000
"""Long reads of an app waiting for a thread. More: `overloaded`, for the newest one of the network
that has most of them."""

READS_WAITING_OF_NETWORK_MAX = 500
"""Those of one network. More: `overloaded`."""

READ_WAIT_MS = 30_000
"""How long a read waits for its turn, which is no part of its own time. Longer: `overloaded`."""

LIKE_PATTERN_CHARS_MAX = 4_000
"""Of `$like` and `$ilike`; SQLite refuses 50,000 bytes, and our translation may triple them."""

# --- transactions ------------------------------------------------------------------------------

TX_STEPS_MAX = 100_000
"""Steps in one transaction. More: `parameter-limit-exceeded` (instant-semantics §1.11)."""

TX_ATTR_STEPS_MAX = 1_000
"""Steps in one transaction that change attrs: each is a change of tables. More:
`parameter-limit-exceeded`."""

TX_STATEMENT_SHAPES_MAX = 256
"""Texts of inserts and updates remembered per namespace; beyond, they are composed again."""

TX_LAYOUTS_MAX = 1_024
"""Namespaces, and links, whose texts a writer remembers; beyond, all are composed again."""

TX_LOOKUP_BATCH_MAX = 64
"""Lookups of one attr that one statement answers."""

ERROR_SAMPLES_MAX = 20
"""Entities one error names; the rest is only counted."""

TX_CASCADE_MAX = 1_000_000
"""Entities one delete may take along."""

TX_STEPS_ON_LOOP = 600
"""Low-level steps applied on the event loop (about 5 ms); more run on the writer's thread."""

TX_ADMIN_STEPS_ON_LOOP = 150
"""The same for the admin API, whose steps hold several values each."""

TX_GROUP_MAX = 500
"""Transactions that share one fsync. Bounds how long the loop works before it commits."""

COMMIT_ON_LOOP_MS = 0.5
"""COMMITs that took no longer may run on the event loop (`store.sqlite.commit_place`)."""

COMMITS_MEASURED = 32
"""So many in a row must have been as short before the first does."""

WRITE_AHEAD_PAGES = 8_000
"""Pages of 4 kB in the write-ahead log from which on it is copied into the file. Random ids dirty
hundreds of pages a group; pages written again meanwhile are copied once: 20 % more writes/s than
with 1,000."""

TX_QUEUE_MAX = 10_000
"""Transactions of an app waiting for the writer. More: `overloaded`."""

TX_LOG_ROWS_MAX = 1_000_000
"""Rows of the `tx` log kept (about 250 bytes each), however young they are."""

TX_LOG_DAYS = 7
"""How long rows of the log are kept, unless `--history-days` says otherwise."""

TX_LOG_TRIM_EVERY = 100
"""Commits between two trims of the log; each takes twice as many rows at most (0.2 ms)."""

TX_LOG_SAME_BYTES_MAX = 2_048
"""Bytes of cells that stayed the same which the log repeats of a changed entity. Larger ones are
left out: who changes a flag beside a document of megabytes shall not write it again."""

EVENT_IDS_KEPT = 32_000
"""Newest transactions of an app whose event ids are in memory (130 bytes each), by which replays
are recognised; read when the file is opened (30 ms for so many)."""

INDEXED_VALUE_BYTES_MAX = 1_012
"""UTF-8 bytes of a string in an indexed or unique attr (1,024 as PostgreSQL jsonb, measured)."""

JSON_VALUE_DEPTH_MAX = 100
"""Nesting of one stored value."""

TX_GROUP_WORK_MS = 8
"""A group takes no further transaction after this long on the event loop."""

STORE_BUSY_MS = 100
"""How long a write waits, holding the loop, for another process that has the file locked; then
`overloaded`."""

# --- catalog -----------------------------------------------------------------------------------

ATTRS_PER_NAMESPACE_MAX = 900
"""Columns of a namespace's table: two per attr at most, SQLite allows 2,000."""

VIEW_COLUMNS_MAX = 100
"""Attrs that the view of a namespace shows to people; those made later are in its table only. A
new attr makes the view anew (20 µs a column), and every connection parses it again (3 µs)."""

ATTRS_PER_APP_MAX = 20_000
"""All attrs travel to every client in `init-ok`."""

SCHEMA_PARSED_BYTES_MAX = 16 * 1024 * 1024
"""How tables and indexes are made, as SQL, times the columns one transaction adds to a namespace
that exists: SQLite parses all of it with each (20 to 90 ns a byte). More:
`parameter-limit-exceeded`. A new namespace gets its columns at once and is not concerned."""

NAME_BYTES_MAX = 255
"""UTF-8 bytes of a namespace or label."""

INDEX_RENEWED_ROWS_MAX = 250_000
"""Rows read, when a file is opened, to make indexes anew that an older version made with other
columns: a quarter of a second. Those of larger tables stay as they are."""

STATISTICS_CHANGES_MIN = 1_000
"""Changes of a table before SQLite is told how its values are spread; any plan does for fewer."""

STATISTICS_ENTRIES_MAX = 10_000
"""Entries of each index of a table of pairs that are read for that; beyond, the spread is guessed
from so many. Nothing is null there, and there is one index for each way to walk."""

STATISTICS_SAMPLE_ROWS = 12_000
"""Rows of a namespace that are read for that: all of them, or a sample. A value in fewer than one
of 4,000 rows is seldom in it, and counts as rare."""

STATISTICS_SAMPLE_ENTRIES_MAX = 200_000
"""Those rows times the indexes of the table; more indexes make the sample smaller."""

STATISTICS_RUN_ROWS = 6
"""Neighbours that are read at each place of a sample: one page is cheaper than six, but rows
written together are alike."""

STATISTICS_TABLES_AT_OPEN_MAX = 8
"""Tables counted when a file is opened, where their figures are old: up to 120 ms each. More wait
for the next write."""

# --- live --------------------------------------------------------------------------------------

LIVE_QUERIES_MAX = 100_000
"""Distinct live queries of an app (equal ones count once). More: `overloaded`."""

LIVE_RECENT_COMMITS = 1_000
"""Commits kept in memory to hold against answers of slow runs; older means: run again."""

LIVE_RESULTS_BYTES_MAX = 256 * 1024 * 1024
"""Encoded answers kept per app, without the frames made of them. More: those used least recently
are dropped, and run again when needed."""

LIVE_DELTA_STEPS_MAX = 64
"""Earlier answers of a live query from which a delta can lead to the current one. Whoever holds an
older one gets the full form."""

LIVE_DELTA_STEPS_BYTES_MAX = 256 * 1024
"""Their differences may hold as much, or as much as the answer if that is more: each is kept as
whole entities, which a delta is smaller than. More: the oldest are forgotten."""

LIVE_DELTA_BYTES_MAX = 64 * 1024 * 1024
"""Kept per app for deltas: the pieces of the current answers, the differences to earlier ones, and
frames made of both. More: queries used least recently lose theirs and go on in full."""

LIVE_PATCH_ROWS_MAX = 2_000
"""Rows and links of an answer that is kept to be patched. Larger ones are run again as a whole."""

LIVE_PATCH_CONDITIONS_MAX = 4_000
"""Conditions of a query, with their links, listed values and characters of patterns, that are asked
in memory what a commit changes. Answers to larger ones are run again as a whole."""

LIVE_TREE_WEIGHT = 3
"""How many bytes a kept answer counts per byte of its JSON, in LIVE_RESULTS_BYTES_MAX: its cells
as objects, its encoded entities, and what finds them."""

LIVE_PLAN_BYTES = 6_000
"""What its plan counts there."""

LIVE_SHAPES_MAX = 256
"""Plans of an app that queries share which differ in ids only, those used last. Others are planned
anew for each query."""

LIVE_GROWN_MAX = 256
"""What patches add to the read set of a query before it is listed anew, without what has left."""

LIVE_RECENT_CHANGES = 100_000
"""Rows and pairs those commits may have changed, all together; the oldest commits leave first."""

LIVE_TOTALS_CHANGES_MAX = 5_000
"""Changed rows that wait to be counted into one live aggregate (about 1 µs each). More: its
statement is run again."""

LIVE_TOTALS_GROUPS_MAX = 1_000_000
"""Groups kept for the live aggregates of an app, all together (some 400 bytes each). More: those
used least recently are run again when needed."""

LIVE_TURN_MS = 4
"""A round of refreshes lets the event loop breathe after this long."""

ENTITY_CACHE_ROWS_MAX = 20_000
"""Encoded entities kept per app; the oldest leave first."""

ENTITY_CACHE_BYTES_MAX = 16 * 1024 * 1024
"""Their JSON, all together."""

# --- apps --------------------------------------------------------------------------------------

EPHEMERAL_APP_MS = 14 * 24 * 3600 * 1000
"""Life of a throw-away app (instant-http §5.6)."""

APP_SWEEP_INTERVAL_MS = 30_000
"""How often databases are looked for that nobody uses, and expired apps; these stop answering at
once."""

APPS_OPEN_MAX = 500
"""App databases open at once, 0.6 MB each and more once used; those that nobody is connected to
close first. Those in use stay, up to what descriptors allow."""

APP_IDLE_MS = 600_000
"""A database that nobody has used for this long is closed."""

EPHEMERAL_APP_IDLE_MS = 60_000
"""The same of a throw-away app."""

EPHEMERAL_APPS_IDLE_MAX = 32
"""Databases of throw-away apps that stay open although nobody uses them. More: the one used least
recently closes."""

EPHEMERAL_APPS_OPEN_MAX = 100
"""Databases of throw-away apps open at once, those in use included, 0.9 MB each with its thread:
anybody can make them and stay connected. More: `overloaded`."""

APP_FILE_DESCRIPTORS = 12
"""Descriptors of one database: file and log for writer, short reads and READER_THREADS, the index
of the log, a temporary file each for writer and readers."""

DESCRIPTORS_WANTED = 65_536
"""Descriptors that a server asks the system for when it starts; it takes what it may have."""

DESCRIPTORS_FOR_APPS = 0.5
DESCRIPTORS_FOR_APPS_OF_MANY = 0.3
"""Share of them that databases may use: half while that is less than APPS_OPEN_MAX of them need,
then less. The rest is for connections, so that the server can always be spoken to. Beyond:
`overloaded`."""

DESCRIPTORS_SPARE = 64
"""Of the rest, those kept from connections for the log, the registry and what starting opened; a
sixteenth if that is less. Connections beyond: as beyond HTTP_CONNECTIONS_MAX."""

APP_ROWS_KEPT = 2_000
"""Rows of the registry kept decoded, with rules and settings; those used last."""

APP_ROWS_KEPT_BYTES_MAX = 16 * 1024 * 1024
"""Their JSON; decoded it takes about five times as much."""

RULES_KEPT_BYTES_MAX = 1024 * 1024
"""JSON of the rules documents whose programs are kept for when their app is opened again; those
used last. The programs take some fifty times as much."""

APP_FAILURES_TOLD_MAX = 1_000
"""Apps of which it is remembered that the log has said why they cannot be opened."""

PLATFORM_CHECKED_BYTES_MAX = 16 * 1024 * 1024
"""A platform.db that is read through at start, to find damage: 10 ms for so much. Larger ones are
not."""

PLATFORM_IMPORT_APPS = 100
"""Apps taken over in one transaction from a list of an earlier version, with 256 KiB of rules each
at most. The others follow in the next."""

APPS_EXPIRED_PER_SWEEP = 1_000
"""Throw-away apps that are deleted in one sweep. More: in the next."""

EPHEMERAL_ROWS_MAX = 50_000
"""Entities and links of a throw-away app. More: `app-quota-exceeded`."""

EPHEMERAL_BYTES_MAX = 64 * 1024 * 1024
"""Its file, the log of transactions included. More: `app-quota-exceeded`."""

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

# --- rules -------------------------------------------------------------------------------------

RULES_EXPRESSIONS_MAX = 2_000
"""Expressions of one document, those a namespace takes from `$default` included; about 0.2 ms
each to compile. More: `validation-failed`."""

RULES_PARTS_MAX = 100_000
"""Parts of all these expressions together, their binds counted at each use: 4 µs and 250 bytes each
to compile. More: `validation-failed`."""

RULES_BYTES_MAX = 256 * 1024
"""A rules document, as JSON; large apps have 20 kB. Larger: `validation-failed`."""

RULES_VALUES_MAX = 10_000
"""Objects, lists and other values in it, 64 bytes each once read. More: `validation-failed`."""

RULES_SAVES_WAITING_MAX = 100
RULES_SAVES_WAITING_OF_NETWORK_MAX = 50
"""Documents waiting to be compiled, or looked at for warnings, all together and from one network;
half a second each at most, one at a time. More: `overloaded`, for the newest one of the network
that has most of them."""

assert RULES_SAVES_WAITING_OF_NETWORK_MAX < RULES_SAVES_WAITING_MAX

RULES_WARNED_KEPT = 64
"""Documents of which the warnings are kept that were told last, up to 50 kB each."""

RATE_LIMIT_CAPACITY_MAX = 1_000_000_000
"""Tokens in one bucket, and tokens refilled at once. More: `validation-failed`."""

RATE_LIMIT_PERIOD_MS_MIN = 1_000
RATE_LIMIT_PERIOD_MS_MAX = 24 * 3600 * 1000
"""How often a bucket refills (instant-semantics §5.6)."""

# --- expressions of rules (cel) ----------------------------------------------------------------

CEL_SOURCE_CHARS_MAX = 10_000
"""One expression. Longer: it does not compile."""

CEL_NODES_MAX = 2_000
"""Parts of one expression, its binds included. More: it does not compile."""

CEL_DEPTH_MAX = 80
"""Nesting of one expression, its binds included; five Python frames a level while parsing, of
the interpreter's 1,000. More: it does not compile."""

CEL_STEPS_MAX = 20_000
"""Steps of one evaluation, one for each part evaluated (0.1 to 0.2 µs); more for long values.
Beyond: the evaluation fails, within 5 ms."""

CEL_STRING_CHARS_MAX = 1_000_000
"""A string or byte string that an expression makes. Longer: the evaluation fails."""

CEL_LIST_ITEMS_MAX = 20_000
"""A list that an expression makes. Longer: the evaluation fails."""

CEL_PATTERN_CHARS_MAX = 1_000
"""A regular expression for `matches`. Longer: refused."""

CEL_PATTERN_MEMORY_BYTES_MAX = 128 * 1024
"""What a compiled regular expression may take, its caches included. More: refused."""

CEL_PATTERNS_KEPT = 256
"""Compiled regular expressions kept; the oldest leave first."""

CEL_PATTERN_STEPS = 5_000
"""Steps that compiling one during an evaluation costs (up to 1 ms)."""

RATE_BUCKETS_MAX = 100_000
"""Buckets of rate limits kept, 200 bytes each. More: those are forgotten first that are
full or will be soonest, of the app that has most."""

CEL_TRACE_NOTES_MAX = 10_000
"""Values of parts that a traced evaluation notes (loops: one for each item). Later ones are not
shown."""

JUDGED_STEPS_ON_LOOP = 30_000
"""Steps of evaluations, ten more for each row, that rules in Python take in one read on the loop
(2,000 rows of a short rule, about 6 ms), or in one transaction; beyond, it moves to a thread. What
`$ilike` takes where SQLite cannot do it alone is counted with them."""

RULE_REF_VALUES_MAX = 20_000
"""Values that one `data.ref` or `auth.ref` may find. More: the evaluation fails."""

RULE_REF_STEPS = 300
"""Steps of an evaluation that one statement of a `ref` costs (about 40 µs)."""

RULE_MEMO_MAX = 10_000
"""Entities, references and judgements remembered while one state is judged; beyond, they are read
again."""

RULE_FACTS_KEPT = 1_000
"""Programs whose analysis is kept (a few kB each); the ones used least recently leave first."""

RULE_DEMANDS_KEPT = 1_000
"""Kinds of writes whose demands an app keeps; beyond this all are made anew."""

RULE_CONDITIONS_MAX = 200
"""Conditions that a rule may become in SQL. More: its rows are judged in Python."""

RULE_IN_VALUES_MAX = 500
"""Values of one `in` among them; ids, which are bound as one list, may be `RULE_REF_VALUES_MAX`."""

DEBUG_CHECKS_MAX = 1_000
"""Checks of rules that one debugging query or transaction explains: 0.3 ms and a few kB each. More:
`parameter-limit-exceeded`."""

RULE_WARNINGS_MAX = 50
"""Warnings about a rules document that are looked for. More: only that there are some."""

RULE_WARNING_CHARS_MAX = 500
"""One warning; it repeats names of the document. Longer: cut."""

RULE_WARNING_STEPS = 200_000
"""Parts of expressions looked at for warnings, about 1 µs each, on a thread. More: the rest is not
looked at, which a warning says."""

RULE_CASES_MAX = 5_000
"""Cases of one file of `trice test-rules`, a few ms each. More: refused."""

# --- what strangers may cost -------------------------------------------------------------------

HINT_BYTES_MAX = 16 * 1024
"""A value in the `hint` of an error, as JSON. Larger: left out."""

EPHEMERAL_APPS_OF_NETWORK_PER_HOUR = 1_000
"""Throw-away apps made from one network address, 0.3 MB of disk each; test suites make hundreds.
More: `rate-limited`."""

EPHEMERAL_ATTRS_A_TOKEN = 50
"""Attrs of its schema for which such an app counts as one more; an indexed one takes 7 kB."""

APP_TITLE_CHARS_MAX = 200
"""Title of an app; it stands in the subject of e-mails. Longer: `param-malformed`."""

IPV6_SITE_FACTOR = 16
"""Limits per network address, which for IPv6 are per 64 bits of prefix, count this many times for
48 bits: one customer may have 65,536 networks of 64."""

RULE_SCOPES_KEPT = 1_000
"""View rules as conditions that are kept, by rule and caller, about 1 kB each. More: all are
forgotten."""

# --- background work -----------------------------------------------------------------------------

BACKGROUND_WAIT_MS_MAX = 300_000
"""Between two runs of periodic work that keeps failing; it begins with the interval of the work,
which may be longer, and doubles."""

# --- what is written down ------------------------------------------------------------------------

LOG_REPEAT_MS = 60_000
"""How often the log says again that connections are being refused."""

LAG_PROBE_MS = 100
"""How often it is looked at how late the event loop is; a stall of as long is always seen."""

LAG_MINUTE_MS = 60_000
"""What /health/load tells the lag of."""

METRICS_APPS_MAX = 10
"""Apps that /metrics names, the busiest; each is a series of its own wherever they are kept."""

METRICS_TOKEN_CHARS_MIN = 16
"""Of `--metrics-token`. Shorter: refused at the start."""

SLOW_LINES_MAX = 60
SLOW_LINES_PER_APP_MAX = 20
"""Lines about slow queries and transactions in a minute, of all apps and of one. More are counted,
and the number is told in the next line."""

SLOW_PARTS_MAX = 20
"""Levels of a query, and steps of SQLite's plan, that such a line names."""

LOG_VALUE_CHARS_MAX = 10_000
"""One value in a log line; an e-mail that goes nowhere else is shorter. The rest is cut off."""
