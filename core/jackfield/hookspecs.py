"""Every hook a plugin module may implement.

A driver (one provider of one kind) implements `plugin_info` and the one factory of its kind. An
extension implements `plugin_info` and any of the extension hooks; with `hookimpl(wrapper=True)` it may
also wrap a factory and so replace, decorate or watch the object that a driver builds.

Hooks are called while the server is assembled, never for a token or a frame.
"""

from __future__ import annotations

from collections.abc import Sequence

from pluggy import HookspecMarker

from jackfield.contracts.auth import Auth
from jackfield.contracts.extension import Observer, Scanner, TurnWrapper
from jackfield.contracts.llm import LLM
from jackfield.contracts.realtime import Realtime
from jackfield.contracts.session import SessionStore
from jackfield.contracts.stt import STT
from jackfield.contracts.tools import Tool, ToolSource
from jackfield.contracts.transport import Transport
from jackfield.contracts.tts import TTS
from jackfield.contracts.vad import VAD
from jackfield.plugin import PROJECT, Options, PluginInfo, Site

hookspec = HookspecMarker(PROJECT)


@hookspec
def plugin_info() -> PluginInfo:  # type: ignore[empty-body]  # a spec has no body
    """Describe the plugin. Works without the SDK that the plugin needs."""


@hookspec(firstresult=True)
def make_llm(options: Options, site: Site) -> LLM:  # type: ignore[empty-body]
    """Build a language model."""


@hookspec(firstresult=True)
def make_stt(options: Options, site: Site) -> STT:  # type: ignore[empty-body]
    """Build a speech recogniser."""


@hookspec(firstresult=True)
def make_tts(options: Options, site: Site) -> TTS:  # type: ignore[empty-body]
    """Build a voice."""


@hookspec(firstresult=True)
def make_session(options: Options, site: Site) -> SessionStore:  # type: ignore[empty-body]
    """Build a session store."""


@hookspec(firstresult=True)
def make_transport(options: Options, site: Site) -> Transport:  # type: ignore[empty-body]
    """Build a transport: a door through which clients come in."""


@hookspec(firstresult=True)
def make_realtime(options: Options, site: Site) -> Realtime:  # type: ignore[empty-body]
    """Build a speech-to-speech model."""


@hookspec(firstresult=True)
def make_vad(options: Options, site: Site) -> VAD:  # type: ignore[empty-body]
    """Build a voice activity detector."""


@hookspec(firstresult=True)
def make_auth(options: Options, site: Site) -> Auth:  # type: ignore[empty-body]
    """Build an authentication plugin."""


@hookspec
def make_tools(options: Options, site: Site) -> Sequence[Tool | ToolSource]:  # type: ignore[empty-body]
    """Extension: functions the language model may call, and sources of such functions."""


@hookspec
def make_scanner(options: Options, site: Site) -> Scanner:  # type: ignore[empty-body]
    """Extension: an upload scanner, asked before anything decodes the upload."""


@hookspec
def make_turn_wrapper(options: Options, site: Site) -> TurnWrapper:  # type: ignore[empty-body]
    """Extension: something that stands around whole turns (a cache, an FAQ, moderation)."""


@hookspec
def make_observer(options: Options, site: Site) -> Observer:  # type: ignore[empty-body]
    """Extension: something that is told of events."""
