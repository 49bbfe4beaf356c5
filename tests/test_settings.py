"""Settings: flags from fields, checks, errors that name the flag."""

from dataclasses import dataclass

import pytest
from absl import flags

from cmda_tf.errors import UsageError
from cmda_tf.settings import Options, define_flags, from_flags, setting


@dataclass(frozen=True)
class Example(Options):
    """One field of each kind."""

    out: str = setting("x", "Folder.")
    number: int = setting(3, "Number.", minimum=2, maximum=9)
    layers: tuple[int, ...] = setting((1, 2), "Layers.", minimum=1)
    rate: float | None = setting(None, "Rate.", minimum=0)
    on: bool = setting(True, "Switch.")
    modality: str = setting("mr", "Domain.", choices=("mr", "ct"))


def parse(*arguments: str) -> Example:
    values = flags.FlagValues()
    define_flags(Example, Example, flag_values=values)  # a second definition is the first
    values(["program", *arguments])
    return from_flags(Example, values)


def test_defaults_and_values():
    assert parse() == Example()
    found = parse("--number=4", "--layers=5,6", "--rate=0.5", "--noon", "--modality=ct", "--out=y")
    assert found == Example("y", 4, (5, 6), 0.5, False, "ct")


def test_there_and_back():
    example = Example(layers=(7,), rate=1.0)
    assert example.to_dict()["layers"] == [7]
    assert Example.from_dict(example.to_dict()) == example
    with pytest.raises(UsageError, match="unknown setting 'color'"):
        Example.from_dict({"color": 1})


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--number=1", "--number: expected at least 2, found 1"),
        ("--number=10", "--number: expected at most 9, found 10"),
        ("--layers=3,0", "--layers: expected at least 1, found 0"),
        ("--layers=a", "--layers: expected a comma-separated list of int, found 'a'"),
        ("--rate=nan", "--rate: expected a finite number, found nan"),
        ("--modality=us", "--modality: expected one of mr, ct; found 'us'"),
    ],
)
def test_illegal_values_name_the_flag(argument, message):
    with pytest.raises(UsageError) as error:
        parse(argument)
    assert str(error.value) == message
