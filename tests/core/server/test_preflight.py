"""What stops the start before anything is opened."""

from __future__ import annotations

import importlib
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jackfield.addresses import listens_publicly
from jackfield.config.sections import Config
from jackfield.server.preflight import check_exposure, check_parts


def config(server: dict[str, Any], **more: Any) -> Config:
    """A configuration with one open door."""
    return Config.model_validate({"server": server, "transport": [{"use": "relay_chat"}], **more})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "chat.example"])
def test_an_open_door_on_a_public_address_is_refused(host: str) -> None:
    (problem,) = check_exposure(config({"host": host}))
    assert problem.section == "transport.1"
    assert "allow_anonymous = true" in problem.fix


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_authentication(host: str) -> None:
    assert not listens_publicly(host)
    assert check_exposure(config({"host": host})) == []


def test_a_public_address_is_fine_when_the_file_says_so_or_the_door_is_guarded() -> None:
    assert check_exposure(config({"host": "0.0.0.0", "allow_anonymous": True})) == []
    guarded = {"transport": [{"use": "x", "auth": "a"}], "auth": {"a": {"use": "y"}}}
    assert check_exposure(Config.model_validate({"server": {"host": "0.0.0.0"}, **guarded})) == []


def test_authentication_that_lets_everybody_in_guards_nothing() -> None:
    guarded = {"transport": [{"use": "x", "auth": "a"}], "auth": {"a": {"use": "y"}}}
    public = Config.model_validate({"server": {"host": "0.0.0.0"}, **guarded})
    production = Config.model_validate({"server": {"environment": "production"}, **guarded})
    private = Config.model_validate(guarded)

    (exposed,) = check_exposure(public, ["a"])
    (refused,) = check_exposure(production, ["a"])

    assert exposed.section == "transport.1"
    assert refused.section == "auth.a"
    assert check_exposure(private, ["a"]) == []


@pytest.mark.parametrize("secret", ["short", "your-secret-key-goes-here", "aaaaaaaaaaaaaaaaaaaaaaaa"])
@pytest.mark.parametrize("name", ["secret_key", "metrics_token"])
def test_weak_secrets_stop_production_alone(name: str, secret: str) -> None:
    (problem,) = check_exposure(config({name: secret, "environment": "production"}))
    assert problem.section == f"server.{name}"
    assert secret not in str(problem)
    assert check_exposure(config({name: secret})) == []


def test_a_random_secret_is_fine_in_production() -> None:
    assert check_exposure(config({"secret_key": "Yk3p_0dL9vQ2xW7z", "environment": "production"})) == []


def test_credentials_from_every_origin_are_refused_when_asked_for() -> None:
    (problem,) = check_exposure(config({"cors_origins": ["*"], "cors_credentials": True}))
    assert problem.section == "server.cors_credentials"
    assert check_exposure(config({"cors_origins": ["*"]})) == []


def test_a_certificate_needs_its_key_and_both_must_be_there(tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    certificate.write_text("x")
    (alone,) = check_parts(config({"tls_cert": str(certificate)}))
    assert alone.section == "server.tls_key"
    (missing,) = check_parts(config({"tls_cert": str(certificate), "tls_key": str(tmp_path / "no.pem")}))
    assert "No such file" in missing.message


def test_voice_without_a_decoder_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    importlib.invalidate_caches()
    (problem,) = check_parts(config({}, stt={"use": "scripted"}))
    assert (problem.section, problem.fix) == ("stt", "pip install 'jackfield[audio]'")
    assert check_parts(config({})) == []


def test_an_object_store_without_its_package_or_with_wrong_settings_is_told_before_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert check_parts(config({}, audio={"url": "s3://bucket/clips"})) == []
    (wrong,) = check_parts(config({}, audio={"url": "s3://bucket", "options": {"acces_key": "secret-123"}}))
    assert wrong.section == "audio.options.acces_key"
    assert "secret-123" not in str(wrong)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    (missing,) = check_parts(config({}, audio={"url": "s3://bucket/clips"}))
    assert (missing.section, missing.fix) == ("audio.url", "pip install 'jackfield[object-store]'")
    assert check_parts(config({}, audio={"url": "file:///var/lib/jackfield/clips"})) == []


def test_an_encryption_key_that_is_none_is_refused_with_the_way_to_make_one() -> None:
    (problem,) = check_parts(config({}, session={"encryption_key": "swordfish"}))
    assert problem.section == "session.encryption_key"
    assert "32 bytes" in problem.message
    assert "swordfish" not in str(problem)
    made = subprocess.run(
        shlex.split(problem.fix.removeprefix("Make one: ")), check=True, capture_output=True, text=True
    )
    assert check_parts(config({}, session={"encryption_key": made.stdout.strip()})) == []


def test_encryption_without_its_package_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    (problem,) = check_parts(config({}, session={"encryption_key": "A" * 43 + "="}))
    assert (problem.section, problem.fix) == (
        "session.encryption_key",
        "pip install 'jackfield[encryption]'",
    )
