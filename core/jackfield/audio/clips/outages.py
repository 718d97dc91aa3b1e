"""What an object store's failure means, in words that hold no secret.

The library quotes the address that was asked, which may hold a signature, and what the store answered. Of
both only the status and the store's own code for it are passed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_STATUS: Final = re.compile(r"status code: (\d{3})\b")
_CODE: Final = re.compile(r"<Code>(\w{1,64})</Code>")
_SETTING: Final = re.compile(r"Configuration key: '(\w{1,64})'")
_WORDS: Final = (
    ("Account must be specified", "it needs the name of an account"),
    ("Invalid Access Key", "the account's key is no base64"),
    ("Unable to open service account file", "the file of the service account cannot be opened"),
    ("Unable to decode service account file", "the service account is not what Google gives as JSON"),
    ("dns error", "its host has no address"),
    ("kind: Connect", "no connection"),
    ("kind: Timeout", "no answer in time"),
    ("URL scheme is not allowed", "its address has the wrong scheme"),
)
_MISSING_CODES: Final = {"NoSuchBucket", "ContainerNotFound"}
_NAMES: Final = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
    "gs": "GOOGLE_SERVICE_ACCOUNT",
}
_ADDRESSES: Final = {
    "s3": "AWS_ENDPOINT_URL, AWS_REGION",
    "az": "AZURE_STORAGE_ENDPOINT",
    "gs": "GOOGLE_BASE_URL",
}


@dataclass(frozen=True, slots=True)
class Outage:
    """Why a request to an object store failed."""

    reason: str
    status: int | None = None
    code: str = ""
    setting: str = ""
    """The setting that the store does not know."""

    @property
    def no_bucket(self) -> bool:
        """Whether there is nothing of the bucket's name."""
        return self.code in _MISSING_CODES

    def fix(self, scheme: str) -> str:
        """What an operator can do about it, who chose `s3`, `az` or `gs`."""
        if self.setting:
            return "Remove it, or see that it is spelt as in the documentation of obstore."
        if self.no_bucket:
            return "Make it, or mend the name in audio.url."
        if self.status in (401, 403):
            return (
                f"Give credentials that may read, write, list and delete there: {_NAMES[scheme]} in the "
                "environment, or the same in [audio.options]."
            )
        if self.status is not None:
            return "Mend audio.url, or what is set in [audio.options] and in the environment."
        return (
            f"See that the address is right ({_ADDRESSES[scheme]}, or the same in [audio.options]), that "
            f"the store runs, and that there are credentials ({_NAMES[scheme]})."
        )


def outage_of(error: Exception) -> Outage:
    """Read what the library raised."""
    text = str(error)
    if found := _SETTING.search(text):
        return Outage(f"it has no setting {found[1]!r}", setting=found[1])
    status, code = _STATUS.search(text), _CODE.search(text)
    if status:
        told = f" ({code[1]})" if code else ""
        return Outage(f"it answered {status[1]}{told}", int(status[1]), code[1] if code else "")
    for words, reason in _WORDS:
        if words in text:
            return Outage(reason)
    return Outage(f"it failed ({type(error).__name__})")


def silence(waited_s: float) -> Outage:
    """Nothing came within that time."""
    return Outage(f"no answer within {waited_s:g} s")
