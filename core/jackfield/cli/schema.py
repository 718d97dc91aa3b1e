"""The JSON schema of the configuration file, options of its plugins included."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from jackfield.cli.needs import providers
from jackfield.config import Config
from jackfield.errors import PluginError
from jackfield.loader import Loader
from jackfield.plugin import ROLES, Kind

_CHAINS: Final[tuple[Kind, ...]] = ("llm", "stt", "tts", "realtime")


def schema_of(config: Config) -> dict[str, Any]:
    """Give the schema of a configuration: the sections, and the options of every plugin it uses.

    Which options a section may have depends on its `use`; a plugin that the configuration does not use
    may have any.
    """
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "jackfield.toml"
    for kind, names in _used(config).items():
        rules = [_rule(kind, name, schema["$defs"]) for name in names]
        schema["properties"][kind].update(_placed(kind, [rule for rule in rules if rule]))
    return schema


def _used(config: Config) -> dict[Kind, list[str]]:
    used: dict[Kind, dict[str, None]] = {}
    for kind, _, wanted in providers(config):
        used.setdefault(kind, {})[wanted.use] = None
    stores = [config.session, *(getattr(config.session, role) for role in ROLES)]
    used["session"] = {store.use: None for store in stores if store is not None}
    used["transport"] = {door.use: None for door in config.transport}
    used["auth"] = {section.use: None for section in config.auth.values()}
    used["extension"] = {section.use: None for section in config.extension}
    return {kind: list(names) for kind, names in used.items()}


def _rule(kind: Kind, name: str, definitions: dict[str, Any]) -> dict[str, Any] | None:
    """Say that a section which uses the plugin has its options."""
    try:
        info = Loader().load(kind, name, kind).info
    except PluginError:
        return None  # `check` tells of it
    options = info.options.model_json_schema(ref_template=f"#/$defs/{kind}.{name}.{{model}}")
    nested: dict[str, Any] = options.pop("$defs", {})
    definitions.update({f"{kind}.{name}.{model}": schema for model, schema in nested.items()})
    definitions[f"{kind}.{name}"] = options
    return {
        "if": {"type": "object", "properties": {"use": {"const": name}}, "required": ["use"]},
        "then": {"properties": {"options": {"$ref": f"#/$defs/{kind}.{name}"}}},
    }


def _placed(kind: Kind, rules: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put the rules of a kind where its plugins stand in the file."""
    here = {"allOf": list(rules)}
    if not here["allOf"]:
        return {}
    if kind in _CHAINS:
        chained = {"fallback": {"items": here}}
        named = here | {"properties": chained}
        return here | {"properties": chained | {"named": {"additionalProperties": named}}}
    if kind == "session":
        return here | {"properties": dict.fromkeys(ROLES, here)}
    if kind in ("transport", "extension"):
        return {"items": _items(kind) | here}
    if kind == "auth":
        return {"additionalProperties": {"$ref": "#/$defs/AuthSection"} | here}
    return here


def _items(kind: Kind) -> dict[str, str]:
    """What an entry of a list of sections is."""
    return {"$ref": f"#/$defs/{kind.title()}Section"}
