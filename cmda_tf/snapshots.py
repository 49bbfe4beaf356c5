"""`python -m cmda_tf.snapshots`: the snapshots of finished adaptations and what to choose by.

Prints, for every adaptation under `--runs` (or the one of `--name`), all label-free criteria of
its snapshots and the snapshot each would choose. `--criterion=X` makes X's choice the run's
final model. No target label is read.
"""

from dataclasses import dataclass
from pathlib import Path

from cmda_tf import cli
from cmda_tf.errors import DataError
from cmda_tf.model_selection.criteria import CRITERIA
from cmda_tf.settings import Settings, setting


@dataclass(frozen=True)
class SnapshotsSettings(Settings):
    """The flags of `python -m cmda_tf.snapshots`."""

    runs: str = setting("runs", "Folder that holds the runs.")
    name: str | None = setting(None, "The run's folder under --runs. Default: every adaptation.")
    prepared: str | None = setting(None, "Prepared data. Default: what the runs were trained on.")
    criterion: str | None = setting(
        None, "Make this criterion's choice the final model.", choices=tuple(CRITERIA)
    )


def main(settings: SnapshotsSettings) -> None:
    """Prints the tables; with `--criterion` changes the final models."""
    from cmda_tf.datasets import open_dataset
    from cmda_tf.model_selection import choice
    from cmda_tf.runs.run import find_runs, finished_run

    runs = Path(settings.runs)
    named = None if settings.name is None else runs / settings.name
    finished = find_runs(runs) if named is None else [finished_run(named, "adapt")]
    adaptations = [run for run in finished if choice.has_snapshots(run)]
    if not adaptations:
        raise DataError(f"{named or runs}: no finished adaptation with snapshots", made_by="adapt")
    for run in adaptations:
        folder = settings.prepared or run.record.inputs.prepared_folder
        selection = choice.read_selection(run)
        if not choice.complete(selection):
            selection = choice.score_again(run, open_dataset(folder))
        if settings.criterion not in (None, selection.criterion):
            selection = choice.change_choice(run, open_dataset(folder), str(settings.criterion))
        print(f"{run.folder}\n\n{selection.to_text()}")
    if settings.criterion is None:
        print("\n".join(f"{name}: {sentence}" for name, sentence in CRITERIA.items()))


if __name__ == "__main__":
    cli.run(main, SnapshotsSettings)
