"""The wheel, installed apart from the checkout and used in an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TINY = ("--width=0.0625", "--batch=1", "--steps=1", "--warmup_updates=1", "--joint_updates=1")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the wheel is unpacked into."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", f"--wheel-dir={wheels}", str(ROOT)], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", f"--target={target}", str(wheel)], check=True)
    return target


@pytest.fixture
def run(installed, tmp_path):
    """A function that runs a command of the wheel in an empty folder and returns its output."""

    def call(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return call


def test_train_and_reproduce_with_the_packaged_flagfiles(run, dataset, tmp_path, installed):
    where = run("cmda_tf", "help") and Path(installed) / "cmda_tf/flags"
    assert (where / "rows/uda_d13.cfg").is_file() and (installed / "cmda_tf/py.typed").is_file()
    paper, data = "--flagfile=flags/paper.cfg", f"--prepared={dataset.folder}"
    out = run("cmda_tf.train", paper, data, "--phase=source", "--runs=runs", *TINY[:3])
    assert out.endswith("source: finished, runs/source_mr\n")
    plan = run("cmda_tf.reproduce", paper, data, "--dry_run", "--width=0.0625")
    assert plan.count("cmda_tf.train --phase=") == 9
    rows = ("--rows=seg_mri,uda_d13", "--critic_updates=1", "--out=study")
    run("cmda_tf.reproduce", "--flagfile=flags/phantom.cfg", data, *rows, *TINY)
    assert (tmp_path / "study/report.md").is_file()
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".cfg"] == []
