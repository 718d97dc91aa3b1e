"""Where Redis is, and how it is talked to."""

from __future__ import annotations

from typing import Self

from pydantic import Field, FilePath, SecretStr, field_validator, model_validator

from jackfield import Options
from jackfield_session_redis.address import Address


class RedisOptions(Options):
    """One address for one server, a group watched by Sentinel, or a cluster."""

    url: SecretStr = Field(
        SecretStr("redis://localhost:6379/0"),
        description="`redis://host:port/db`, `rediss://` with TLS, `unix:///path/to/socket`, "
        "`redis+sentinel://host:port,host:port/service/db` or `redis+cluster://host:port,host:port`; "
        "`rediss+sentinel://` and `rediss+cluster://` with TLS. It may hold `user:password@`.",
    )
    username: str | None = Field(None, description="User of Redis, if the address names none.")
    password: SecretStr | None = Field(None, description="Password of Redis, if the address holds none.")
    sentinel_username: str | None = Field(None, description="User of the Sentinels, if they ask for one.")
    sentinel_password: SecretStr | None = Field(None, description="Password of the Sentinels.")
    prefix: str = Field(
        "jackfield:",
        min_length=1,
        max_length=100,
        description="Begins the names of keys and channels; deployments that share a Redis need their own.",
    )
    pool_size: int = Field(
        32, ge=1, le=1000, description="Most connections for commands; beyond, an operation waits for one."
    )
    connect_timeout_s: float = Field(2.0, gt=0, description="Seconds that opening a connection may take.")
    timeout_s: float = Field(
        4.0, gt=0, description="Seconds that one operation may take, with waiting for a connection."
    )
    tls_ca_file: FilePath | None = Field(
        None,
        description="PEM file of authorities that may have signed Redis' certificate, beside the system's.",
    )
    tls_cert_file: FilePath | None = Field(None, description="PEM file of a certificate to show to Redis.")
    tls_key_file: FilePath | None = Field(None, description="PEM file of that certificate's key.")
    tls_check_hostname: bool = Field(
        True, description="Whether the certificate must name the host of the address."
    )
    persistent: bool = Field(
        False,
        description="Whether what is stored survives a restart of Redis. The start then makes sure that "
        "Redis has `appendonly yes` and `appendfsync always`.",
    )
    accept_loss: bool = Field(
        False,
        description="With `persistent`: start also where Redis keeps less than that, or does not tell.",
    )
    max_waiting_signals: int = Field(
        256, ge=1, description="Most signals waiting for one listener; beyond, the oldest are lost."
    )

    @field_validator("prefix")
    @classmethod
    def _without_braces(cls, prefix: str) -> str:
        if "{" in prefix or "}" in prefix:
            raise ValueError("It holds a brace, which would decide the place of every key in a cluster.")
        return prefix

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        address = self.address()
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("A certificate and its key go together: give both or neither.")
        if (self.tls_ca_file or self.tls_cert_file) and not address.tls:
            raise ValueError("TLS files are given, and the address is one without TLS. Use `rediss`.")
        return self

    def address(self) -> Address:
        """Read the address.

        :raises ValueError: when it is none; the message quotes nothing of it.
        """
        return Address.parse(self.url.get_secret_value())
