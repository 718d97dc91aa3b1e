"""Swapping a provider is two lines; every mistake in them is one clear line with its fix."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]
Run = Callable[..., subprocess.CompletedProcess[str]]

ECHO = """
[llm]
use = "echo"
{llm}
[stt]
use = "scripted"
[tts]
use = "tone"
[session]
use = "memory"
[[transport]]
use = "relay_chat"
"""


def check(invoke: Invoke, folder: Path, text: str) -> list[str]:
    """Problems that `check` tells of, after it was seen to exit with 2 and without a traceback."""
    (folder / "trial.toml").write_text(text)
    shown = invoke("check", "trial.toml")
    assert shown.exit_code == 2, shown.output
    assert all(line.startswith("jackfield: [") for line in shown.stderr.splitlines()), shown.stderr
    return shown.stderr.splitlines()


def test_the_file_as_it_is_has_no_problem(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "trial.toml").write_text(ECHO.format(llm=""))
    shown = invoke("check", "trial.toml")
    assert (shown.exit_code, shown.stderr) == (0, "")


@pytest.mark.parametrize(
    ("section", "former", "swapped"),
    [("tts", 'use = "tone"', 'use = "piper"'), ("stt", 'use = "scripted"', 'use = "faster_whisper"')],
)
def test_a_provider_is_swapped_by_its_own_section_alone(
    invoke: Invoke, tmp_path: Path, section: str, former: str, swapped: str
) -> None:
    (tmp_path / "trial.toml").write_text(ECHO.format(llm="").replace(former, swapped))
    rows = [line.split() for line in invoke("check", "trial.toml").stdout.splitlines()]
    plugins = {row[0]: row[1] for row in rows if row and row[0].startswith("[")}
    assert plugins[f"[{section}]"] == swapped.split('"')[1]
    assert plugins["[llm]"] == "echo"


def test_a_misspelt_name_gets_the_right_one(invoke: Invoke, tmp_path: Path) -> None:
    assert check(invoke, tmp_path, ECHO.format(llm="").replace('"tone"', '"tune"')) == [
        'jackfield: [tts] No tts plugin "tune" is installed. Did you mean "tone"?'
    ]


def test_a_missing_extra_is_named_with_its_command(run: Run, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "xllamacpp.py").write_text("raise ModuleNotFoundError(name='xllamacpp')")
    model = tmp_path / "model.gguf"
    model.touch()
    text = ECHO.format(llm=f'options.model = "{model}"').replace('"echo"', '"xllamacpp"')
    (tmp_path / "trial.toml").write_text(text)
    (problem,) = run("check", "trial.toml", PYTHONPATH=str(hidden)).stderr.splitlines()
    assert problem.startswith('jackfield: [llm] "xllamacpp" needs the package xllamacpp, ')
    assert problem.endswith("pip install 'jackfield[xllamacpp]'")


def test_a_wrong_option_is_told_with_those_that_there_are(invoke: Invoke, tmp_path: Path) -> None:
    assert check(invoke, tmp_path, ECHO.format(llm="options.delay = 1")) == [
        'jackfield: [llm.options.delay] "echo" has no option "delay". Did you mean "delay_s"?'
    ]


def test_a_wrong_value_is_told_without_showing_it(invoke: Invoke, tmp_path: Path) -> None:
    problems = check(invoke, tmp_path, ECHO.format(llm='options.delay_s = "s3cret"'))
    assert len(problems) == 1
    assert problems[0].startswith("jackfield: [llm.options.delay_s] ")
    assert "s3cret" not in problems[0]


def test_an_option_of_the_former_plugin_is_told_with_its_owner(invoke: Invoke, tmp_path: Path) -> None:
    problems = check(invoke, tmp_path, ECHO.format(llm="options.batch_tokens = 128"))
    assert len(problems) == 1
    assert '"echo" has no option "batch_tokens". It is an option of ' in problems[0]
    assert '"xllamacpp"' in problems[0]


def test_an_option_to_remove_is_not_said_to_lack_its_variable(invoke: Invoke, tmp_path: Path) -> None:
    (problem,) = check(invoke, tmp_path, ECHO.format(llm='options.threads = "${TRIAL_THREADS}"'))
    assert problem.startswith('jackfield: [llm.options.threads] "echo" has no option "threads". It is an ')


def test_a_missing_key_names_the_variable(invoke: Invoke, tmp_path: Path) -> None:
    (problem,) = check(invoke, tmp_path, ECHO.format(llm='options.prefix = "${TRIAL_KEY}"'))
    assert problem.startswith("jackfield: [llm.options.prefix] The environment variable TRIAL_KEY is not set")
    assert problem.endswith("Set TRIAL_KEY, or write TRIAL_KEY=... into the file .env.")


def test_two_transports_on_one_route_are_told_once_with_both_names(invoke: Invoke, tmp_path: Path) -> None:
    problems = check(invoke, tmp_path, ECHO.format(llm="") + '[[transport]]\nuse = "relay_chat"\n')
    assert len(problems) == 1
    assert "[transport.1]" in problems[0]
    assert "[transport.2]" in problems[0]
    assert "mount" in problems[0]


def test_everything_that_is_wrong_is_told_at_once(invoke: Invoke, tmp_path: Path) -> None:
    text = ECHO.format(llm='options.prefix = "${TRIAL_KEY}"') + '[[transport]]\nuse = "relay_chat"\n'
    text = text.replace('"tone"', '"tune"').replace('use = "scripted"', 'use = "scripted"\noptions.noise = 1')
    places = [line.split()[1] for line in check(invoke, tmp_path, text)]
    assert places == ["[llm.options.prefix]", "[stt.options.noise]", "[tts]", "[transport.2]"]


def test_an_open_door_is_told_of_though_another_lacks_its_authentication(
    invoke: Invoke, tmp_path: Path
) -> None:
    other = '[[transport]]\nuse = "relay_chat"\nmount = "/b"\nauth = "gone"\n[server]\nhost = "0.0.0.0"\n'
    places = [line.split()[1] for line in check(invoke, tmp_path, ECHO.format(llm="") + other)]
    assert places == ["[transport.2.auth]", "[transport.1]"]


def test_serving_a_file_with_problems_tells_the_same_and_exits_with_2(
    invoke: Invoke, run: Run, tmp_path: Path
) -> None:
    text = ECHO.format(llm="options.delay = 1").replace('"tone"', '"tune"')
    told = check(invoke, tmp_path, text + '[[transport]]\nuse = "relay_chat"\n')
    assert len(told) == 3
    served = run("serve", "trial.toml", "--port", "0")
    assert (served.returncode, served.stderr.splitlines()) == (2, told)


def test_no_plugin_is_imported_that_the_file_does_not_name(tmp_path: Path) -> None:
    (tmp_path / "trial.toml").write_text(ECHO.format(llm=""))
    program = (
        "import sys, pathlib;"
        "from jackfield.assembly import assemble;"
        "from jackfield.config import load_config;"
        "from jackfield.server.app import create_app;"
        "create_app(assemble(load_config(pathlib.Path('trial.toml'))));"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    modules = set(process.stdout.split())
    assert {name for name in modules if name.startswith("jackfield_")} == {
        "jackfield_llm_echo",
        "jackfield_session_memory",
        "jackfield_stt_scripted",
        "jackfield_transport_relay_chat",
        "jackfield_tts_tone",
    }
    assert (
        modules & {"xllamacpp", "llama_cpp", "faster_whisper", "ctranslate2", "onnxruntime", "piper"} == set()
    )
