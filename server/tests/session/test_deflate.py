"""What is agreed on, what is inflated, and what is deflated only once."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest

from support.picows_client import TAIL, deflate
from trice import limits
from trice.protocol.shared import JoinedFrame, SharedFrame, SharedPart, plain
from trice.session.deflate import Deflater, Inflating, agree
from trice.session.socket import MustClose

KEPT = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
TEXT = b'{"title":"Buy milk","done":false},' * 40


@pytest.mark.rule("P90")
@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate;client_max_window_bits=8",
        'permessage-deflate ; client_max_window_bits = "1\\5" ',
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        "permessage-deflate; nonsense, permessage-deflate; client_max_window_bits",
        "x-webkit-deflate-frame, permessage-deflate",
        'other; a="x, permessage-deflate; b=\\"c\\""; d, \tpermessage-deflate',
    ],
)
def test_the_first_offer_that_can_be_kept_is_accepted(offer):
    assert agree([offer]) == KEPT


@pytest.mark.rule("P90")
def test_a_window_that_is_the_largest_is_repeated():
    window = "; server_max_window_bits=15"
    assert agree(["permessage-deflate" + window]) == KEPT + window
    assert agree(["permessage-deflate" + window + ", permessage-deflate"]) == KEPT + window
    assert agree(["permessage-deflate, permessage-deflate" + window]) == KEPT


@pytest.mark.rule("P90")
def test_offers_may_stand_in_several_headers():
    assert agree(["other", "permessage-deflate; x", "permessage-deflate"]) == KEPT


@pytest.mark.rule("P91")
@pytest.mark.parametrize(
    "offer",
    [
        "",
        "other",
        "permessage-deflater",
        "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover=1",
        'permessage-deflate; client_no_context_takeover=""',
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=15",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=14",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=08",
        "permessage-deflate; client_max_window_bits=10.5",
        'permessage-deflate; client_max_window_bits=""',
    ],
)
def test_other_offers_are_declined(offer):
    assert agree([offer]) is None


@pytest.mark.rule("P91")
@pytest.mark.parametrize(
    "header",
    [
        "permessage-deflate;",
        "permessage-deflate; ; x",
        "permessage-deflate; client_max_window_bits=",
        'permessage-deflate; client_max_window_bits="10',
        "permessage-deflate x",
        "two words, permessage-deflate",
        "=, permessage-deflate",
        "\u00e9",
    ],
)
def test_what_breaks_the_grammar_agrees_on_nothing(header):
    assert agree([header]) is None


@pytest.mark.rule("P91")
@pytest.mark.parametrize("piece", [" ", "\t", ";", '"\\', ";a", "; a =", "a, ", "a;b;", '"'])
def test_any_header_is_read_in_one_pass(piece):
    """As long as a request may be. Reading from each place again would take minutes."""
    assert agree(["permessage-deflate; x" + piece * (64 * 1024 // len(piece))]) is None


def inflate(payload):
    return Inflating(payload).whole()


@pytest.mark.rule("P95")
def test_what_other_deflaters_make_is_read():
    assert inflate(deflate(TEXT)) == TEXT
    # The examples of RFC 7692 §7.2.3: one block, two blocks, stored, marked as the last.
    for payload in ("f248cdc9c90700", "f248050000 00ffffcac9c90700", "000500faff48656c6c6f00"):
        assert inflate(bytes.fromhex(payload)) == b"Hello"
    assert inflate(bytes.fromhex("f348cdc9c9070000")) == b"Hello"


@pytest.mark.rule("P96")
def test_a_message_may_inflate_to_the_limit_and_no_further():
    assert len(inflate(deflate(b" " * limits.MESSAGE_BYTES_MAX))) == limits.MESSAGE_BYTES_MAX
    for size in (limits.MESSAGE_BYTES_MAX + 1, 64 * 1024 * 1024):
        assert len(inflate(deflate(b" " * size))) == limits.MESSAGE_BYTES_MAX + 1


@pytest.mark.rule("P112")
def test_no_more_than_a_short_message_is_inflated_at_first():
    for size in (limits.MESSAGE_BYTES_ON_LOOP, limits.MESSAGE_BYTES_ON_LOOP + 1, 64 * 1024 * 1024):
        inflating = Inflating(deflate(b" " * size))
        assert len(inflating.head) == min(size, limits.MESSAGE_BYTES_ON_LOOP + 1)
        assert inflating.is_whole == (size <= limits.MESSAGE_BYTES_ON_LOOP)


@pytest.mark.rule("P96")
def test_a_bomb_takes_no_more_memory_than_a_message():
    payload = deflate(b" " * 128 * 1024 * 1024)
    tracemalloc.start()
    try:
        assert len(inflate(payload)) == limits.MESSAGE_BYTES_MAX + 1
        assert tracemalloc.get_traced_memory()[1] < 4 * limits.MESSAGE_BYTES_MAX
    finally:
        tracemalloc.stop()


@pytest.mark.rule("P96")
@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",
        b"plain text",
        zlib.compress(TEXT),  # with a header
        bytes.fromhex("f348cdc9c9070000") + deflate(TEXT),  # goes on after the last block
        b"\x03\x00" * 1_000,  # nothing but last blocks
    ],
)
def test_what_is_not_deflated_is_refused(payload):
    with pytest.raises(MustClose) as closed:
        inflate(payload)
    assert closed.value.code == 1007


def whole(payload: bytes | None) -> bytes:
    """What a client reads, window of the largest kind."""
    assert payload is not None
    return zlib.decompressobj(wbits=-15).decompress(payload + TAIL)


@pytest.mark.rule("P92")
def test_frames_worth_it_are_deflated():
    deflater = Deflater()
    for size in (limits.DEFLATE_BYTES_MIN, 5_000, 50_000, limits.DEFLATE_BYTES_MAX):
        frame = (TEXT * (size // len(TEXT) + 1))[:size]
        deflated = deflater.find_deflated(frame)
        assert whole(deflated) == frame
        assert len(deflated or b"") < size / 2
    assert deflater.counts.sent == deflater.counts.deflated == 4


@pytest.mark.rule("P92")
def test_other_frames_are_sent_as_they_are():
    deflater = Deflater()
    noise = random.Random(7).randbytes(4_000)
    for frame in (
        TEXT[: limits.DEFLATE_BYTES_MIN - 1],
        b" " * (limits.DEFLATE_BYTES_MAX + 1),
        noise,
        SharedFrame(noise),
        JoinedFrame([b"{", SharedPart(noise), b"}"]),
    ):
        assert deflater.find_deflated(frame) is None
    assert deflater.counts.sent == 0


@pytest.mark.rule("P93")
def test_a_shared_frame_is_deflated_once():
    deflater = Deflater()
    frame = SharedFrame(TEXT)
    first = deflater.find_deflated(frame)
    assert whole(first) == TEXT
    for _ in range(499):
        assert deflater.find_deflated(frame) is first
    counts = deflater.counts
    assert (counts.deflated, counts.sent) == (1, 500)
    assert (counts.bytes_before, counts.bytes_after) == (len(TEXT), len(first or b""))


@pytest.mark.rule("P93")
def test_a_shared_frame_that_does_not_become_smaller_is_tried_once():
    deflater = Deflater()
    frame = SharedFrame(random.Random(8).randbytes(4_000))
    assert [deflater.find_deflated(frame) for _ in range(3)] == [None] * 3
    assert deflater.counts.deflated == 1


@pytest.mark.rule("P94")
@pytest.mark.parametrize("seed", range(20))
def test_parts_make_one_message(seed):
    """Whatever of it is shared, small, large or cannot be deflated, and wherever it stands."""
    source = random.Random(seed)
    shared = [
        SharedPart(TEXT),
        SharedPart(TEXT[::-1] * 30),
        SharedPart(b"[]"),
        SharedPart(b""),
        SharedPart(source.randbytes(700)),
    ]
    deflater = Deflater()
    for _ in range(10):
        parts: list[bytes | SharedPart] = [
            source.choice([*shared, b"", b"{", TEXT[: source.randrange(900)]])
            for _ in range(source.randrange(1, 9))
        ]
        frame = JoinedFrame(parts)
        message = b"".join(getattr(part, "plain", part) for part in parts)
        assert (plain(frame), len(frame)) == (message, len(message))
        deflated = deflater.find_deflated(frame)
        assert deflated is None or whole(deflated) == message, seed
    assert deflater.counts.sent > 0


@pytest.mark.rule("P94")
def test_a_shared_part_is_deflated_once():
    deflater = Deflater()
    part = SharedPart(TEXT)
    for name in range(100):
        frame = JoinedFrame([b'{"client-event-id":"%d","result":' % name, part, b"}"])
        assert whole(deflater.find_deflated(frame)) == plain(frame)
    assert (deflater.counts.deflated, deflater.counts.sent) == (1, 100)
