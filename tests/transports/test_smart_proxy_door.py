"""The promises that every transport makes, kept by smart-proxy."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import cast

import pytest

from jackfield.contracts.panel import Panel
from jackfield.contracts.transport import Transport
from jackfield.errors import ConfigError
from jackfield.plugin import Site
from jackfield.testing import TransportSuite
from jackfield_transport_smart_proxy import make_transport
from jackfield_transport_smart_proxy.options import SmartProxyOptions

SITE = Site("transport.1", "smart_proxy", logging.getLogger("smart_proxy"))


class TestTransport(TransportSuite):
    @pytest.fixture
    def transport(self) -> Transport:
        return make_transport(SmartProxyOptions(), SITE)

    @pytest.fixture
    def panel(self) -> Panel:
        return panel_with(authenticates=False)


def panel_with(*, authenticates: bool) -> Panel:
    """As much of a panel as giving the routes takes."""
    metric = SimpleNamespace(set=lambda *_: None)
    metrics = SimpleNamespace(counter=lambda *_: metric, gauge=lambda *_: metric, histogram=lambda *_: metric)
    panel = SimpleNamespace(
        metrics=metrics,
        authenticates=authenticates,
        models=("small",),
        settings=SimpleNamespace(max_audio_bytes=1),
    )
    return cast("Panel", panel)  # what is missing is not asked for


@pytest.mark.parametrize(
    ("options", "section"),
    [
        ({"push_replies": True}, "transport.1.options.push_replies"),
        ({"fallback": {"use": "assistant", "llm": "large"}}, "transport.1.options.fallback.llm"),
    ],
)
def test_what_the_panel_cannot_give_is_told_before_the_start(
    options: dict[str, object], section: str
) -> None:
    transport = make_transport(SmartProxyOptions.model_validate(options), SITE)
    with pytest.raises(ConfigError) as error:
        transport.routes(panel_with(authenticates=False))
    assert [problem.section for problem in error.value.problems] == [section]


def test_users_who_sign_in_may_be_pushed_to() -> None:
    transport = make_transport(SmartProxyOptions(push_replies=True), SITE)
    assert transport.routes(panel_with(authenticates=True)).routes
