"""The Redis store keeps what each of its four roles promises."""

from __future__ import annotations

from jackfield.testing import RecordsSuite, SharedSuite, SignalsSuite, WindowsSuite


class TestWindows(WindowsSuite):
    pass


class TestRecords(RecordsSuite):
    pass


class TestSignals(SignalsSuite):
    pass


class TestShared(SharedSuite):
    pass
