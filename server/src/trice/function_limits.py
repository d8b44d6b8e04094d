"""Every bound of functions: what one call, one process, one app may cost. See also `limits`."""

from __future__ import annotations

from typing import Final

MIB: Final = 1024 * 1024

# --- calls ----------------------------------------------------------------------------------------

CALL_MS: Final = 5_000
"""How long a query or mutation may take, the wait for the server's answers included. More:
`function-timeout`."""

CALL_CPU_MS: Final = 1_000
"""Processor time of a query or mutation. Its process is shared by others, which wait meanwhile.
More: `function-timeout`, at its next await, or with the end of its process."""

ACTION_MS: Final = 60_000
"""How long an action may take unless it says."""

ACTION_MS_MAX: Final = 3_600_000
"""How long any call may take, whatever it says."""

ARGS_BYTES_MAX: Final = 4 * MIB
RESULT_BYTES_MAX: Final = 8 * MIB
"""JSON of arguments and result. More: `call-too-big`."""
UNCUT_RESULT_BYTES_MAX: Final = 4 * RESULT_BYTES_MAX
"""JSON of a result with what its hint does not name. More: `call-too-big`. To cut it takes five
times its size in memory, and a process that has no more is lost with all of its calls."""

LOG_LINES_MAX: Final = 256
LOG_LINE_CHARS_MAX: Final = 4_096
"""Log of a call: lines beyond are counted, longer ones cut."""

CALLS_MAX: Final = 64
"""Calls of an app under way; more wait."""

CALLS_WAITING_MAX: Final = 1_000
"""Calls of an app that wait; one more is `overloaded`."""

WAIT_MS: Final = 10_000
"""How long a call waits for its turn. Longer: `overloaded`."""

ASKED_MAX: Final = 4_096
ASKED_BYTES_MAX: Final = 64 * MIB
"""What a call may have told the server that is not dealt with yet. A process that goes on is ended
as one that does not keep to the frames."""

RUNS_AT_ONCE: Final = 16
"""Queries and mutations that one action runs at a time; the others wait."""

UNREAD_BYTES_MAX: Final = 64 * MIB
"""Answers that a process asked for and does not read. Then it is ended."""

# --- processes ------------------------------------------------------------------------------------

PURE_CALLS: Final = 16
ACTING_CALLS: Final = 8
"""Calls at a time in a process of queries and mutations, and of actions."""

GROW_AT: Final = 4
"""Calls in the emptiest process of a pool at which another one is started."""

PROCESSES_OF_APP_MAX: Final = 8
"""Processes of one pool, where the machine has as many cores."""

PROCESSES_MAX: Final = 1_024
"""The most that TRICE_FUNCTIONS_WORKERS may say."""

CHECKS_MAX: Final = 1
"""Bundles that are loaded at a time to be checked; the others wait. They share a user."""

LOAD_MS: Final = 10_000
"""How long a bundle may take to load."""

LOADS_MAX: Final = 3
"""Loads in a row that fail before calls are answered with `functions-broken`, without a try."""

BROKEN_MS: Final = 60_000
"""After that long one more load is tried."""

STARTS_OF_CALL_MAX: Final = 6
"""How often a call that did nothing wrong begins again because its process ended. Then it is
`overloaded`."""

DEATHS_MAX: Final = 2
"""Deaths of a process that a call is suspected of. Then it is `function-crashed`."""

DANGEROUS_MS: Final = 60_000
"""How long calls of a query or mutation that ended its process run alone."""

DANGEROUS_KEPT_MAX: Final = 256
"""Functions of an app of which this is known; the oldest is forgotten."""

CANCEL_GRACE_MS: Final = 250
"""Between the word that a call is over and the end of its process, if the call goes on."""

PING_MS: Final = 250
"""How often a process that has calls must show that it lives."""

SILENT_MS: Final = 1_000
"""A process that has not answered for that long, or whose loop is held for that long, gets no more
calls."""

SILENT_KILL_MS: Final = 3_000
"""A process of queries and mutations that was silent for that long is ended."""

BLOCKED_MS: Final = 2_500
"""A query or mutation that holds the loop of its process for that long without using the
processor (a socket that blocks) is ended with its process."""

WATCH_MS: Final = 50
"""How often the server looks at calls under way: how late a deadline is told at most."""

SPARE_WAITS_MS: Final = 200
"""The next spare is begun when the process that was taken has loaded its app, or after that long:
both at once want the processor, and a call waits for the first."""

