"""Which rows of Table 1 the finished runs of a folder make, and their predictions and scores.

A row has an id, by which programs know it: the run's folder, `RUN/noDA` for a source run on the
target. Its title is for people.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from cmda_tf.data.dataset import Dataset
from cmda_tf.errors import DataError
from cmda_tf.evaluation.scores import Row, score_subject, summarize
from cmda_tf.files import replacing
from cmda_tf.inference.networks import load_networks
from cmda_tf.inference.predictor import Predictor, classes
from cmda_tf.runs.run import Run, find_runs

ADAPTED = {"adabn": "AdaBN", "adapt": "UDA", "selftrain": "Self-training"}  # by phase
TITLES = {"mr": "MRI"}  # as the paper calls the modality; others are in capitals
# Kinds in the order of the table; rows of one kind are sorted by depth and title.
KINDS = ("source", "supervised", "finetuned", "noDA", *ADAPTED)


@dataclass(frozen=True)
class TableRow:
    """A row of the table before it is measured.

    Attributes:
      kind: what it is, one of `KINDS`.
      title: what people call it.
      run: the finished run whose model is tested.
      role: `source` or `target`, the router's path.
      modality: of the test subjects.
    """

    kind: str
    title: str
    run: Run
    role: str
    modality: str

    @property
    def id(self) -> str:
        """What programs call it; a relative path as well."""
        return f"{self.run.folder.name}{'/noDA' if self.kind == 'noDA' else ''}"

    def facts(self) -> dict[str, Any]:
        """What of its run a reader of `results.json` may ask for."""
        record = self.run.record
        init = record.inputs.init_from
        return {
            "kind": self.kind,
            "run": self.run.folder.name,
            "phase": record.phase,
            "depth": record.depth,
            "init_from": init and Path(init).name,
            "usual": record.name is None,  # whether the run has the name it has by default
            "seed": record.seed,
            "precision": record.model.precision,
            "crop": record.inputs.crop,
        }


def find_rows(runs: Path, only: Collection[str] = ()) -> list[TableRow]:
    """The rows that the finished runs of a folder make, in the order of the paper's table.

    Args:
      runs: the folder.
      only: names of runs; others are left out. Empty for all.

    Raises:
      DataError: there is no finished run, one of `only` is not there, or two rows have one title.
    """
    finished = list(find_runs(runs))
    if missing := sorted(set(only) - {run.folder.name for run in finished}):
        raise DataError(f"{runs / missing[0]}: no finished run here, but it is to be evaluated")
    finished = [run for run in finished if not only or run.folder.name in only]
    rows = [row for run in finished for row in _rows_of(run)]
    if not rows:
        raise DataError(f"{runs}: no finished run", made_by="source")
    titles = [row.title for row in rows]
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise DataError(f"{runs}: more than one run makes the row {twice[0]!r}; titles must differ")
    return sorted(rows, key=_place)


def of_figure3(rows: Sequence[TableRow]) -> list[TableRow]:
    """The columns of Figure 3: the first of each kind, as the paper orders them.

    Args:
      rows: tested on the target, in the order of the table.

    Returns:
      Fine-tuned, from scratch, without adaptation, then the adapted ones.
    """
    first = {row.kind: row for row in reversed(rows)}
    order = ("finetuned", "supervised", "noDA", *ADAPTED)
    return [first[kind] for kind in order if kind in first]


def of_figure4(rows: Sequence[TableRow]) -> list[TableRow]:
    """The columns of Figure 4: every adapted model, AdaBN's apart."""
    return [row for row in rows if row.kind in ADAPTED and row.kind != "adabn"]


def measure(
    row: TableRow, dataset: Dataset, predictions: Path
) -> tuple[Row, dict[str, np.ndarray]]:
    """Predicts and scores all test subjects of a row.

    Args:
      row: what to measure.
      dataset: the data.
      predictions: folder that gets each label map as NIfTI, on the prepared grid.

    Returns:
      The scores, and the predicted classes [K, J, I] by subject id.
    """
    predictor = Predictor(load_networks(row.run).paths()[row.role], classes)
    scores, maps = {}, {}
    for subject in tqdm(dataset.test_subjects(row.modality), desc=row.title):
        maps[subject.id] = predictor.on_volume(subject.image)
        scores[subject.id] = score_subject(maps[subject.id], subject.truth, dataset.structures)
        with replacing(predictions / row.id / f"{subject.id}.nii.gz") as temporary:
            sitk.WriteImage(subject.grid.apply(maps[subject.id]), str(temporary), True)
    return summarize(list(scores.values()), list(scores), row.title, row.facts()), maps


def segmenter_title(modality: str) -> str:
    """The row of the segmenter trained on a modality's labels, as Seg-MRI."""
    return f"Seg-{TITLES.get(modality, modality.upper())}"


def _rows_of(run: Run) -> Iterator[TableRow]:
    """The rows of one run: which path is tested on which modality, under which title."""
    record = run.record
    modality = record.inputs.modality  # whose images it has learned from
    if run.phase == "source":
        own = modality == record.source
        rows = [("source" if own else "supervised", segmenter_title(modality), "source", modality)]
        rows += [("noDA", "noDA", "source", record.target)] if own else []
    elif run.phase == "finetune":
        rows = [("finetuned", f"{segmenter_title(modality)}-STL", "source", modality)]
    else:
        title = f"{ADAPTED[run.phase]} d={record.depth}"
        rows = [(run.phase, title, "target", record.target)]
    for kind, usual, role, tested in rows:
        yield TableRow(kind, _titled(kind, usual, run), run, role, tested)


def _titled(kind: str, usual: str, run: Run) -> str:
    """The title that was asked for, else the usual one with the name that was asked for."""
    if title := run.record.title:
        return f"noDA ({title})" if kind == "noDA" else title
    return usual if run.record.name is None else f"{usual} ({run.record.name})"


def _place(row: TableRow) -> tuple:
    """Sorting key: order of the table, rows with a title of their own last, depth, title."""
    record = row.run.record
    return KINDS.index(row.kind), record.title is not None, record.depth or 0, row.title
