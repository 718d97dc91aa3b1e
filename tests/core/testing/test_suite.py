"""Suites as a third party uses them: subclassed in a test module that pytest runs."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

_MODULE = """
import asyncio
import threading

import pytest

from jackfield.contracts.llm import Finish, GenerationRequest
from jackfield.testing import FakeLLM, LLMSuite

class TestMine(LLMSuite):
    @pytest.fixture
    async def llm(self):
        {fixture}
        yield FakeLLM({outputs})
"""


def run(pytester: pytest.Pytester, fixture: str = "pass", outputs: str = "") -> pytest.RunResult:
    pytester.makepyfile(_MODULE.format(fixture=fixture, outputs=outputs))
    name = "test_text_comes_in_pieces_and_one_finish_comes_last"
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:schemathesis", "-k", name)


def test_a_subclass_with_one_fixture_runs_without_further_settings(pytester: pytest.Pytester) -> None:
    run(pytester).assert_outcomes(passed=1)


def test_a_failure_shows_the_values_and_says_what_was_promised(pytester: pytest.Pytester) -> None:
    result = run(pytester, outputs="('one', Finish('stop'), Finish('stop'))")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*A generation ends with one Finish; this one gave 2.*", "*assert 2 == 1*"])


def test_a_thread_that_is_left_running_is_an_error(pytester: pytest.Pytester) -> None:
    left = "threading.Thread(target=threading.Event().wait, name='forgotten', daemon=True).start()"
    result = run(pytester, fixture=left)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*Left running after the test: thread 'forgotten'*"])


def test_a_task_that_is_left_running_is_an_error(pytester: pytest.Pytester) -> None:
    left = "self.task = asyncio.create_task(asyncio.Event().wait(), name='forgotten')"
    result = run(pytester, fixture=left)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*Left running after the test: task 'forgotten'*"])
