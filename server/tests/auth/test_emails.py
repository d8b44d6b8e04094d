"""Addresses (`trice.auth.emails`)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trice.auth.emails import find_email

LONGEST = "a" * 64 + "@" + ("b" * 61 + ".") * 3 + "com"


@pytest.mark.rule("A30", "A31")
@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("ann@example.com", "ann@example.com"),
        ("\t Ann.B+tag@Mail.Example.CO.UK \n", "ann.b+tag@mail.example.co.uk"),
        ("o'neil!#$%&*/=?^_`{|}~-@x-1.io", "o'neil!#$%&*/=?^_`{|}~-@x-1.io"),
        ("1@2.3", "1@2.3"),
        (LONGEST, LONGEST),
    ],
)
def test_addresses(text, email):
    assert find_email(text) == email


@pytest.mark.rule("A31")
@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        ["ann@example.com"],
        "",
        "ann",
        "@example.com",
        "ann@",
        "ann@localhost",
        "ann@.com",
        "ann@example.",
        "ann@-example.com",
        "ann@example-.com",
        "ann@exa_mple.com",
        "ann@@example.com",
        "ann@b@example.com",
        ".ann@example.com",
        "ann.@example.com",
        "an..n@example.com",
        "an n@example.com",
        '"ann"@example.com',
        "Ann <ann@example.com>",
        "ann@example.com,bob@example.com",
        "ann@example.com\r\nBcc: bob@example.com",
        "ann\n@example.com",
        "ann\x00@example.com",
        "änn@example.com",
        "ann@exämple.com",
        "ann@[127.0.0.1]",
        "a" * 65 + "@example.com",
        LONGEST + "m",
        "a@" + "b" * 64 + ".com",
    ],
)
def test_what_is_no_address(text):
    assert find_email(text) is None


@pytest.mark.rule("A31")
@given(st.text(alphabet='aA.@-+ \r\n\t"<>,;:\\é\x00\u2028', max_size=40))
def test_every_address_is_safe_in_a_header(text):
    email = find_email(text)
    if email is not None:
        assert re.fullmatch(r"[!-~]+@[!-~]+\.[!-~]+", email)
        assert not set(email) & set(' "<>,;:\\()[]')
        assert find_email(email) == email
