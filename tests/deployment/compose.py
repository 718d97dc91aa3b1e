"""compose.yaml: what may stand in ours, and what Compose makes of its variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml  # type: ignore[import-untyped]  # its stubs are not installed
from pydantic import BaseModel, ConfigDict, Field

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "compose.yaml"
_REFERENCE: Final = re.compile(r"\$\$|\$\{(\w+)(?:(:[-?])([^}]*))?\}")

Duration = Annotated[str, Field(pattern=r"^\d+(ms|s|m|h)$")]
Port = Annotated[str, Field(pattern=r"^[\d.]+:\d+:\d+$")]
Mounted = Annotated[str, Field(pattern=r"^[a-z]+:/[a-z/]+$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class HealthCheck(_Part):
    """When a service counts as healthy."""

    test: list[str]
    interval: Duration
    timeout: Duration
    retries: int


class Dependency(_Part):
    """What a service waits for."""

    condition: Literal["service_healthy"]


class Logging(_Part):
    """Where a service's output goes."""

    driver: Literal["local"]


class Service(_Part):
    """One container."""

    image: str
    build: str | None = None
    command: list[str] | None = None
    env_file: str | None = None
    environment: dict[str, str] = {}
    depends_on: dict[str, Dependency] = {}
    ports: list[Port] = []
    networks: list[str]
    volumes: list[Mounted]
    tmpfs: list[str] = []
    read_only: bool = False
    cap_drop: list[str] = []
    security_opt: list[str] = []
    init: bool = False
    healthcheck: HealthCheck | None = None
    stop_grace_period: Duration = "10s"
    logging: Logging | None = None
    restart: Literal["unless-stopped"]


class Network(_Part):
    """A network between services."""

    internal: bool = False


class Project(_Part):
    """The whole file."""

    name: str
    services: dict[str, Service]
    networks: dict[str, Network | None]
    volumes: dict[str, None]


def references() -> dict[str, str]:
    """Variables of the file, and how each is referred to: `:-` has a default, `:?` must be set."""
    return {match[1]: match[2] or "" for match in _REFERENCE.finditer(FILE.read_text()) if match[1]}


def project(environment: Mapping[str, str]) -> Project:
    """Read the file with variables as Compose does."""

    def value(match: re.Match[str]) -> str:
        name, operator, word = match.groups()
        if name is None:
            return "$"
        if operator == ":?" and not environment.get(name):
            raise ValueError(f"{name}: {word}")
        return environment.get(name) or word or ""

    def walk(node: Any) -> Any:  # YAML holds anything
        if isinstance(node, dict):
            return {key: walk(item) for key, item in node.items()}
        if isinstance(node, list):
            return [walk(item) for item in node]
        return _REFERENCE.sub(value, node) if isinstance(node, str) else node

    return Project.model_validate(walk(yaml.safe_load(FILE.read_text())))


def variables(text: str) -> dict[str, str]:
    """Read a file of variables as Docker does: what is behind `=`, as it stands."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}
