"""What plugins of services over HTTP share, whatever SDK they use: options, and errors by category."""

from __future__ import annotations

from jackfield.services.failures import error_in_answer as error_in_answer, refusal as refusal
from jackfield.services.options import (
    Key as Key,
    OrBlank as OrBlank,
    ServiceOptions as ServiceOptions,
    ServiceURL as ServiceURL,
    host_of as host_of,
    is_on_this_machine as is_on_this_machine,
)

__all__ = [
    "Key",
    "OrBlank",
    "ServiceOptions",
    "ServiceURL",
    "error_in_answer",
    "host_of",
    "is_on_this_machine",
    "refusal",
]
