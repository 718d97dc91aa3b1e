"""The SQL store keeps the promises of every role, on SQLite and on PostgreSQL."""

from __future__ import annotations

import logging

import pytest
from pydantic import SecretStr

import jackfield_session_sql
from jackfield import Site
from jackfield.contracts.session import Records, Shared, Signals, Windows
from jackfield.plugin import ROLES
from jackfield.testing import RecordsSuite, SharedSuite, SignalsSuite, WindowsSuite
from jackfield.testing.session import Advance
from jackfield_session_sql import SqlOptions
from jackfield_session_sql.store import SqlStore
from tests.plugins.session.sql.conftest import advance_by


class TestWindows(WindowsSuite):
    @pytest.fixture
    def advance(self, store: SqlStore) -> Advance:
        return advance_by(store)


class TestRecords(RecordsSuite):
    pass


class TestSignals(SignalsSuite):
    flood = 200


class TestShared(SharedSuite):
    @pytest.fixture
    def advance(self, store: SqlStore) -> Advance:
        return advance_by(store)


@pytest.mark.parametrize(
    ("url", "network"),
    [
        ("sqlite:///jackfield.db", False),
        ("postgresql://somebody:secret@localhost/jackfield", False),
        ("postgresql://somebody:secret@/jackfield?host=/run/postgresql", False),
        ("postgresql://somebody:secret@db.example/jackfield", True),
        ("mssql://somebody:secret@127.0.0.1/jackfield", False),
        ("mssql://somebody:secret@shop.database.windows.net/jackfield", True),
    ],
)
def test_it_offers_every_role_and_all_persist(url: str, network: bool) -> None:
    options = SqlOptions(url=SecretStr(url))
    capabilities = jackfield_session_sql.plugin_info().capabilities(options)
    assert capabilities.roles == capabilities.persistent == ROLES
    assert capabilities.network is network
    assert capabilities.replicated is (not url.startswith("sqlite"))
    site = Site("session", "sql", logging.getLogger("test"))
    built = jackfield_session_sql.make_session(options=options, site=site)
    for role in (Windows, Records, Signals, Shared):
        assert isinstance(built, role)
