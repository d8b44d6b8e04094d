"""Physical names: readable, and safe."""

from __future__ import annotations

import pytest

from trice.store.sqlite.names import CHARS_MAX, choose_name


@pytest.mark.rule("S20")
@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("todos", "todos"),
        ("$users", "$users"),
        ("created_at", "created_at"),
        ("Größe 日本", "Größe 日本"),
        ("", "_"),
        ("   ", "_"),
        ("a\"b'c`d[e]", "a_b_c_d_e_"),
        ("a.b~c,d", "a_b_c_d"),
        ("nul\x00tab\tline\n", "nul_tab_line_"),
        ("sqlite_schema", "_sqlite_schema"),
        ("SQLite_x", "_SQLite_x"),
        ("x" * 255, "x" * CHARS_MAX),
    ],
)
def test_names_stay_readable(wanted: str, chosen: str) -> None:
    assert choose_name(wanted, ()) == chosen


@pytest.mark.rule("S20")
def test_taken_names_get_numbers_whatever_their_case() -> None:
    assert choose_name("Title", ["title"]) == "Title_2"
    assert choose_name("title", ["TITLE", "title_2"]) == "title_3"
    assert choose_name("x" * 99, ["x" * CHARS_MAX]) == "x" * CHARS_MAX + "_2"
