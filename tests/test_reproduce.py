"""`cmda_tf.reproduce`: order of work, what is not done again, failures, the report over seeds."""

import json
import sys
from types import SimpleNamespace

import pytest

from cmda_tf import reproduce
from cmda_tf.errors import UsageError
from cmda_tf.files import read_json
from cmda_tf.reproduce import ReproduceSettings, StepFailed
from cmda_tf.settings import AdaptSettings, SourceSettings

NAMES = ("AA", "LA-blood", "LV-blood", "LV-myo")
DICE = {"Seg-CT-STL": 80.0, "noDA": 40.0, "AdaBN d=13": 50.0, "UDA d=13": 60.0}


def result(shift):
    """A seed's `results.json`, all rows but noDA shifted."""
    runs = {"AdaBN d=13": ("adabn", 13), "UDA d=13": ("adapt", 13)}
    facts = {t: runs.get(t, ("source", None)) for t in DICE}
    return {
        "rows": {
            title: {
                n: {"dice_mean": dice + shift * (title != "noDA"), "asd_mean": 1.0} for n in NAMES
            }
            for title, dice in DICE.items()
        },
        "meta": {
            "runs": {t: {"phase": p, "depth": d} for t, (p, d) in facts.items()},
            "versions": {"tensorflow": "x"},
            "size": 64,
            "spacing_mm": 3.5,
        },
    }


@pytest.fixture
def commands(monkeypatch):
    """Every command that was started; training and evaluation leave what they would."""
    started = []

    def popen(command):
        started.append(command[2:])
        flags = dict(a.lstrip("-").partition("=")[::2] for a in command[3:])
        folder = reproduce.Path(flags["runs"])
        if command[2] == "cmda_tf.evaluate":
            folder.mkdir(parents=True, exist_ok=True)
            seed = int(folder.name.removeprefix("seed"))
            (folder / "results.json").write_text(json.dumps(result(10 * seed)))
        return SimpleNamespace(wait=lambda: 0)

    monkeypatch.setattr(reproduce, "subprocess", SimpleNamespace(Popen=popen))
    monkeypatch.setattr(sys, "argv", ["reproduce", "--seeds=0,1"])
    return started


def test_every_seed_is_trained_and_evaluated_then_all_reported(commands, tmp_path, capsys):
    rows = ("uda_d13", "seg_mri")
    settings = ReproduceSettings(rows=rows, seeds=(0, 1), out=str(tmp_path))
    (tmp_path / "seed0/source_mr").mkdir(parents=True)
    (tmp_path / "seed0/source_mr/weights.npz").touch()  # finished: not done again
    reproduce.main(settings, SourceSettings(), AdaptSettings(joint_updates=3))
    runs = [f"--runs={tmp_path / s}" for s in ("seed0", "seed1")]
    third = ["--seed=1", "--joint_updates=3"]
    assert commands == [
        ["cmda_tf.train", "--phase=adapt", runs[0], "--joint_updates=3"],
        ["cmda_tf.evaluate", runs[0], "--published"],
        ["cmda_tf.train", "--phase=source", "--phantom_seed=1", runs[1], "--seed=1"],
        [*["cmda_tf.train", "--phase=adapt", "--phantom_seed=1"], runs[1], *third],
        ["cmda_tf.evaluate", runs[1], "--published"],
    ]  # fmt: skip
    found = read_json(tmp_path / "results.json")
    assert found["rows"]["UDA d=13"]["AA"]["dice_mean"] == 65
    assert found["rows"]["UDA d=13"]["AA"]["dice_std"] == 5
    assert found["meta"]["seeds"] == [0, 1] and list(found["by_seed"]) == ["0", "1"]
    assert found["meta"]["command"] == "python -m cmda_tf.reproduce --seeds=0,1"
    gain = found["gains"][0]
    assert gain["title"] == "UDA d=13" and gain["above_adabn"] == [10, 10]
    assert gain["share"] == [pytest.approx(20 / 40), pytest.approx(30 / 50)]
    printed = capsys.readouterr().out
    assert "UDA d=13: +10.0 (+10.0 to +10.0) points above AdaBN at its depth, 55%" in printed
    assert "UDA d=13 (paper)" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "depths.png").is_file() and (tmp_path / "depths.pdf").is_file()


def test_prepared_data_stays_the_same_for_all_seeds(commands, tmp_path):
    settings = ReproduceSettings(rows=("seg_mri",), seeds=(1,), out=str(tmp_path))
    reproduce.main(settings, SourceSettings(prepared="d"), AdaptSettings(prepared="d"))
    assert "--prepared=d" in commands[0] and "--seed=1" in commands[0]
    assert not any("phantom_seed" in a for a in commands[0])


def test_failing_command_is_named_and_its_exit_code_kept(monkeypatch, tmp_path):

    def failing(code):
        process = SimpleNamespace(wait=lambda: code)
        monkeypatch.setattr(reproduce, "subprocess", SimpleNamespace(Popen=lambda _: process))

    failing(2)
    settings = ReproduceSettings(rows=("seg_mri",), out=str(tmp_path))
    with pytest.raises(StepFailed, match=r"exit code 2.*cmda_tf\.train --phase=source") as error:
        reproduce.main(settings, SourceSettings(), AdaptSettings())
    assert error.value.exit_code == 2
    failing(130)
    with pytest.raises(KeyboardInterrupt):
        reproduce.main(settings, SourceSettings(), AdaptSettings())
    with pytest.raises(UsageError, match="--seeds"):
        reproduce.main(ReproduceSettings(seeds=()), SourceSettings(), AdaptSettings())


def test_dry_run_shows_all_rows_without_data(tmp_path, monkeypatch, capsys, commands):
    from cmda_tf.reproduction import estimate

    monkeypatch.setattr(estimate, "measured_throughput", lambda: 1e12)
    settings = ReproduceSettings(dry_run=True, out=str(tmp_path))
    small = {"width": 0.0625, "prepared": str(tmp_path / "none"), "batch": 1}
    reproduce.main(settings, SourceSettings(**small), AdaptSettings(**small))
    lines = capsys.readouterr().out.splitlines()
    assert not commands and not any(tmp_path.iterdir())
    assert [line.split("--phase=")[1].split(" ")[0] for line in lines[:-1]] == [
        "source", "source", "finetune", "adabn", "adabn", "adabn", "adapt", "adapt", "adapt",
    ]  # fmt: skip
    assert all("GiB" in line for line in lines[:-1])
    assert "in all, on 256x256 slices, at the 1000 GFLOP/s" in lines[-1]
