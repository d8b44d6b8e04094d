"""Every bound of signing in and of e-mail. `limits` has all others."""

from __future__ import annotations

from trice import limits

CODE_EXPIRY_MINUTES = 1_440
"""How long a magic code works unless the app sets less (instant-http §1.3)."""

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
"""Passwords tried or set from one network, whole offices included. More: `rate-limited`."""

PASSKEY_REQUESTS_PER_HOUR_OF_IP = 1_200
"""Requests about passkeys from one network; a sign-in takes two. More: `rate-limited`."""

PASSKEY_CHALLENGE_BYTES = 32
"""Random bytes of a challenge; WebAuthn asks for 16 at least."""

PASSKEY_CHALLENGE_MS = 5 * 60 * 1000
"""How long a passkey ceremony may take. Later: `record-expired`."""

PASSKEY_CHALLENGES_MAX = 10_000
"""Outstanding challenges of an app. More: the oldest are forgotten."""

PASSKEY_CHALLENGES_SWEPT = 100
"""Expired or surplus challenges that are removed whenever one is made. It is more than one, so that
few stay."""

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

# --- sign-in with providers (OAuth) ------------------------------------------------------------

URL_CHARS_MAX = 8_192
"""The URL of a provider, or one to return to. Longer: not authorized."""

HOST_CHARS_MAX = 255
"""Host of an authorized origin; names on the internet are no longer."""

ORIGINS_MAX = 200
"""Authorized origins of an app. More: `validation-failed`."""

TEST_USERS_MAX = 100
"""Test users of an app. More: `validation-failed`."""

EMAIL_TEMPLATE_CHARS_MAX = 200_000
"""Subject or body of an e-mail template. Longer: `validation-failed`."""

OAUTH_CLIENTS_MAX = 200
"""OAuth clients of an app, and providers. More: `validation-failed`."""

OAUTH_TEXT_CHARS_MAX = 2_048
"""A name, id or parameter of OAuth, but for URLs and tokens. Longer: refused."""

OAUTH_SECRET_CHARS_MAX = 16_384
"""A client secret; a private key as PEM has up to 3,300. Longer: refused."""

OAUTH_META_BYTES_MAX = 64 * 1024
"""`meta` of an OAuth client, as JSON. Larger: refused."""

OAUTH_REDIRECT_MINUTES = 10
"""Time from the start of a sign-in to its callback, in whole minutes (instant-http §1.6)."""

OAUTH_CODE_MINUTES = 5
"""Time from the callback to the exchange of the code, in whole minutes (instant-http §1.6)."""

OAUTH_COOKIE_SECONDS = 3_600
"""Life of the cookie that ties callback and start to one browser."""

OAUTH_SWEEP_MAX = 20
"""Unfinished, expired sign-ins that each new one deletes. A new one adds one, so their number stays
below what the limits of requests allow in ten minutes."""

OAUTH_FORM_BYTES_MAX = 64 * 1024
"""Body of a callback or token request sent as a form. Larger: refused."""

OAUTH_FORM_FIELDS_MAX = 50
"""Fields of such a form. More: refused."""

OAUTH_CALLS_OF_NETWORK = 300
OAUTH_CALLS_PERIOD_MS = 600_000
"""Requests of one network to the OAuth routes. More: `rate-limited`."""

ID_TOKEN_CHARS_MAX = 16_384
"""An id_token; those of providers have one to three thousand. Longer: refused unread."""

ID_TOKEN_LEEWAY_S = 60
"""How far the clock of a provider may be from ours."""

JWKS_KEYS_MAX = 100
"""Public keys of one provider that are looked at."""

JWK_MEMBER_CHARS_MAX = 4_096
"""A text in a public key; the modulus of RSA with 16,384 bits has 2,731. Longer: no key."""

OUTGOING_TIMEOUT_MS = 10_000
"""One request to a provider, redirects included. Longer: `oauth-error`."""

OUTGOING_BYTES_MAX = 512 * 1024
"""Its answer. Larger: `oauth-error`."""

OUTGOING_CALLS_MAX = 64
"""Requests to providers running at once. More: `overloaded`."""

OUTGOING_CALLS_PER_APP_MAX = 16
OUTGOING_CALLS_PER_HOST_MAX = 32
OUTGOING_CALLS_EPHEMERAL_MAX = 32
"""Such requests for one app, to one host, and for all throw-away apps together: a provider that
does not answer holds up no other. More: `overloaded`."""

