"""What users ask for, by socket or by route: done, and told to their other sockets."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from jackfield.contracts.auth import UserId
from jackfield.contracts.panel import Panel
from jackfield.contracts.session import Record
from jackfield.contracts.turn import ConversationRef, Recorded, Recording, TurnRequest
from jackfield.errors import ConfigError, ProtocolError
from jackfield.sockets import JsonSocket
from jackfield_transport_pichat import wire
from jackfield_transport_pichat.audience import Audience
from jackfield_transport_pichat.changes import Change
from jackfield_transport_pichat.choices import Choices, Chosen
from jackfield_transport_pichat.failures import in_contract
from jackfield_transport_pichat.library import Library, checked_id
from jackfield_transport_pichat.payloads import (
    CreateConversation,
    GetMessages,
    SendMessage,
    SpeechToText,
    TextToSpeech,
    UpdateConversation,
    UpdateSettings,
    too_long,
)
from jackfield_transport_pichat.recording import upload
from jackfield_transport_pichat.wire import Json

if TYPE_CHECKING:
    from jackfield_transport_pichat.options import PichatOptions

REMEMBERED: Final = 20
"""Messages that the model is told, the question among them."""
_LOOKED_BACK: Final = 100
"""How many newer messages may have come when another server's message is looked for."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, and the socket they ask by, which is told nothing twice."""

    user: UserId
    owner: str
    socket: JsonSocket | None = None


