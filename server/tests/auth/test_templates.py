"""What the e-mail with a code says (`trice.auth.templates`)."""

from __future__ import annotations

import pytest

from trice.apps.settings import EmailTemplate, Settings
from trice.auth.magic_codes import expiry_text
from trice.auth.templates import render

VALUES = {
    "code": "012345",
    "user_email": "o'neil@example.com",
    "app_title": "Tom & <b>Jerry</b> {code}",
    "expiration": "24 hours",
}


@pytest.mark.rule("A60", "A61", "A62")
def test_the_server_s_own():
    letter = render(None, **VALUES)
    assert letter.subject == "012345 is your verification code for Tom & <b>Jerry</b> {code}"
    assert letter.name == "Tom & <b>Jerry</b> {code}"
    assert "<strong>012345</strong>" in letter.body_html
    assert "Tom &amp; &lt;b&gt;Jerry&lt;/b&gt; {code}" in letter.body_html
    assert "24 hours" in letter.body_html
    assert letter.body_text.count("012345") == 1
    assert "24 hours" in letter.body_text
    assert "Tom & <b>Jerry</b> {code}" in letter.body_text


@pytest.mark.rule("A61", "A62")
def test_the_app_s_own():
    template = EmailTemplate(
        id="t",
        subject="{app_title}: {code} {unknown} {CODE} {code}",
        body="<p>{user_email} {code} {app_title} {expiration} {}</p>",
        name="The {code} team",
    )
    letter = render(template, **VALUES)
    assert letter.subject == "Tom & <b>Jerry</b> {code}: 012345 {unknown} {CODE} 012345"
    assert letter.body_html == (
        "<p>o&#x27;neil@example.com 012345 Tom &amp; &lt;b&gt;Jerry&lt;/b&gt; {code} 24 hours {}"
        "</p>"
    )
    assert letter.name == "The {code} team"
    assert "012345" in letter.body_text


@pytest.mark.rule("A60")
@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (1, "1 minute"),
        (10, "10 minutes"),
        (60, "1 hour"),
        (90, "90 minutes"),
        (120, "2 hours"),
        (1_440, "24 hours"),
    ],
)
def test_how_long_codes_work(minutes, text):
    assert expiry_text(Settings(code_expiry_minutes=minutes)) == text
