"""What webhooks may cost: sizes, counts and times, and what happens beyond. No I/O."""

from __future__ import annotations

from typing import Final

ACTIVE_MAX: Final = 100
"""Active webhooks of one app, as in Instant. One more is refused."""

STORED_MAX: Final = 200
"""Webhooks of one app, disabled ones included. One more is refused."""

EPHEMERAL_ACTIVE_MAX: Final = 5
EPHEMERAL_STORED_MAX: Final = 10
"""The same for a throw-away app, which anybody may make."""

URL_CHARS_MAX: Final = 2_048
"""Longer URLs are refused."""

NAMESPACES_MAX: Final = 100
"""Namespaces of one webhook. More are refused."""

REASON_CHARS_MAX: Final = 1_000
"""Longer reasons for disabling a webhook are refused."""

UNFINISHED_MAX: Final = 1_000
"""Events of one webhook that wait for delivery or for another attempt, about 500 bytes of memory
each. Beyond it no more are made from the log, which keeps the commits meanwhile."""

UNFINISHED_OF_APP_MAX: Final = 5_000
UNFINISHED_OF_ALL_MAX: Final = 100_000
UNFINISHED_LEAST: Final = 20
"""The same for all webhooks of an app, and of the server. Beyond it a webhook has UNFINISHED_LEAST,
so that others cannot stop it."""

ENTITIES_KEPT: Final = 20
"""Entities that an event names, to keep the order of each. An event with more of them waits for all
events before it, and all events after it wait."""

EPHEMERAL_UNFINISHED_MAX: Final = 200
EPHEMERAL_UNFINISHED_OF_ALL_MAX: Final = 20_000
"""The same for one webhook of a throw-away app, and for all of such apps."""

LOG_ROWS_AT_ONCE: Final = 200
LOG_BYTES_AT_ONCE: Final = 1_000_000
"""Transactions, and bytes of their log, that become events in one step. More come in the next,
after those of other apps."""

EVENTS_AT_ONCE: Final = 100
"""Events after which a step takes no further transaction, so that it is at most as many and one for
each webhook of the app more. They are written in one transaction."""

EVENTS_ON_LOOP: Final = 8
"""Events that are written, or deleted, on the loop, 100 µs each. More: on the writer's thread."""

APPS_AT_ONCE: Final = 4
"""Apps whose logs are read at the same time. Others wait for their turn."""

POSITION_LAG_MAX: Final = 1_000
"""Transactions without an event after which the position of a webhook is written all the same, so
that a restart reads no more than these again."""

QUICK_DELIVERIES_MAX: Final = 64
"""Deliveries of quick webhooks under way at once. Others wait for their turn, app by app."""

DELIVERIES_OF_APP_MAX: Final = 16
DELIVERIES_OF_WEBHOOK_MAX: Final = 8
"""The same for one app and one webhook."""

SLOW_MS: Final = 2_000
"""A delivery that takes longer makes its webhook a slow one, until a quicker one. A new webhook is
slow as well."""

SLOW_DELIVERIES_MAX: Final = 64
SLOW_DELIVERIES_OF_APP_MAX: Final = 8
SLOW_DELIVERIES_OF_WEBHOOK_MAX: Final = 1
"""The same for slow webhooks, which take no place of quick ones."""

EPHEMERAL_DELIVERIES_MAX: Final = 16
"""Deliveries of throw-away apps under way at once."""

TIMEOUT_MS: Final = 20_000
"""One delivery, from looking up the host to the answer. Beyond it the attempt failed."""

ANSWER_BYTES: Final = 256
"""Bytes of an answer that are kept with the attempt. The rest is not read."""

ANSWER_HEAD_BYTES_MAX: Final = 16_384
"""Bytes of an answer up to the end of its head. Beyond it the attempt failed."""

ANSWER_TIMEOUT_MS: Final = 1_000
"""How long those bytes are waited for once the status is there. Beyond it there are fewer."""

ADDRESSES_TRIED: Final = 3
"""Addresses of a host that are connected to, one after the other."""

RETRY_DELAYS_MS: Final = tuple(
    minutes * 60_000 for minutes in (1, 5, 30, 120, 300, 600, 720, 720, 720, 720)
)
"""Times between the attempts of an event, as in Instant. After the last attempt it has failed."""

ATTEMPTS_KEPT: Final = 22
"""Attempts of an event that are shown, the latest ones."""

RETRY_TICK_MS: Final = 1_000
"""How often the server looks for attempts that are due."""

PAUSE_MS: Final = 60_000
"""Time until an event is tried again that could not be, because its app was not there."""

LOG_RETRY_MS: Final = 5_000
"""How often the log of an app is looked at again that could not be read or become events."""

SAVE_RETRY_MS: Final = 1_000
"""Time until outcomes that the disk did not take are written again."""

OUTCOMES_AT_ONCE: Final = 8
"""Outcomes of deliveries written in one transaction, on the loop."""

EVENTS_PAGE: Final = 100
"""Events in one page of the list, as in Instant."""

EVENTS_KEPT: Final = 10_000
"""Events of one webhook that are kept. Beyond it the oldest finished ones are deleted."""

EPHEMERAL_EVENTS_KEPT: Final = 500
"""The same for a webhook of a throw-away app."""

EVENTS_KEPT_MS: Final = 60 * 24 * 3_600_000
"""How long events are kept, as in Instant."""

SWEEP_INTERVAL_MS: Final = 60_000
SWEEP_EVENTS: Final = 200
"""How often old events are deleted, and how many in one transaction."""

LOADED_AT_ONCE: Final = 500
"""Rows that are read in one step when the server starts."""

CHECKS_MAX: Final = 32
CHECKS_OF_APP_MAX: Final = 2
EPHEMERAL_CHECKS_MAX: Final = 8
"""Hosts of new webhooks that are looked up at once: in all, for one app, for all throw-away apps.
More: `overloaded`."""

TOKEN_S: Final = 3_600
"""How long the token of a delivery fetches the payload, as in Instant."""

PAYLOAD_BYTES_MAX: Final = 32_000_000
"""Bytes of one payload. A transaction whose payload is larger is told by an error instead."""

assert UNFINISHED_LEAST < UNFINISHED_MAX < UNFINISHED_OF_APP_MAX < UNFINISHED_OF_ALL_MAX
assert SLOW_DELIVERIES_OF_APP_MAX < DELIVERIES_OF_APP_MAX
assert UNFINISHED_MAX < EVENTS_KEPT
