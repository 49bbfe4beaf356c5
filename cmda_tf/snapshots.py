"""`python -m cmda_tf.snapshots`: the snapshots of finished adaptations and what to choose by.

Prints, for every adaptation under `--runs` (or the one of `--name`), all label-free criteria of
its snapshots and the snapshot each would choose. `--criterion=X` makes X's choice the run's
final model. No target label is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmda_tf import cli
from cmda_tf.errors import DataError
from cmda_tf.model_selection.criteria import CRITERIA, best
from cmda_tf.settings import Options, setting


@dataclass(frozen=True)
class SelectSettings(Options):
    """The flags of `python -m cmda_tf.snapshots`."""

    runs: str = setting("runs", "Folder that holds the runs.")
    name: str | None = setting(None, "The run's folder under --runs. Default: every adaptation.")
    prepared: str | None = setting(None, "Prepared data. Default: what the runs were trained on.")
    criterion: str | None = setting(
        None, "Make this criterion's choice the final model.", choices=tuple(CRITERIA)
    )


def main(settings: SelectSettings) -> None:
    """Prints the tables; with `--criterion` changes the final models."""
    from cmda_tf.model_selection.choice import change_choice, complete, read_selection, score_again
    from cmda_tf.release2018.dataset import open_dataset

    for run in _runs(settings):
        folder = settings.prepared or run.record["inputs"]["prepared_folder"]
        selection = read_selection(run)
        if not complete(selection):
            selection = score_again(run, open_dataset(folder))
        if settings.criterion not in (None, selection.criterion):
            selection = change_choice(run, open_dataset(folder), settings.criterion)
        print(f"{run.folder}\n\n{to_text(selection)}")
    if settings.criterion is None:
        print("\n".join(f"{name}: {sentence}" for name, sentence in CRITERIA.items()))


def to_text(selection: Any) -> str:
    """A table: a line for each snapshot, a column for each criterion, `*` at its choice.

    Args:
      selection: a `selection.choice.Selection`.
    """
    chosen = {name: best(selection.values(name)) for name in CRITERIA}
    lines = [["snapshot", *CRITERIA]]
    for snapshot in selection.snapshots:
        cells = [
            _cell(snapshot.criteria[name]) + ("*" if chosen[name] == snapshot.update else " ")
            for name in CRITERIA
        ]
        lines.append([f"joint_{snapshot.update:04d}", *cells])
    widths = [max(map(len, column)) for column in zip(*lines)]
    table = ["  ".join(c.rjust(w) for c, w in zip(line, widths)).rstrip() for line in lines]
    end = f"final: joint_{selection.chosen:04d}, by {selection.criterion} (* highest value)"
    return "\n".join([*table, end]) + "\n"


def _cell(value: float | None) -> str:
    return "N/A" if value is None else f"{value:.4g}"


def _runs(settings: SelectSettings) -> Iterator[Any]:
    """The finished adaptations that the settings ask for."""
    from cmda_tf.model_selection.choice import has_snapshots
    from cmda_tf.runs.run import SETTINGS, finished_run, open_run

    runs = Path(settings.runs)
    command = f"python -m cmda_tf.train --phase=adapt --runs={settings.runs}"
    if settings.name is not None:
        found = [finished_run(runs / settings.name, command)]
    else:
        found = [open_run(path.parent) for path in sorted(runs.glob(f"*/{SETTINGS}"))]
    found = [run for run in found if run.finished and has_snapshots(run)]
    if not found:
        where = runs if settings.name is None else runs / settings.name
        raise DataError(f"{where}: no finished adaptation with snapshots; {command} makes one")
    return iter(found)


if __name__ == "__main__":
    cli.run(main, SelectSettings)
