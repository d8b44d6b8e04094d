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

SCHEMA_STEPS_MAX = 4_000
"""Steps of one push of a schema. More: `parameter-limit-exceeded`. Those that add, rename or delete
attrs are one transaction, which limits.TX_ATTR_STEPS_MAX bounds."""

SCHEMA_GROUPS_RUNNING = 2
"""Pushes whose jobs run at a time; each job is one transaction on its app's writer thread."""

SCHEMA_GROUPS_WAITING_MAX = 200
"""Pushes whose jobs run or wait, in all apps. More: `overloaded`, before the push changes
anything."""

EPHEMERAL_GROUPS_RUNNING = 1
EPHEMERAL_GROUPS_WAITING_MAX = 40
EPHEMERAL_GROUPS_OF_NETWORK = 8
"""The part of these that throw-away apps may take, which anybody can make, and one network of that.
More: `overloaded`."""

SCHEMA_GROUPS_KEPT = 500
"""Pushes whose jobs can be asked about, the newest ones. An older one is unknown. Those of
throw-away apps are counted apart, so that they push out none of the others."""

SCHEMA_JOBS_KEPT_MAX = 20_000
"""Jobs of these pushes together, 0.5 kB each."""

SCHEMA_READS_OF_NETWORK = 20
SCHEMA_READS_MAX = 200
"""Requests for schemas and plans that one network, and all, have under way. They are worked on one
at a time, on a thread, as each may take 150 ms for the most attrs an app may have. More:
`overloaded`."""

ROWS_A_TURN = 50
"""Apps of an account that are read before the loop has its turn again: a millisecond."""

JOB_SAMPLES_MAX = 10
"""Entities that do not fit, which a failed job names."""

assert CODES_MAX >= ACCOUNTS_MAX
assert SCHEMA_STEPS_MAX >= limits.TX_ATTR_STEPS_MAX
assert SCHEMA_STEPS_MAX <= SCHEMA_JOBS_KEPT_MAX
assert SCHEMA_GROUPS_WAITING_MAX <= SCHEMA_GROUPS_KEPT
assert EPHEMERAL_GROUPS_RUNNING < SCHEMA_GROUPS_RUNNING
assert EPHEMERAL_GROUPS_OF_NETWORK < EPHEMERAL_GROUPS_WAITING_MAX < SCHEMA_GROUPS_WAITING_MAX
