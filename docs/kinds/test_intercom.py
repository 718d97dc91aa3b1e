"""The plugin keeps the promises of a transport. Jackfield's own tests hold a call through it."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from jackfield import Options, Site
from jackfield.contracts.transport import Transport
from jackfield.testing import TransportSuite

import jackfield_transport_intercom as plugin

SITE = Site("transport.1", "intercom", logging.getLogger("test"))


class TestIntercom(TransportSuite):
    """Every test of the suite."""

    @pytest.fixture
    def transport(self) -> Transport:
        return plugin.make_transport(Options(), SITE)

    @pytest.fixture
    def panel(self) -> SimpleNamespace:
        return SimpleNamespace()  # none of it is touched before a client comes