IDLE_MS: Final = 60_000
"""A process without a call ends after that long."""

PROCESS_CALLS_MAX: Final = 10_000
PROCESS_GROWTH: Final = 2.0
"""A process gets no more calls after so many, or when it has so many times its first size."""

MEMORY_MB: Final = 512
MEMORY_MB_MIN: Final = 128
MEMORY_MB_MAX: Final = 2_048
"""RLIMIT_DATA of a process unless its app says another, and the least and most it may say."""

DESCRIPTORS_MAX: Final = 64
FILE_BYTES_MAX: Final = 16 * MIB
"""RLIMIT_NOFILE, RLIMIT_FSIZE of a process."""

ACTING_PROCESSES_MAX: Final = 64
"""Threads and processes that actions may start, beyond those of their user when they began."""

OUTPUT_BYTES_MAX: Final = MIB
OUTPUT_MS: Final = 1_000
"""Bytes that are read of the output of a process in each period; it cannot write more, and loses
the rest."""

STACK_BYTES: Final = MIB
"""Stack of each thread of a process."""

NOISE_MAX: Final = 10_000
"""Frames of a process about calls that have ended, or lines beyond LOG_LINES_MAX. After more it is
ended."""

UIDS_MAX: Final = 65_536
"""Uids of TRICE_FUNCTIONS_USER."""

# --- projects and deployments ---------------------------------------------------------------------

BUNDLE_BYTES_MAX: Final = 32 * 1024**2
"""One bundle as it is sent and kept; a larger one is refused, before it is read where its length is
told. Its files are not compressed, so it bounds them too."""

BUNDLE_FILES_MAX: Final = 4_096
"""Files of a bundle; one with more is refused."""

BUNDLE_NAME_BYTES_MAX: Final = 512
"""The path of a file in a bundle, as UTF-8; a longer one is refused."""

BUNDLE_DEPTH_MAX: Final = 16
"""Folders that a file of a bundle may lie in; a bundle with deeper ones is refused."""

MANIFEST_BYTES_MAX: Final = 4 * 1024**2
"""The file of a bundle with its schema and rules; a longer one is refused."""

LOAD_ERRORS_TOLD: Final = 50
"""Faults of a project that one refusal tells, as far as they fit into its hint (a value there may
have `limits.HINT_BYTES_MAX`); the rest is counted."""

LOAD_ERROR_CHARS_MAX: Final = 400
"""Characters of the message of one of them; the rest is cut."""

DEPLOYMENTS_KEPT: Final = 20
"""Deployments of an app that can be gone back to; the oldest makes room. Each has a bundle."""

DEPLOYMENT_SWEEP_INTERVAL_MS: Final = 3_600_000
"""How often what was kept of deleted apps is removed."""

CODE_ROWS_READ: Final = 200
"""Rows of apps with code that are read at once when the server starts."""

SECRETS_MAX: Final = 100
"""Secrets of an app; one more is refused."""

SECRET_NAME_CHARS_MAX: Final = 128
"""Characters of the name of a secret."""

SECRET_BYTES_MAX: Final = 32 * 1024
"""One secret, as UTF-8: a certificate with its chain fits."""

SECRETS_BYTES_MAX: Final = 256 * 1024
"""All secrets of an app together; they are part of one row."""

PACKAGES_INSTALL_MS: Final = 120_000
"""How long the packages of a lock may take to install; then the deploy is refused."""

PACKAGES_BYTES_MAX: Final = 1024 * MIB
PACKAGES_LOOK_MS: Final = 1_000
"""What they may take on the disk while they are installed and afterwards, and how often that is
looked at."""

PACKAGES_TOLD_BYTES: Final = 4_000
"""What a refusal repeats of the last words of uv."""

# --- at the door ----------------------------------------------------------------------------------

TRIES: Final = 3
"""Runs of a mutation whose reads others keep changing; then it runs once more with the turn."""

LINE_MAX: Final = 64
"""Calls of a mutation with the same arguments that wait for each other, once one was overtaken.
More run at once, and again if they must."""

RUN_DEPTH_MAX: Final = 16
"""Actions that run functions, inside each other."""

EVENT_ID_CHARS_MIN: Final = 20
"""Characters of an event id that nobody guesses. A shorter one of a guest is another call for
guests of other networks, who would be told what it returned."""

EVENT_IDS_COUNTED: Final = 10_000
RESENT_MAX: Final = 20
"""Event ids of which it is known that they have taken a token of a rate, and how often each may be
sent again. Sent more often, or after so many others, it takes another one."""

