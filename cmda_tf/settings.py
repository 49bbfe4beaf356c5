"""Settings: frozen dataclasses whose fields are the command line's flags.

A setting is declared once, by `setting(...)` beside the code that uses it; its flag, its check and
its entry in a run's `settings.json` follow from it. What needs several such classes is composed of
them; its flags are those of all parts.

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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from absl import flags

from cmda_tf.errors import UsageError

SettingsType = TypeVar("SettingsType", bound="Settings")
_DEFINE: dict[Any, Any] = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer}
_DEFINE |= {float: flags.DEFINE_float, str: flags.DEFINE_string}  # any other is a tuple


def setting(
    default: Any,
    help: str,
    *,
    choices: Sequence[Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    free: bool = False,
) -> Any:
    """A dataclass field that is also a flag, explained by one sentence of `help`.

    Its annotation (str, int, float, bool, `tuple[int, ...]`, `tuple[str, ...]` or `T | None`)
    decides how the flag is read. `choices` are its legal values, `minimum` and `maximum` inclusive
    bounds. What is `free` leaves a run's result as it is: a resumed run may have another.
    """
    rules = {"help": help, "choices": choices, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata={**rules, "free": free})


def part(cls: type[SettingsType]) -> SettingsType:
    """A dataclass field that holds settings of another class, at first its defaults."""
    field: Any = dataclasses.field(default_factory=cls, metadata={"part": cls})
    return field


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of all settings, which checks every field when it is made: UsageError, which names the
    setting, for a value outside its choices or bounds."""

    key: ClassVar[str] = ""  # name of a part wherever it is composed, here and in `settings.json`

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
        _check_names(values, [name for name, _ in leaves(type(self))])
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            if cls := field.metadata.get("part"):
                of_part = {name: values[name] for name, _ in leaves(cls) if name in values}
                changes[field.name] = getattr(self, field.name).changed(**of_part)
            elif field.name in values:
                changes[field.name] = values[field.name]
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, parts as dicts, in the order of declaration."""

        def listed(items: list[tuple[str, Any]]) -> dict[str, Any]:
            return {name: list(v) if isinstance(v, tuple) else v for name, v in items}

        return dataclasses.asdict(self, dict_factory=listed)

    def flat(self) -> dict[str, Any]:
        """`to_dict` by the names of the flags."""
        values: dict[str, Any] = {}
        for name, value in self.to_dict().items():
            values |= value if isinstance(value, dict) else {name: value}
        return values

    def deciding(self) -> dict[str, Any]:
        """Those of `flat` that a run's result depends on."""
        values = self.flat()
        return {n: values[n] for n, field in leaves(type(self)) if not field.metadata["free"]}

    def to_flags(self) -> list[str]:
        """The command-line flags that give these settings; those at their default are left out."""
        arguments, defaults = [], type(self)().flat()
        for name, value in self.flat().items():
            if value == defaults[name]:
                continue
            if value is None:  # no flag takes a value back to None
                raise UsageError(f"{name}: None cannot be written as a flag")
            if isinstance(value, bool):
                arguments.append(f"--{'' if value else 'no'}{name}")
            else:
                items = value if isinstance(value, list) else [value]
                arguments.append(f"--{name}={','.join(map(str, items))}")
        return arguments

    @classmethod
    def from_dict(cls: type[SettingsType], values: Mapping[str, Any]) -> SettingsType:
        """Inverse of `to_dict`; what is missing, as in an older version's, has its default.
        UsageError: an unknown name, or a value of another type."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        _check_names(values, fields)
        converted = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
        for name, value in values.items():
            if isinstance(value, Mapping) and (inner := fields[name].metadata.get("part")):
                converted[name] = inner.from_dict(value)
        check_types(cls, converted)
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
    # --help lists the flags of the main module, which absl calls by the program's path.
    place: dict[str, Any] = {"flag_values": flag_values, "module_name": sys.argv[0]}
    for name, field in (leaf for cls in classes for leaf in leaves(cls)):
        if name in flag_values:
            continue
        kind, default, text = _without_none(field.type), field.default, field.metadata["help"]
        if kind is str and (choices := field.metadata["choices"]):
            text += f" One of: {', '.join(choices)}."
        if isinstance(default, tuple):
            default = list(map(str, default))
        _DEFINE.get(kind, flags.DEFINE_list)(name, default, text, **place)


def from_flags(
    cls: type[SettingsType], flag_values: flags.FlagValues = flags.FLAGS
) -> SettingsType:
    """The settings that the parsed command line asks for."""
    return cls.of(**{n: _converted(n, f.type, flag_values[n].value) for n, f in leaves(cls)})


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
    if (origin := typing.get_origin(kind)) in (tuple, dict):
        item = typing.get_args(kind)[0 if origin is tuple else 1]
        items = value.values() if isinstance(value, dict) else value
        return isinstance(value, origin) and all(_is_a(v, item) for v in items)
    return type(value) is kind or (kind is float and type(value) is int)


def check_types(cls: Any, values: Mapping[str, Any]) -> None:
    """Raises UsageError for the first of the values of a dataclass' fields of another type."""
    for field in dataclasses.fields(cls):
        if field.name in values and not _is_a(values[field.name], field.type):
            named = field.type.__name__ if type(field.type) is type else field.type
            expected = "settings by name" if "part" in field.metadata else named
            value = f"{values[field.name]!r:.80}"
            raise UsageError(f"{field.name}: expected {expected}, found {value}")


def _check_names(names: Iterable[str], legal: Collection[str]) -> None:
    """Raises UsageError for the first of the names that is no setting."""
    if unknown := sorted(set(names) - set(legal)):
        raise UsageError(f"unknown setting {unknown[0]!r}; known: {', '.join(sorted(legal))}")


def _check(field: dataclasses.Field, value: Any) -> None:
    """Raises UsageError if `value` breaks the field's choices or bounds."""
    if value is None:
        return
    name, rules = field.name, field.metadata
    choices, low, high = rules["choices"], rules["minimum"], rules["maximum"]
    for item in value if isinstance(value, tuple) else (value,):
        if choices and item not in choices:
            legal = ", ".join(map(str, choices))
            raise UsageError(f"{name}: expected one of {legal}; found {item!r}")
        if isinstance(item, float) and not math.isfinite(item):
            raise UsageError(f"{name}: expected a finite number, found {item}")
        if low is not None and item < low:
            raise UsageError(f"{name}: expected at least {low}, found {item}")
        if high is not None and item > high:
            raise UsageError(f"{name}: expected at most {high}, found {item}")
