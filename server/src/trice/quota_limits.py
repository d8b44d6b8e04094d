"""Bounds on quotas of apps, and on what it costs to tell what they use. See also `limits`."""

from __future__ import annotations

QUOTA_MAX = 2**53 - 1
"""Largest quota, which every client reads exactly. More: `validation-failed`."""

COUNTED_GROUPS_MAX = 100_000
"""Groups of transactions published while the rows of a large app are counted, 100 bytes each. More:
the count ends with `overloaded`, and whoever asks next begins anew."""

METER_MINUTE_MS = 60_000
"""The period in which a quota of requests counts. It begins anew with each minute of the server's
clock, and when the server starts."""

METERS_KEPT_MAX = 10_000
"""Apps whose requests of the last two minutes are remembered after their database was closed, 100
bytes each. More: those that were asked longest ago begin with 0 when they are opened again."""

USAGE_APPS_A_PAGE = 100
"""Apps that one answer about the usage of an account tells: each that is closed is opened, 1 to 30
ms. More: `after` of the next request is the id of the last one."""

APP_TURN_MS = 0.1
"""How much of one turn of the event loop an app may take for its messages and transactions while
other apps are active; as much again for its live queries, its first answers, its sends. It is an
average: what took longer (one message takes 0.1 to 0.2 ms) has the app wait for the turns that
follow. A request waits for two to four turns, so others wait for some times this
(`bench/run --only neighbour`)."""

APP_OWED_TURNS_MAX = 8
"""How many turns an app waits at most, whatever one thing that it did took. Turns in which nobody
has anything to do cost 20 µs each."""

PRESSING_MS = 5
PRESSING_TURNS = 10
"""How long it waits so after the last thing that another app did: what follows from a request is
over by then. After that it waits for one turn."""

APP_BURST_MS = 1.0
"""What an app has that did nothing for APP_PAUSE_MS: a request and what follows from it, whole."""

APP_PAUSE_MS = 10

CROWD_MS = 1_000
"""How long an app counts as active after it did something."""

NEAR_MS = 60_000
"""How long it counts as near after that: its next request may come at any moment, and would meet
what another began before it."""

APP_NEAR_TURN_MS = 1.0
"""APP_TURN_MS while no other app is active, but one is near. Whole turns are 20 ms and more."""

assert APP_TURN_MS < APP_BURST_MS <= APP_NEAR_TURN_MS
assert APP_PAUSE_MS < CROWD_MS < NEAR_MS
