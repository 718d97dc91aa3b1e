"""What a user may choose: the model that answers and the voice that speaks."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from jackfield.contracts.tts import Voice
from jackfield.errors import ConfigError, FieldError, Problem, ProtocolError
from jackfield_transport_pichat.options import PichatOptions
from jackfield_transport_pichat.payloads import UpdateSettings
from jackfield_transport_pichat.wire import Json

Gender = Literal["female", "male"]

_GENDERS: Final[Mapping[str, Gender]] = {"female": "female", "male": "male"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The settings of a user, complete."""

    model: str
    gender: Gender
    accent: str

    def payload(self) -> Json:
        """As clients see them."""
        return {
            "selected_model": self.model,
            "voice_settings": {"gender": self.gender, "accent": self.accent},
        }


class Choices:
    """The tables of models and accents."""

    def __init__(self, options: PichatOptions, section: str, llms: Container[str]) -> None:
        """`llms` are the names that a turn may ask for.

        :raises ConfigError: when a model of the table asks for another.
        """
        self._accents = options.accents
        self._names = {
            name.lower(): key for key, model in options.models.items() for name in (key, *model.aliases)
        }
        self._llms: dict[str, str | None] = {}
        for key, model in options.models.items():
            if model.llm is not None and model.llm not in llms:
                where, message = f"{section}.options.models", f'There is no [llm.named."{model.llm}"].'
                raise ConfigError([Problem(where, message, "Add that section, or correct `llm`.")])
            wanted = model.llm or key
            self._llms[key] = wanted if wanted in llms else None

    def llm(self, model: str) -> str | None:
        """What a turn asks for; None for the default."""
        return self._llms[model]

    def read(self, stored: Mapping[str, Any]) -> Chosen:
        """Give a user's settings; what is not stored, or no longer in the tables, is the default."""
        model = self._names.get(str(stored.get("selected_model")).lower())
        accent = stored.get("voice_accent")
        return Chosen(
            model or next(iter(self._llms)),
            _GENDERS.get(str(stored.get("voice_gender")), "female"),
            accent if isinstance(accent, str) and accent in self._accents else next(iter(self._accents)),
        )

    def changes(self, wanted: UpdateSettings) -> dict[str, str]:
        """Give what is to be stored.

        :raises ProtocolError: 422 `invalid_model` or `invalid_voice`.
        """
        changes: dict[str, str] = {}
        voice = wanted.voice_settings
        if wanted.selected_model is not None:
            changes["selected_model"] = self._model(wanted.selected_model)
        if voice.gender is not None:
            changes["voice_gender"] = _gender(voice.gender, "voice_settings.gender")
        if voice.accent is not None:
            changes["voice_accent"] = self._accent(voice.accent, "voice_settings.accent")
        return changes

    def changed(self, chosen: Chosen, gender: str | None, accent: str | None) -> Chosen:
        """Give the settings with another voice, for one request.

        :raises ProtocolError: 422 `invalid_voice`.
        """
        return Chosen(
            chosen.model,
            _gender(gender, "voice_gender") if gender is not None else chosen.gender,
            self._accent(accent, "voice_accent") if accent is not None else chosen.accent,
        )

    def voice(self, chosen: Chosen) -> Voice:
        """Who is meant to speak."""
        accent = self._accents[chosen.accent]
        name = accent.female if chosen.gender == "female" else accent.male
        return Voice(name=name, language=accent.language, gender=chosen.gender, accent=chosen.accent)

    def _model(self, name: str) -> str:
        model = self._names.get(name.lower())
        if model is None:
            raise _unknown("invalid_model", "selected_model", "There is no such model.")
        return model

    def _accent(self, name: str, field: str) -> str:
        if name not in self._accents:
            raise _unknown("invalid_voice", field, "There is no such accent.")
        return name


def _gender(name: str, field: str) -> Gender:
    gender = _GENDERS.get(name)
    if gender is None:
        raise _unknown("invalid_voice", field, "The gender of a voice is female or male.")
    return gender


def _unknown(code: str, field: str, detail: str) -> ProtocolError:
    return ProtocolError(422, code, detail, (FieldError(field, "invalid_choice", detail),))
