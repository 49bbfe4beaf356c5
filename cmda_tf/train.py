"""`python -m cmda_tf.train --phase=source`, then `--phase=adapt --depth=13`.

| phase     | what it trains                                                         |
|-----------|------------------------------------------------------------------------|
| source    | the segmenter on labeled images (Seg-MRI; with --modality=ct Seg-CT)    |
| adapt     | the DAM against the critic, without target labels (UDA)                |
| adabn     | BatchNorm statistics of the DAM's layers only (the baseline)           |
| finetune  | the source segmenter on labeled target images (Seg-CT-STL)            |
| selftrain | an adapted DAM on what its averaged self predicts                      |

Without further flags the phantom is used, made on first use, and results go to `runs/`.
"""

from dataclasses import dataclass

from cmda_tf import cli
from cmda_tf.errors import UsageError
from cmda_tf.files import locked
from cmda_tf.old_settings import AdaptSettings, SelfTrainSettings, SourceSettings
from cmda_tf.runs.naming import PHASES, run_folder
from cmda_tf.settings import Options, setting


@dataclass(frozen=True)
class PhaseChoice(Options):
    """Which phase to run."""

    phase: str | None = setting(None, "What to train.", choices=tuple(PHASES))


def main(
    choice: PhaseChoice,
    source: SourceSettings,
    adaptation: AdaptSettings,
    selftraining: SelfTrainSettings,
) -> None:
    """Runs one phase."""
    if choice.phase is None:
        raise UsageError(f"--phase: expected one of {', '.join(PHASES)}; found none")
    special = {"source": source, "finetune": source, "selftrain": selftraining}
    run = train(choice.phase, special.get(choice.phase, adaptation))
    print(f"{choice.phase}: finished, {run.folder}")


def train(phase: str, settings: SourceSettings | AdaptSettings | SelfTrainSettings):
    """Runs a phase on the data its settings name.

    Args:
      phase: one of `PHASES`.
      settings: `SourceSettings` for source and finetune, `SelfTrainSettings` for selftrain, else
        `AdaptSettings`.

    Returns:
      The finished `training.runs.Run`.
    """
    # Imported here: TensorFlow takes seconds, and a wrong flag should be told at once.
    from cmda_tf.training.adabn import adapt_statistics
    from cmda_tf.training.adversarial import adapt
    from cmda_tf.training.self_training import selftrain
    from cmda_tf.training.setup import check_modalities, limit_threads, prepared_data
    from cmda_tf.training.supervised import train_segmenter

    limit_threads(settings.threads)
    dataset = prepared_data(settings)
    check_modalities(settings, dataset)
    phases = {"adapt": adapt, "adabn": adapt_statistics, "selftrain": selftrain}
    with locked(run_folder(phase, settings)):
        if phase in phases:
            return phases[phase](settings, dataset)
        return train_segmenter(phase, settings, dataset)


if __name__ == "__main__":
    cli.run(main, PhaseChoice, SourceSettings, AdaptSettings, SelfTrainSettings)
