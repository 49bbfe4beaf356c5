"""Settings: flags from fields, checks, errors that name the flag."""

from dataclasses import dataclass

import pytest
from absl import flags

from cmda_tf.errors import UsageError
from cmda_tf.settings import Settings, define_flags, from_flags, leaves, part, setting


@dataclass(frozen=True)
class Example(Settings):
    """One field of each kind."""

    out: str = setting("x", "Folder.")
    number: int = setting(3, "Number.", minimum=2, maximum=9)
    layers: tuple[int, ...] = setting((1, 2), "Layers.", minimum=1)
    rate: float | None = setting(None, "Rate.", minimum=0)
    on: bool = setting(True, "Switch.")
    modality: str = setting("mr", "Modality.", choices=("mr", "ct"))


def parse(*arguments: str) -> Example:
    values = flags.FlagValues()
    define_flags(Example, Example, flag_values=values)  # a second definition is the first
    values(["program", *arguments])
    return from_flags(Example, values)


def test_defaults_and_values():
    assert parse() == Example()
    actual = parse("--number=4", "--layers=5,6", "--rate=0.5", "--noon", "--modality=ct", "--out=y")
    assert actual == Example("y", 4, (5, 6), 0.5, False, "ct")


def test_there_and_back():
    example = Example(layers=(7,), rate=1.0)
    assert example.to_dict()["layers"] == [7]
    assert Example.from_dict(example.to_dict()) == example
    with pytest.raises(UsageError, match="unknown setting 'color'"):
        Example.from_dict({"color": 1})


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--number=1", "number: expected at least 2, found 1"),
        ("--number=10", "number: expected at most 9, found 10"),
        ("--layers=3,0", "layers: expected at least 1, found 0"),
        ("--layers=a", "layers: expected a comma-separated list of int, found 'a'"),
        ("--rate=nan", "rate: expected a finite number, found nan"),
        ("--modality=us", "modality: expected one of mr, ct; found 'us'"),
    ],
)
def test_illegal_values_name_the_flag(argument, message):
    with pytest.raises(UsageError) as error:
        parse(argument)
    assert str(error.value) == message


@dataclass(frozen=True)
class Network(Settings):
    """A part."""

    key = "network"
    width: float = setting(0.5, "Width.", minimum=0)


@dataclass(frozen=True)
class Keeping(Settings):
    """Another one, of which nothing decides a result."""

    key = "keeping"
    folder: str | None = setting(None, "Folder.", free=True)
    layers: tuple[int, ...] = setting((1,), "Layers.")


@dataclass(frozen=True)
class Whole(Settings):
    """What is composed of both, and has a setting of its own."""

    network: Network = part(Network)
    keeping: Keeping = part(Keeping)
    seed: int = setting(0, "Seed.")


def test_parts_are_flat_as_flags_and_nested_on_disk():
    whole = Whole.of(width=2.0, layers=(3, 4), folder="f", seed=1)
    assert whole.network == Network(2.0) and whole.keeping == Keeping("f", (3, 4))
    nested = {"network": {"width": 2.0}, "keeping": {"folder": "f", "layers": [3, 4]}, "seed": 1}
    assert whole.to_dict() == nested and Whole.from_dict(nested) == whole
    assert whole.flat() == {"width": 2.0, "folder": "f", "layers": [3, 4], "seed": 1}
    assert whole.deciding() == {"width": 2.0, "layers": [3, 4], "seed": 1}
    assert whole.to_flags() == ["--width=2.0", "--folder=f", "--layers=3,4", "--seed=1"]
    values = flags.FlagValues()
    define_flags(Whole, flag_values=values)
    values(["program", *whole.to_flags()])
    assert from_flags(Whole, values) == whole
    assert [name for name, _ in leaves(Whole)] == ["width", "folder", "layers", "seed"]


def test_none_cannot_be_a_flag_where_another_value_is_the_default():
    @dataclass(frozen=True)
    class Limited(Settings):
        limit: int | None = setting(5, "Limit.")

    assert Limited().to_flags() == [] and Limited(4).to_flags() == ["--limit=4"]
    with pytest.raises(UsageError, match="limit: None cannot be written as a flag"):
        Limited(None).to_flags()


def test_changes_go_to_the_part_that_has_them():
    whole = Whole()
    assert whole.changed(width=1.0) == Whole(Network(1.0)) and whole == Whole()
    with pytest.raises(UsageError, match=r"unknown setting 'widht'; known: "):
        whole.changed(widht=1.0)
    with pytest.raises(UsageError, match="width: expected at least 0, found -1"):
        Whole.of(width=-1)


def test_what_an_older_version_had_not_is_its_default():
    assert Whole.from_dict({"network": {}}) == Whole()
    with pytest.raises(UsageError, match="network: expected settings"):
        Whole.from_dict({"network": 3})
    with pytest.raises(UsageError, match="unknown setting 'depth'"):
        Whole.from_dict({"network": {"depth": 3}})
