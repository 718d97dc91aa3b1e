"""Values for the variables that examples and documents name: none opens anything but a file where it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

STAND_INS: Final = {
    "API_TOKEN": "stand-in-of-at-least-thirty-two-letters",
    "AZURE_OPENAI_DEPLOYMENT_GPT35": "stand-in-35",
    "AZURE_OPENAI_DEPLOYMENT_GPT4": "stand-in-4",
    "AZURE_OPENAI_ENDPOINT": "https://stand-in.invalid",
    "AZURE_OPENAI_KEY": "stand-in",
    "AZURE_SPEECH_KEY": "stand-in",
    "AZURE_SPEECH_REGION": "westeurope",
    "CLIPS_BUCKET": "stand-in",
    "DATABASE_URL": "sqlite:///stand-in.db",
    "GOOGLE_SPEECH_KEY": "stand-in",
    "OPENAI_API_KEY": "sk-stand-in",
    "MCP_PYTHON": sys.executable,
    "MCP_SERVER": str(Path(__file__).parents[1] / "examples" / "mcp_words.py"),
    "PUBLIC_URL": "https://stand-in.invalid",
    "SECRET_KEY": "stand-in-of-at-least-thirty-two-letters",
    "SESSION_ENCRYPTION_KEY": "stand-in-of-at-least-thirty-two-letters",
    "TWILIO_ACCOUNT_SID": "stand-in",
    "TWILIO_AUTH_TOKEN": "stand-in",
    "TWILIO_PHONE_NUMBER": "+18005551212",
}
