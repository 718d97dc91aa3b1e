"""Clients are told apart by what one subscriber has."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from jackfield.addresses import network_of


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("a-socket", "a-socket"),
    ],
)
def test_a_client_is_known_by_its_address_or_the_network_of_it(host: str, network: str) -> None:
    assert network_of(HTTPConnection({"type": "http", "client": (host, 1)})) == network


def test_a_client_without_an_address_is_nobody_in_particular() -> None:
    assert network_of(HTTPConnection({"type": "http", "client": None})) == ""
