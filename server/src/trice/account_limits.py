"""Every bound of accounts, their apps, and pushes of schemas. `limits` has all others."""

from __future__ import annotations

from trice import limits

ACCOUNTS_MAX = 10_000
"""Accounts of a server. More: `parameter-limit-exceeded`."""

ACCOUNT_TOKENS_MAX = 200
"""Tokens that an account holds, sign-ins of command lines included. More: the oldest sign-in ends
first; personal access tokens, which only people end, are refused with `parameter-limit-exceeded`
once they are as many."""

ACCOUNT_APPS_MAX = 10_000
"""Apps of one account, or of one organisation, deleted ones that can be restored included. More:
`parameter-limit-exceeded`."""

APPS_WITH_SCHEMA_MAX = 100
"""Apps whose schemas one request for all apps of an account answers: each app is opened for it.
More: `parameter-limit-exceeded`, which says to ask for them one by one."""

ORGS_OF_ACCOUNT_MAX = 100
"""Organisations that an account is, or is invited to be, a member of. More:
`parameter-limit-exceeded`."""

ORG_MEMBERS_MAX = 500
"""Members and invitations of an organisation. More: `parameter-limit-exceeded`."""

INVITES_OF_ACCOUNT_PER_HOUR = 100
INVITES_TO_ADDRESS_PER_HOUR = 10
"""Invitations that one account sends, and that all send to one address. More: `rate-limited`."""

TOKEN_NAME_CHARS_MAX = 200
"""Characters of the name of a token. More: `param-malformed`."""

TOKEN_DAYS_MAX = 3_650
"""How many days a personal access token may be given. More: `param-malformed`."""

SESSION_MS = 90 * 24 * 3600 * 1000
"""How long a sign-in of a command line or page lasts."""

EXPIRED_TOKENS_PER_SWEEP = 100
"""Expired tokens that are deleted each limits.APP_SWEEP_INTERVAL_MS; the rest waits for the next
time, and works no more meanwhile."""

DELETED_APP_MS = 14 * 24 * 3600 * 1000
"""How long a deleted app can be restored. Then its data and files are deleted for good."""

LOGIN_MS = 3 * 60 * 1000
"""How long a person may take to confirm the sign-in of a command line (instant-http §5.1). Later:
`record-expired`."""

LOGIN_KEPT_MS = 2 * LOGIN_MS
"""How long a sign-in that was not confirmed is kept, so that the command line is told that it took
too long."""

LOGINS_MAX = 10_000
"""Sign-ins of command lines that wait, 1 kB each. More: `overloaded`; they are gone within
LOGIN_KEPT_MS."""

LOGINS_OF_NETWORK_PER_HOUR = 300
"""Sign-ins of command lines begun from one network. More: `rate-limited`."""

FIRST_ACCOUNT_TRIES_PER_HOUR = 30
"""Tries to make the first account from one network. More: `rate-limited`."""

CODE_MS = 10 * 60 * 1000
"""How long a code that signs in to an account works."""

CODES_MAX = 10_000
"""Codes of accounts that wait, one an account: as many as there are accounts at most."""

STREAM_CHECK_MS = 60_000
STREAMS_CHECKED_A_TURN = 10
"""How often an event stream of a token of an account is judged again, which takes 0.1 ms, and how
many before the loop has its turn again. A token that was revoked reads on for that long at most."""

TRANSFERS_OF_APP_MAX = 10
TRANSFERS_TO_ADDRESS_MAX = 100
"""Offers of one app, and offers to one address, that wait. More: `parameter-limit-exceeded`."""

TRANSFER_MS = 14 * 24 * 3600 * 1000
"""How long an app that is offered can be taken. Later: there is no such offer."""

