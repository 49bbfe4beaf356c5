"""Which rows of Table 1 the finished runs of a folder make, and their predictions and scores."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from cmda_tf.data.prepared import Dataset
from cmda_tf.data.subjects import Subject
from cmda_tf.errors import DataError
from cmda_tf.evaluation.scores import Row, score_subject, summarize
from cmda_tf.files import replacing
from cmda_tf.inference.predictor import load_model, predictor
from cmda_tf.release2018.dataset import load_test_subject
from cmda_tf.runs.run import SETTINGS, Run, open_run

ADAPTED = {"adabn": "AdaBN", "adapt": "UDA", "selftrain": "Self-training"}  # by phase
TITLES = {"mr": "MRI"}  # as the paper calls the modality; others are in capitals
# The order of the table; rows of one kind are sorted by name.
ROW_ORDER = ("source", "supervised", "finetuned", "noDA", *ADAPTED.values())


@dataclass(frozen=True)
class TableRow:
    """A row of the table before it is measured.

    Attributes:
      kind: what it is, one of `ROW_ORDER`.
      title: the row's name.
      run: the finished run whose model is tested.
      path: `source` or `target`, the router's path.
      modality: of the test subjects.
    """

    kind: str
    title: str
    run: Run
    path: str
    modality: str


def find_experiments(runs: Path, only: Collection[str] = ()) -> list[TableRow]:
    """The rows that the finished runs of a folder make, in the order of the paper's table.

    Args:
      runs: the folder.
      only: names of runs; others are left out. Empty for all.

    Raises:
      DataError: there is no finished run, one of `only` is not there, or two rows have one title.
    """
    folders = sorted(p.parent for p in runs.glob(f"*/{SETTINGS}"))
    finished = [run for run in map(open_run, folders) if run.finished]
    if missing := sorted(set(only) - {run.folder.name for run in finished}):
        raise DataError(f"{runs / missing[0]}: no finished run here, but it is to be evaluated")
    finished = [run for run in finished if not only or run.folder.name in only]
    found = [experiment for run in finished for experiment in _experiments(run)]
    if not found:
        raise DataError(
            f"{runs}: no finished run; this makes one: "
            f"python -m cmda_tf.train --phase=source --runs={runs}"
        )
    titles = [experiment.title for experiment in found]
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise DataError(
            f"{runs}: more than one run makes the row {twice[0]!r}; --title tells them apart"
        )
    return sorted(found, key=_place)


def of_figure3(experiments: Sequence[TableRow]) -> list[TableRow]:
    """The columns of Figure 3: the first of each kind, as the paper orders them.

    Args:
      experiments: tested on the target, in the order of the table.

    Returns:
      Fine-tuned, from scratch, without adaptation, then the adapted ones.
    """
    first = {e.kind: e for e in reversed(experiments)}
    order = ("finetuned", "supervised", "noDA", *ADAPTED.values())
    return [first[kind] for kind in order if kind in first]


def of_figure4(experiments: Sequence[TableRow]) -> list[TableRow]:
    """The columns of Figure 4: every adapted model, AdaBN's apart."""
    kinds = [kind for phase, kind in ADAPTED.items() if phase != "adabn"]
    return [e for e in experiments if e.kind in kinds]


def measure(
    experiment: TableRow, dataset: Dataset, predictions: Path
) -> tuple[Row, dict[str, np.ndarray]]:
    """Predicts and scores all test subjects of an experiment.

    Args:
      experiment: what to measure.
      dataset: of the prepared data.
      predictions: folder that gets each label map as NIfTI, on the prepared grid.

    Returns:
      The row, and the predicted classes [K, J, I] by subject id.
    """
    predict = predictor(load_model(experiment.run, experiment.path))
    scores, maps = {}, {}
    for subject in tqdm(test_subjects(dataset, experiment.modality), desc=experiment.title):
        maps[subject.id] = predict(subject.image)
        scores[subject.id] = score_subject(maps[subject.id], subject.label, dataset.structures)
        name = f"{re.sub(r'[^A-Za-z0-9=+-]+', '_', experiment.title)}/{subject.id}.nii.gz"
        with replacing(predictions / name) as temporary:
            sitk.WriteImage(subject.grid.apply(maps[subject.id]), str(temporary), True)
    return summarize(list(scores.values()), list(scores)), maps


def test_subjects(dataset: Dataset, modality: str) -> list[Subject]:
    """The labeled test subjects of a modality.

    Raises:
      DataError: there is none.
    """
    entries = [e for e in dataset.select(modality, "test") if e.labeled]
    if not entries:
        raise DataError(f"{dataset.folder}: no labeled test subject of modality {modality!r}")
    return [load_test_subject(dataset, entry) for entry in entries]


def segmenter_title(modality: str) -> str:
    """The row of the segmenter trained on a modality's labels, as Seg-MRI."""
    return f"Seg-{TITLES.get(modality, modality.upper())}"


def _experiments(run: Run) -> Iterator[TableRow]:
    """The rows of one run: which path is tested on which modality, under which title."""
    settings = run.record["settings"]
    source, target = settings["source"], settings["target"]
    modality = run.record["inputs"]["modality"]  # whose images it has learned from
    if run.phase == "source":
        kind = "source" if modality == source else "supervised"
        rows = [(kind, segmenter_title(modality), "source", modality)]
        rows += [("noDA", "noDA", "source", target)] if modality == source else []
    elif run.phase == "finetune":
        rows = [("finetuned", f"{segmenter_title(modality)}-STL", "source", modality)]
    else:
        kind = ADAPTED[run.phase]
        rows = [(kind, f"{kind} d={settings['depth']}", "target", target)]
    for kind, usual, path, modality in rows:
        yield TableRow(kind, _titled(kind, usual, run), run, path, modality)


def _titled(kind: str, usual: str, run: Run) -> str:
    """The row's title: that of `--title`, else the usual one with the name that `--name` gave."""
    settings = run.record["settings"]
    if title := settings.get("title"):
        return f"noDA ({title})" if kind == "noDA" else title
    return usual if settings["name"] is None else f"{usual} ({settings['name']})"


def _place(experiment: TableRow) -> tuple:
    """Sorting key: order of the table, rows with a title of their own last, depth, name."""
    settings = experiment.run.record["settings"]
    titled = settings.get("title") is not None
    depth = settings.get("depth", 0)
    return ROW_ORDER.index(experiment.kind), titled, depth, experiment.title
