"""Accounts and settings: a part of the records role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Executable, UnicodeText, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from jackfield.contracts.json_object import json_object, json_text
from jackfield.contracts.session import Conflict, User
from jackfield_session_sql.address import Dialect
from jackfield_session_sql.database import Database
from jackfield_session_sql.statements import upsert
from jackfield_session_sql.tables import Identifier, user_settings, users

_USER_ID: Final = bindparam("of_user", type_=Identifier)
_USER: Final = select(
    users.c.id, users.c.name, users.c.created_at, users.c.email, users.c.password_hash, users.c.disabled
)

ADD_USER: Final = insert(users)
USER: Final = _USER.where(users.c.id == _USER_ID)
USER_BY_NAME: Final = _USER.where(users.c.name_folded == bindparam("folded", type_=Identifier))
SETTINGS: Final = select(user_settings.c.settings).where(user_settings.c.user_id == _USER_ID)
SET_SETTINGS: Final = (
    update(user_settings)
    .where(user_settings.c.user_id == _USER_ID)
    .values(settings=bindparam("changed", type_=UnicodeText))
)


def open_settings(dialect: Dialect) -> Executable:
    """Have the row of a user's settings, empty if it is new, and hold it for the transaction."""
    new = {"user_id": _USER_ID, "settings": bindparam("nothing", "{}", type_=UnicodeText)}
    return upsert(
        dialect,
        user_settings,
        new,
        lambda _excluded: {"settings": user_settings.c.settings},
        returning=(user_settings.c.settings,),
    )


class SqlAccounts:
    """Users and what they set. A user's settings need no account."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open_settings = open_settings(database.dialect)

    async def add_user(self, user: User) -> None:
        row = {
            "id": user.id,
            "name": user.name,
            "name_folded": user.name.casefold(),
            "email": user.email,
            "email_folded": user.email.casefold() if user.email else None,
            "password_hash": user.password_hash,
            "disabled": user.disabled,
            "created_at": user.created_at,
        }
        try:
            await self._database.change(ADD_USER, row)
        except IntegrityError:
            raise Conflict("The id, the name or the e-mail address is taken.") from None

    async def user(self, user_id: str) -> User | None:
        return await self._user(USER, {"of_user": user_id})

    async def user_by_name(self, name: str) -> User | None:
        return await self._user(USER_BY_NAME, {"folded": name.casefold()})

    async def settings(self, user_id: str) -> Mapping[str, Any]:
        rows = await self._database.read(SETTINGS, {"of_user": user_id})
        return json_object(rows[0].settings) if rows else {}

    async def update_settings(self, user_id: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        json_text(changes)  # refused before anything is held
        async with self._database.transaction() as connection:
            found = (await connection.execute(self._open_settings, {"of_user": user_id})).one()
            text = json_text({**json_object(found.settings), **changes}, ascii_only=True)
            await connection.execute(SET_SETTINGS, {"of_user": user_id, "changed": text})
        return json_object(text)

    async def _user(self, statement: Executable, parameters: dict[str, Any]) -> User | None:
        rows = await self._database.read(statement, parameters)
        return User(**rows[0]._mapping) if rows else None
