"""Fragments become messages, or a reason to close."""

from __future__ import annotations

from random import Random

import pytest

from support.picows_client import deflate
from trice import limits
from trice.session.fragments import Fragments
from trice.session.incoming import TooBig
from trice.session.socket import MustClose

FIRST = {"is_first": True, "is_last": False, "is_deflated": False}
LATER = {"is_first": False, "is_last": False, "is_deflated": False}
LAST = {"is_first": False, "is_last": True, "is_deflated": False}
WHOLE = {"is_first": True, "is_last": True, "is_deflated": False}
RSV1 = {"is_deflated": True}


@pytest.mark.rule("P95")
@pytest.mark.parametrize("is_deflated", [False, True])
def test_fragments_are_joined(is_deflated):
    message = b'{"op":"init"}' * 100
    payload = deflate(message) if is_deflated else message
    fragments = Fragments()
    for _ in range(2):
        first = {**FIRST, "is_deflated": is_deflated}
        assert fragments.take(payload[:5], **first) is None
        assert fragments.take(b"", **LATER) is None
        assert fragments.take(payload[5:9], **LATER) is None
        assert fragments.take(payload[9:], **LAST) == message
        assert fragments.take(payload, **{**WHOLE, "is_deflated": is_deflated}) == message


@pytest.mark.rule("P97")
@pytest.mark.parametrize(
    "frames",
    [
        [LATER],
        [LAST],
        [FIRST, FIRST],
        [FIRST, WHOLE],
        [FIRST, LATER, WHOLE],
        [FIRST, LAST, LAST],
        [FIRST | RSV1, LATER | RSV1],
        [FIRST, LAST | RSV1],
    ],
)
def test_frames_out_of_order_close_the_socket(frames):
    fragments = Fragments()
    for frame in frames[:-1]:
        fragments.take(b"{}", **frame)
    with pytest.raises(MustClose) as closed:
        fragments.take(b"{}", **frames[-1])
    assert closed.value.code == 1002


@pytest.mark.rule("P114")
@pytest.mark.parametrize("is_deflated", [False, True])
def test_of_a_message_that_is_too_big_the_beginning_is_kept(is_deflated):
    fragments = Fragments()
    begin = b'{"client-event-id":"e","q":"'
    payload = begin + Random(1).randbytes(limits.MESSAGE_BYTES_MAX + 1)
    if is_deflated:
        payload = deflate(payload)
    piece = 1024 * 1024
    assert fragments.take(payload[:piece], **{**FIRST, "is_deflated": is_deflated}) is None
    for start in range(piece, len(payload), piece):
        assert fragments.take(payload[start : start + piece], **LATER) is None
    assert len(fragments._received) <= limits.MESSAGE_HEAD_BYTES
    message = fragments.take(b"", **LAST)
    with pytest.raises(TooBig) as refused:
        message.text()
    assert refused.value.head.startswith(begin)
    assert fragments.take(b"{}", **WHOLE) == b"{}"


@pytest.mark.rule("P32")
def test_fragments_are_joined_up_to_the_limit():
    fragments = Fragments()
    half = b" " * (limits.MESSAGE_BYTES_MAX // 2)
    fragments.take(half, **FIRST)
    assert fragments.take(half, **LAST) == half + half
    fragments.take(half, **FIRST)
    fragments.take(half, **LATER)
    with pytest.raises(TooBig):
        fragments.take(b" ", **LAST).text()
