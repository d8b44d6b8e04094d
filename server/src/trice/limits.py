"""Every bound in the system: name with its unit, value, reason. Nothing else invents a number.

It is one file because bounds are compared with each other: what happens at each is said beside it,
and related ones are asserted against each other below.
"""

from __future__ import annotations

# --- messages and sessions -------------------------------------------------------------------

MESSAGE_BYTES_MAX = 8 * 1024 * 1024
"""One WebSocket frame or HTTP body. Larger: `message-too-big`, and the socket closes with 1009."""

EXTENSION_FEATURES_MAX = 32
"""Features a client may ask for in `init`. More: `param-malformed`."""

ERROR_ECHO_BYTES_MAX = 64 * 1024
"""`original-event` of an error repeats the message up to this size; larger ones lose their body."""

OUTBOX_BYTES_MAX = 16 * 1024 * 1024
"""Bytes waiting for one socket before a frame is added. Fuller: the session is dropped."""

DEFLATE_BYTES_MIN = 512
"""Smaller frames are sent plain to those who agreed on compression: the network packet they fill
in part costs the same. At 512 bytes deflating takes 6 µs and saves about half."""

DEFLATE_BYTES_MAX = 1024 * 1024
"""Larger frames are sent plain: deflating holds the loop, 3.7 ms for as much as this. What is kept
of shared ones is smaller than they are, a seventh as a rule."""

RESULT_BYTES_MAX = 64 * 1024 * 1024
"""One answer, encoded. Larger: `parameter-limit-exceeded`; pages and `fields` make it smaller."""

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

SESSION_TRANSACTS_MAX = 1_000
"""Unacknowledged transactions of one session. More: the socket is not read until some finish."""

SESSION_TRANSACTS_BYTES_MAX = 32 * 1024 * 1024
"""The same transactions, all together."""

SESSION_EARLY_MESSAGES_MAX = 1_000
"""Messages sent before `init-ok`. Clients wait for it; more closes the socket."""

SESSION_EARLY_BYTES_MAX = 16 * 1024 * 1024
"""The same messages, all together."""

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

QUERY_FORMS_MAX = 500
"""Forms in one query, all levels together."""

QUERY_CONDITIONS_MAX = 1_000
"""Conditions in one `where`, lists included."""

QUERY_IN_VALUES_MAX = 30_000
"""Values in one `$in`."""

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

READS_WAITING_MAX = 1_000
"""Long reads of an app waiting for a thread. More: `overloaded`."""

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

TX_QUEUE_MAX = 10_000
"""Transactions of an app waiting for the writer. More: `overloaded`."""

TX_LOG_ROWS_MAX = 200_000
"""Rows of the `tx` log kept; replays older than that are judged afresh."""

TX_LOG_TRIM_EVERY = 1_000
"""Commits between two trims of the log."""

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
"""Share of them that databases may use. The rest is for connections, so that the server can always
be spoken to. Beyond: `overloaded`."""

APP_ROWS_KEPT = 2_000
"""Rows of the registry kept decoded, with rules and settings; those used last."""

APP_ROWS_KEPT_BYTES_MAX = 16 * 1024 * 1024
"""Their JSON; decoded it takes about five times as much."""

RULES_KEPT_BYTES_MAX = 1024 * 1024
"""JSON of the rules documents whose programs are kept for when their app is opened again; those
used last. The programs take some fifty times as much."""

APP_FAILURES_TOLD_MAX = 1_000
"""Apps of which it is remembered that the log has said why they cannot be opened."""

REGISTRY_CHECKED_BYTES_MAX = 16 * 1024 * 1024
"""A platform.db that is read through at start, to find damage: 10 ms for so much. Larger ones are
not."""

EPHEMERAL_ROWS_MAX = 50_000
"""Entities and links of a throw-away app. More: `app-quota-exceeded`."""

EPHEMERAL_BYTES_MAX = 64 * 1024 * 1024
"""Its file, the log of transactions included. More: `app-quota-exceeded`."""

EPHEMERAL_USERS_MAX = 200
"""Connections and requests that use a throw-away app at a time. More: `app-quota-exceeded`."""

