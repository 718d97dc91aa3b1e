"""What can be told before anything is opened: exposure, secrets, certificates, decoders, routes."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from pathlib import Path

from jackfield.addresses import listens_publicly
from jackfield.config.sections import Config
from jackfield.dialogue.encryption import keys_of
from jackfield.errors import Problem
from jackfield.secrecy import weakness
from jackfield.server.clips import check_clips

logger = logging.getLogger(__name__)


def check_exposure(config: Config, open_auths: Collection[str] = ()) -> list[Problem]:
    """Find what must not be reachable by everybody: doors without authentication, weak secrets.

    `open_auths` names sections of authentication that let everybody in.
    """
    doors = [*_open_doors(config, open_auths), *_open_auths(config, open_auths)]
    return [*doors, *_secrets(config), *_credentials(config)]


def check_parts(config: Config) -> list[Problem]:
    """Find what voice or encryption need and this installation lacks, and keys that cannot be used."""
    problems = [*_tls(config), *_encryption(config), *check_clips(config)]
    if config.stt is not None or config.tts is not None:
        problems += check_decoder("stt" if config.stt is not None else "tts")
    return problems


def check_decoder(section: str) -> Iterator[Problem]:
    """Find that this installation lacks what every recogniser and every voice needs."""
    try:
        import av  # noqa: F401  # heavy, and not needed by a server of text
    except ImportError:
        message = "Voice needs the decoder PyAV, which cannot be imported."
        yield Problem(section, message, "pip install 'jackfield[audio]'")


def _encryption(config: Config) -> Iterator[Problem]:
    secret = config.session.encryption_key
    if secret is None:
        return
    section = "session.encryption_key"
    try:
        keys_of(secret)
        import cryptography  # noqa: F401  # whoever encrypts nothing need not have it
    except ValueError as error:
        fix = 'Make one: python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"'
        yield Problem(section, str(error), fix)
    except ImportError:
        message = "Encryption needs the package cryptography, which cannot be imported."
        yield Problem(section, message, "pip install 'jackfield[encryption]'")


def _open_auths(config: Config, open_auths: Collection[str]) -> Iterator[Problem]:
    for name in open_auths:
        use = config.auth[name].use
        if config.server.environment == "production":
            message = f'As configured, "{use}" lets everybody in, which production refuses.'
            yield Problem(f"auth.{name}", message, "Give it the secrets that it asks for.")
        else:
            logger.warning("[auth.%s] %s lets everybody in; production refuses it", name, use)


def _open_doors(config: Config, open_auths: Collection[str]) -> Iterator[Problem]:
    server = config.server
    if server.allow_anonymous or not listens_publicly(server.host):
        return
    for number, door in enumerate(config.transport, 1):
        if door.auth is None or door.auth in open_auths:
            message = f'{server.host} can be reached by others, and "{door.use}" lets everybody in.'
            fix = "Give it `auth`, or listen on 127.0.0.1, or set allow_anonymous = true in [server]."
            yield Problem(f"transport.{number}", message, fix)


def _secrets(config: Config) -> Iterator[Problem]:
    server = config.server
    secrets = {"secret_key": server.secret_key, "metrics_token": server.metrics_token}
    for name, secret in secrets.items():
        weak = weakness(secret.get_secret_value()) if secret else None
        if weak is None:
            continue
        if server.environment == "production":
            fix = 'Set a random one: python -c "import secrets; print(secrets.token_urlsafe(32))"'
            yield Problem(f"server.{name}", f"It {weak}.", fix)
        else:
            logger.warning("server.%s %s; production refuses it", name, weak)
    if server.environment == "production" and (server.public_url or "").startswith("http://"):
        logger.warning("server.public_url is not https: clients' traffic can be read on its way")


def _credentials(config: Config) -> Iterator[Problem]:
    server = config.server
    # Unless the file says true, "true" means "where that is allowed".
    said = server.cors_credentials and "cors_credentials" in server.model_fields_set
    if said and "*" in server.cors_origins:
        message = "Credentials are never allowed from every origin."
        fix = "List the origins, or set cors_credentials = false."
        yield Problem("server.cors_credentials", message, fix)


def _tls(config: Config) -> Iterator[Problem]:
    paths = {"tls_cert": config.server.tls_cert, "tls_key": config.server.tls_key}
    given = {name: path for name, path in paths.items() if path is not None}
    if len(given) == 1:
        (missing,) = set(paths) - set(given)
        yield Problem(f"server.{missing}", "TLS needs a certificate and its key.", "Set both or neither.")
    for name, path in given.items():
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            yield Problem(f"server.{name}", f"{path} cannot be read: {error.strerror}.", "Name a PEM file.")
