"""A store of documents, one a chat, as a document database keeps them: the role `records` and no other."""

from __future__ import annotations

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield_session_memory import MemoryOptions
from jackfield_session_memory.records import MemoryRecords


class DocumentStore(MemoryRecords):
    """Lasting chats, without windows, signals, and shared values."""

    def __init__(self) -> None:
        super().__init__(MemoryOptions())

    async def ping(self) -> None:
        return None

    async def size_bytes(self) -> int | None:
        return None


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="session",
        name="trial_documents",
        summary="Documents, as a third party's plugin would store them.",
        capabilities=lambda _options: Capabilities(roles=("records",)),
    )


@hookimpl
def make_session(options: Options, site: Site) -> DocumentStore:
    return DocumentStore()
