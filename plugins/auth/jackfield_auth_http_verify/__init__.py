"""A service that is asked over HTTP whose a bearer token is.

It is sent `GET url` with the client's `Authorization: Bearer TOKEN`. It answers 200 with a JSON object that
holds the user's id, or 401 or 403 for a token that is not good. Anything else, or no answer in time, lets
nobody in: clients get 503. Answers are remembered for a short while, by a digest of the token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield.services import Key, ServiceURL, is_on_this_machine

if TYPE_CHECKING:
    from jackfield_auth_http_verify.service import HttpVerifyAuth


class HttpVerifyOptions(Options):
    """Options of `http_verify`."""

    url: ServiceURL = Field(
        description="Address that is asked, whole: `https://accounts.example.com/whoami`."
    )
    subject_field: str = Field(
        "user_id", min_length=1, description="Member of the answer that holds the user's id, text or number."
    )
    name_field: str = Field("name", description="Member that holds the user's name, if the answer has one.")
    ignore_case: bool = Field(
        False, description="Whether ids that differ only in upper and lower case are one user, as of wallets."
    )
    time_limit_s: float = Field(
        5.0, gt=0, le=60, description="Seconds within which the whole answer must come."
    )
    cache_s: float = Field(
        30.0,
        ge=0,
        le=3600,
        description="Seconds that an answer is remembered: so long a token that was withdrawn may still be "
        "good.",
    )
    connections: int = Field(20, ge=1, le=1000, description="Requests to the service at once; others wait.")
    extra_headers: dict[str, Key] = Field(
        default_factory=dict, description="Further headers of every request, such as a key of this server's."
    )


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="auth",
        name="http_verify",
        summary="Bearer tokens that a service is asked about over HTTP.",
        options=HttpVerifyOptions,
        extra="jackfield[http-verify]",
        capabilities=lambda options: Capabilities(network=not is_on_this_machine(options.url)),
    )


@hookimpl
def make_auth(options: HttpVerifyOptions, site: Site) -> HttpVerifyAuth:
    from jackfield_auth_http_verify.service import HttpVerifyAuth

    if site.production and not (options.url.startswith("https://") or is_on_this_machine(options.url)):
        site.logger.warning("[%s] tokens are sent to %s without TLS", site.section, options.url)
    return HttpVerifyAuth(options)