# --- live -----------------------------------------------------------------------------------------

LIVE_CALLS_MAX: Final = 10_000
"""Different calls of an app that are watched, half of them for one network at most. One more is
`overloaded`."""

INNER_QUERIES_MAX: Final = 64
"""Queries of a watched call that are live each; of those beyond it is known what they read."""

RETRY_FIRST_MS: Final = 1_000
RETRY_MAX_MS: Final = 60_000
"""When a watched call that could not be answered (a timeout, no room) runs again: the first time,
doubled each time, and at most."""

SESSION_CALLS_MAX: Final = 64
SESSION_CALLS_BYTES_MAX: Final = 8 * MIB
"""Calls of one session under way, mutations that wait for their turn left out, and the bytes of
their messages. One more is `overloaded`, unless it is alone."""

SESSION_LIVE_CALLS_MAX: Final = 1_000
SESSION_LIVE_BYTES_MAX: Final = 4 * MIB
"""Calls that one session watches, and the bytes of their names and arguments. One more is
`parameter-limit-exceeded`."""

ACTION_ARGS_FREE_BYTES: Final = 64 * 1024
"""How much of the arguments of each action is not counted in the bounds below."""

ACTIONS_ARGS_BYTES_MAX: Final = 128 * MIB
ACTIONS_ARGS_OF_APP_BYTES_MAX: Final = 24 * MIB
ACTIONS_ARGS_OF_NETWORK_BYTES_MAX: Final = 16 * MIB
"""Arguments of actions that clients called, in memory until the actions have ended: of the server,
of an app, and of one network in an app. One more is `overloaded`. With requests of endpoints those
of an app are below UNREAD_BYTES_MAX: its process may be given all of them at once."""

LIVE_ARGS_BYTES_MAX: Final = 64 * 1024
"""JSON of the arguments of a watched call. More: `call-too-big`."""

CALL_DELTA_VALUE_BYTES_MAX: Final = MIB
CALL_DELTA_ROWS_MAX: Final = 5_000
"""A value that is cut into pieces, on the event loop, and the items of its lists (10 ms to cut and
compare). A larger one, and a list beyond, is always told whole."""

CALL_DELTA_STEPS_MAX: Final = 32
"""Earlier values of a watched call from which a delta can lead to the current one. Who holds an
older one gets the value whole."""

CALL_DELTA_STEPS_BYTES_MAX: Final = 256 * 1024
"""What they have and the next one has not, or the size of the value if that is more. More: the
oldest are forgotten."""

CALL_DELTA_BYTES_MAX: Final = 64 * MIB
"""What each app keeps for deltas of calls. More: calls that changed least recently lose theirs, and
their next value is told whole."""

TOGETHER_MS: Final = 50
"""How long what is ready for a session waits for calls that the same commits change. A call that
takes longer, by its last run, is not waited for."""

# --- engine: snapshots that are held, read sets, results -----------------------------------------

HELD_SNAPSHOTS_MAX: Final = 32
"""Snapshots of an app that are held at once, each with a connection and up to HELD_CACHE_KB. More
runs wait, in the order in which they came."""

HELD_WAITING_MAX: Final = 1_000
"""Runs of an app that wait for one. More: `overloaded`."""

HELD_WAIT_MS: Final = 5_000
"""How long a run waits for one. Longer: `overloaded`."""

HELD_DESCRIPTORS: Final = 3
"""Descriptors of a connection that holds a snapshot: file, write-ahead log, temporary tables. As
many connections are held as workers have calls of queries and mutations; for them a quarter of the
descriptors of databases is left at most."""

HELD_CACHE_KB: Final = 1_024
"""Page cache of a connection that holds a snapshot."""

HELD_FREE_MAX: Final = 4
"""Connections for snapshots that stay open while nobody holds one. More are closed once they were
not needed for HELD_IDLE_MS: opening one takes 0.5 ms."""

HELD_IDLE_MS: Final = 10_000

HELD_MS_MAX: Final = 3_600_000
"""Longest time that a snapshot can be asked for; the write-ahead log cannot shrink behind it."""

HELD_MS: Final = 5_000
"""How long a run of a query or mutation holds its snapshot. Longer: its reads are refused with
`timeout`."""

HELD_THREADS: Final = 2
"""Threads of an app for reads in held snapshots that are too long for the event loop."""

TURN_MS: Final = 100
"""How long a run may have the turn, while no other transaction of the app begins. Then it goes on
without the turn."""

