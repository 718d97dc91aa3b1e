"""The bounds of the memory store."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from jackfield import Options

_MIB: Final = 1024 * 1024


class MemoryOptions(Options):
    """How much is kept. What a bound counts in bytes is an estimate of the memory that text takes."""

    sweep_s: float = Field(30.0, gt=0, description="Seconds between two removals of what has expired.")
    max_sessions: int = Field(
        10_000, ge=1, description="Most conversations remembered; beyond, the one that expires next goes."
    )
    max_session_bytes: int = Field(
        256 * 1024, ge=1024, description="Most bytes of one remembered conversation; the oldest messages go."
    )
    max_sessions_bytes: int = Field(
        64 * _MIB, ge=1024, description="Most bytes of all remembered conversations together."
    )
    max_users: int = Field(10_000, ge=1, description="Most accounts, and most users with settings.")
    max_conversations: int = Field(50_000, ge=1, description="Most conversations with a durable history.")
    max_records_bytes: int = Field(
        128 * _MIB, ge=1024, description="Most bytes of accounts, histories and settings together."
    )
    max_channels: int = Field(
        10_000, ge=1, description="Most channels of signals whose numbering is kept, and most listeners."
    )
    max_waiting_signals: int = Field(
        256, ge=1, description="Most signals waiting for one listener; beyond, the oldest are lost."
    )
    max_shared_keys: int = Field(
        100_000, ge=1, description="Most values, most counters and most leases; beyond, new ones are refused."
    )
    max_shared_bytes: int = Field(16 * _MIB, ge=1024, description="Most bytes of shared values together.")
