"""Configurations: frozen dataclasses <-> JSON <-> absl flags.

Every key of a JSON is a field of a dataclass and an absl flag of the same name, which overrides it.
Paths in a JSON resolve against the JSON's folder, paths given as flags against the current one.
"""

import dataclasses
import difflib
import json
import os
import reprlib
import sys
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from absl import flags

from musica.errors import InputError
from musica.files.sources import is_address

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")
# Marks a field that holds a path; its type is str like that of other text.
_PATH = "path"
# The largest integer of NumPy and TensorFlow.
MAX_INTEGER = 2**63 - 1


def option(
    default: Any,
    description: str,
    *,
    path: bool = False,
    alias: str | None = None,
    any_case: bool = False,
) -> Any:
    """A field of a configuration.

    Args:
        default: its value if neither the JSON nor a flag gives one.
        description: the help of its flag.
        path: whether the value is a path or a list of paths.
        alias: an older name of the key that stays valid.
        any_case: whether capitals are read as small letters, as in the release's "L1".
    """
    metadata = {"description": description, _PATH: path, "alias": alias, "any_case": any_case}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=lambda: default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def load(
    cls: type[Config], json_path: str | None = None, overrides: Mapping | None = None
) -> Config:
    """Builds a configuration from a JSON file and overriding values.

    Keys of the release that have no meaning here get a line on stderr.

    Args:
        cls: the configuration's dataclass; its ``IGNORED_KEYS``, key -> reason, may stand in the
            JSON and are ignored.
        json_path: the JSON file, or None for the defaults.
        overrides: key -> value, applied after the JSON; paths resolve against the current folder.

    Raises:
        InputError: unreadable JSON, unknown key or value of the wrong type.
    """
    values = {}
    if json_path:
        from musica.files.text_files import read_text

        path = Path(json_path)
        try:
            content = json.loads(read_text(path))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or 'cannot read'}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not valid JSON ({error})") from error
        values.update(checked(cls, content, path.parent, str(path)))
    values.update(checked(cls, dict(overrides or {}), Path(), "flags"))
    return cls(**values)


def require(config: Any, *keys: str) -> None:
    """Raises InputError if one of the keys was left empty."""
    for key in keys:
        if not getattr(config, key):
            raise InputError(f"{key} is missing: give it in the JSON or as --{key}")


def save(config: Any, path: Path | str) -> None:
    """Writes a configuration as JSON; its paths are made absolute."""
    from musica.files.writing import write_text

    content = dataclasses.asdict(config)
    for field in dataclasses.fields(config):
        if field.metadata[_PATH]:
            content[field.name] = _resolved(content[field.name], Path(), field.name)
    write_text(path, json.dumps(content, indent=2) + "\n")


