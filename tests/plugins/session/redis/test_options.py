"""The options of the Redis store: addresses above all."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

import jackfield_session_redis
from jackfield import Site
from jackfield.contracts.session import Records, Shared, Signals, Windows
from jackfield.plugin import ROLES
from jackfield_session_redis import RedisOptions
from jackfield_session_redis.address import Address

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", Address("server", (("localhost", 6379),))),
        ("redis://10.0.0.1:7000/3", Address("server", (("10.0.0.1", 7000),), database=3)),
        ("rediss://[::1]:7000", Address("server", (("::1", 7000),), tls=True)),
        ("redis://[::1]", Address("server", (("::1", 6379),))),
        ("unix:///run/redis.sock", Address("socket", path="/run/redis.sock")),
        (
            "redis+sentinel://a,b:7/main/2",
            Address("sentinel", (("a", 26379), ("b", 7)), service="main", database=2),
        ),
        ("rediss+cluster://a:1,b", Address("cluster", (("a", 1), ("b", 6379)), tls=True)),
        (
            "redis://me:a%2Fb%40c@host",
            Address("server", (("host", 6379),), username="me", password="a/b@c"),
        ),
        ("redis://:word@host", Address("server", (("host", 6379),), password="word")),
    ],
)
def test_an_address_is_read(url: str, address: Address) -> None:
    assert Address.parse(url) == address


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        (f"http://:{SECRET}@host", "redis://"),
        (f"redis+proxy://:{SECRET}@host", "redis+cluster://"),
        (f"redis://:{SECRET}@", "no host"),
        (f"redis://:{SECRET}@host:port", "port"),
        (f"redis://:{SECRET}@host:0", "port"),
        (f"redis://:{SECRET}@host/first", "number of a database"),
        (f"redis://:{SECRET}@a,b", "several hosts"),
        (f"redis://:{SECRET}@host?ssl=1", "options"),
        (f"redis+sentinel://:{SECRET}@a,b", "/mymaster"),
        (f"redis+cluster://:{SECRET}@a/1", "database 0"),
        (f"unix://{SECRET}", "unix:///"),
        (f"redis://:{SECRET}@[::1", "redis://"),
        (SECRET, "redis://"),
    ],
)
def test_what_is_no_address_is_refused_with_advice_and_not_quoted(url: str, advice: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        RedisOptions(url=SecretStr(url))
    message = "".join(error["msg"] for error in refusal.value.errors())
    assert advice in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"prefix": "{app}:"}, "brace"),
        ({"url": "rediss://host", "tls_cert_file": __file__}, "both or neither"),
        ({"tls_ca_file": __file__}, "rediss"),
        ({"tls_ca_file": "/nowhere", "url": "rediss://host"}, "file"),
    ],
)
def test_options_that_contradict_one_another_are_refused(wrong: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError, match=advice):
        RedisOptions(**wrong)


@pytest.mark.parametrize("kind", ["redis", "redis+cluster", "redis+sentinel"])
def test_nothing_that_is_shown_tells_who_signs_in(kind: str) -> None:
    options = RedisOptions(url=SecretStr(f"{kind}://somebody:{SECRET}@host/0"), password=SecretStr(SECRET))
    shown = f"{options!r} {options} {options.address()!r} {options.address()}"
    assert SECRET not in shown
    assert "somebody" not in shown


@pytest.mark.parametrize(
    ("url", "network"),
    [
        ("redis://localhost", False),
        ("unix:///socket", False),
        ("redis://127.0.0.1", False),
        ("redis://a", True),
        ("redis+sentinel://127.0.0.1/main", True),
        ("redis+cluster://127.0.0.1", True),
    ],
)
def test_a_redis_on_this_machine_needs_no_network(url: str, network: bool) -> None:
    options = RedisOptions(url=SecretStr(url))
    assert jackfield_session_redis.plugin_info().capabilities(options).network == network


def test_it_offers_every_role_and_says_that_it_lasts_only_where_it_is_told_so() -> None:
    capabilities = jackfield_session_redis.plugin_info().capabilities
    assert capabilities(RedisOptions()).roles == ROLES
    assert capabilities(RedisOptions()).persistent == ()
    assert capabilities(RedisOptions(persistent=True)).persistent == ROLES


@pytest.mark.parametrize("tls", ["", "s"])
@pytest.mark.parametrize("url", ["redis{}://host", "redis{}+sentinel://host/main", "redis{}+cluster://host"])
def test_building_it_opens_nothing(url: str, tls: str) -> None:
    site = Site("session", "redis", logging.getLogger("redis-test"))
    built = jackfield_session_redis.make_session(
        options=RedisOptions(url=SecretStr(url.format(tls))), site=site
    )
    for role in (Windows, Records, Signals, Shared):
        assert isinstance(built, role)


def test_saying_what_it_is_imports_no_sdk() -> None:
    code = (
        "import sys, jackfield_session_redis as r; r.plugin_info().capabilities(r.RedisOptions()); "
        "assert not {'redis', 'numpy', 'fastapi'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
