"""Frozen settings dataclasses whose fields are the command line's flags.

A setting is declared once, as a dataclass field made by `setting(...)`; its flag, its check
and its entry in a run's `settings.json` follow from it. Library code takes the dataclass and
never reads `FLAGS`.

    @dataclass(frozen=True)
    class PhantomSettings(Options):
        out: str = setting("data/phantom", "Folder to write to.")
        subjects: int = setting(20, "Subjects per modality.", minimum=2)
"""

import dataclasses
import math
import sys
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from absl import flags

from cmda_tf.errors import UsageError

OptionsType = TypeVar("OptionsType", bound="Options")


def setting(
    default: Any,
    help: str,
    *,
    choices: Sequence[Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A dataclass field that is also a flag.

    Args:
      default: default value; its field's annotation (str, int, float, bool, `tuple[int, ...]`,
        `tuple[str, ...]` or `T | None`) decides how the flag is read.
      help: one sentence for `--help`.
      choices: the legal values.
      minimum, maximum: inclusive bounds of a number.
    """
    metadata = {"help": help, "choices": choices, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Options:
    """Base of all settings: checks every field when it is made.

    Raises:
      UsageError: a value is outside its choices or bounds; the message names the flag.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready values, in the order of declaration."""
        return {
            f.name: list(v) if isinstance(v := getattr(self, f.name), tuple) else v
            for f in dataclasses.fields(self)
        }

    def to_flags(self) -> list[str]:
        """The command-line flags that give these settings; those at their default are left out."""
        found = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value == field.default:
                continue
            if value is None:  # no flag takes a value back to None
                raise UsageError(f"--{field.name}: None cannot be written as a flag")
            if isinstance(value, bool):
                found.append(f"--{'' if value else 'no'}{field.name}")
            else:
                text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
                found.append(f"--{field.name}={text}")
        return found

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """`to_dict` of an older version: settings that came since get their defaults."""
        return {**cls().to_dict(), **values}

    @classmethod
    def from_dict(cls: type[OptionsType], values: dict[str, Any]) -> OptionsType:
        """Inverse of `to_dict`; an unknown name or a value of another type is a UsageError."""
        kinds = typing.get_type_hints(cls)
        if unknown := sorted(set(values) - set(kinds)):
            raise UsageError(f"unknown setting {unknown[0]!r}; known: {', '.join(sorted(kinds))}")
        found = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        for name, value in found.items():
            if not _is_a(value, kinds[name]):
                raise UsageError(f"--{name}: expected {_name_of(kinds[name])}, found {value!r:.80}")
        return cls(**found)


def define_flags(*classes: type[Options], flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines one absl flag for each field; a field shared by several classes gets one flag."""
    for cls in classes:
        kinds = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if field.name not in flag_values:
                _define(field, kinds[field.name], flag_values)


def from_flags(cls: type[OptionsType], flag_values: flags.FlagValues = flags.FLAGS) -> OptionsType:
    """The settings that the parsed command line asks for."""
    names = (f.name for f in dataclasses.fields(cls))
    return cls(**{name: _flag_value(name, cls, flag_values[name].value) for name in names})


def _define(field: dataclasses.Field, kind: Any, flag_values: flags.FlagValues) -> None:
    name, default, text = field.name, field.default, field.metadata["help"]
    choices = field.metadata["choices"]
    kind = _without_none(kind)
    # --help lists the flags of the main module, which absl calls by the program's path.
    place = {"flag_values": flag_values, "module_name": sys.argv[0]}
    if choices and kind is str:
        text += f" One of: {', '.join(map(str, choices))}."
    if typing.get_origin(kind) is tuple:
        default = None if default is None else list(map(str, default))
        flags.DEFINE_list(name, default, text, **place)
    else:
        define = {
            bool: flags.DEFINE_bool,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
        }[kind]
        define(name, default, text, **place)


def _flag_value(name: str, cls: type[Options], value: Any) -> Any:
    """A parsed flag's value as its field's type."""
    kind = _without_none(typing.get_type_hints(cls)[name])
    if value is None or typing.get_origin(kind) is not tuple:
        return value
    item = typing.get_args(kind)[0]
    try:
        return tuple(item(v) for v in value)
    except ValueError as error:
        raise UsageError(
            f"--{name}: expected a comma-separated list of {item.__name__}, "
            f"found {','.join(value)!r}"
        ) from error


def _without_none(kind: Any) -> Any:
    """`T` for `T | None`, else the annotation itself."""
    if isinstance(kind, types.UnionType):
        return next(a for a in typing.get_args(kind) if a is not type(None))
    return kind


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotation's type; a whole number is a float as well."""
    if value is None:
        return kind is not _without_none(kind)
    kind = _without_none(kind)
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        return isinstance(value, tuple) and all(_is_a(v, item) for v in value)
    return type(value) is kind or (kind is float and type(value) is int)


def _name_of(kind: Any) -> str:
    """An annotation as messages call it: `int`, `str | None`, `tuple[int, ...]`."""
    return kind.__name__ if type(kind) is type else str(kind)


def _check(field: dataclasses.Field, value: Any) -> None:
    """Raises UsageError if `value` breaks the field's choices or bounds."""
    if value is None:
        return
    rules = field.metadata
    for item in value if isinstance(value, tuple) else (value,):
        if rules.get("choices") and item not in rules["choices"]:
            legal = ", ".join(map(str, rules["choices"]))
            raise UsageError(f"--{field.name}: expected one of {legal}; found {item!r}")
        if isinstance(item, float) and not math.isfinite(item):
            raise UsageError(f"--{field.name}: expected a finite number, found {item}")
        low, high = rules.get("minimum"), rules.get("maximum")
        if low is not None and item < low:
            raise UsageError(f"--{field.name}: expected at least {low}, found {item}")
        if high is not None and item > high:
            raise UsageError(f"--{field.name}: expected at most {high}, found {item}")