def checked(cls: type, content: Any, folder: Path, source: str) -> dict[str, Any]:
    """Checks keys and types, and resolves paths against ``folder``.

    Args:
        cls: the configuration's dataclass.
        content: key -> value, as parsed from JSON; numbers may be strings.
        folder: the folder that relative paths start from.
        source: where the content comes from, for messages.

    Raises:
        InputError: unknown key or value of the wrong type.
    """
    if not isinstance(content, dict):
        raise InputError(f"{source}: not a JSON object of keys and values")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    aliases = {field.metadata["alias"]: name for name, field in fields.items()}
    ignored = getattr(cls, "IGNORED_KEYS", {})
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in content.items():
        name = aliases.get(key, key)
        if name not in fields and key in ignored:
            print(f"{source}: {key!r} is ignored: {ignored[key]}", file=sys.stderr)
            continue
        if name not in fields:
            near = difflib.get_close_matches(key, [*fields, *filter(None, aliases)], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{source}: unknown key {key!r}{hint}")
        if name in values:
            raise InputError(f"{source}: {key!r} and its other name are both given")
        value = _converted(hints[name], value, f"{source}: {key!r}", folder)
        if fields[name].metadata[_PATH]:
            value = _resolved(value, folder, f"{source}: {key!r}")
        if fields[name].metadata["any_case"]:
            value = value.lower()
        values[name] = value
    return values


def _resolved(value: Any, folder: Path, where: str) -> Any:
    """Resolves a path, or a list of paths, against ``folder``; addresses and "" stay unchanged."""
    if isinstance(value, list):
        return [_resolved(entry, folder, where) for entry in value]
    if value and is_address(value):
        return value
    try:
        return os.path.realpath(folder / Path(value).expanduser()) if value else value
    except (RuntimeError, ValueError) as error:  # an unknown ~user, a NUL byte
        raise InputError(f"{where} is no path: {reprlib.repr(value)} ({error})") from error


def _converted(expected: Any, value: Any, where: str, folder: Path) -> Any:
    """Checks one value against its type hint, and builds nested configurations."""
    if typing.get_origin(expected) in (types.UnionType, typing.Union):
        options = typing.get_args(expected)
        if value is None and type(None) in options:
            return None
        problems = []
        for option_type in filter(lambda kind: kind is not type(None), options):
            try:
                return _converted(option_type, value, where, folder)
            except InputError as error:
                problems.append(error)
        raise problems[0]
    if typing.get_origin(expected) is list:
        (entry_type,) = typing.get_args(expected)
        entries = value if isinstance(value, list) else [value]
        return [_converted(entry_type, entry, where, folder) for entry in entries]
    if isinstance(expected, type) and dataclasses.is_dataclass(expected):
        return expected(**checked(expected, value, folder, where))
    if isinstance(value, str) and expected in (int, float):
        try:
            value = expected(value)
        except ValueError as error:
            raise _wrong_type(expected, value, where) from error
    accepted = (int, float) if expected is float else (expected,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and expected is not bool):
        raise _wrong_type(expected, value, where)
    if value != value or (isinstance(value, int) and abs(value) > MAX_INTEGER):
        raise InputError(f"{where} must be a number, and not so large: {reprlib.repr(value)}")
    return expected(value)


def _wrong_type(expected: type, value: Any, where: str) -> InputError:
    return InputError(f"{where} must be {expected.__name__}, not {reprlib.repr(value)}")


def define_flags(cls: type) -> flags.FlagValues:
    """Defines one absl flag for every key; a flag that is not given is None.

    Returns:
        The flags, apart from absl's global ones: the process may run several commands.
    """
    found = flags.FlagValues()
    _define_flag(found, "config", str, "JSON file with the keys below; flags override it.")
    defaults = cls()
    for field in dataclasses.fields(cls):
        expected = typing.get_type_hints(cls)[field.name]
        default = getattr(defaults, field.name)
        text = f"{field.metadata['description']} (default: {default!r})"
        for name in filter(None, (field.name, field.metadata["alias"])):
            _define_flag(found, name, expected, text)
    return found


def _define_flag(found: flags.FlagValues, name: str, expected: Any, text: str) -> None:
    """Defines the flag of one key."""
    if typing.get_origin(expected) in (types.UnionType, typing.Union):
        expected = typing.get_args(expected)[0]
    define: dict[Any, Callable] = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    defined = define.get(expected, flags.DEFINE_list)
    if typing.get_origin(expected) is list:
        (entry_type,) = typing.get_args(expected)
        if dataclasses.is_dataclass(entry_type):
            defined, text = flags.DEFINE_string, f"{text}; a JSON string"
        else:
            text = f"{text}; comma-separated"
    # --help names this module above the flags.
    defined(name, None, text, flag_values=found, module_name="keys")


def from_flags(cls: type[Config], given: flags.FlagValues) -> Config:
    """Builds the configuration from ``--config`` and the other flags given.

    Raises:
        InputError: as ``load``.
    """
    hints = typing.get_type_hints(cls)
    overrides = {}
    for field in dataclasses.fields(cls):
        for name in filter(None, (field.name, field.metadata["alias"])):
            if given[name].present:
                overrides[name] = _parsed(hints[field.name], given[name].value, name)
    return load(cls, given.config, overrides)


def _parsed(expected: Any, value: Any, name: str) -> Any:
    """Turns the strings of list flags into the values that a JSON would hold."""
    if typing.get_origin(expected) in (types.UnionType, typing.Union):
        expected = typing.get_args(expected)[0]
    if typing.get_origin(expected) is not list:
        return value
    (entry_type,) = typing.get_args(expected)
    try:
        if dataclasses.is_dataclass(entry_type):
            return json.loads(value)
        return [entry_type(entry) for entry in value]
    except ValueError as error:
        raise InputError(f"--{name}: cannot read {value!r}") from error
