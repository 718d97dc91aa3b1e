"""The conformance suite of failures: what happens when the service behind a provider does not do its work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

import anyio
import pytest

from jackfield.errors import JackfieldError, ProviderError
from jackfield.testing.suite import Suite

Failing = Callable[[], Awaitable[object]]


class FailureSuite(Suite):
    """Subclass it for each way to fail, and define the fixture `failing`.

    `failing` is a function without arguments that makes one request and must fail: against a closed port,
    a fake server that answers 429, a wrong key, a broken model file.
    """

    expected: ClassVar[type[JackfieldError]] = ProviderError
    """The category the failure belongs to."""
    secrets: ClassVar[tuple[str, ...]] = ()
    """Texts that the exception must not show: the key, and the text of the request."""
    within_s: ClassVar[float] = 5.0
    """Seconds within which it fails."""

    async def test_the_failure_is_of_its_category_and_prompt(self, failing: Failing) -> None:
        with anyio.fail_after(self.within_s), pytest.raises(self.expected):
            await failing()

    async def test_it_fails_the_same_way_again(self, failing: Failing) -> None:
        for _ in range(2):
            with anyio.fail_after(self.within_s), pytest.raises(self.expected):
                await failing()

    async def test_several_failing_at_once_all_get_the_error(self, failing: Failing) -> None:
        failed: list[JackfieldError] = []

        async def fail() -> None:
            with pytest.raises(self.expected) as caught:
                await failing()
            failed.append(caught.value)

        with anyio.fail_after(self.within_s):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(fail)
        assert len(failed) == 5

    async def test_the_message_shows_no_secret(self, failing: Failing) -> None:
        with pytest.raises(self.expected) as caught:
            await failing()
        error: BaseException | None = caught.value
        assert not [secret for secret in self.secrets if secret in str(error)]
