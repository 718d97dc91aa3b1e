"""ClamAV: has the virus scanner `clamd` look at every upload before anything decodes it.

It speaks clamd's protocol itself, over a socket of this machine or over TCP, and needs a running clamd with
signatures, nothing else. What they say to each other is neither encrypted nor signed: keep a clamd that is
elsewhere on a private network. clamd refuses uploads larger than its own `StreamMaxLength`.
"""

from __future__ import annotations

from pydantic import Field, field_validator

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield.services.options import is_on_this_machine
from jackfield_extension_clamav.address import Address
from jackfield_extension_clamav.scanner import ClamavScanner as ClamavScanner


class ClamavOptions(Options):
    """Where clamd is, and what happens to uploads when it is not."""

    address: str = Field(
        "unix:///var/run/clamav/clamd.ctl",
        description="Where clamd listens: `unix:///path/of/its/socket`, or `tcp://host:port`.",
    )
    timeout_s: float = Field(
        10.0,
        gt=0,
        description="Seconds for connecting, and then for looking at one upload; twice as many are less than "
        "`scan_seconds` of `[timeouts]`.",
    )
    required: bool = Field(
        True,
        description="Whether uploads are refused while clamd cannot be reached. Without it they are let in "
        "unseen then, and the log says so; what clamd was given and did not judge is refused all the same.",
    )

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        Address.of(address)
        return address


def _capabilities(options: ClamavOptions) -> Capabilities:
    address = Address.of(options.address)
    return Capabilities(network=not (address.path or is_on_this_machine(options.address)))


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="extension",
        name="clamav",
        summary="Has ClamAV's clamd look for viruses in every upload.",
        options=ClamavOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_scanner(options: ClamavOptions, site: Site) -> ClamavScanner:
    return ClamavScanner(
        Address.of(options.address), timeout_s=options.timeout_s, required=options.required, site=site
    )