assert OUTBOX_REFRESH_BYTES_MAX < OUTBOX_BYTES_MAX
assert MESSAGE_BYTES_MAX < OUTBOX_BYTES_MAX
assert BROADCAST_SENDS_A_LANE < BROADCAST_SENDS_A_TURN
assert PING_INTERVAL_MS * 2 < IDLE_TIMEOUT_MS
assert READ_TIMEOUT_MS < ADMIN_READ_TIMEOUT_MS
assert TX_STEPS_ON_LOOP < TX_STEPS_MAX
assert TX_GROUP_MAX <= TX_QUEUE_MAX
assert ATTRS_PER_NAMESPACE_MAX * 2 + 10 <= 2_000
assert QUERY_IN_VALUES_MAX < QUERY_BINDINGS_MAX
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
"""Documents waiting to be compiled, half a second each at most; they are compiled one at a time.
More: `overloaded`."""

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

CODE_EXPIRY_MINUTES = 1_440
"""How long a magic code works unless the app sets less (instant-http §1.3)."""

CEL_TRACE_NOTES_MAX = 10_000
"""Values of parts that a traced evaluation notes (loops: one for each item). Later ones are not
shown."""

# --- passwords and passkeys ------------------------------------------------------------------

PASSWORD_BYTES_MIN = 8
PASSWORD_BYTES_MAX = 1_024
"""UTF-8 bytes of a password, normalised. Outside: `validation-failed`."""

PASSWORD_SURPRISES_MIN = 5
"""Characters that neither repeat nor follow from the one before (`abcdefgh` has 1), and different
characters. Fewer of either: `validation-failed`."""

PASSWORD_HASH_MEMORY_KIB = 19_456
PASSWORD_HASH_PASSES = 2
PASSWORD_HASH_LANES = 1
"""Cost of argon2id: OWASP's first choice (Password Storage Cheat Sheet), 19 MiB and 40 ms. RFC
9106's second choice, 64 MiB, would double the memory of an idle server for each sign-in."""

PASSWORD_HASH_BYTES = 32
PASSWORD_SALT_BYTES = 16
"""As RFC 9106 §4 recommends."""

PASSWORD_HASHES_AT_ONCE = 2
"""Hashes computed at the same time, each on a thread with its own memory. More wait."""

PASSWORD_HASHES_WAITING_MAX = 100
"""Hashes under way or waiting, two seconds of work. More: `overloaded`."""

PASSWORD_TRIES_PER_HOUR = 20
"""Passwords tried for one account of an app. More: `rate-limited`."""

PASSWORD_TRIES_PER_HOUR_OF_IP = 300
"""Passwords tried or set from one network address, whole offices included. More: `rate-limited`."""

PASSKEY_REQUESTS_PER_HOUR_OF_IP = 1_200
"""Requests about passkeys from one address; a sign-in takes two. More: `rate-limited`."""

PASSKEY_CHALLENGE_BYTES = 32
"""Randomness of a challenge; WebAuthn asks for 16 at least."""

PASSKEY_CHALLENGE_MS = 5 * 60 * 1000
"""How long a passkey ceremony may take. Later: `record-expired`."""

PASSKEY_CHALLENGES_MAX = 10_000
"""Outstanding challenges of an app. More: the oldest are forgotten."""

PASSKEY_CHALLENGES_SWEPT = 100
"""Expired or surplus challenges removed when one is made: more than are made, so few stay."""

PASSKEYS_PER_USER_MAX = 50
"""Passkeys of one user. More: `parameter-limit-exceeded`."""

PASSKEY_RESPONSE_BYTES_MAX = 64 * 1024
"""What an authenticator answers, as JSON; real ones are below 8 KiB. More: `param-malformed`."""

PASSKEY_ID_BYTES_MAX = 750
"""A credential's id; its text must fit an index. Real ones are below 300. More:
`validation-failed`."""

PASSKEY_KEY_BYTES_MAX = 2_048
"""A credential's public key; RSA of 4,096 bits has 530. More: `validation-failed`."""

PASSKEY_NAME_CHARS_MAX = 100
"""What a user calls a passkey. Longer: `param-malformed`."""

assert PASSKEY_ID_BYTES_MAX * 4 // 3 < INDEXED_VALUE_BYTES_MAX
assert PASSWORD_HASHES_AT_ONCE < PASSWORD_HASHES_WAITING_MAX

# --- sign-in with providers (OAuth) ------------------------------------------------------------

URL_CHARS_MAX = 8_192
"""An address to return to, or of a provider. Longer: not authorized."""

