"""The whole way by the command lines: phantom, preparation, phases, evaluation."""

import csv
import subprocess
import sys

import pytest

from cmda_tf.files import read_json

pytestmark = pytest.mark.slow

SMALL = ("--width=0.125", "--batch=4", "--log_every=5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a small prepared phantom."""
    folder = tmp_path_factory.mktemp("pipeline")
    run(folder, "phantom", "--out=raw", "--subjects=4", "--seed=11")
    run(folder, "prepare", "--raw=raw", "--prepared=prepared", "--size=32", "--spacing_mm=7")
    return folder


def run(folder, module: str, *flags: str) -> str:
    command = [sys.executable, "-m", f"cmda_tf.{module}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def train(folder, phase: str, *flags: str) -> str:
    small = SMALL[:1] if phase == "adabn" else SMALL  # which has no loop
    return run(folder, "train", f"--phase={phase}", "--prepared=prepared", *small, *flags)


def test_all_phases_make_a_table(folder):
    train(folder, "source", "--steps=300", "--learning_rate=3e-3")
    train(folder, "source", "--modality=ct", "--steps=40")
    train(folder, "finetune", "--finetune_steps=10")
    for depth in (13, 21):
        train(folder, "adabn", f"--depth={depth}")
    train(folder, "adapt", "--depth=21", "--warmup_updates=4", "--joint_updates=2")
    teach = ("--selftrain_steps=5", "--source_weight=1", "--intensity_curves=1")
    train(folder, "selftrain", "--depth=21", *teach)
    text = run(folder, "evaluate", "--published")
    rows = ["Seg-MRI", "Seg-CT", "Seg-CT-STL", "noDA", "AdaBN d=13", "AdaBN d=21", "UDA d=21"]
    rows.append("Self-training d=21")
    results = read_json(folder / "runs/results.json")["rows"]
    assert [row["title"] for row in results.values()] == rows
    assert all(f"\n{row}  " in text for row in rows) and "UDA d=21 (paper)" in text
    learned = [s["dice_mean"] for s in results["source_mr"]["structures"].values()]
    assert sum(learned) / 4 > 20  # per cent; an untrained network has about 3
    assert (folder / "runs/figure3.png").stat().st_size > 10_000


def test_from_ct_to_mr(folder):
    """The other direction: CT is centered on its labels, MR must not be."""
    direction = ("--prepared=from_ct", "--runs=runs_ct", "--source=ct", "--target=mr")
    grid = ("--size=32", "--spacing_mm=7", "--center_on_labels=ct")
    run(folder, "prepare", "--raw=raw", "--prepared=from_ct", *grid)
    entries = read_json(folder / "from_ct/manifest.json")["entries"]
    centered = {(e["modality"], e["centered_on"]) for e in entries}
    assert centered == {("ct", "label"), ("mr", "volume")}
    train(folder, "source", "--steps=20", "--learning_rate=3e-3", *direction)
    short = ("--warmup_updates=2", "--joint_updates=2", "--critic_updates=2", "--snapshot_every=1")
    train(folder, "adapt", *short, *direction)
    train(folder, "adabn", *direction)
    run(folder, "evaluate", "--runs=runs_ct", "--published")
    results = read_json(folder / "runs_ct/results.json")["rows"]
    titles = [row["title"] for row in results.values()]
    assert titles == ["Seg-CT", "noDA", "AdaBN d=13", "UDA d=13"]
    table = (folder / "runs_ct/table.md").read_text(encoding="utf-8")
    assert "Seg-CT (paper)" in table and "noDA (paper)" not in table
    with open(folder / "runs_ct/subjects.csv", encoding="utf-8", newline="") as file:
        subjects = {line["row"]: line["subject"][:2] for line in csv.DictReader(file)}
    assert subjects == {"Seg-CT": "ct", "noDA": "mr", "AdaBN d=13": "mr", "UDA d=13": "mr"}
    assert "runs_ct/adapt_d13" in run(folder, "snapshots", "--runs=runs_ct", "--criterion=entropy")
    selection = read_json(folder / "runs_ct/adapt_d13/selection.json")
    assert selection["criterion"] == "entropy"


def test_source_training_with_xla_and_bfloat16(folder):
    flags = ("--steps=3", "--nodeterministic", "--precision=mixed_bfloat16")
    out = train(folder, "source", *flags, "--jit_compile", "--name=xla")
    assert "finished, runs/xla" in out
    settings = read_json(folder / "runs/xla/settings.json")["settings"]
    assert settings["loop"]["jit_compile"]
    assert settings["network"]["precision"] == "mixed_bfloat16"
