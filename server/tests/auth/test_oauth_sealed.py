"""Secrets at rest."""

from __future__ import annotations

import stat

import pytest

from support.runtime import FakeRuntime
from trice.auth.oauth.sealed import Seal
from trice.errors import InvalidInput, PermissionDenied

KEY = "ab" * 32
HOLDER = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"


def make(path, key=None, seed=0):
    return Seal(path, secret_key=key, runtime=FakeRuntime(seed=seed))


@pytest.mark.rule("A90")
def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    seal = make(tmp_path)
    assert not (tmp_path / "secret.key").exists()
    sealed = seal.seal("geheim ü", holder=HOLDER)
    path = tmp_path / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret.key"]
    assert "geheim" not in str(bytes.fromhex(sealed))
    assert make(tmp_path, seed=9).open(sealed, holder=HOLDER) == "geheim ü"


@pytest.mark.rule("A90")
def test_a_key_may_be_given(tmp_path):
    sealed = make(tmp_path, KEY).seal("x", holder=HOLDER)
    assert make(tmp_path, KEY.upper()).open(sealed, holder=HOLDER) == "x"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.rule("A90")
def test_equal_secrets_look_different(tmp_path):
    seal = make(tmp_path, KEY)
    assert seal.seal("x", holder=HOLDER) != seal.seal("x", holder=HOLDER)


@pytest.mark.rule("A91")
@pytest.mark.parametrize("change", ["key", "holder", "byte", "short", "text", "foreign", "empty"])
def test_what_does_not_open_is_to_be_entered_again(tmp_path, change):
    sealed = make(tmp_path, KEY).seal("x", holder=HOLDER)
    opener = make(tmp_path, "cd" * 32 if change == "key" else KEY)
    given = {
        "byte": sealed[:-1] + ("0" if sealed[-1] != "0" else "1"),
        "short": sealed[:20],
        "text": "no hex",
        "foreign": "01" + sealed[2:],
        "empty": "",
    }.get(change, sealed)
    with pytest.raises(PermissionDenied, match=r"Enter the secret again\.") as caught:
        opener.open(given, holder=OTHER if change == "holder" else HOLDER)
    assert caught.value.code == "oauth-error"


@pytest.mark.rule("A92")
@pytest.mark.parametrize("key", ["", "x" * 64, "ab" * 31, "ab" * 33])
def test_a_key_that_is_none_is_refused_at_start(tmp_path, key):
    with pytest.raises(InvalidInput, match="TRICE_SECRET_KEY must be 64 hexadecimal digits"):
        make(tmp_path, key)


@pytest.mark.rule("A92")
def test_a_broken_key_file_is_not_replaced(tmp_path):
    (tmp_path / "secret.key").write_text("half")
    with pytest.raises(InvalidInput, match="does not hold a key"):
        make(tmp_path)
    assert (tmp_path / "secret.key").read_text() == "half"
