"""The conformance suite of authentication plugins."""

from __future__ import annotations

import logging
from typing import ClassVar

import anyio
import pytest

from jackfield.contracts.auth import Auth, Credentials, Identity, SubjectMatcher
from jackfield.testing.suite import ODD_TEXTS, Suite


class AuthSuite(Suite):
    """Subclass it, set `subject`, and define the fixtures `auth` and `credentials` (good ones)."""

    subject: ClassVar[str]
    """Whom the good credentials prove."""

    async def test_good_credentials_prove_the_subject(self, auth: Auth, credentials: Credentials) -> None:
        identity = await auth.identify(credentials)
        assert identity is not None
        assert identity.subject == self.subject

    async def test_no_credentials_are_refused(self, auth: Auth) -> None:
        assert await auth.identify(Credentials()) is None

    @pytest.mark.parametrize(
        "bearer",
        [*ODD_TEXTS.values(), "", " ", "x", "a.b.c", "x" * 100_000, "' OR 1=1 --"],
        ids=[*ODD_TEXTS, "empty", "space", "letter", "dots", "long", "quote"],
    )
    async def test_a_wrong_token_is_refused_without_an_exception(self, auth: Auth, bearer: str) -> None:
        headers = {"authorization": f"Bearer {bearer}"}
        assert await auth.identify(Credentials(bearer, headers, {"session": bearer})) is None

    async def test_asking_at_once_mixes_nobody_up(self, auth: Auth, credentials: Credentials) -> None:
        answers: list[tuple[bool, Identity | None]] = []

        async def ask(good: bool) -> None:
            answers.append((good, await auth.identify(credentials if good else Credentials("wrong"))))

        async with anyio.create_task_group() as tasks:
            for at in range(20):
                tasks.start_soon(ask, at % 2 == 0)
        assert all((identity is not None) == good for good, identity in answers)

    async def test_credentials_are_not_logged(
        self, auth: Auth, credentials: Credentials, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            await auth.identify(credentials)
            await auth.identify(Credentials("wrong-but-secret"))
        assert "wrong-but-secret" not in caplog.text
        if credentials.bearer:
            assert credentials.bearer not in caplog.text

    def test_a_subject_is_the_same_as_itself_and_not_as_another(self, auth: Auth) -> None:
        if not isinstance(auth, SubjectMatcher):
            return  # it does not compare subjects itself
        assert auth.same_subject(self.subject, self.subject)
        assert not auth.same_subject(f"{self.subject}x", self.subject)
        assert not auth.same_subject("", self.subject)
