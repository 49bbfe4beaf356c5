"""Which rows of Table 1 the finished runs of a folder make, and their predictions and scores.

A row has an id, by which programs know it: the run's folder, `RUN/noDA` for a source run on the
target. Its title is for people.
"""

from collections import Counter
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
from cmda_tf.runs.record import RunSettings
from cmda_tf.runs.run import Run, find_runs

ADAPTED = {"adabn": "AdaBN", "adapt": "UDA", "selftrain": "Self-training"}  # by phase
# Kinds in the order of the table; rows of one kind are sorted by depth and title.
KINDS = ("source", "supervised", "finetuned", "noDA", *ADAPTED)


@dataclass(frozen=True)
class TableRow:
    """A row of the table before it is measured."""

    kind: str  # one of `KINDS`
    title: str  # what people call it
    run: Run  # the finished run whose model is tested
    role: str  # `source` or `target`, the router's path
    modality: str  # of the test subjects

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
            "usual": record.part(RunSettings).name is None,  # whether its name is the default
            "seed": record.model.seed,
            "precision": record.model.precision,
            "crop": record.inputs.crop,
        }


def find_rows(runs: Path, only: Collection[str] = ()) -> list[TableRow]:
    """The rows that the finished runs of a folder make, in the order of the paper's table.

    `only` are names of runs; others are left out, none if it is empty. DataError: there is no
    finished run, one of `only` is not there, or two rows have one title.
    """
    finished = list(find_runs(runs))
    if missing := sorted(set(only) - {run.folder.name for run in finished}):
        raise DataError(f"{runs / missing[0]}: no finished run here, but it is to be evaluated")
    finished = [run for run in finished if not only or run.folder.name in only]
    rows = [row for run in finished for row in _rows_of(run)]
    if not rows:
        raise DataError(f"{runs}: no finished run", made_by="source")
    counts = Counter(row.title for row in rows)
    if twice := sorted(title for title, count in counts.items() if count > 1):
        raise DataError(f"{runs}: more than one run makes the row {twice[0]!r}; titles must differ")
    return sorted(rows, key=_place)


def of_figure3(rows: Sequence[TableRow]) -> list[TableRow]:
    """The columns of Figure 3, of rows tested on the target in the order of the table: the first
    of each kind, fine-tuned, from scratch, without adaptation, then the adapted ones."""
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

    Each label map is written to the folder `predictions` as NIfTI, on the prepared grid. Gives the
    scores, and the predicted classes [K, J, I] by subject id.
    """
    predictor = Predictor(load_networks(row.run).paths()[row.role], classes)
    scores, maps = {}, {}
    for subject in tqdm(dataset.test_subjects(row.modality), desc=row.title):
        maps[subject.id] = predictor.on_volume(subject.image)
        scores[subject.id] = score_subject(maps[subject.id], subject.truth, dataset.structures)
        with replacing(predictions / row.id / f"{subject.id}.nii.gz") as temporary:
            sitk.WriteImage(subject.grid.apply(maps[subject.id]), str(temporary), True)
    return summarize(list(scores.values()), list(scores), row.title, row.facts()), maps


def _rows_of(run: Run) -> Iterator[TableRow]:
    """The rows of one run: which path is tested on which modality, under which title."""
    record, called = run.record, run.record.part(RunSettings)
    modality = record.inputs.modality  # whose images it has learned from
    segmenter = "Seg-MRI" if modality == "mr" else f"Seg-{modality.upper()}"  # as the paper says
    if run.phase == "source":
        own = modality == record.source
        rows = [("source" if own else "supervised", segmenter, "source", modality)]
        rows += [("noDA", "noDA", "source", record.target)] if own else []
    elif run.phase == "finetune":
        rows = [("finetuned", f"{segmenter}-STL", "source", modality)]
    else:
        rows = [(run.phase, f"{ADAPTED[run.phase]} d={record.depth}", "target", record.target)]
    for kind, title, role, tested in rows:
        if called.title:
            title = f"noDA ({called.title})" if kind == "noDA" else called.title
        elif called.name is not None:
            title += f" ({called.name})"
        yield TableRow(kind, title, run, role, tested)


def _place(row: TableRow) -> tuple:
    """Sorting key: order of the table, rows with a title of their own last, depth, title."""
    record = row.run.record
    titled = record.part(RunSettings).title is not None
    return KINDS.index(row.kind), titled, record.depth or 0, row.title
