"""A scanner that knows one virus: the EICAR test string."""

from __future__ import annotations

from jackfield import PluginInfo, ProviderUnavailable, Site, hookimpl
from jackfield.contracts.extension import Upload
from tests.contracts.plugins.trial_desk import Desk, TrialOptions

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


class TrialScanner:
    """Looks for the test string."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def scan(self, upload: Upload) -> bool:
        self._desk.note(event="scanned", bytes=len(upload.data), media_type=upload.media_type)
        if self._desk.mode == "down":
            raise ProviderUnavailable("secret-123 refuses connections")
        return EICAR not in upload.data


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="extension", name="trial_scanner", summary="Finds the EICAR string.", options=TrialOptions
    )


@hookimpl
def make_scanner(options: TrialOptions, site: Site) -> TrialScanner:
    return TrialScanner(Desk(options, "scanner"))