OUTGOING_REDIRECTS_MAX = 3
"""Redirects followed for one document, on the same host. More: `oauth-error`."""

PROVIDER_DOCUMENTS_MAX = 512
"""Discovery documents and key sets kept. More: the app that has most loses its oldest."""

PROVIDER_DOCUMENTS_BYTES_MAX = 8 * 1024 * 1024
"""Size of these documents, all together; real ones take 1 to 5 kB. More: as above."""

PROVIDER_DOCUMENT_MS = 3_600_000
"""How long such a document is used before it is read again."""

PROVIDER_RETRY_MS = 10_000
"""How long a document that could not be read is not asked for again."""

PROVIDER_KEYS_RETRY_MS = 60_000
"""When a token names an unknown key, the key set is read again, this often at most."""

# --- sign-in and e-mail ------------------------------------------------------------------------

MAGIC_CODE_SENDS_PER_HOUR = 20
"""Codes an app sends to one e-mail address. More: `rate-limited` (instant-http §6.4)."""

MAGIC_CODE_VERIFIES_PER_HOUR = 20
"""Codes tried for one e-mail address of an app. There are a million codes, of which five work: an
attacker needs ten months for an even chance. More: `rate-limited`."""

MAGIC_CODES_PER_EMAIL_MAX = 5
"""Codes of one e-mail address that work at a time. More: the oldest stops working."""

MAGIC_CODES_READ_MAX = 1_000
"""Codes of one e-mail address that are looked at; only imported data can hold so many."""

SIGN_INS_OF_NETWORK_PER_HOUR = 600
"""Codes asked for, codes tried and guests made (each counted by itself) from one network: an office
behind one router stays below, a script does not. More: `rate-limited`."""

TOKEN_CHECKS_OF_NETWORK_PER_MINUTE = 12_000
"""Refresh tokens looked up or signed out from one network: a web server asks for each page it
renders. More: `rate-limited`."""

MAIL_CONNECTIONS_MAX = 10
"""E-mails handed to the mail server at a time; the others wait."""

MAIL_WAITING_MAX = 200
"""E-mails being sent or waiting. More: `email-send-failed`."""

MAIL_CONNECTIONS_EPHEMERAL_MAX = 3
"""How many of those may be for e-mails of throw-away apps."""

MAIL_WAITING_EPHEMERAL_MAX = 50
"""E-mails of throw-away apps among those that are sent or wait. More: `email-send-failed`."""

MAIL_TIMEOUT_MS = 20_000
"""How long handing over an e-mail may take. Longer: `email-send-failed`."""

EXTRA_FIELDS_BYTES_MAX = 64 * 1024
"""`extra-fields` of a sign-up, as JSON; anybody may send them. Larger: `validation-failed`."""

# --- what strangers may cost -------------------------------------------------------------------

MAGIC_CODE_SENDS_PER_HOUR_OF_RECIPIENT = 60
"""Codes that all lasting apps together send to one e-mail address: making more apps does not fill a
mailbox. More: `rate-limited`."""

EPHEMERAL_SENDS_PER_HOUR_OF_RECIPIENT = 20
"""The same for all throw-away apps. Anybody can make those, so they are counted apart, and cannot
keep a user from signing in to an app that lasts. More: `rate-limited`."""

EPHEMERAL_SENDS_PER_HOUR = 300
"""E-mails of all throw-away apps of a server together. Without a bound, anybody could send mail in
the operator's name through them. More: `rate-limited`."""

assert PASSWORD_HASHES_AT_ONCE < PASSWORD_HASHES_WAITING_MAX
assert OUTGOING_CALLS_PER_APP_MAX < OUTGOING_CALLS_EPHEMERAL_MAX < OUTGOING_CALLS_MAX
assert OUTGOING_CALLS_PER_HOST_MAX < OUTGOING_CALLS_MAX
assert MAIL_CONNECTIONS_MAX < MAIL_WAITING_MAX
assert MAIL_CONNECTIONS_EPHEMERAL_MAX < MAIL_CONNECTIONS_MAX
assert MAIL_WAITING_EPHEMERAL_MAX < MAIL_WAITING_MAX
assert MAGIC_CODES_PER_EMAIL_MAX < MAGIC_CODES_READ_MAX
assert PASSKEY_ID_BYTES_MAX * 4 // 3 < limits.INDEXED_VALUE_BYTES_MAX
