"""The page on Azure: what it must tell, and that its names are those of our configurations."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not installed

from jackfield.config import read_config

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "azure.md").read_text()
EXAMPLES: Final = ROOT / "examples"
COMMANDS: Final = re.findall(r"^ *```bash\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
OTHERS: Final = {"ENVIRONMENT", "SERVER_PORT", "JACKFIELD_CONFIG"}
"""Variables that the server reads by itself."""
DRIVER: Final = {"PGSSLMODE", "PGSSLROOTCERT"}
"""Variables that the driver of PostgreSQL reads."""


def named(example: str) -> set[str]:
    """Variables that an example reads."""
    return set(re.findall(r"\$\{(\w+)", (EXAMPLES / example).read_text()))


def app() -> dict[str, Any]:
    """What stands in the file of the container app."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(block)["properties"]
    return found


@pytest.mark.contract("PI-38")
def test_every_variable_of_pichat_has_its_place() -> None:
    table = PAGE.split("| Part |")[1].split("\n\n")[0]
    told = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", table))
    assert (named("pichat.toml") - {"PORT"}) | OTHERS <= told
    assert told <= named("pichat.toml") | named("compose.toml") | OTHERS


@pytest.mark.contract("PI-38")
@pytest.mark.parametrize(
    "command",
    [
        "az acr build",
        "az containerapp create",
        "az postgres flexible-server create",
        "az postgres flexible-server firewall-rule create",
        "az keyvault secret set",
        "az webapp config set",
    ],
)
def test_the_page_has_the_command_for_each_step(command: str) -> None:
    assert any(command in block for block in COMMANDS)


@pytest.mark.contract("PI-38")
def test_the_app_runs_our_image_with_what_its_configuration_asks_for() -> None:
    (container,) = app()["template"]["containers"]
    environment = {each["name"]: each.get("value", "a-secret-of-at-least-16") for each in container["env"]}
    file = Path(environment["JACKFIELD_CONFIG"])
    assert (EXAMPLES / file.name).is_file()
    assert set(environment) <= named(file.name) | OTHERS | DRIVER
    config = read_config(
        (EXAMPLES / file.name).read_text(), {**environment, "REDIS_URL": "rediss://x:10000/0"}
    )
    assert config.server.environment == "production"
    assert config.server.port == app()["configuration"]["ingress"]["targetPort"]
    grace_s = app()["template"]["terminationGracePeriodSeconds"]
    assert grace_s > config.timeouts.shutdown_seconds


def test_every_secret_of_the_app_lies_in_the_vault() -> None:
    secrets = {each["name"]: each["keyVaultUrl"] for each in app()["configuration"]["secrets"]}
    (container,) = app()["template"]["containers"]
    assert {each["secretRef"] for each in container["env"] if "secretRef" in each} == set(secrets)
    made = " ".join(COMMANDS)
    assert [name for name, url in secrets.items() if not (url.endswith(f"/{name}") and name in made)] == []
    open_values = [each for each in container["env"] if re.search(r"KEY|TOKEN|PASSWORD", each["name"])]
    assert all("secretRef" in each for each in open_values)


def test_the_probes_ask_what_the_server_answers() -> None:
    (container,) = app()["template"]["containers"]
    port = app()["configuration"]["ingress"]["targetPort"]
    for probe in container["probes"]:
        asked = probe.get("httpGet", {"path": "/health"}) | probe.get("tcpSocket", {"port": port})
        assert (asked["path"], asked["port"]) == ("/health", port)


@pytest.mark.skipif(shutil.which("bash") is None, reason="the commands are for bash")
def test_the_commands_are_ones_that_a_shell_can_read() -> None:
    for block in COMMANDS:
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_variables_of_the_commands_are_set_before() -> None:
    text = "\n".join(COMMANDS)
    used = set(re.findall(r"\$([A-Z_]+)", text))
    assert used - set(re.findall(r"\b([A-Z_]+)=", text)) == {"DB_PASSWORD"}


def test_the_settings_of_app_service_are_variables_that_are_read() -> None:
    (block,) = (block for block in COMMANDS if "webapp config appsettings set" in block)
    settings = set(re.findall(r'[ "]([A-Z_]+)=', block.split("--settings")[1]))
    assert settings - {"WEBSITES_PORT"} <= named("compose.toml") | OTHERS


@pytest.mark.contract("PI-38")
def test_it_says_that_it_was_not_run() -> None:
    assert "Nobody has run this page against Azure" in PAGE
