"""The credentials of the web server: what is wrong with them, and how they are reloaded."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

import pytest
import structlog

from checkpointd.config.web import BasicAuthSettings, TlsSettings, WebSettings
from checkpointd.observe.web.access import Access, warnings
from checkpointd.observe.web.credentials import Credentials, CredentialsError, load
from tests.helpers.tls import Pair, needs_openssl, openssl, pair

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    """Two certificates."""
    directory = tmp_path_factory.mktemp("tls")
    return pair(directory, "first"), pair(directory, "second", days=3)


def with_tls(directory: Path, source: Pair) -> tuple[WebSettings, Pair]:
    """Settings whose files are a copy of a pair."""
    files = Pair(directory / "web.crt", directory / "web.key")
    source.copy_to(files)
    return WebSettings(tls=TlsSettings(cert_file=files.cert, key_file=files.key)), files


def with_password(directory: Path, raw: bytes = b"s3cret\n") -> WebSettings:
    """Settings with a password in a file."""
    file = directory / "web.password"
    file.write_bytes(raw)
    file.chmod(0o640)
    return WebSettings(basic_auth=BasicAuthSettings(username="prom", password_file=file))


def header(name: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def problems(web: WebSettings) -> dict[str, str]:
    """The messages about the files, by key."""
    with pytest.raises(CredentialsError) as caught:
        load(web)
    return {problem.loc[-1]: problem.message for problem in caught.value.problems}


def test_only_the_right_name_and_password_are_admitted(tmp_path: Path) -> None:
    """A newline at the end of the file is none of the password."""
    access = Access()
    access.apply(with_password(tmp_path))
    assert access.needs_password
    assert access.admits(header("prom", "s3cret"))
    assert access.admits("bAsIc  " + header("prom", "s3cret")[6:])
    for wrong in (
        "",
        "Basic",
        "Basic ====",
        "Basic \xff",
        "Bearer " + header("prom", "s3cret")[6:],
        header("prom", "s3cret\n"),
        header("prom", ""),
        header("", "s3cret"),
        header("Prom", "s3cret"),
        header("prom", "x" * 2000),
    ):
        assert not access.admits(wrong)


def test_without_a_password_nobody_is_asked_and_nothing_admits() -> None:
    """An empty digest is no password."""
    assert not Access().needs_password
    assert not Access().admits(header("", ""))


def test_a_new_password_is_used_and_a_bad_one_is_not(tmp_path: Path) -> None:
    """The old one stays in use meanwhile; the log never holds either."""
    access, web = Access(), with_password(tmp_path)
    access.apply(web)
    assert web.basic_auth is not None
    file = web.basic_auth.password_file
    with structlog.testing.capture_logs() as logged:
        file.write_bytes(b"")
        assert not access.reload()
        assert not access.reload()
        assert access.admits(header("prom", "s3cret"))
        assert access.files_good is False
        assert any("is empty" in problem for problem in access.problems())
        file.write_bytes(b"an0ther\r\n")
        assert access.reload()
    assert access.admits(header("prom", "an0ther"))
    assert not access.admits(header("prom", "s3cret"))
    assert access.files_good is True
    assert access.problems() == []
    assert [line["log_level"] for line in logged] == ["error", "info"]
    assert "s3cret" not in str(logged)
    assert "an0ther" not in str(logged)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.unlink(), "does not exist"),
        (lambda p: p.chmod(0o644), "can be accessed by every user (mode 644); chmod o= it"),
        (lambda p: p.write_bytes(b"\n"), "is empty"),
        (lambda p: p.write_bytes(b"x" * 2000), "is longer than 1024 bytes"),
        (lambda p: (p.unlink(), p.mkdir()), "is not a regular file"),
        (lambda p: (p.unlink(), os.mkfifo(p, 0o600)), "is not a regular file"),
    ],
)
def test_a_password_file_that_cannot_be_used_is_reported(
    tmp_path: Path, spoil: object, message: str
) -> None:
    """In a sentence that begins with its path; a pipe does not hang anybody."""
    web = with_password(tmp_path)
    assert web.basic_auth is not None
    assert callable(spoil)
    spoil(web.basic_auth.password_file)
    found = problems(web)["password_file"]
    assert found.startswith(f"{web.basic_auth.password_file} {message}")


@needs_openssl
def test_a_certificate_is_used_when_it_is_complete_and_never_before(
    tmp_path: Path, made: tuple[Pair, Pair]
) -> None:
    """New certificate with the old key, half of it, then both: the old pair stays until then."""
    first, second = made
    web, files = with_tls(tmp_path, first)
    access = Access()
    access.apply(web)
    old, expires = access.context, access.not_after
    assert not access.reload()
    whole = second.cert.read_bytes()
    for broken, message in (
        (whole, "is not the key of the certificate"),
        (whole[:200], "contains no PEM certificate"),
        (b"", "contains no PEM certificate"),
    ):
        files.cert.write_bytes(broken)
        assert not access.reload()
        assert access.context is old
        assert access.not_after == expires
        assert any(message in problem for problem in access.problems())
    second.copy_to(files)
    assert access.reload()
    assert access.context is not old
    assert access.not_after is not None
    assert expires is not None
    assert access.not_after > expires
    assert access.problems() == []


@needs_openssl
def test_everything_wrong_with_the_files_is_reported_at_once(
    tmp_path: Path, made: tuple[Pair, Pair]
) -> None:
    """Each with its key in the config."""
    web, files = with_tls(tmp_path, made[0])
    assert web.tls is not None
    ca = tmp_path / "ca.crt"
    ca.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    web = web.model_copy(update={"tls": web.tls.model_copy(update={"client_ca_file": ca})})
    files.key.chmod(0o604)
    files.cert.write_bytes(b"x")
    found = problems(web)
    assert set(found) == {"cert_file", "key_file", "client_ca_file"}
    assert "chmod o= it" in found["key_file"]
    files.key.chmod(0o600)
    files.key.write_bytes(b"x")
    assert "contains no PEM key" in problems(web)["key_file"]


@needs_openssl
def test_an_encrypted_key_is_reported_and_nobody_is_asked_for_its_passphrase(
    tmp_path: Path, made: tuple[Pair, Pair]
) -> None:
    """A daemon has no terminal."""
    web, files = with_tls(tmp_path, made[0])
    out = tmp_path / "encrypted"
    openssl("pkcs8", "-topk8", "-in", str(files.key), "-out", str(out), "-passout", "pass:x")
    files.key.write_bytes(out.read_bytes())
    assert "store it without a passphrase" in problems(web)["key_file"]


@needs_openssl
def test_an_expired_certificate_is_a_problem_and_no_error(
    tmp_path: Path, made: tuple[Pair, Pair]
) -> None:
    """It is served, and reported; so is one that is not yet valid."""
    web, files = with_tls(tmp_path, made[0])
    keys = load(web)
    assert keys.validity is not None
    assert warnings(web, keys, keys.validity.not_after - 1) == []
    for now, message in (
        (keys.validity.not_after, f"The certificate {files.cert} has expired ("),
        (keys.validity.not_before - 1, f"The certificate {files.cert} is not valid before "),
    ):
        (warning,) = warnings(web, keys, now)
        assert warning.message.startswith(message)
        assert warning.loc == ("web", "tls", "cert_file")


def test_an_unprotected_server_is_reported(tmp_path: Path) -> None:
    """Nothing at all protects it, or a password that everybody on the way can read."""
    away = WebSettings(listen="0.0.0.0:9746")
    (warning,) = warnings(away, Credentials())
    assert warning.message.startswith("Anybody who can connect to 0.0.0.0:9746 can read paths")
    secret = with_password(tmp_path).model_copy(update={"listen": "0.0.0.0:9746"})
    (warning,) = warnings(secret, Credentials())
    assert "is sent unencrypted" in warning.message
    assert warnings(WebSettings(), Credentials()) == []


def test_settings_whose_files_cannot_be_used_change_nothing(tmp_path: Path) -> None:
    """A reload is applied as a whole or not at all."""
    access, web = Access(), with_password(tmp_path)
    access.apply(web)
    with pytest.raises(CredentialsError):
        access.apply(with_password(tmp_path / ".." / tmp_path.name, b""))
    assert access.web is web
    assert access.admits(header("prom", "s3cret"))