TURNS_WAITING_MAX: Final = 100
"""Runs of an app that wait for the turn. More: `overloaded`."""

READ_KEYS_MAX: Final = 4_096
"""Entities, values and spans in the read set of a run. More: the namespace with most of them is
listed whole, and any change in it counts."""

RUN_QUERIES_MAX: Final = 4_096
"""Queries of one run. More: `parameter-limit-exceeded`."""

RUN_ROWS_MAX: Final = 32_000
"""Rows that all queries of one run read. More: `parameter-limit-exceeded`."""

RUN_STEPS_MAX: Final = 16_000
"""Steps that one run writes. More: `parameter-limit-exceeded`."""

RUN_ANSWERS_BYTES_MAX: Final = 8 * 1024 * 1024
"""Answers that a run keeps, to give them again without a statement. An answer beyond is read again
when it is asked for again."""

RUN_COMMITS_MAX: Final = 20_000
RUN_CHANGES_MAX: Final = 200_000
"""Commits since the oldest snapshot of a run under way, and the rows and pairs they changed, that
are kept to check runs against. More: the oldest leave; runs that began before them run again."""

CHECKED_AT_ONCE_COMMITS: Final = 200
"""Commits that a run is checked against before other work of the event loop has its turn."""

RESULT_KEPT_MS: Final = 24 * 3_600_000
"""How long the result of a call is kept under its event id. Later: `value-expired`."""

RESULTS_BYTES_MAX: Final = 64 * 1024 * 1024
"""Results of an app that are kept. More: the oldest leave; later `value-expired`."""

RESULT_ID_KEPT_MS: Final = 7 * 24 * 3_600_000
"""How long an event id is known without its result. Later a replay is a new call."""

RESULT_IDS_MAX: Final = 1_000_000
"""Event ids of an app that are known in this way. More: the oldest leave."""
SEEN_IDS_AT_ONCE: Final = 256
"""So many event ids of an app are read with each call after its file was opened (0.1 ms), until all
are known; then ids that are none of them are not looked up."""

RESULTS_TRIM_EVERY: Final = 50
"""Every so many results some old ones are deleted, at most twice as many."""

assert TURN_MS < HELD_MS <= HELD_MS_MAX
assert HELD_FREE_MAX <= HELD_SNAPSHOTS_MAX
assert RESULT_KEPT_MS < RESULT_ID_KEPT_MS

# --- logs -----------------------------------------------------------------------------------------

MASKED_CHARS_MIN: Final = 8
"""Characters from which on a secret is left out of logs: a short one would be found in any text."""

MASKED_PIECES_MAX: Final = 500
"""Secrets and lines of them that are looked for in each line of a log: 0.3 µs each. If there are
more, whole secrets are."""

LOG_BYTES_MAX: Final = 64 * 1024**2
"""The log of an app; the oldest lines are thrown away."""

LOG_SEGMENT_BYTES: Final = 8 * 1024**2
"""One file of it: what is thrown away at once."""

LOG_TEXT_CHARS_MAX: Final = 4_096
"""Characters of one line; the rest is cut."""

LOG_WAITING_BYTES: Final = 1024**2
"""Lines of an app that are in no file yet; more are dropped and counted."""

LOG_PAGE_BYTES: Final = 1024**2
"""What one read of a log looks at."""

LOG_TAIL_BYTES: Final = 64 * 1024
"""What `trice logs` begins with: the newest lines."""

LOG_QUIET_MS: Final = 15_000
"""How often an answer that follows a log says that it is still there."""

LOG_FOLLOW_MS: Final = 600_000
"""How long one answer follows a log; `trice logs` asks again, with its token."""

LOG_FOLLOWERS_MAX: Final = 20
"""Answers that follow the log of one app; more are `overloaded`."""

# --- what a function asks for ---------------------------------------------------------------------

FIND_ROWS_MAX: Final = 1_000
"""Rows of a `find` without `limit`, and items of a page. More: `too-many-rows`."""

CURSOR_CHARS_MAX: Final = 16_384
"""A cursor that a client hands back; longer ones are none."""

PAGES_A_TOKEN: Final = 10
"""Pages of a list that come back and run for each token of the function's rate."""

PAGES_MAX: Final = 200
"""Pages of one watched list. More: `parameter-limit-exceeded`; what splitting brings beyond them is
loaded again by who wants it."""

FUNCTIONS_MAX: Final = 2_000
"""Functions of a project. More is a load error."""