OAUTH_APPS_OF_APP_MAX = 20
OAUTH_CLIENTS_OF_OAUTH_APP_MAX = 20
OAUTH_SECRETS_OF_CLIENT_MAX = 10
OAUTH_REDIRECT_URLS_MAX = 20
"""OAuth apps of an app; clients of an OAuth app; secrets and redirect URLs of a client. More:
`parameter-limit-exceeded`."""

OAUTH_NAME_CHARS_MAX = 100
"""Characters of the name of an OAuth app or client, which people read. More: `param-malformed`."""

OAUTH_URL_CHARS_MAX = 1_024
"""Characters of a URL of an OAuth app or client. More: `validation-failed`."""

OAUTH_LOGO_CHARS_MAX = 64 * 1024
"""Characters of the picture of an OAuth app, a `data:` URL. More: `validation-failed`."""

OAUTH_STATE_CHARS_MAX = 1_024
"""Characters of `state`, which a client gets back. More: the sign-in does not begin."""

OAUTH_STARTS_OF_NETWORK_PER_HOUR = 300
"""Sign-ins with OAuth begun from one network. More: `rate-limited`."""

OAUTH_REQUEST_MS = 10 * 60 * 1000
"""How long a person may take to allow or refuse, and after that the client to use its code up
(instant-http §4.9). Later: `record-expired`."""

OAUTH_REQUESTS_MAX = 10_000
"""Requests of clients that wait for a person, or whose codes can be used, 2 kB each. More:
`overloaded`; they are gone within twice OAUTH_REQUEST_MS."""

OAUTH_ACCESS_TOKEN_MS = 14 * 24 * 3600 * 1000
"""How long an access token of OAuth works (instant-http §4.9)."""

OAUTH_REFRESH_TOKENS_MAX = 5
OAUTH_ACCESS_TOKENS_MAX = 50
"""Tokens that one client has of one account. More: the oldest end."""

OAUTH_ROWS_AT_ONCE = 200
"""Tokens that one transaction deletes, of those that end with an account, a client or a grant."""

OAUTH_TOKENS_OF_ACCOUNT_MAX = 500
"""Tokens that all clients together have of one account. More: `parameter-limit-exceeded`, until the
account ends the access of some."""

OAUTH_APPS_PER_SWEEP = 200
"""OAuth apps that are looked at each limits.APP_SWEEP_INTERVAL_MS, whether their app is gone."""

SCHEMA_STEPS_MAX = 4_000
"""Steps of one push of a schema. More: `parameter-limit-exceeded`. Those that add, rename or delete
attrs are one transaction, which limits.TX_ATTR_STEPS_MAX bounds."""

SCHEMA_GROUPS_RUNNING = 2
"""Pushes whose jobs run at a time; of one account or organisation one, and of one app."""

SCHEMA_GROUPS_WAITING_MAX = 200
"""Pushes whose jobs run or wait, in all apps. More: `overloaded`, before the push changes
anything."""

SCHEMA_GROUPS_OF_HOLDER = 40
"""The part of these of all apps of one account or organisation, or of an app without one. More:
`overloaded`, for these apps only."""

EPHEMERAL_GROUPS_RUNNING = 1
EPHEMERAL_GROUPS_WAITING_MAX = 40
EPHEMERAL_GROUPS_OF_NETWORK = 8
"""The part of these that throw-away apps may take, which anybody can make, and one network of that.
More: `overloaded`."""

SCHEMA_GROUPS_KEPT = 500
"""Pushes whose jobs can be asked about, the newest ones. An older one is unknown. Those of
throw-away apps are counted apart, so that they push out none of the others."""

SCHEMA_JOBS_KEPT_MAX = 20_000
"""Jobs of these pushes together, 0.5 kB each, and how many may run or wait in all; those that do
are kept. More: `overloaded`."""

SCHEMA_JOBS_OF_HOLDER = 4_000
"""Jobs that run or wait, of all apps of one account or organisation, of an app without one, or of
the throw-away apps of a network. More: `overloaded`."""

