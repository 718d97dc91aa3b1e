"""Fixtures of the tests of speech-to-speech models."""

from __future__ import annotations

from tests.plugins.realtime.speech_model import house, model as server

__all__ = ["house", "server"]
