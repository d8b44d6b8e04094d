"""Every bound of rooms. `limits` has those of the server as a whole."""

from __future__ import annotations

from trice.rate_limit import RateLimit

ROOM_NAME_CHARS_MAX = 500
"""Characters of a room id, of a room type, and of a topic. More: `param-malformed`."""

SESSION_ROOMS_MAX = 200
"""Rooms that one session may be in. More: `parameter-limit-exceeded`."""

WAITING_WORK_MAX = 256
WAITING_WORK_BYTES_MAX = 1024 * 1024
"""Messages of one session that wait until rules of rooms have judged those before them. More:
`overloaded`."""

RULE_PARAMS_BYTES_MAX = 4 * 1024
"""JSON of the rule parameters of one membership, which is kept as long as it. More:
`parameter-limit-exceeded`."""

ROOM_MEMBERS_MAX = 5_000
"""Members of one room. More: `parameter-limit-exceeded`."""

PRESENCE_BYTES_MAX = 16 * 1024
"""JSON of what one member shows. More: `parameter-limit-exceeded`."""

PRESENCE_DEPTH_MAX = 8
"""Levels of presence that are compared for a patch; what lies deeper is replaced as a whole."""

ROOM_PRESENCE_BYTES_MAX = 2 * 1024 * 1024
"""JSON of what all members of a room show, because each new member is sent all of it. More:
`parameter-limit-exceeded`."""

PRESENCE_BYTES_OF_NETWORK_MAX = 32 * 1024 * 1024
PRESENCE_BYTES_IN_ALL_MAX = 128 * 1024 * 1024
"""The same for the sessions of one network, and of the server, over all their rooms. It is kept
decoded too, about twice. More: `parameter-limit-exceeded`."""

REST_MS_A_MEMBER = 0.1
REST_MS_MIN = 2
"""How long a room makes no other patch after one, for each member: so 10,000 members a second are
told at most, whatever moves. Rooms that would rest for less than the minimum do not rest."""

TOPIC_BYTES_MAX = 64 * 1024
"""JSON of one message to a topic. More: `parameter-limit-exceeded`."""

TOPIC_BACKLOG_BYTES_MAX = 1024 * 1024
TOPIC_BACKLOG_BYTES_OF_NETWORK_MAX = 32 * 1024 * 1024
TOPIC_BACKLOG_BYTES_IN_ALL_MAX = 128 * 1024 * 1024
"""Messages to topics that wait because clients are slow: for one session in one room, for all
sessions of its network, and for all. What comes then is dropped for this session, and counted
(`trice_room_messages_dropped_total`). Each session that waits for a message counts it."""

TOKEN_BYTES = 1024
"""A message to a room takes one token more for each of these many bytes."""

STATE_TOKEN_BYTES = 32 * 1024
"""The same for the state that a new member is sent."""

PATCHES_KEPT = 32
"""Latest patches of a room, for members that were told an older state. A member further behind is
told the whole state."""

OVERHEAD_BYTES = 160
"""What the state of a room holds of each member besides its presence: ids and keys."""

PRESENCE_RATE = RateLimit(capacity=300, refill_amount=120, period_ms=1_000)
"""How often one session may set presence and join. More: `rate-limited`."""

DELIVERY_RATE = RateLimit(capacity=20_000, refill_amount=10_000, period_ms=1_000)
"""Deliveries of messages to topics that one session may cause: a message counts once for each
member that receives it, and each TOKEN_BYTES of it. More: `rate-limited`."""

DELIVERY_RATE_OF_NETWORK = RateLimit(capacity=200_000, refill_amount=200_000, period_ms=1_000)
"""The same for all sessions of one network."""

SERVICE_PEERS_MAX = 1_000
"""Members that the server of an app may have set over HTTP in one app. More:
`parameter-limit-exceeded`."""

SERVICE_TTL_S_MAX = 3_600
"""Seconds for which such a member stays without being set again."""

SERVICE_TTL_S = 60
"""The same if the request does not say."""

LAST_SEEN_MINUTES_MAX = 60
"""How far back `last-seen` reaches."""

LAST_SEEN_KEPT = 200
"""Members that left a room last, of whom `last-seen` tells."""

LAST_SEEN_BYTES_MAX = 16 * 1024 * 1024
"""What all members that left showed. More: the rooms that nobody left for longest forget some."""

assert PRESENCE_BYTES_MAX < ROOM_PRESENCE_BYTES_MAX
assert DELIVERY_RATE.capacity >= 2 * ROOM_MEMBERS_MAX
assert TOPIC_BYTES_MAX < TOPIC_BACKLOG_BYTES_MAX
assert PRESENCE_RATE.capacity > ROOM_PRESENCE_BYTES_MAX // STATE_TOKEN_BYTES