class Service:
    """The door's work on one panel.

    :raises ConfigError: without problems, when the panel lacks a store that the door needs.
    """

    def __init__(self, panel: Panel, options: PichatOptions, choices: Choices, transport: str) -> None:
        records, signals = panel.sessions.records, panel.sessions.signals
        if records is None or signals is None:
            raise ConfigError(())  # the store could not be built, which has been told
        self.library = Library(records, choices)
        self.audience = Audience(signals, self._retold, logging.getLogger(__name__))
        self._records = records
        self._panel = panel
        self._options = options
        self._choices = choices
        self._transport = transport
        labels = ("transport", "type")
        self._seconds = panel.metrics.histogram(
            "jackfield_message_seconds", "Seconds from a message's arrival to its answer.", labels
        )
        self._messages = panel.metrics.counter(
            "jackfield_messages_total", "Messages of users that were answered.", labels
        )

    async def create(self, visitor: Visitor, wanted: CreateConversation) -> Json:
        """Add a conversation."""
        payload = await self.library.create(visitor.owner, wanted)
        change = Change("created", payload["conversation"]["id"])
        self._announce(visitor, "conversation_created", payload, change)
        return payload

    async def rename(self, visitor: Visitor, wanted: UpdateConversation) -> Json:
        """Give a conversation another title."""
        payload = await self.library.rename(visitor.owner, wanted)
        self._announce(visitor, "conversation_updated", payload, Change("updated", wanted.id))
        return payload

    async def delete(self, visitor: Visitor, conversation_id: str) -> Json:
        """Delete a conversation."""
        payload = await self.library.delete(visitor.owner, conversation_id)
        self._announce(visitor, "conversation_deleted", payload, Change("deleted", conversation_id))
        return payload

    async def change_settings(self, visitor: Visitor, wanted: UpdateSettings) -> Json:
        """Change the user's settings."""
        payload = (await self.library.change_settings(visitor.owner, wanted)).payload()
        self._announce(visitor, "settings_updated", payload, Change("settings"))
        return payload

    async def send(
        self, visitor: Visitor, wanted: SendMessage, *, aloud: bool
    ) -> AsyncGenerator[tuple[str, Json], None]:
        """Answer a message; yields actions and payloads as they come, the stored question first.

        `aloud`: an answer to spoken words is spoken too, where there is a voice.

        :raises ProtocolError: for what cannot be answered; the question, once yielded, stays.
        """
        began_s = perf_counter()
        if len(wanted.content) > self._options.max_text_chars:
            raise too_long("content")
        conversation = ConversationRef("", visitor.user, checked_id(wanted.conversation_id))
        await self._panel.limits.check_session(conversation)
        chosen = await self.library.settings(visitor.owner)
        turn = self._turn(visitor, conversation, wanted, chosen)
        answer: Record | None = None
        with in_contract():
            async with aclosing(self._panel.assistant.reply(turn)) as outputs:
                async for output in outputs:
                    if isinstance(output, Recorded):
                        answer = output.record
                        yield self._told(visitor, answer)
                    elif isinstance(output, str) and wanted.stream and output:
                        delta = {"conversation_id": wanted.conversation_id, "delta": output}
                        yield "assistant_message_delta", delta
        self._messages.inc(self._transport, turn.message_type)
        self._seconds.observe(perf_counter() - began_s, self._transport, turn.message_type)
        if aloud and wanted.is_audio and answer is not None:
            spoken = await self._spoken_answer(answer, chosen)
            if spoken is not None:
                yield "speech_audio", spoken

    async def speak(self, visitor: Visitor, wanted: TextToSpeech) -> Json:
        """Give a text as sound."""
        if len(wanted.text) > self._options.max_speech_chars:
            raise too_long("text")
        chosen = await self.library.settings(visitor.owner)
        chosen = self._choices.changed(chosen, wanted.voice_gender, wanted.voice_accent)
        return await self._speech(wanted.text, chosen)

    async def hear(self, wanted: SpeechToText) -> Json:
        """Give the words of a recording."""
        limit_bytes = self._panel.settings.max_audio_bytes
        sound = await upload(wanted.audio_data, wanted.mime_type, limit_bytes)
        with in_contract():
            heard = await self._panel.assistant.hear(sound, wanted.language)
        return {
            "text": heard.text,
            "language": heard.language,
            "duration_ms": round(heard.duration_s * 1000),
        }

    def _turn(
        self, visitor: Visitor, conversation: ConversationRef, wanted: SendMessage, chosen: Chosen
    ) -> TurnRequest:
        return TurnRequest(
            conversation=conversation,
            text=wanted.content,
            transport=self._transport,
            message_type="voice" if wanted.is_audio else "text",
            llm=self._choices.llm(chosen.model),
            voice=self._choices.voice(chosen),
            recording=Recording(
                visitor.owner, conversation.session, question_first=True, remembered=REMEMBERED
            ),
        )

    def _told(self, visitor: Visitor, record: Record) -> tuple[str, Json]:
        """Tell the user's other sockets of a message, and give what the sender is told."""
        action, payload = _message(record)
        self._announce(visitor, action, payload, Change("message", record.conversation_id, record.id))
        return action, payload

    async def _spoken_answer(self, answer: Record, chosen: Chosen) -> Json | None:
        try:
            return {"message_id": answer.id, **await self._speech(answer.content, chosen)}
        except ProtocolError as error:
            if error.code == "not_configured":
                return None
            raise

    async def _speech(self, text: str, chosen: Chosen) -> Json:
        with in_contract():
            spoken = await self._panel.assistant.speak(text, self._choices.voice(chosen))
        return {
            "audio_data": (await to_thread.run_sync(b64encode, spoken.data)).decode(),
            "mime_type": spoken.media_type,
            "duration_ms": round(spoken.duration_s * 1000),
            "voice_gender": chosen.gender,
            "voice_accent": chosen.accent,
        }

    def _announce(self, visitor: Visitor, action: str, payload: Json, change: Change) -> None:
        self.audience.announce(visitor.owner, wire.frame(action, payload), change, visitor.socket)

    async def _retold(self, owner: str, change: Change) -> Sequence[Json]:
        """The frames that tell of a change which another server made."""
        try:
            return [wire.frame(*told) for told in await self._told_again(owner, change)]
        except ProtocolError:  # it is gone already, which another signal tells
            return ()

    async def _told_again(self, owner: str, change: Change) -> Sequence[tuple[str, Json]]:
        library = self.library
        match change.kind:
            case "created" | "updated":
                payload = await library.conversation(owner, change.conversation)
                return [(f"conversation_{change.kind}", payload)]
            case "deleted":
                return [("conversation_deleted", {"id": change.conversation})]
            case "message":
                return await self._message_again(owner, change)
            case "settings":
                return [("settings_updated", (await library.settings(owner)).payload())]
            case "everything":
                settings = await library.settings(owner)
                conversations = await library.conversations(owner)
                return [("conversations_list", conversations), ("settings_updated", settings.payload())]

    async def _message_again(self, owner: str, change: Change) -> Sequence[tuple[str, Json]]:
        """A message that another server added; the newest of its conversation where it is far back."""
        conversation = checked_id(change.conversation)
        page = await self._records.records(owner, conversation, limit=_LOOKED_BACK)
        for record in reversed(page.items if page else ()):
            if record.id == change.message:
                return [_message(record)]
        wanted = GetMessages(conversation_id=conversation)
        return [("messages_list", await self.library.messages(owner, wanted))]


def _message(record: Record) -> tuple[str, Json]:
    action = "message_created" if record.role == "user" else "assistant_message"
    return action, {"message": wire.message(record)}
