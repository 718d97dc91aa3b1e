"""The alarms ring for a server in trouble and for no other, by Prometheus' own reckoning."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not installed

from tests.prometheus_server import program
from tests.traffic import ROOT

FOLDER: Final = ROOT / "examples" / "grafana"
CLUSTER: Final = ROOT / "examples" / "cluster" / "start.py"
ALERTS: Final = [
    rule["alert"] for rule in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
]
WELL: Final = {
    "up{}": "1x20",
    'jackfield_requests_total{transport="relay_chat", status="200"}': "0+100x20",
    'jackfield_requests_total{transport="relay_chat", status="503"}': "0+1x20",
    'jackfield_requests_total{transport="core", status="503"}': "0+100x20",
    'jackfield_errors_total{transport="relay_chat", code="store_unavailable"}': "3x20",
    'jackfield_stage_seconds_bucket{stage="first_audio", le="2.5"}': "0+99x20",
    'jackfield_stage_seconds_bucket{stage="first_audio", le="5.0"}': "0+100x20",
    'jackfield_stage_seconds_bucket{stage="first_audio", le="+Inf"}': "0+100x20",
    'jackfield_stage_seconds_bucket{stage="stored", le="2.5"}': "0x20",
    'jackfield_stage_seconds_bucket{stage="stored", le="5.0"}': "0+100x20",
    'jackfield_stage_seconds_bucket{stage="stored", le="+Inf"}': "0+100x20",
    'jackfield_circuit_open{section="llm", provider="openai"}': "0x4 1 0x15",
    'jackfield_backend_available{mount="/proxy"}': "1x4 0 1x15",
}
"""Figures of a server that is well, one a minute."""
TROUBLE: Final = {
    "JackfieldDown": ("up{}", "0x20"),
    "JackfieldErrors": ('jackfield_requests_total{transport="relay_chat", status="503"}', "0+10x20"),
    "JackfieldSlow": ('jackfield_stage_seconds_bucket{stage="first_audio", le="2.5"}', "0+90x20"),
    "JackfieldCircuitOpen": ('jackfield_circuit_open{section="llm", provider="openai"}', "1x20"),
    "JackfieldStoreUnavailable": (
        'jackfield_errors_total{transport="relay_chat", code="store_unavailable"}',
        "0+1x20",
    ),
    "JackfieldBackendUnavailable": ('jackfield_backend_available{mount="/proxy"}', "0x20"),
}


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def ringing(figures: dict[str, str], alarms: list[str]) -> dict[str, object]:
    """A trial by promtool: which alarms ring after ten minutes of these figures."""
    place = 'job="jackfield", instance="one", '
    firing = [{"labels": f'{{alertname="{alarm}"}}', "value": 1} for alarm in alarms]
    return {
        "interval": "1m",
        "input_series": [
            {"series": name.replace("{", "{" + place), "values": values} for name, values in figures.items()
        ],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "10m",
                "exp_samples": firing,
            }
        ],
    }


def test_each_alarm_rings_for_its_trouble_and_for_no_other(tmp_path: Path) -> None:
    trials = [ringing(WELL, [])]
    trials += [ringing({**WELL, name: values}, [alarm]) for alarm, (name, values) in TROUBLE.items()]
    file = tmp_path / "trials.yml"
    text = yaml.safe_dump({"rule_files": [str(FOLDER / "alerts.yml")], "tests": trials})
    file.write_text(text)
    promtool("test", "rules", str(file))
    assert list(TROUBLE) == ALERTS


@pytest.mark.parametrize("arguments", ["config prometheus.yml", "rules alerts.yml"])
def test_promtool_finds_no_fault(arguments: str) -> None:
    promtool("check", *arguments.split())


def test_the_replicas_of_the_cluster_are_asked() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    ports = CLUSTER.read_text().split("default=(")[1].split(")")[0].split(", ")
    assert targets["jackfield-cluster"] == [f"127.0.0.1:{port}" for port in ports]