SCHEMA_JOBS_LISTED_MAX = 200
"""Jobs of an app that are listed, the newest ones."""

JOB_BYTES_MAX = 64 * 1024
"""Bytes of the row of a job. Of a longer one the row does not keep what it found: after a restart
only its error is told."""

JOB_ROWS_ON_LOOP = 50
"""Jobs whose rows are written on the loop; more are written on the writer's thread."""

JOB_ROWS_READ = 200
"""Jobs that are read at a time when a server starts."""

SCHEMA_READS_OF_NETWORK = 20
SCHEMA_READS_MAX = 200
"""Requests for schemas and plans that one network, and all, have under way. They are worked on one
at a time, on a thread, as each may take 150 ms for the most attrs an app may have. More:
`overloaded`."""

ROWS_A_TURN = 50
"""Apps of an account that are read before the loop has its turn again: a millisecond."""

JOB_SAMPLES_MAX = 10
"""Entities that do not fit, which a failed job names."""

SCHEMA_ROWS_AT_ONCE = 5_000
"""Rows of a table up to which a job is one transaction: 20 ms for an index. In a larger one a job
works in turns, between which others write."""

RESHAPING_TURN_MS = 8
"""How long a turn may take. The number of rows of the next one follows from that. A transaction
that comes meanwhile waits for the turn and its COMMIT; between two turns others have as long as one
took."""

RESHAPING_ROWS_FIRST = 500
RESHAPING_ROWS_MIN = 50
RESHAPING_ROWS_MAX = 20_000
"""Rows of the first turn, and the least and the most of the next ones."""

RESHAPING_LOG_PAGES = 1_500
"""Pages in SQLite's write-ahead log after which a turn copies it into the file: 6 MB, 10 ms. Other
writes wait for limits.WRITE_AHEAD_PAGES, whose copy may take 60 ms."""

DELETED_ATTR_MS = 2 * 24 * 3600 * 1000
"""How long a deleted attr can be restored. Then its values are deleted for good."""

DELETED_ATTRS_SWEEP_MS = 6 * 3600 * 1000
"""How often all apps are looked through for such attrs."""

DELETED_ATTRS_APPS = 10
DELETED_ATTRS_PAUSE_MS = 1_000
"""Apps that are opened one after another for this, and the pause until the next ones: others need
the disk too."""

SCHEMA_CHECK_MS_MAX = 10 * 60 * 1000
"""How long a job may read, on a thread, whether stored values fit. Longer: it fails, and the attr
stays as it was."""

assert RESHAPING_LOG_PAGES < limits.WRITE_AHEAD_PAGES
assert CODES_MAX >= ACCOUNTS_MAX
assert OAUTH_REFRESH_TOKENS_MAX < OAUTH_ACCESS_TOKENS_MAX <= OAUTH_ROWS_AT_ONCE
assert OAUTH_ACCESS_TOKENS_MAX + OAUTH_REFRESH_TOKENS_MAX < OAUTH_TOKENS_OF_ACCOUNT_MAX
assert SCHEMA_STEPS_MAX >= limits.TX_ATTR_STEPS_MAX
assert SCHEMA_STEPS_MAX <= SCHEMA_JOBS_KEPT_MAX
assert SCHEMA_GROUPS_WAITING_MAX <= SCHEMA_GROUPS_KEPT
assert EPHEMERAL_GROUPS_RUNNING < SCHEMA_GROUPS_RUNNING
assert SCHEMA_STEPS_MAX <= SCHEMA_JOBS_OF_HOLDER < SCHEMA_JOBS_KEPT_MAX
assert SCHEMA_GROUPS_OF_HOLDER < SCHEMA_GROUPS_WAITING_MAX <= SCHEMA_GROUPS_KEPT
assert EPHEMERAL_GROUPS_OF_NETWORK < EPHEMERAL_GROUPS_WAITING_MAX < SCHEMA_GROUPS_WAITING_MAX
