"""The flagfiles parse, and state what they are said to state."""

import dataclasses
from pathlib import Path

import pytest
from absl import flags

from cmda_tf.demo import DemoSettings
from cmda_tf.models.topology import DEFAULT_TAPS
from cmda_tf.old_settings import AdaptSettings, SelfTrainSettings, SourceSettings
from cmda_tf.settings import define_flags, from_flags
from cmda_tf.train import PhaseChoice

ROOT = Path(__file__).parents[1]
FLAGFILES = sorted((ROOT / "flags").glob("*.cfg"))
ALL = (PhaseChoice, DemoSettings, SourceSettings, AdaptSettings, SelfTrainSettings)


@pytest.fixture
def parse(monkeypatch):
    """A function from command-line flags to all settings, run in the project's root."""
    monkeypatch.chdir(ROOT)  # flagfiles name each other relative to it

    def run(*arguments: str) -> dict:
        values = flags.FlagValues()
        define_flags(*ALL, flag_values=values)
        values(["program", *arguments])
        return {cls: from_flags(cls, values) for cls in ALL}

    return run


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
def test_every_flagfile_parses_and_begins_with_its_command(parse, path):
    assert parse(f"--flagfile={path}")[AdaptSettings].depth in (13, 21, 31)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(("# python -m cmda_tf.", "# make "))


def test_phantom_states_the_defaults(parse):
    assert parse("--flagfile=flags/phantom.cfg") == parse()
    stated = {
        line.split("=")[0].lstrip("-")
        for line in (ROOT / "flags/phantom.cfg").read_text(encoding="utf-8").splitlines()
        if line.startswith("--")
    }
    assert {"steps", "joint_updates", "critic_updates", "clip", "width", "batch"} <= stated


def test_demo_knows_all_flags_of_its_flagfile(monkeypatch):
    monkeypatch.chdir(ROOT)
    values = flags.FlagValues()
    define_flags(DemoSettings, SourceSettings, AdaptSettings, flag_values=values)
    values(["program", "--flagfile=flags/demo.cfg"])
    assert from_flags(AdaptSettings, values).snapshot_every == 10
    assert from_flags(SourceSettings, values).runs == "runs/demo"


def test_fields_of_one_flag_have_one_default():
    defaults = {}
    for cls in ALL:
        for field in dataclasses.fields(cls):
            assert defaults.setdefault(field.name, field.default) == field.default, field.name


def test_paper_states_the_papers_numbers(parse):
    settings = parse("--flagfile=flags/paper.cfg")
    source, adaptation = settings[SourceSettings], settings[AdaptSettings]
    assert (source.width, source.batch, source.learning_rate) == (1.0, 5, 1e-3)
    assert (source.learning_rate_decay, source.learning_rate_decay_every) == (0.95, 1500)
    assert (source.dice_weight, source.dropout) == (1.0, 0.0)
    assert (adaptation.critic_updates, adaptation.clip) == (20, 0.03)
    assert (adaptation.critic_learning_rate, adaptation.dam_learning_rate) == (3e-4, 3e-4)
    assert (adaptation.adversarial_decay, adaptation.adversarial_decay_every) == (0.98, 100)
    assert adaptation.taps == DEFAULT_TAPS
    assert not adaptation.refresh_statistics and adaptation.select == "last"


def test_flags_after_a_flagfile_win(parse):
    base, row = "--flagfile=flags/phantom.cfg", "--flagfile=flags/rows/uda_d21.cfg"
    settings = parse(base, row, "--joint_updates=3")
    assert settings[AdaptSettings].depth == 21
    assert settings[AdaptSettings].joint_updates == 3
    assert settings[PhaseChoice].phase == "adapt"
