"""What an operator may choose about telephones."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from jackfield.errors import ConfigError, Problem
from jackfield.plugin import Options, Site

E164: Final = r"^\+[1-9][0-9]{6,14}$"
"""A telephone number as Twilio takes it: a plus sign, the country's code, the rest; digits only."""


def _given(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text or text.startswith("your_"):
        raise ValueError("is empty, or still what stood in the example")
    return SecretStr(text)


Credential = Annotated[SecretStr, AfterValidator(_given)]


class OutboundOptions(Options):
    """Calls that the server makes."""

    enabled: bool = Field(False, description="Serve `POST /calls`, with which users let the server call.")
    api_url: str = Field(
        "https://api.twilio.com",
        pattern=r"^https?://[^/?#\s]+$",
        description="Address of Twilio's REST API, without a path; another one for its regions.",
    )
    time_limit_s: float = Field(10.0, gt=0, le=60, description="Seconds within which Twilio must answer.")
    ring_s: int = Field(30, ge=5, le=600, description="Seconds that a telephone may ring.")


class TelephoneOptions(Options):
    """Telephone calls by way of Twilio."""

    account_sid: Credential | None = Field(
        None, description="Account at Twilio (`${TWILIO_ACCOUNT_SID}`): streams of others are refused."
    )
    auth_token: Credential | None = Field(
        None, description="The account's token (`${TWILIO_AUTH_TOKEN}`), which signs what Twilio sends."
    )
    phone_number: Credential | None = Field(
        None, description="Number that the server calls from (`${TWILIO_PHONE_NUMBER}`), as `+18005551212`."
    )
    verify_signatures: bool = Field(
        True, description="Take only what Twilio has signed. Production refuses to do without."
    )
    token_s: float = Field(
        60.0, gt=0, le=600, description="Seconds after the webhook within which the stream must begin."
    )
    max_waiting_bytes: int = Field(
        1_048_576, ge=65_536, description="Bytes that may wait for a stream that reads too slowly."
    )
    calls: OutboundOptions = Field(
        default_factory=OutboundOptions, description="Calls that the server makes."
    )


def check_installed(site: Site) -> None:
    """Find that this installation lacks what telephones need.

    :raises ConfigError: when it does, with all that is to be installed for this door.
    """
    if find_spec("twilio") is None:
        extras = "twilio" if find_spec("aiortc") is not None else "twilio,webrtc"
        message = "Telephones need the package twilio, which is not installed."
        where = f"{site.section}.options.telephone"
        raise ConfigError([Problem(where, message, f"pip install 'jackfield[{extras}]'")])


def check_telephone(options: TelephoneOptions, site: Site, public_url: str, *, authenticates: bool) -> None:
    """Find what is missing or contradicts itself.

    :raises ConfigError: with everything that is wrong.
    """
    where = f"{site.section}.options.telephone"
    problems: list[Problem] = []
    if not public_url:
        message = "Twilio has to be told the address of this server, which is not known."
        problems.append(Problem("server.public_url", message, 'Set it: public_url = "${PUBLIC_URL}".'))
    if options.calls.enabled and not authenticates:
        message = "Calls cost money, and everybody could make them."
        fix = "Give the transport a section of authentication: auth = ..."
        problems.append(Problem(f"{where}.calls.enabled", message, fix))
    if not options.verify_signatures and site.production:
        message = "Production takes only what Twilio has signed."
        problems.append(Problem(f"{where}.verify_signatures", message, "Remove the line."))
    needed = ("account_sid", "auth_token", "phone_number") if options.calls.enabled else ()
    for key in needed or (("auth_token",) if options.verify_signatures else ()):
        if getattr(options, key) is None:
            fix = f'Set it: {key} = "${{TWILIO_{key.upper()}}}".'
            problems.append(Problem(f"{where}.{key}", "Telephones cannot do without it.", fix))
    if problems:
        raise ConfigError(problems)
