"""Which texts may be passwords."""

from __future__ import annotations

import pytest

from trice import auth_limits
from trice.auth.passwords.policy import check_new_password, normalise
from trice.errors import InvalidInput

LONGEST = "correct horse " * 80


def refusal(password: str, email: str | None = "annabel@x.example") -> str:
    """Why a password is not accepted."""
    with pytest.raises(InvalidInput) as failure:
        check_new_password(password, email=email, path="password")
    assert failure.value.code == "validation-failed"
    assert failure.value.hint["errors"][0]["in"] == ["body", "password"]
    # Neither the message nor the hint repeats what somebody typed as a password.
    assert len(password) < 3 or password not in f"{failure.value.message} {failure.value.hint}"
    return failure.value.message


@pytest.mark.rule("A159")
def test_length_is_counted_in_bytes_of_the_normalised_text():
    assert "shorter than 8" in refusal("k3#xQ9v")
    check_new_password("k3#xQ9v!", email=None, path="password")
    check_new_password("пароль№", email=None, path="password")
    assert "longer than 1024" in refusal(LONGEST)
    check_new_password(LONGEST[: auth_limits.PASSWORD_BYTES_MAX], email=None, path="password")
    assert "longer" in refusal("ﷺ" * 200)  # 200 characters, 6,600 bytes once normalised
    assert "shorter" in refusal("")


@pytest.mark.rule("A160")
def test_one_text_typed_in_two_ways_is_one_password():
    assert normalise("Ame\u0301lie") == normalise("Am\u00e9lie") == "Am\u00e9lie".encode()
    assert normalise("ｐａｓｓ") == b"pass"
    assert normalise(" Pass ") != normalise("pass")


@pytest.mark.rule("A161")
@pytest.mark.parametrize(
    "password",
    [
        *("aaaaaaaaaaaa", "12345678", "87654321", "abcdefghij", "qwertyuiop", "poiuytrewq"),
        *("11112222", "121212121212", "abcabcabcabc", "aaaaaaa1", "qwertz1234567890"),
        *("asdfghjkl", "AbAbAbAbAb", "annabel@x.example", "Annabel123", "xx-annabel-xx"),
    ],
)
def test_what_follows_from_a_rule_is_refused(password):
    assert "easy to guess" in refusal(password)


@pytest.mark.rule("A161")
@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "zkw9!pLm",
        "annabel likes green tea",
        "日本語のパスワード",
        "7391 0528 6",
    ],
)
def test_what_is_long_or_odd_enough_is_accepted(password):
    check_new_password(password, email="annabel@x.example", path="password")
