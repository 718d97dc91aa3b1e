"""A scanner that finds one text in uploads, so that every upload of a trial passes a scanner."""

from __future__ import annotations

from typing import Final

from jackfield.contracts.extension import Upload
from jackfield.plugin import Options, PluginInfo, Site, hookimpl

UNWANTED: Final = b"SOAK-UNWANTED-UPLOAD"


class SoakScanner:
    """Looks for it."""

    async def scan(self, upload: Upload) -> bool:
        """Say whether the upload is harmless."""
        return UNWANTED not in upload.data


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(kind="extension", name="soak_scanner", summary="Finds one text in uploads, for trials.")


@hookimpl
def make_scanner(options: Options, site: Site) -> SoakScanner:
    """Build the scanner."""
    return SoakScanner()
