"""The flagfiles parse, and state what they are said to state."""

from pathlib import Path

import pytest
from absl import flags

from cmda_tf.demo import DemoSettings
from cmda_tf.models.topology import DEFAULT_TAPS
from cmda_tf.settings import define_flags, from_flags, leaves
from cmda_tf.training.phases import PHASES, AdaptPhase, SourcePhase

ROOT = Path(__file__).parents[1]
FLAGFILES = sorted((ROOT / "flags").glob("*.cfg"))
ALL = (DemoSettings, *PHASES.values())


@pytest.fixture
def parse(monkeypatch):
    """A function from command-line flags to all settings, run in the project's root."""
    monkeypatch.chdir(ROOT)  # flagfiles name each other relative to it

    def run(*arguments: str) -> dict:
        values = flags.FlagValues()
        define_flags(*ALL, flag_values=values)
        flags.DEFINE_string("phase", None, "", flag_values=values)
        values(["program", *arguments])
        return {cls: from_flags(cls, values) for cls in ALL}

    return run


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
def test_every_flagfile_parses_and_begins_with_its_command(parse, path):
    assert parse(f"--flagfile={path}")[AdaptPhase].dam.depth in (13, 21, 31)
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


def test_demo_takes_its_flagfile_and_states_its_folder(parse):
    settings = parse("--flagfile=flags/demo.cfg")
    assert settings[AdaptPhase].selection.snapshot_every == 10
    assert settings[SourcePhase].run.runs == "runs/demo"


def test_fields_of_one_flag_have_one_default():
    defaults = {}
    for cls in ALL:
        for name, field in leaves(cls):
            assert defaults.setdefault(name, field.default) == field.default, name


def test_paper_states_the_papers_numbers(parse):
    settings = parse("--flagfile=flags/paper.cfg")
    source, adapt = settings[SourcePhase].flat(), settings[AdaptPhase].flat()
    assert (source["width"], source["batch"], source["learning_rate"]) == (1.0, 5, 1e-3)
    assert (source["learning_rate_decay"], source["learning_rate_decay_every"]) == (0.95, 1500)
    assert (source["dice_weight"], source["dropout"]) == (1.0, 0.0)
    assert (adapt["critic_updates"], adapt["clip"]) == (20, 0.03)
    assert (adapt["critic_learning_rate"], adapt["dam_learning_rate"]) == (3e-4, 3e-4)
    assert (adapt["adversarial_decay"], adapt["adversarial_decay_every"]) == (0.98, 100)
    assert adapt["taps"] == list(DEFAULT_TAPS)
    assert not adapt["refresh_statistics"] and adapt["select"] == "last"


def test_flags_after_a_flagfile_win(parse):
    base, row = "--flagfile=flags/phantom.cfg", "--flagfile=flags/rows/uda_d21.cfg"
    settings = parse(base, row, "--joint_updates=3")
    assert settings[AdaptPhase].dam.depth == 21
    assert settings[AdaptPhase].adversarial.joint_updates == 3
