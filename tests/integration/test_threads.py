"""With `--threads=1` the bits of a result do not depend on the machine's number of cores."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cmda_tf.runs.weights import load_weights

pytestmark = pytest.mark.slow

PHASES = {
    "source": ("--steps=10",),
    "adapt": ("--depth=13", "--warmup_updates=2", "--joint_updates=2", "--critic_updates=2"),
}


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores, and a system that can hide one",
)
def test_one_core_and_all_give_the_same_bits(dataset, tmp_path):
    cores = os.sched_getaffinity(0)
    # The flag has to do it alone, not what the other tests' processes are told.
    outer = {k: v for k, v in os.environ.items() if not k.startswith("TF_NUM_")}
    for phase, flags in PHASES.items():
        for name, allowed in (("one", {min(cores)}), ("all", cores)):
            command = [sys.executable, "-m", "cmda_tf.train", f"--phase={phase}", "--threads=1"]
            fixed = ("--width=0.25", f"--prepared={dataset.folder}", f"--runs={tmp_path / name}")
            subprocess.run(
                [*command, *fixed, *flags],
                check=True,
                capture_output=True,
                timeout=600,
                env={**outer, "PYTHONPATH": str(Path(__file__).parents[2])},
                preexec_fn=lambda allowed=allowed: os.sched_setaffinity(0, allowed),
            )
        folder = {"source": "source_mr", "adapt": "adapt_d13"}[phase]
        weights = [load_weights(tmp_path / n / folder / "weights.npz") for n in ("one", "all")]
        assert weights[0].keys() == weights[1].keys()
        for key, value in weights[0].items():
            np.testing.assert_array_equal(value, weights[1][key], err_msg=f"{phase} {key}")
