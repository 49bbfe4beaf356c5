"""The choice among a run's snapshots, kept with all values in its `selection.json`."""

import dataclasses
from dataclasses import dataclass

from cmda_tf import tables
from cmda_tf.data.dataset import Dataset
from cmda_tf.errors import MALFORMED, DataError
from cmda_tf.files import locked, read_json, write_json
from cmda_tf.model_selection.criteria import CRITERIA, SelectionSettings, best
from cmda_tf.model_selection.scoring import Scored, SnapshotModel, score_snapshots, snapshot_model
from cmda_tf.runs.record import SETTINGS, SNAPSHOTS
from cmda_tf.runs.run import SELECTION, WEIGHTS, Run
from cmda_tf.runs.weights import find_snapshots
from cmda_tf.settings import check_types


@dataclass(frozen=True)
class Selection:
    """By which criterion, and of which joint update, one of a run's snapshots was chosen; and the
    snapshots in the order of their updates."""

    criterion: str
    chosen: int
    snapshots: tuple[Scored, ...]

    def values(self, criterion: str) -> dict[int, float | None]:
        """A criterion's values by joint update."""
        return {s.update: s.criteria.get(criterion) for s in self.snapshots}

    def to_text(self) -> str:
        """A table: a line for each snapshot, a column for each criterion, `*` at its choice."""
        chosen = {name: best(self.values(name)) for name in CRITERIA}
        lines = [["snapshot", *CRITERIA]]
        for snapshot in self.snapshots:
            values = [snapshot.criteria[name] for name in CRITERIA]
            texts = ["N/A" if value is None else f"{value:.4g}" for value in values]
            marks = ["*" if update == snapshot.update else " " for update in chosen.values()]
            lines.append([f"joint_{snapshot.update:04d}", *map(str.__add__, texts, marks)])
        end = f"final: joint_{self.chosen:04d}, by {self.criterion} (* highest value)"
        return f"{tables.to_text(lines, right=True)}\n{end}\n"


def select(criterion: str, snapshots: list[Scored] | tuple[Scored, ...]) -> Selection:
    """Chooses the snapshot with the highest value; DataError if none has a value."""
    chosen = best({s.update: s.criteria.get(criterion) for s in snapshots})
    if chosen is None:
        raise DataError(f"{criterion}: no snapshot has a value of this criterion")
    return Selection(criterion, chosen, tuple(snapshots))


def choose_final(run: Run, model: SnapshotModel, dataset: Dataset) -> None:
    """Ends the adaptation: the DAM becomes the snapshot that the run's settings ask for. Writes
    `selection.json`; the run's final model is still to be saved."""
    scored = score_snapshots(model, dataset, find_snapshots(run.folder))
    _load(run, model, select(run.part(SelectionSettings).select, scored))


def change_choice(run: Run, dataset: Dataset, criterion: str) -> Selection:
    """Makes another snapshot the final model of a finished run, and records it.

    As when a run begins, the mark of its being finished goes first: if this is interrupted, the
    run's own training, with this criterion, ends it.
    """
    with locked(run.folder):
        selection = select(criterion, read_selection(run).snapshots)
        model = snapshot_model(run, dataset)
        (run.folder / WEIGHTS).unlink()
        chosen = run.part(SelectionSettings).changed(select=criterion)
        settings = {**run.record.settings, SelectionSettings.key: chosen.to_dict()}
        record = dataclasses.replace(run.record, settings=settings)
        write_json(run.folder / SETTINGS, record.to_dict())
        _load(run, model, selection)
        run.finish(model.router)
    return selection


def score_again(run: Run, dataset: Dataset) -> Selection:
    """Scores a finished run's snapshots anew, such as for criteria that its program had not."""
    with locked(run.folder):
        before = read_selection(run)
        scored = score_snapshots(snapshot_model(run, dataset), dataset, find_snapshots(run.folder))
        selection = dataclasses.replace(before, snapshots=tuple(scored))
        write_json(run.folder / SELECTION, dataclasses.asdict(selection))
    return selection


def has_snapshots(run: Run) -> bool:
    """Whether a run had something to choose from."""
    return (run.folder / SNAPSHOTS).is_dir() and (run.folder / SELECTION).is_file()


def complete(selection: Selection) -> bool:
    """Whether every snapshot has been scored by all criteria that there are now."""
    return all(set(s.criteria) == set(CRITERIA) for s in selection.snapshots)


def read_selection(run: Run) -> Selection:
    """Reads a run's `selection.json`; DataError if it is missing or damaged."""
    record = read_json(path := run.folder / SELECTION)
    try:
        scored = {values["update"]: Scored(**values) for values in record["snapshots"]}
        for snapshot in scored.values():
            check_types(Scored, vars(snapshot))
        criterion, chosen = record["criterion"], record["chosen"]
        if criterion not in CRITERIA or type(chosen) is not int or chosen not in scored:
            raise ValueError("its choice is none of its criteria and snapshots")
        return Selection(criterion, chosen, tuple(scored.values()))
    except MALFORMED as error:
        raise DataError(f"{path}: expected the selection of a run ({error})") from error


def _load(run: Run, model: SnapshotModel, selection: Selection) -> None:
    """Makes the chosen snapshot the DAM and writes down why."""
    snapshots = {snapshot.update: snapshot for snapshot in find_snapshots(run.folder)}
    model.load(snapshots[selection.chosen])
    write_json(run.folder / SELECTION, dataclasses.asdict(selection))
