"""The conformance kit: one suite of tests a kind of plugin, and fakes. It needs pytest.

Subclass a suite in a test module, define the fixture that it names, and run pytest:

    from jackfield.testing import LLMSuite

    class TestMine(LLMSuite):
        capabilities = plugin_info().capabilities(MyOptions())

        @pytest.fixture
        async def llm(self):
            async with MyLLM(MyOptions()) as llm:
                yield llm
"""

from __future__ import annotations

import pytest

_SUITES = (
    "auth cancellation failure forwarding leaks llm realtime session session_records session_shared "
    "session_signals session_windows stt stt_stream suite tool transport tts tts_pieces vad"
)
pytest.register_assert_rewrite(*(f"jackfield.testing.{name}" for name in _SUITES.split()))

from jackfield.testing.auth import AuthSuite as AuthSuite  # after the registration
from jackfield.testing.clock import ManualClock as ManualClock
from jackfield.testing.failure import FailureSuite as FailureSuite
from jackfield.testing.fakes import FakeLLM as FakeLLM, FakeSTT as FakeSTT, FakeTTS as FakeTTS
from jackfield.testing.forwarding import ForwardingSuite as ForwardingSuite, SecretsSuite as SecretsSuite
from jackfield.testing.leg import ManualLeg as ManualLeg
from jackfield.testing.llm import LLMSuite as LLMSuite
from jackfield.testing.realtime import RealtimeSuite as RealtimeSuite
from jackfield.testing.session_records import RecordsSuite as RecordsSuite
from jackfield.testing.session_shared import SharedSuite as SharedSuite
from jackfield.testing.session_signals import SignalsSuite as SignalsSuite
from jackfield.testing.session_windows import WindowsSuite as WindowsSuite
from jackfield.testing.stt import STTSuite as STTSuite
from jackfield.testing.tool import ToolSuite as ToolSuite
from jackfield.testing.transport import TransportSuite as TransportSuite
from jackfield.testing.tts import TTSSuite as TTSSuite
from jackfield.testing.vad import VADSuite as VADSuite
from jackfield.testing.virtual_clock import VirtualClock as VirtualClock

__all__ = [
    "AuthSuite",
    "FailureSuite",
    "FakeLLM",
    "FakeSTT",
    "FakeTTS",
    "ForwardingSuite",
    "LLMSuite",
    "ManualClock",
    "ManualLeg",
    "RealtimeSuite",
    "RecordsSuite",
    "STTSuite",
    "SecretsSuite",
    "SharedSuite",
    "SignalsSuite",
    "TTSSuite",
    "ToolSuite",
    "TransportSuite",
    "VADSuite",
    "VirtualClock",
    "WindowsSuite",
]
