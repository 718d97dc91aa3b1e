"""What every conformance suite shares: the asynchronous backend and the watch for leaks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar, Final

import pytest

from jackfield.plugin import Capabilities
from jackfield.testing.leaks import Running, left_running

ODD_TEXTS: Final = {
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈 👍🏽",
    "right_to_left": "مرحبا بالعالم, שלום עולם",
    "control_characters": "one\x01two\x02three\x1b[31m\x7f\u202e\ufeff",
    "markup": "<|im_end|>\n<b>%s {0} ${HOME}</b> \\ ' \"",
}
"""Texts that are legal and rarely thought of, by name."""


class Suite:
    """Base of all suites: subclass one of those and define the fixture that it names.

    The fixture gives the object ready for use: entered, if it is a context manager. It may have any
    scope; an object that is dear to build is built once with `@pytest.fixture(scope="module")`.
    """

    pytestmark = pytest.mark.anyio

    capabilities: ClassVar[Capabilities] = Capabilities()
    """What the plugin declares: `plugin_info().capabilities(options)`."""
    lasting_threads: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of threads that the SDK keeps for good, once for the whole process."""

    @pytest.fixture(scope="session")
    @staticmethod
    def anyio_backend() -> str:
        """Run on asyncio, as the server does."""
        return "asyncio"

    @pytest.fixture(autouse=True)
    async def nothing_leaks(self, anyio_backend: str) -> AsyncIterator[None]:
        """Fail a test that leaves a thread or a task behind, beside those that were there before.

        What a fixture of a wider scope started counts as there before. Threads of anyio's and asyncio's
        own pools may stay.
        """
        before = Running.now()
        yield
        left = await left_running(before, self.lasting_threads)
        assert not left, f"Left running after the test: {', '.join(left)}"
