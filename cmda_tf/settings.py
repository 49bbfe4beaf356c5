"""Settings: frozen dataclasses whose fields are the command line's flags.

A setting is declared once, as a field made by `setting(...)` of a dataclass beside the code that
uses it; its flag, its check and its entry in a run's `settings.json` follow from it. What needs
several such parts is composed of them; its flags are those of all parts.

    @dataclass(frozen=True)
    class NetworkSettings(Settings):
        width: float = setting(0.5, "Multiplier of all widths.", minimum=0.0625)

    @dataclass(frozen=True)
    class SourcePhase(Settings):
        network: NetworkSettings = part(NetworkSettings)

    SourcePhase.of(width=1).network.width  # 1
"""

import dataclasses
import math
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from absl import flags

from cmda_tf.errors import UsageError

SettingsType = TypeVar("SettingsType", bound="Settings")


def setting(
    default: Any,
    help: str,
    *,
    choices: Sequence[Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    free: bool = False,
) -> Any:
    """A dataclass field that is also a flag.

    Args:
      default: default value; its field's annotation (str, int, float, bool, `tuple[int, ...]`,
        `tuple[str, ...]` or `T | None`) decides how the flag is read.
      help: one sentence for `--help`.
      choices: the legal values.
      minimum, maximum: inclusive bounds of a number.
      free: whether it leaves a run's result as it is, so that a resumed run may have another.
    """
    rules = {"help": help, "choices": choices, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata={**rules, "free": free})


def part(cls: type[SettingsType]) -> SettingsType:
    """A dataclass field that holds settings of another class, at first its defaults."""
    field: Any = dataclasses.field(default_factory=cls, metadata={"part": cls})
    return field


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of all settings: checks every field when it is made.

    Attributes:
      key: name of a part wherever it is composed, in Python and in `settings.json`.

    Raises:
      UsageError: a value is outside its choices or bounds; the message names the setting.
    """

    key: ClassVar[str] = ""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if "part" not in field.metadata:
                _check(field, getattr(self, field.name))

    @classmethod
    def of(cls: type[SettingsType], **values: Any) -> SettingsType:
        """The defaults but for these values, named as flags, of whatever part they are."""
        return cls().changed(**values)

    def changed(self: SettingsType, **values: Any) -> SettingsType:
        """A copy with other values, named as flags; UsageError for a name that is none."""
        known = dict(leaves(type(self)))
        for name in values:
            if name not in known:
                raise UsageError(f"unknown setting {name!r}; known: {', '.join(sorted(known))}")
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            if cls := field.metadata.get("part"):
                own = {k: v for k, v in values.items() if k in dict(leaves(cls))}
                changes[field.name] = getattr(self, field.name).changed(**own)
            elif field.name in values:
                changes[field.name] = values[field.name]
        return dataclasses.replace(self, **changes)

    def flat(self) -> dict[str, Any]:
        """JSON-ready values by the names of their flags, in the order of declaration."""
        values: dict[str, Any] = {}
        for name, value in self.to_dict().items():
            values |= value if isinstance(value, dict) else {name: value}
        return values

    def deciding(self) -> dict[str, Any]:
        """Those of `flat` that a run's result depends on."""
        free = {name for name, field in leaves(type(self)) if field.metadata["free"]}
        return {name: value for name, value in self.flat().items() if name not in free}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, parts as dicts, in the order of declaration."""
        values = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Settings):
                value = value.to_dict()
            values[field.name] = list(value) if isinstance(value, tuple) else value
        return values

    def to_flags(self) -> list[str]:
        """The command-line flags that give these settings; those at their default are left out."""
        arguments, values = [], self.flat()
        for name, field in leaves(type(self)):
            value = tuple(values[name]) if isinstance(values[name], list) else values[name]
            if value == field.default:
                continue
            if value is None:  # no flag takes a value back to None
                raise UsageError(f"{name}: None cannot be written as a flag")
            if isinstance(value, bool):
                arguments.append(f"--{'' if value else 'no'}{name}")
            else:
                text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
                arguments.append(f"--{name}={text}")
        return arguments

    @classmethod
    def from_dict(cls: type[SettingsType], values: Mapping[str, Any]) -> SettingsType:
        """Inverse of `to_dict`; what is missing, as in an older version's, has its default.

        Raises:
          UsageError: an unknown name, or a value of another type.
        """
        kinds = typing.get_type_hints(cls)
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - set(fields)):
            raise UsageError(f"unknown setting {unknown[0]!r}; known: {', '.join(sorted(fields))}")
        converted: dict[str, Any] = {}
        for name, value in values.items():
            if inner := fields[name].metadata.get("part"):
                if not isinstance(value, Mapping):
                    raise UsageError(f"{name}: expected settings by name, found {value!r:.80}")
                converted[name] = inner.from_dict(value)
                continue
            value = tuple(value) if isinstance(value, list) else value
            if not _is_a(value, kinds[name]):
                raise UsageError(f"{name}: expected {_name_of(kinds[name])}, found {value!r:.80}")
            converted[name] = value
        return cls(**converted)


def leaves(cls: type[Settings]) -> Iterator[tuple[str, dataclasses.Field]]:
    """Name and field of every setting of a class and of its parts."""
    for field in dataclasses.fields(cls):
        if inner := field.metadata.get("part"):
            yield from leaves(inner)
        else:
            yield field.name, field


def define_flags(*classes: type[Settings], flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines one absl flag for each setting; one that several classes share gets one flag."""
    for cls in classes:
        kinds = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if inner := field.metadata.get("part"):
                define_flags(inner, flag_values=flag_values)
            elif field.name not in flag_values:
                _define(field, kinds[field.name], flag_values)


def from_flags(
    cls: type[SettingsType], flag_values: flags.FlagValues = flags.FLAGS
) -> SettingsType:
    """The settings that the parsed command line asks for."""
    kinds = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if inner := field.metadata.get("part"):
            values[field.name] = from_flags(inner, flag_values)
        else:
            value = flag_values[field.name].value
            values[field.name] = _converted(field.name, kinds[field.name], value)
    return cls(**values)


def _define(field: dataclasses.Field, kind: Any, flag_values: flags.FlagValues) -> None:
    name, default, text = field.name, field.default, field.metadata["help"]
    choices = field.metadata["choices"]
    kind = _without_none(kind)
    # --help lists the flags of the main module, which absl calls by the program's path.
    place: dict[str, Any] = {"flag_values": flag_values, "module_name": sys.argv[0]}
    if choices and kind is str:
        text += f" One of: {', '.join(map(str, choices))}."
    if typing.get_origin(kind) is tuple:
        default = None if default is None else list(map(str, typing.cast(tuple, default)))
        flags.DEFINE_list(name, default, text, **place)
    else:
        define: Any = {
            bool: flags.DEFINE_bool,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
        }[kind]
        define(name, default, text, **place)


def _converted(name: str, kind: Any, value: Any) -> Any:
    """A parsed flag's value as its field's type."""
    kind = _without_none(kind)
    if value is None or typing.get_origin(kind) is not tuple:
        return value
    item = typing.get_args(kind)[0]
    try:
        return tuple(item(v) for v in value)
    except ValueError as error:
        raise UsageError(
            f"{name}: expected a comma-separated list of {item.__name__}, found {','.join(value)!r}"
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
    name, rules = field.name, field.metadata
    for item in value if isinstance(value, tuple) else (value,):
        if rules.get("choices") and item not in rules["choices"]:
            legal = ", ".join(map(str, rules["choices"]))
            raise UsageError(f"{name}: expected one of {legal}; found {item!r}")
        if isinstance(item, float) and not math.isfinite(item):
            raise UsageError(f"{name}: expected a finite number, found {item}")
        low, high = rules.get("minimum"), rules.get("maximum")
        if low is not None and item < low:
            raise UsageError(f"{name}: expected at least {low}, found {item}")
        if high is not None and item > high:
            raise UsageError(f"{name}: expected at most {high}, found {item}")