HOST_CHARS_MAX = 255
"""Of an authorized origin; names on the internet are no longer."""

ORIGINS_MAX = 200
"""Authorized origins of an app. More: `validation-failed`."""

TEST_USERS_MAX = 100
"""Test users of an app. More: `validation-failed`."""

EMAIL_TEMPLATE_CHARS_MAX = 200_000
"""Subject or body of an e-mail template. Longer: `validation-failed`."""

OAUTH_CLIENTS_MAX = 200
"""OAuth clients of an app, and providers. More: `validation-failed`."""

OAUTH_TEXT_CHARS_MAX = 2_048
"""A name, id or parameter of OAuth other than an address or a token. Longer: refused."""

OAUTH_SECRET_CHARS_MAX = 16_384
"""A client secret; a private key as PEM has up to 3,300. Longer: refused."""

OAUTH_META_BYTES_MAX = 64 * 1024
"""`meta` of an OAuth client, as JSON. Larger: refused."""

OAUTH_REDIRECT_MINUTES = 10
"""From the start of a sign-in to its callback, in whole minutes (instant-http §1.6)."""

OAUTH_CODE_MINUTES = 5
"""From the callback to the exchange of the code, in whole minutes (instant-http §1.6)."""

OAUTH_COOKIE_SECONDS = 3_600
"""Life of the cookie that ties callback and start to one browser."""

OAUTH_SWEEP_MAX = 20
"""Sign-ins begun and never finished that one new start deletes. It adds one: they stay bounded by
what the limits of requests allow in ten minutes."""

OAUTH_FORM_BYTES_MAX = 64 * 1024
"""Body of a callback or token request sent as a form. Larger: refused."""

OAUTH_FORM_FIELDS_MAX = 50
"""Fields of such a form. More: refused."""

OAUTH_CALLS_PER_ADDRESS = 300
OAUTH_CALLS_PERIOD_MS = 600_000
"""Requests of one network address to the OAuth routes. More: `rate-limited`."""

ID_TOKEN_CHARS_MAX = 16_384
"""An id_token; those of providers have one to three thousand. Longer: refused unread."""

ID_TOKEN_LEEWAY_S = 60
"""How far the clock of a provider may be from ours."""

JWKS_KEYS_MAX = 100
"""Public keys of one provider that are looked at."""

OUTGOING_TIMEOUT_MS = 10_000
"""One request to a provider, redirects included. Longer: `oauth-error`."""

OUTGOING_BYTES_MAX = 512 * 1024
"""Its answer. Larger: `oauth-error`."""

OUTGOING_CALLS_MAX = 64
"""Requests to providers running at once. More: `overloaded`."""

OUTGOING_REDIRECTS_MAX = 3
"""Redirects followed for one document, on the same host. More: `oauth-error`."""

PROVIDER_DOCUMENTS_MAX = 512
"""Discovery documents and key sets kept; the oldest leave first."""

PROVIDER_DOCUMENT_MS = 3_600_000
"""How long they are believed."""

PROVIDER_RETRY_MS = 10_000
"""A document that could not be had is not asked for again before."""

PROVIDER_KEYS_RETRY_MS = 60_000
"""A token names an unknown key: the key set is read again, this often at most."""

JUDGED_STEPS_ON_LOOP = 30_000
"""Steps of evaluations, ten more for each row, that rules in Python take in one read on the loop
(2,000 rows of a short rule, about 6 ms), or in one transaction; beyond, it moves to a thread."""

RULE_REF_VALUES_MAX = 20_000
"""Values that one `data.ref` or `auth.ref` may find. More: the evaluation fails."""

RULE_REF_STEPS = 300
"""Steps of an evaluation that one statement of a `ref` costs (about 40 µs)."""

RULE_MEMO_MAX = 10_000
"""Entities, references and judgements remembered while one state is judged; beyond, they are read
again."""

# --- sign-in and e-mail ------------------------------------------------------------------------

MAGIC_CODE_SENDS_PER_HOUR = 20
"""Codes sent to one address of an app. More: `rate-limited` (instant-http §6.4)."""

MAGIC_CODE_VERIFIES_PER_HOUR = 20
"""Tries to use a code of one address of an app; with a million codes of which five work, an
attacker needs ten months for an even chance. More: `rate-limited`."""

