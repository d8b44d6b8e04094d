"""Dates: the forms that parse, and the instants they mean."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trice.catalog.dates import INFINITY_US, instant_us, is_date_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(iso: str) -> int:
    return (datetime.fromisoformat(iso).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


FORMS = {
    "2025-01-02T03:04:05Z": "2025-01-02T03:04:05",
    "2025-01-02T03:04:05.678Z": "2025-01-02T03:04:05.678",
    "2025-01-02T03:04:05.1234567Z": "2025-01-02T03:04:05.123457",
    "2025-01-02T03:04:05": "2025-01-02T03:04:05",
    "2025-01-02T03:04:05-08": "2025-01-02T11:04:05",
    "2025-01-02T03:04:05+0000": "2025-01-02T03:04:05",
    "2025-01-02T03:04:05+0530": "2025-01-01T21:34:05",
    "2025-01-02T03:04:05+00:00": "2025-01-02T03:04:05",
    "2025-01-02T03:04:05.5+01:00": "2025-01-02T02:04:05.5",
    "2025-01-02": "2025-01-02T00:00:00",
    "2025/01/02": "2025-01-02T00:00:00",
    "20250102": "2025-01-02T00:00:00",
    "2025-12-31 21:11": "2025-12-31T21:11:00",
    "2025-1-2 3:4:5": "2025-01-02T03:04:05",
    "2025-01-02 03:04:05.25+00": "2025-01-02T03:04:05.25",
    "  2025-01-02": "2025-01-02T00:00:00",
    "2024-02-29": "2024-02-29T00:00:00",
    "2025-01-02T24:00:00Z": "2025-01-03T00:00:00",
    "2025-01-02T03:04:60Z": "2025-01-02T03:05:00",
    "Wed, 09 Jul 2025 14:38:26 GMT": "2025-07-09T14:38:26",
    "Wed Jul 09 2025": "2025-07-09T00:00:00",
    "Mon Feb 24 2025 22:37:27 GMT+0000": "2025-02-24T22:37:27",
    "Mon Feb 24 2025 22:37:27 GMT+0530 (India Standard Time)": "2025-02-24T17:07:27",
    "July 9, 2025 3:04 PM": "2025-07-09T15:04:00",
    "9 jul 2025": "2025-07-09T00:00:00",
    "8/4/2025, 11:02:31 PM": "2025-08-04T23:02:31",
    "8/4/2025, 12:02:31 AM": "2025-08-04T00:02:31",
    "8/4/2025, 12:02:31 PM": "2025-08-04T12:02:31",
    "04-17-2025": "2025-04-17T00:00:00",
    "3/12/4444": "4444-03-12T00:00:00",
    "3/12/69": "2069-03-12T00:00:00",
    "3/12/70": "1970-03-12T00:00:00",
    "2025-01-02 10:00 EST": "2025-01-02T15:00:00",
    "2025-01-02 10:00 PDT": "2025-01-02T17:00:00",
    "2025-01-02 10:00 CET": "2025-01-02T09:00:00",
    "2025-01-02 10:00 CETDST": "2025-01-02T08:00:00",
    '"2025-01-02"': "2025-01-02T00:00:00",
    '  "2025-01-02T03:04:05Z" ': "2025-01-02T03:04:05",
    "epoch": "1970-01-01T00:00:00",
    "EPOCH": "1970-01-01T00:00:00",
}
NO_DATES = [
    "", " ", "x", "2025", "2025-01", "2025-01-0", "2025-13-01", "2025-02-29", "2025-01-32",
    "0000-01-01", "100000-01-01", "2025-01-02T25:00:00Z", "2025-01-02T24:00:01Z",
    "2025-01-02T03:60:00Z", "2025-01-02T03:04:61Z", "2025-01-02 2025-01-03", "2025-01-02 10:00 XYZ",
    "2025-01-02 10:00 10:00", "2025-01-02 +16:00", "2025-01-02 7", "Jul 2025", "Jul 9 2025 10",
    "Jul Aug 9 2025", "13/1/2025", "12:00", "2025-01-02 13:00 PM", "2025-01-02 0:30 AM", "PM",
    "2025-01-02 AM", "[1]", '"x', '"now"x', '""', "1735776000000", "2025-01-02T03:04:05Z;",
    "٢٠٢٥-٠١-٠٢", "2025-01-02 UTC UTC", "2025-01-02 +01:00 +02:00", "x" * 1000,
]  # fmt: skip


@pytest.mark.rule("S40")
@pytest.mark.parametrize("text", FORMS)
def test_forms(text: str) -> None:
    assert instant_us(text) == us(FORMS[text])
    assert is_date_text(text, is_stored=True) and is_date_text(text, is_stored=False)


@pytest.mark.rule("S40")
@pytest.mark.parametrize("text", NO_DATES)
def test_what_is_no_date(text: str) -> None:
    assert instant_us(text) is None
    assert not is_date_text(text, is_stored=True)


@pytest.mark.rule("S41")
def test_numbers_are_milliseconds() -> None:
    assert instant_us(1_735_776_000_000) == us("2025-01-02T00:00:00")
    assert instant_us(1.5) == 1_500
    assert instant_us(-1) == -1_000
    for no_date in (math.inf, -math.inf, math.nan, 1e300, 10**30, True):
        assert instant_us(no_date) is None


@pytest.mark.rule("S42")
def test_infinity_is_beyond_every_date() -> None:
    assert instant_us("infinity") == INFINITY_US
    assert instant_us("-Infinity") == -INFINITY_US
    latest, earliest = instant_us("99999-12-31T23:59:59Z"), instant_us("0001-01-01")
    assert latest is not None and earliest is not None
    assert -INFINITY_US < earliest < latest < INFINITY_US


@pytest.mark.rule("S43")
@pytest.mark.parametrize("word", ["now", "today", "Tomorrow", " yesterday "])
def test_relative_words_may_be_stored_but_not_asked_for(word: str) -> None:
    assert is_date_text(word, is_stored=True)
    assert not is_date_text(word, is_stored=False)
    assert instant_us(word) is None


@pytest.mark.rule("S40")
@given(
    st.datetimes(),
    st.sampled_from(
        ["%Y-%m-%dT%H:%M:%S.%fZ", "%a, %d %b %Y %H:%M:%S.%f", "%m/%d/%Y, %I:%M:%S.%f %p"]
    ),
)
def test_every_moment_reads_back(moment: datetime, form: str) -> None:
    if moment.year < 1000:  # strftime does not pad years, and two digits mean this century
        moment = moment.replace(year=moment.year + 1000)
    assert instant_us(moment.strftime(form)) == us(moment.isoformat())


@pytest.mark.rule("S40")
@given(st.integers(10_000, 99_999), st.integers(1, 12), st.integers(1, 28))
def test_five_digit_years_follow_the_calendar(year: int, month: int, day: int) -> None:
    cycles = year // 400 - 20
    shifted = instant_us(f"{year - cycles * 400:04}-{month}-{day}")
    assert shifted is not None
    assert instant_us(f"{year}-{month}-{day}") == shifted + cycles * 146_097 * 86_400_000_000
