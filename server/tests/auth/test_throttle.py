"""Who counts as one network address (`trice.auth.throttle`)."""

from __future__ import annotations

import pytest

from trice.identity import network_of


@pytest.mark.rule("A54")
def test_networks():
    assert network_of("192.0.2.7") == "192.0.2.7"
    assert network_of("192.0.2.7") != network_of("192.0.2.8")
    assert network_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("") == ""
    assert len(network_of("x" * 10_000)) == 64
