"""What the client says in the protocol."""

from __future__ import annotations

from typing import Any, Final

from jackfield.contracts.llm import Message
from jackfield.contracts.realtime import RealtimeSettings
from jackfield.contracts.tts import Voice
from jackfield_realtime_openai.options import VOICES, RealtimeOptions

RATE_HZ: Final = 24_000
"""The one rate of `audio/pcm`."""

ClientEvent = dict[str, Any]


def session_update(
    options: RealtimeOptions,
    settings: RealtimeSettings,
    *,
    keep_voice: bool = False,
    forwarded: bool = False,
) -> ClientEvent:
    """Everything about a session; with `keep_voice` but its voice, which may not change once it spoke."""
    session = session_object(options, settings, keep_voice=keep_voice, forwarded=forwarded)
    return {"type": "session.update", "session": session}


def session_object(
    options: RealtimeOptions,
    settings: RealtimeSettings,
    *,
    keep_voice: bool = False,
    forwarded: bool = False,
) -> dict[str, Any]:
    """A session; the form of the sound of one that is `forwarded` is agreed on elsewhere."""
    form = {} if forwarded else {"format": {"type": "audio/pcm", "rate": RATE_HZ}}
    output: dict[str, Any] = {**form, "speed": options.speed}
    if not keep_voice:
        output["voice"] = voice_name(options, settings.voice)
    session: dict[str, Any] = {
        "type": "realtime",
        "instructions": settings.instructions,
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                **form,
                "noise_reduction": {"type": options.noise_reduction} if options.noise_reduction else None,
                "transcription": _transcription(options, settings.language),
                "turn_detection": _turn_detection(options) if settings.turns == "auto" else None,
            },
            "output": output,
        },
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
            }
            for tool in settings.tools
        ],
        "tool_choice": "auto",
        "max_output_tokens": options.max_output_tokens or "inf",
    }
    return session | options.extra_session


def is_written_down(options: RealtimeOptions, settings: RealtimeSettings) -> bool:
    """Whether the service will tell the words of the user."""
    sound = session_object(options, settings)["audio"].get("input") or {}
    return bool(sound.get("transcription"))


def voice_name(options: RealtimeOptions, voice: Voice) -> str:
    """The service's voice for the one that is meant."""
    if voice.name in VOICES:
        return voice.name
    by_gender = {"female": options.female_voice, "male": options.male_voice}
    return by_gender[voice.gender] if voice.gender else options.voice


def said(message: Message) -> ClientEvent:
    """Something that was said before, or is typed now."""
    kind = "output_text" if message.role == "assistant" else "input_text"
    content = [{"type": kind, "text": message.content}]
    item = {"type": "message", "role": message.role, "content": content}
    return {"type": "conversation.item.create", "item": item}


def tool_output(call_id: str, result: str) -> ClientEvent:
    """The result of a function."""
    item = {"type": "function_call_output", "call_id": call_id, "output": result}
    return {"type": "conversation.item.create", "item": item}


def truncate(item: str, heard_ms: int) -> ClientEvent:
    """Forget what of an answer nobody heard."""
    return {
        "type": "conversation.item.truncate",
        "item_id": item,
        "content_index": 0,
        "audio_end_ms": heard_ms,
    }


def _transcription(options: RealtimeOptions, language: str | None) -> dict[str, str] | None:
    if options.transcription_model is None:
        return None
    told = {"language": language.split("-")[0].lower()} if language else {}
    return {"model": options.transcription_model} | told


def _turn_detection(options: RealtimeOptions) -> dict[str, Any]:
    common = {"type": options.turn_detection, "create_response": True, "interrupt_response": True}
    if options.turn_detection == "semantic_vad":
        return common | {"eagerness": options.eagerness}
    return common | {
        "threshold": options.vad_threshold,
        "prefix_padding_ms": options.prefix_ms,
        "silence_duration_ms": options.silence_ms,
    }
