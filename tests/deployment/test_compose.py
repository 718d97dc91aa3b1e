"""compose.yaml and .env.example: sound, in step with each other, and tried with Redis and PostgreSQL."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from dotenv import dotenv_values

from jackfield.config import read_config
from jackfield.config.environment import read_environment
from jackfield.errors import ConfigError
from tests.azure_resource import azure_openai
from tests.contracts.harness import server_environment
from tests.contracts.pichat_device import DEFAULT_TOKEN, Device
from tests.deployment.compose import ROOT, Project, Service, project, references, variables
from tests.deployment.dockerfile import stages
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.server_process import ServerProcess
from tests.stand_ins import STAND_INS

EXAMPLE: Final = (ROOT / ".env.example").read_text()
FILLED: Final = {
    **variables(EXAMPLE),
    **STAND_INS,
    "API_TOKEN": DEFAULT_TOKEN,
    "DB_PASSWORD": "pass-word_1",
    "REDIS_PASSWORD": "pass-word_2",
}


@pytest.fixture(scope="module")
def composed() -> Project:
    return project(FILLED)


def test_all_that_services_name_is_declared(composed: Project) -> None:
    services = composed.services
    assert {name for each in services.values() for name in each.networks} == set(composed.networks)
    mounted = [volume.partition(":")[0] for each in services.values() for volume in each.volumes]
    assert sorted(mounted) == sorted(composed.volumes)
    for service in services.values():
        for name in service.depends_on:
            assert services[name].healthcheck is not None


def test_files_that_are_named_exist(composed: Project) -> None:
    server = composed.services["server"]
    assert server.build == "."
    assert server.env_file == ".env"
    assert (ROOT / "examples" / Path(server.environment["JACKFIELD_CONFIG"]).name).is_file()
    final = stages((ROOT / "Dockerfile").read_text())[-1]
    copied = [each.words for each in final.instructions if each.name == "COPY"]
    assert ["examples/*.toml", f"{Path(server.environment['JACKFIELD_CONFIG']).parent}/"] in copied


def test_the_volume_is_the_image_s_own_and_the_grace_is_longer_than_the_server_s(composed: Project) -> None:
    final = stages((ROOT / "Dockerfile").read_text())[-1]
    server = composed.services["server"]
    assert server.volumes == [f"data:{final.last('WORKDIR').text}"]
    assert server.read_only
    config = read_config((ROOT / "examples" / "compose.toml").read_text(), FILLED)
    assert int(server.stop_grace_period.rstrip("s")) > config.timeouts.shutdown_seconds


def test_the_stores_are_published_nowhere(composed: Project) -> None:
    stores = composed.networks["stores"]
    assert stores is not None
    assert stores.internal
    for name in ("postgres", "redis"):
        assert composed.services[name].networks == ["stores"]
        assert composed.services[name].ports == []


def test_the_port_is_published_where_the_server_listens(composed: Project) -> None:
    assert composed.services["server"].ports == ["127.0.0.1:8080:8080"]
    assert project({**FILLED, "SERVER_PORT": "9000"}).services["server"].ports == ["127.0.0.1:9000:9000"]


@pytest.mark.parametrize("name", ["DB_PASSWORD", "REDIS_PASSWORD"])
def test_without_a_password_nothing_starts(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: set {name} in .env"):
        project({**FILLED, name: ""})


def test_every_variable_of_the_file_is_in_the_example_of_variables() -> None:
    told = {*variables(EXAMPLE), *re.findall(r"^# (\w+)=", EXAMPLE, re.MULTILINE)}
    assert set(references()) - told == set()


def test_the_example_has_the_variables_of_the_contract() -> None:
    example = (ROOT / "examples" / "pichat.toml").read_text()  # which names those, by another test
    named = {*re.findall(r"\$\{(\w+)", example), "SERVER_PORT", "ENVIRONMENT"} - {"PORT"}
    assert named - set(variables(EXAMPLE)) == set()


def test_the_example_reads_the_same_for_docker_and_for_the_server() -> None:
    assert dotenv_values(stream=io.StringIO(EXAMPLE)) == variables(EXAMPLE)


def test_nothing_in_the_example_is_taken_for_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(EXAMPLE)
    for name in variables(EXAMPLE):
        monkeypatch.delenv(name, raising=False)
    known = read_environment(tmp_path / ".env")
    assert not [
        name for name in known if re.search(r"KEY|TOKEN|PASSWORD", name) and name in variables(EXAMPLE)
    ]
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT is not set, or holds a placeholder"):
        read_config((ROOT / "examples" / "pichat.toml").read_text(), known)


@pytest.fixture
def postgres(composed: Project) -> Iterator[PostgresServer]:
    """A PostgreSQL with the user and the database that the service makes."""
    made = composed.services["postgres"].environment
    with PostgresServer() as server:
        server.sql(f"CREATE ROLE {made['POSTGRES_USER']} LOGIN PASSWORD '{made['POSTGRES_PASSWORD']}'")
        server.sql(f"CREATE DATABASE {made['POSTGRES_DB']} OWNER {made['POSTGRES_USER']}")
        yield server


@pytest.fixture
def redis(composed: Project, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with the settings of the service."""
    command = composed.services["redis"].command
    assert command is not None
    assert command[0] == "redis-server"
    with RedisServer(tmp_path / "redis", command[1:]) as server:
        yield server


def moved(service: Service, postgres: PostgresServer, redis: RedisServer) -> dict[str, str]:
    """The service's environment, its two neighbours where they are here."""
    environment = {**FILLED, **service.environment, "SERVER_PORT": "0", "DATABASE_URL": ""}
    assert environment["DB_HOST"] == "postgres"
    environment["DB_HOST"] = re.findall(r"host=(.+)$", postgres.url())[0]
    environment["REDIS_URL"] = environment["REDIS_URL"].replace("redis:6379", f"127.0.0.1:{redis.port}")
    return environment


@pytest.mark.timeout(60)
def test_the_server_keeps_what_lasts_in_postgresql_and_counts_in_redis(
    composed: Project, postgres: PostgresServer, redis: RedisServer, tmp_path: Path
) -> None:
    service = composed.services["server"]
    environment = moved(service, postgres, redis)
    file = ROOT / "examples" / Path(environment["JACKFIELD_CONFIG"]).name
    with azure_openai([]) as endpoint:
        given = server_environment(tmp_path, {**environment, "AZURE_OPENAI_ENDPOINT": endpoint})
        with ServerProcess(tmp_path / "server", [str(file)], given) as server:
            with Device(server) as device:
                device.say(device.conversation("Kept"), "hello")
            assert server.client.get("/health").json() == {"status": "healthy"}
    assert (
        postgres.sql(
            "SELECT title FROM conversations", composed.services["postgres"].environment["POSTGRES_DB"]
        )
        == "Kept"
    )
    assert redis.ask("PING").startswith("-NOAUTH")
    assert "pass-word" not in server.output()
