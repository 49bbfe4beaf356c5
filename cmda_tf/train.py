"""`python -m cmda_tf.train --phase=source`, then `--phase=adapt --depth=13`.

| phase     | what it trains                                                         |
|-----------|------------------------------------------------------------------------|
| source    | the segmenter on labeled images (Seg-MRI; with --modality=ct Seg-CT)   |
| adapt     | the DAM against the critic, without target labels (UDA)                |
| adabn     | BatchNorm statistics of the DAM's layers only (the baseline)           |
| finetune  | the source segmenter on labeled target images (Seg-CT-STL)             |
| selftrain | an adapted DAM on what its averaged self predicts                      |

Without further flags the phantom is used, made on first use, and results go to `runs/`.
"""

from cmda_tf import cli
from cmda_tf.training.phases import PHASES, Phase
from cmda_tf.training.run_phase import run_phase


def main(settings: Phase) -> None:
    """Runs one phase."""
    run = run_phase(settings)
    print(f"{settings.name}: finished, {run.folder}")


if __name__ == "__main__":
    cli.run(main, phases=PHASES)
