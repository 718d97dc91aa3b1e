"""Every action of the WebSocket: what its payload is, and what answers it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final, TypeVar

from jackfield_transport_pichat.payloads import (
    CreateConversation,
    GetConversation,
    GetMessages,
    ListConversations,
    Nothing,
    Payload,
    SendMessage,
    SpeechToText,
    TextToSpeech,
    UpdateConversation,
    UpdateSettings,
    checked,
)
from jackfield_transport_pichat.service import Service, Visitor
from jackfield_transport_pichat.wire import Json

SEND: Final = "send_message"

P = TypeVar("P", bound=Payload)
Perform = Callable[[Visitor, object], Awaitable[Json]]


class Actions:
    """The actions on a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._performed: Mapping[str, tuple[str, Perform]] = _table(service)

    def __contains__(self, name: str) -> bool:
        return name == SEND or name in self._performed

    async def answers(
        self, name: str, visitor: Visitor, payload: object
    ) -> AsyncGenerator[tuple[str, Json], None]:
        """Yield the action and payload of each frame that answers; `name` is one of the actions.

        :raises ProtocolError: for a payload that breaks a rule, and for what cannot be done.
        """
        if name != SEND:
            answer, perform = self._performed[name]
            yield answer, await perform(visitor, payload)
            return
        wanted = checked(SendMessage, payload)
        async with aclosing(self._service.send(visitor, wanted, aloud=True)) as frames:
            async for frame in frames:
                yield frame


def _table(service: Service) -> Mapping[str, tuple[str, Perform]]:
    library = service.library

    async def settings(visitor: Visitor, _wanted: Nothing) -> Json:
        return (await library.settings(visitor.owner)).payload()

    async def pong(_visitor: Visitor, _wanted: Nothing) -> Json:
        return {}

    return {
        "get_conversations": (
            "conversations_list",
            _action(ListConversations, lambda visitor, wanted: library.conversations(visitor.owner, wanted)),
        ),
        "create_conversation": ("conversation_created", _action(CreateConversation, service.create)),
        "get_conversation": (
            "conversation_details",
            _action(GetConversation, lambda visitor, wanted: library.details(visitor.owner, wanted.id)),
        ),
        "update_conversation": ("conversation_updated", _action(UpdateConversation, service.rename)),
        "delete_conversation": (
            "conversation_deleted",
            _action(GetConversation, lambda visitor, wanted: service.delete(visitor, wanted.id)),
        ),
        "get_messages": (
            "messages_list",
            _action(GetMessages, lambda visitor, wanted: library.messages(visitor.owner, wanted)),
        ),
        "get_settings": ("settings", _action(Nothing, settings)),
        "update_settings": ("settings_updated", _action(UpdateSettings, service.change_settings)),
        "text_to_speech": ("speech_audio", _action(TextToSpeech, service.speak)),
        "speech_to_text": (
            "transcription",
            _action(SpeechToText, lambda _visitor, wanted: service.hear(wanted)),
        ),
        "ping": ("pong", _action(Nothing, pong)),
    }


def _action(kind: type[P], perform: Callable[[Visitor, P], Awaitable[Json]]) -> Perform:
    """Do something with a payload that was checked."""

    def checked_first(visitor: Visitor, payload: object) -> Awaitable[Json]:
        return perform(visitor, checked(kind, payload))

    return checked_first
