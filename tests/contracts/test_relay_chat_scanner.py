"""relay-chat with the extension `clamav`: a real clamd looks at recordings before they are decoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clamav_server import EICAR, ClamavServer
from tests.contracts.harness import Tree, TrialServer, refusal


def scanned(address: str, **options: object) -> Tree:
    return {"extension": [{"use": "clamav", "options": {"address": address, **options}}]}


def decoded(server: TrialServer) -> float:
    """How many recordings the server has tried to decode."""
    figures = server.figures().items()
    return sum(
        value for name, value in figures if name.startswith("jackfield_audio_total") and "decode" in name
    )


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClamavServer]:
    with ClamavServer(tmp_path_factory.mktemp("clamd")) as server:
        yield server


@pytest.fixture(scope="module")
def server(clamd: ClamavServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialServer]:
    folder = tmp_path_factory.mktemp("scanned") / "server"
    with TrialServer(folder, scanned(clamd.unix)) as server:
        yield server


@pytest.mark.contract("RC-23", "RC-24")
@pytest.mark.parametrize("at", ["in the middle", "at the end"])
def test_a_recording_with_a_virus_is_rejected_before_it_is_decoded(
    server: TrialServer, webm: bytes, at: str
) -> None:
    cut = len(webm) // 2 if at == "in the middle" else len(webm)
    before = decoded(server)
    with server.noting("stt") as heard:
        refusal(server.say(webm[:cut] + EICAR + webm[cut:], sessionId="infected"), 422, "file_rejected")

    assert heard == []
    assert server.window(sessionId="infected") is None
    assert decoded(server) == before


@pytest.mark.contract("RC-23")
def test_a_clean_recording_is_answered(server: TrialServer, webm: bytes) -> None:
    before = decoded(server)

    assert server.say(webm, sessionId="clean").json()["message"] == "You said: Will it rain tomorrow?"
    assert decoded(server) == before + 1


@pytest.mark.contract("RC-23")
def test_recordings_are_refused_while_the_scanner_is_away(
    server: TrialServer, clamd: ClamavServer, webm: bytes
) -> None:
    clamd.kill()
    try:
        with server.noting("stt") as heard:
            refusal(server.say(webm, sessionId="away"), 503, "scanner_unavailable")
        assert heard == []
        assert server.chat(sessionId="away").status_code == 200
    finally:
        clamd.start()
    assert server.say(webm, sessionId="away").status_code == 200


@pytest.mark.contract("RC-23")
def test_a_scanner_that_is_not_required_may_be_away(tmp_path: Path, webm: bytes) -> None:
    config = scanned(f"unix://{tmp_path}/nobody", required=False)
    with TrialServer(tmp_path / "server", config) as server:
        assert server.say(webm).status_code == 200
        assert "an upload is let in unseen" in server.output()
