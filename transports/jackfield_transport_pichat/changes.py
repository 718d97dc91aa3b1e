"""What changed for a user, in ids: what servers tell one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

Kind = Literal["created", "updated", "deleted", "message", "settings", "everything"]
_KINDS: Final[Mapping[str, Kind]] = {kind: kind for kind in get_args(Kind)}


@dataclass(frozen=True, slots=True)
class Change:
    """A conversation was created, updated or deleted, got a message, or the settings changed."""

    kind: Kind
    conversation: str = ""
    message: str = ""

    def payload(self) -> dict[str, str]:
        """As signals carry it."""
        return {"changed": self.kind, "conversation": self.conversation, "message": self.message}

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self | None:
        """Give the change that a signal tells of; None for what another kind of door may have sent."""
        kind = _KINDS.get(str(payload.get("changed")))
        conversation, message = payload.get("conversation", ""), payload.get("message", "")
        if kind is None or not isinstance(conversation, str) or not isinstance(message, str):
            return None
        return cls(kind, conversation, message)


def everything() -> Change:
    """Changes were missed: whoever is told reads everything again."""
    return Change("everything")
