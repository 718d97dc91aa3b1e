"""The stored clips of a server, where the configuration says: in a folder, or in an object store."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from jackfield.assembly import Assembly
from jackfield.audio.clips import ClipBucket, ClipFiles, ClipFolder, ClipLimits, ClipStore
from jackfield.audio.clips.connection import connect
from jackfield.config.sections import AudioSection, Config
from jackfield.errors import ConfigError, Problem
from jackfield.server.health import Probe


def keeps_clips(assembly: Assembly) -> bool:
    """Whether the server has clips: it speaks, or is told where others keep theirs."""
    return assembly.tts.default is not None or assembly.config.audio.url is not None


def in_object_store(audio: AudioSection) -> bool:
    """Whether clips are kept by a service."""
    return audio.url is not None and not audio.url.startswith("file:")


def clip_probes(config: Config, clips: ClipStore) -> list[Probe]:
    """Make what tells whether the object store can be reached, where there is one."""
    audio = config.audio
    if audio.url is None or not in_object_store(audio):
        return []
    return [Probe("audio.url", audio.url, clips.ping, config.timeouts.store_seconds)]


def clip_store(config: Config) -> ClipStore:
    """Make the store; opens nothing."""
    audio = config.audio
    return ClipStore(
        _files(config),
        container=audio.format,
        public_base_url=audio.public_base_url,
        public_url=config.server.public_url,
    )


def check_clips(config: Config) -> list[Problem]:
    """Find what can be told of an object store without asking it."""
    url = config.audio.url
    if url is None or not in_object_store(config.audio):
        return []
    try:
        connect(url, config.audio.options, request_s=config.timeouts.store_seconds)
    except ConfigError as error:
        return list(error.problems)
    return []


def _files(config: Config) -> ClipFiles:
    audio = config.audio
    limits = ClipLimits(audio.ttl_seconds, audio.max_total_bytes)
    if audio.url is None:
        return ClipFolder(Path(audio.directory), limits)
    if not in_object_store(audio):
        return ClipFolder(Path(url2pathname(urlsplit(audio.url).path)), limits, section="audio.url")
    request_s = config.timeouts.store_seconds
    client = partial(connect, audio.url, audio.options, request_s=request_s)
    return ClipBucket(client, limits, url=audio.url, request_s=request_s)
