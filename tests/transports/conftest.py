"""Fixtures of doors whose calls a speech-to-speech model answers."""

from __future__ import annotations

from tests.plugins.realtime.speech_model import house, model

__all__ = ["house", "model"]
