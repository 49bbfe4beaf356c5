"""Runs stopped by the signals of Ctrl-C and of a batch system go on to the same bits."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cmda_tf.runs.weights import load_weights

pytestmark = pytest.mark.slow

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
PHASES = {
    "source": ("--steps=300", "--checkpoint_every=70"),
    "adapt": ("--warmup_updates=100", "--joint_updates=20", "--critic_updates=3"),
}


def command(phase: str, dataset, runs: Path) -> list[str]:
    """A small phase in a folder of runs."""
    fixed = ("--width=0.0625", "--batch=2", f"--prepared={dataset.folder}", f"--runs={runs}")
    start = [sys.executable, "-m", "cmda_tf.train", f"--phase={phase}"]
    return [*start, *fixed, "--log_every=5", *PHASES[phase]]


def finish(*arguments) -> str:
    """Runs a phase to its end; returns stderr."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=600, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


def stop(stage: str, update: int, number: signal.Signals, *arguments) -> int:
    """Sends a signal once the bar of `stage` shows `update`; returns the last update shown."""
    process = subprocess.Popen(
        command(*arguments),
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        # A background job starts with SIGINT ignored, and Python then leaves it so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    output, seen = "", [0]
    while max(seen) < update and process.poll() is None:
        output += os.read(process.stderr.fileno(), 4096).decode()
        seen = [0, *map(int, re.findall(rf"{stage}: .*?\| (\d+)/", output))]
    process.send_signal(number)
    output += process.communicate(timeout=120)[1].decode()
    assert process.returncode == 130, output[-2000:]
    assert "stopped; the same command goes on from the last checkpoint" in output
    return max(map(int, re.findall(rf"{stage}: .*?\| (\d+)/", output)))


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory):
    """A folder with both phases run without a stop."""
    runs = tmp_path_factory.mktemp("undisturbed")
    for phase in PHASES:
        finish(phase, dataset, runs)
    return runs


def assert_same(runs: Path, others: Path, name: str) -> None:
    expected = load_weights(others / name / "weights.npz")
    for key, value in load_weights(runs / name / "weights.npz").items():
        np.testing.assert_array_equal(value, expected[key], err_msg=key)


def test_source_training(dataset, undisturbed, tmp_path):
    arguments = ("source", dataset, tmp_path)
    done = stop("train", 20, signal.SIGINT, *arguments)
    done = stop("train", done + 40, signal.SIGTERM, *arguments)
    resumed = int(re.search(r"train: .*?\| (\d+)/300", finish(*arguments))[1])
    assert done <= resumed < 300
    assert_same(tmp_path, undisturbed, "source_mr")


def test_adaptation(dataset, undisturbed, tmp_path):
    (tmp_path / "source_mr").symlink_to(undisturbed / "source_mr")
    arguments = ("adapt", dataset, tmp_path)
    stop("warmup", 20, signal.SIGINT, *arguments)
    stop("joint", 3, signal.SIGTERM, *arguments)
    assert "warmup" not in finish(*arguments)
    assert_same(tmp_path, undisturbed, "adapt_d13")
