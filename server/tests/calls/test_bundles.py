"""Bundles made of projects, and what of others is refused."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from trice import function_limits as limits
from trice.calls.bundles import MANIFEST, Manifest, pack, project_files, read_bundle, unpack
from trice.errors import InvalidInput, LimitExceeded, TriceError


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def zipped(*entries: tuple[str, bytes], compression: int = zipfile.ZIP_STORED, mode: int = 0):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in ((MANIFEST, b"{}"), *entries):
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return out.getvalue()


@pytest.mark.rule("FN260")
def test_a_bundle_has_the_code_of_a_project_and_nothing_else(tmp_path):
    write(
        tmp_path,
        {
            "schema.py": "s",
            "trice.toml": "",
            "uv.lock": "",
            "pyproject.toml": "",
            "functions/messages.py": "m",
            "functions/billing/invoices.py": "i",
            "functions/billing/tax.json": "{}",
            "functions/__pycache__/messages.pyc": "no",
            "functions/.hidden": "no",
            "conftest.py": "no",
            "tests/test_messages.py": "no",
            "client/api.ts": "no",
            ".env": "SECRET=1",
            "README.md": "no",
        },
    )
    assert sorted(project_files(tmp_path)) == [
        "functions/billing/invoices.py",
        "functions/billing/tax.json",
        "functions/messages.py",
        "pyproject.toml",
        "schema.py",
        "trice.toml",
        "uv.lock",
    ]


@pytest.mark.rule("FN260")
def test_a_link_that_leads_out_of_the_project_is_refused(tmp_path):
    root = write(tmp_path / "project", {"functions/a.py": ""})
    (tmp_path / "secret.py").write_text("no")
    (root / "functions" / "b.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(InvalidInput, match=r"functions/b\.py is a link"):
        project_files(root)


@pytest.mark.rule("FN261")
def test_equal_projects_have_equal_bundles():
    manifest = Manifest(schema={"entities": {}, "links": {}}, rules={"b": 1, "a": 2})
    first = pack({"schema.py": b"x", "functions/a.py": b"y"}, manifest)
    again = Manifest(rules={"a": 2, "b": 1}, schema={"links": {}, "entities": {}})
    assert pack({"functions/a.py": b"y", "schema.py": b"x"}, again).hash == first.hash
    assert pack({"schema.py": b"x", "functions/a.py": b"z"}, manifest).hash != first.hash
    # Pinned: the same bytes on every machine, whatever its zlib.
    assert first.hash[:16] == "b513908aae4db053"


@pytest.mark.rule("FN261", "FN262")
def test_what_is_packed_is_what_is_unpacked(tmp_path):
    files = {"schema.py": b"x", "functions/a/b.py": b"\x00\xff"}
    bundle = read_bundle(pack(files, Manifest(required=("KEY",))).raw)
    assert bundle.manifest.required == ("KEY",)
    unpack(bundle, tmp_path / "code")
    found = {
        path.relative_to(tmp_path / "code").as_posix(): path.read_bytes()
        for path in (tmp_path / "code").rglob("*")
        if path.is_file()
    }
    assert found == files
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "code").rglob("*")}
    assert modes == {0o700, 0o600}


@pytest.mark.rule("FN263")
@pytest.mark.parametrize(
    "name",
    ["../x.py", "/x.py", "a/../x.py", "a//x.py", "./x.py", "a\\x.py", "C:x.py", "x\n.py", "a/"],
)
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(InvalidInput, match="is no path below"):
        read_bundle(zipped((name, b"")))


@pytest.mark.rule("FN263")
def test_links_compressed_files_and_doubled_names_are_refused():
    with pytest.raises(InvalidInput, match="is no plain file"):
        read_bundle(zipped(("a.py", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777))
    with pytest.raises(InvalidInput, match="is compressed"):
        read_bundle(zipped(("a.py", b"0" * 10_000), compression=zipfile.ZIP_DEFLATED))
    with pytest.warns(UserWarning, match="Duplicate name"):
        doubled = zipped(("a.py", b""), ("a.py", b""))
    with pytest.raises(InvalidInput, match="one name"):
        read_bundle(doubled)
    with pytest.raises(InvalidInput, match="one name"):
        read_bundle(zipped(("a", b""), ("a/b.py", b"")))
    with pytest.raises(InvalidInput, match="no zip file"):
        read_bundle(b"PK nothing")


@pytest.mark.rule("FN264")
def test_bundles_are_bounded(monkeypatch):
    with pytest.raises(InvalidInput, match="too long, or too deep"):
        read_bundle(zipped(("a/" * limits.BUNDLE_DEPTH_MAX + "x.py", b"")))
    with pytest.raises(InvalidInput, match="too long, or too deep"):
        read_bundle(zipped(("a" * (limits.BUNDLE_NAME_BYTES_MAX + 1), b"")))
    monkeypatch.setattr(limits, "BUNDLE_FILES_MAX", 2)
    with pytest.raises(InvalidInput, match="3 files; 2 are accepted"):
        read_bundle(zipped(("a.py", b""), ("b.py", b"")))
    monkeypatch.setattr(limits, "BUNDLE_BYTES_MAX", 1_000)
    with pytest.raises(LimitExceeded, match="1,000 are accepted"):
        read_bundle(bytes(1_001))
    with pytest.raises(LimitExceeded, match="1,000 are accepted"):
        pack({"functions/a.py": bytes(1_001)}, Manifest())


@pytest.mark.rule("FN263")
def test_no_change_of_one_byte_does_more_than_refuse(tmp_path):
    """Each is refused, or still a bundle whose files lie below its folder."""
    raw = pack({"functions/a.py": b"x" * 20, "schema.py": b"y"}, Manifest()).raw
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 0x41]) + raw[at + 1 :]
        try:
            bundle = read_bundle(changed)
        except TriceError:
            continue
        unpack(bundle, tmp_path / f"code-{at}")
        assert all(not name.startswith(("/", "..")) for name in bundle.files)