MAGIC_CODES_PER_EMAIL_MAX = 5
"""Codes of one address that work at a time. More: the oldest stops working."""

MAGIC_CODES_READ_MAX = 1_000
"""Codes of one address that are looked at; only imported data can hold so many."""

SIGN_INS_PER_ADDRESS_PER_HOUR = 600
"""Codes asked for, codes tried and guests made (each counted for itself) from one network address:
an office behind one router passes, a script does not. More: `rate-limited`."""

TOKEN_CHECKS_PER_ADDRESS_PER_MINUTE = 12_000
"""Refresh tokens looked up or signed out from one network address: a web server asks for each page
it renders. More: `rate-limited`."""

MAIL_CONNECTIONS_MAX = 10
"""E-mails handed to the mail server at a time; the others wait."""

MAIL_WAITING_MAX = 200
"""E-mails being sent or waiting. More: `email-send-failed`."""

MAIL_CONNECTIONS_EPHEMERAL_MAX = 3
"""Of those, as many are for e-mails of throw-away apps."""

MAIL_WAITING_EPHEMERAL_MAX = 50
"""E-mails of throw-away apps among those that are sent or wait. More: `email-send-failed`."""

MAIL_TIMEOUT_MS = 20_000
"""An e-mail is handed over by then, or `email-send-failed`."""

EXTRA_FIELDS_BYTES_MAX = 64 * 1024
"""`extra-fields` of a sign-up, as JSON: anybody may send them. More: `validation-failed`."""

assert MAIL_CONNECTIONS_MAX < MAIL_WAITING_MAX
assert MAIL_CONNECTIONS_EPHEMERAL_MAX < MAIL_CONNECTIONS_MAX
assert MAIL_WAITING_EPHEMERAL_MAX < MAIL_WAITING_MAX
assert MAGIC_CODES_PER_EMAIL_MAX < MAGIC_CODES_READ_MAX

RULE_FACTS_KEPT = 1_000
"""Programs whose analysis is kept (a few kB each); the ones used least recently leave first."""

RULE_QUESTIONS_KEPT = 1_000
"""Kinds of writes of which an app remembers what they ask its rules; then all are made anew."""

RULE_CONDITIONS_MAX = 200
"""Conditions that a rule may become in SQL. More: its rows are judged in Python."""

RULE_IN_VALUES_MAX = 500
"""Values of one `in` among them; ids, which are bound as one list, may be `RULE_REF_VALUES_MAX`."""

DEBUG_CHECKS_MAX = 1_000
"""Checks of rules that one debugging query or transaction explains: 0.3 ms and a few kB each. More:
`parameter-limit-exceeded`."""

RULE_CASES_MAX = 5_000
"""Cases of one file of `trice test-rules`, a few ms each. More: refused."""

# --- what strangers may cost -------------------------------------------------------------------

HINT_BYTES_MAX = 16 * 1024
"""A value in the `hint` of an error, as JSON. Larger: left out."""

MAGIC_CODE_SENDS_PER_HOUR_OF_RECIPIENT = 60
"""Codes sent to one address by all apps that last together: having more apps does not fill a
mailbox. More: `rate-limited`."""

EPHEMERAL_SENDS_PER_HOUR_OF_RECIPIENT = 20
"""The same by all throw-away apps. Anybody can make one, so they are counted apart: nobody is kept
from signing in to an app that lasts. More: `rate-limited`."""

EPHEMERAL_SENDS_PER_HOUR = 300
"""E-mails of all throw-away apps of a server together: anybody can make one, so they would else be
a way to send mail in the operator's name. More: `rate-limited`."""

EPHEMERAL_APPS_PER_ADDRESS_PER_HOUR = 1_000
"""Throw-away apps made from one network address, 0.3 MB of disk each; test suites make hundreds.
More: `rate-limited`."""

APP_TITLE_CHARS_MAX = 200
"""Title of an app; it stands in the subject of e-mails. Longer: `param-malformed`."""

IPV6_SITE_FACTOR = 16
"""Limits per network address, which for IPv6 are per 64 bits of prefix, count this many times for
48 bits: one customer may have 65,536 networks of 64."""

RULE_SCOPES_KEPT = 1_000
"""View rules as conditions that are kept, by rule and caller, about 1 kB each. More: all are
forgotten."""
