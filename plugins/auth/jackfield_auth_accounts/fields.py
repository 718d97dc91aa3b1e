"""What clients send to register and to sign in, and the rules that it keeps."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jackfield.errors import FieldError, ProtocolError
from jackfield.web.form import Form

MAX_EMAIL_CHARS: Final = 254
MIN_PASSWORD_CHARS: Final = 8
MAX_PASSWORD_CHARS: Final = 128
MAX_JSON_BYTES: Final = 16 * 1024
MAX_FIELD_BYTES: Final = 2048
FORM_FIELDS: Final = dict.fromkeys(("username", "password", "grant_type"), MAX_FIELD_BYTES)

_MOST_COMPOSED: Final = 4
"""Characters that normalising may make one of, at most."""
_LOCAL: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL: Final = re.compile(rf"(?=[^@]{{1,64}}@){_LOCAL}@{_LABEL}(?:\.{_LABEL})+")


@dataclass(frozen=True, slots=True)
class Login:
    """Who wants to sign in. `password` is None when it is longer than any password may be."""

    email: str
    password: str | None = field(repr=False)


def folded(email: str) -> str:
    """Give an e-mail address in the spelling that is compared."""
    return email.strip().lower()


def is_email(text: str) -> bool:
    """Whether a text in lower case is an e-mail address, as accounts have."""
    return len(text) <= MAX_EMAIL_CHARS and bool(_EMAIL.fullmatch(text))


def parse_registration(body: Mapping[str, object]) -> tuple[str, str]:
    """Give the e-mail address, in lower case, and the password of somebody who registers.

    :raises ProtocolError: 422 `invalid_request`.
    """
    errors: list[FieldError] = []
    email = folded(_text(body, "email", errors))
    password = _composed(_text(body, "password", errors))
    if not errors:
        errors += [error for error in (_email_error(email), _password_error(password, email)) if error]
    if errors:
        raise _invalid(errors)
    return email, password


def parse_login(form: Form) -> Login:
    """Check the form of OAuth 2.0's password grant.

    :raises ProtocolError: 422 `invalid_request`.
    """
    texts: dict[str, str] = {}
    errors: list[FieldError] = []
    for name, part in form.items():
        try:
            texts[name] = bytes(part.data).decode("utf-8", "ignore" if part.cut else "strict")
        except UnicodeDecodeError:
            errors.append(FieldError(name, "invalid_characters", "This field is not UTF-8."))
    wanted = ("username", "password")
    errors += [_missing(name) for name in wanted if name not in form or not form[name].data]
    if texts.get("grant_type") not in (None, "", "password"):
        errors.append(FieldError("grant_type", "invalid_choice", "This is not `password`."))
    if errors:
        raise _invalid(errors)
    password = _composed(texts["password"])
    fits = len(password) <= MAX_PASSWORD_CHARS and not form["password"].cut
    return Login(folded(texts["username"]), password if fits else None)


def _composed(password: str) -> str:
    """Give a password in the one spelling of its characters; what is too long anyway stays as it is."""
    too_long = len(password) > MAX_PASSWORD_CHARS * _MOST_COMPOSED
    return password if too_long else unicodedata.normalize("NFC", password)


def _text(body: Mapping[str, object], name: str, errors: list[FieldError]) -> str:
    value = body.get(name)
    if value is None or value == "":
        errors.append(_missing(name))
        return ""
    if not isinstance(value, str):
        errors.append(FieldError(name, "invalid", "This field is not text."))
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        errors.append(FieldError(name, "invalid_characters", "This field has half a character."))
    return value


def _email_error(email: str) -> FieldError | None:
    if len(email) > MAX_EMAIL_CHARS:
        return FieldError("email", "too_long", f"It has more than {MAX_EMAIL_CHARS} characters.")
    if not is_email(email):
        return FieldError("email", "invalid", "This is not an e-mail address.")
    return None


def _password_error(password: str, email: str) -> FieldError | None:
    if len(password) < MIN_PASSWORD_CHARS:
        return FieldError("password", "too_short", f"It has fewer than {MIN_PASSWORD_CHARS} characters.")
    if len(password) > MAX_PASSWORD_CHARS:
        return FieldError("password", "too_long", f"It has more than {MAX_PASSWORD_CHARS} characters.")
    if folded(password) == email:
        return FieldError("password", "invalid", "It is the e-mail address.")
    return None


def _missing(name: str) -> FieldError:
    return FieldError(name, "required", "This field is required.")


def _invalid(errors: list[FieldError]) -> ProtocolError:
    return ProtocolError(422, "invalid_request", "The request breaks a rule.", tuple(errors))
