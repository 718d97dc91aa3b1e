"""From the URL of a bucket to a client of it: what is wrong is told before anything is asked."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import SecretStr

from jackfield.audio.clips.connection import connect
from jackfield.audio.clips.outages import outage_of
from jackfield.errors import ConfigError

SECRET = "c2VjcmV0LWtleS1vZi1hbi1hY2NvdW50"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing of object stores."""
    for name in ("AWS_ENDPOINT_URL", "AZURE_STORAGE_ACCOUNT_NAME", "GOOGLE_SERVICE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)


def secrets(**options: str) -> dict[str, SecretStr]:
    return {name: SecretStr(value) for name, value in options.items()}


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("s3://bucket/some/prefix", {"region": "eu-central-1", "access_key_id": ""}),
        ("az://container", {"account_name": "clips", "account_key": SECRET}),
        ("gs://bucket/clips", {"skip_signature": "true"}),
    ],
)
def test_every_kind_of_store_is_connected_to_by_its_url(url: str, options: dict[str, str]) -> None:
    assert connect(url, secrets(**options), request_s=5) is not None


@pytest.mark.parametrize(
    ("url", "options", "told"),
    [
        (
            "s3://bucket",
            {"acces_key_id": SECRET},
            "[audio.options.acces_key_id] s3://bucket cannot be used: it has no setting 'acces_key_id'.",
        ),
        (
            "az://container",
            {},
            "[audio.url] az://container cannot be used: it needs the name of an account. See that",
        ),
        (
            "az://container",
            {"account_name": "a", "account_key": f"not base64 {SECRET}"},
            "[audio.url] az://container cannot be used: the account's key is no base64.",
        ),
        (
            "gs://bucket",
            {"service_account_key": f'{{"private_key": "{SECRET}"'},
            "[audio.url] gs://bucket cannot be used: the service account is not what Google gives as JSON.",
        ),
        (
            "gs://bucket",
            {"service_account_path": "/nowhere/key.json"},
            "[audio.url] gs://bucket cannot be used: the file of the service account cannot be opened.",
        ),
    ],
)
def test_wrong_settings_are_told_without_their_values(url: str, options: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        connect(url, secrets(**options), request_s=5)
    assert str(caught.value).startswith(told)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_words_of_the_library_are_not_passed_on() -> None:
    error = OSError(
        "Error performing PUT https://acc.blob.core.windows.net/c/x?sig=SECRET - Server returned non-2xx "
        "status code: 403 Forbidden: <Error><Code>AuthenticationFailed</Code><Message>SECRET</Message>"
    )
    outage = outage_of(error)
    assert outage.reason == "it answered 403 (AuthenticationFailed)"
    assert "AZURE_STORAGE_ACCOUNT_KEY" in outage.fix("az")
    assert outage_of(ValueError("SECRET")).reason == "it failed (ValueError)"


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ConfigError) as caught:
        connect("s3://bucket", {}, request_s=5)
    assert str(caught.value) == (
        "[audio.url] Clips in an object store need the package obstore, which cannot be imported. "
        "pip install 'jackfield[object-store]'"
    )


def test_clips_in_a_folder_do_not_import_the_library() -> None:
    program = (
        "import sys, tempfile, pathlib, anyio\n"
        "from jackfield.config.sections import Config\n"
        "from jackfield.server.clips import check_clips, clip_store\n"
        "folder = tempfile.mkdtemp()\n"
        "async def main(audio):\n"
        "    config = Config.model_validate({'audio': audio, 'transport': [{'use': 'relay_chat'}]})\n"
        "    assert check_clips(config) == []\n"
        "    async with clip_store(config) as clips:\n"
        "        await clips.find(await clips.save(b'\\0\\0' * 800, 8000))\n"
        "for audio in ({'directory': folder}, {'url': pathlib.Path(folder, 'a b').as_uri()}):\n"
        "    anyio.run(main, audio)\n"
        "assert pathlib.Path(folder, 'a b').is_dir()\n"
        "sys.exit('obstore' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
