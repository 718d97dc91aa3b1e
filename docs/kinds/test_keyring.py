"""The plugin keeps the promises of authentication, and takes no key that is easily guessed."""

from __future__ import annotations

import logging

import pytest
from jackfield import ConfigError, Site
from jackfield.contracts.auth import Auth, Credentials
from jackfield.testing import AuthSuite
from pydantic import SecretStr

import jackfield_auth_keyring as plugin

KEY = "kX2-vQ9_wLr5TzB8nHc4"
OPTIONS = plugin.KeyringOptions(keys={"ada": SecretStr(KEY), "bob": SecretStr(KEY[::-1])})
SITE = Site("auth.members", "keyring", logging.getLogger("test"))


class TestKeyring(AuthSuite):
    """Every test of the suite, and one of its own."""

    capabilities = plugin.plugin_info().capabilities(OPTIONS)
    subject = "ada"

    @pytest.fixture
    def auth(self) -> Auth:
        return plugin.make_auth(OPTIONS, SITE)

    @pytest.fixture
    def credentials(self) -> Credentials:
        return Credentials(bearer=KEY)

    def test_a_weak_key_is_refused_and_not_shown(self) -> None:
        weak = plugin.KeyringOptions(keys={"eve": SecretStr("hush")})
        with pytest.raises(ConfigError, match="eve") as caught:
            plugin.make_auth(weak, SITE)
        assert "hush" not in str(caught.value)
