"""Table 1 and the figures from the finished runs of a folder, all on one data set."""

import datetime
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmda_tf import __version__
from cmda_tf.data.dataset import Dataset
from cmda_tf.data.structures import Structures
from cmda_tf.datasets import open_dataset
from cmda_tf.errors import DataError, UsageError
from cmda_tf.evaluation.oracle_gap import measure_oracle_gap
from cmda_tf.evaluation.paper import cited_rows, published_rows
from cmda_tf.evaluation.report import Report, write_report
from cmda_tf.evaluation.rows import ADAPTED, TableRow, find_rows, measure, of_figure3, of_figure4
from cmda_tf.evaluation.settings import EvaluateSettings
from cmda_tf.model_selection.choice import has_snapshots
from cmda_tf.runs.record import crop_warning
from cmda_tf.threads import limit_threads
from cmda_tf.visualization.canvas import save
from cmda_tf.visualization.palette import in_palette
from cmda_tf.visualization.segmentation import Example, figure3
from cmda_tf.visualization.shift import figure1


def evaluate(settings: EvaluateSettings) -> Report:
    """Measures every row that the finished runs make and writes the report. DataError: there is no
    finished run, or data is missing. UsageError: the runs were trained on different data."""
    limit_threads(settings.threads)
    out = Path(settings.out or settings.runs)
    table = find_rows(Path(settings.runs), settings.only)
    dataset = _one_dataset(table, settings.prepared)
    source, target = table[0].run.record.source, table[0].run.record.target
    rows, maps, selection = {}, {}, {}
    for row in table:
        rows[row.id], maps[row.id] = measure(row, dataset, out / "predictions")
        if row.kind in ADAPTED and settings.measure_snapshots and has_snapshots(row.run):
            selection[row.id] = measure_oracle_gap(row.run, dataset)
    colored = in_palette(dataset.structures, settings.palette)
    if dataset.has_test_subjects(source) and dataset.has_test_subjects(target):
        subjects = {m.upper(): dataset.test_subjects(m) for m in (source, target)}
        save(figure1(subjects, colored), out / "figure1")
    if on_target := [row for row in table if row.modality == target]:
        draw_segmentations(out, dataset, on_target, maps, colored)
    columns, show = colored.columns, settings.published
    published = published_rows(source, target, columns) if show else {}
    cited = cited_rows(columns) if show else {}
    adapted = [row.run.record.inputs for row in table if row.kind in ADAPTED]
    crops = (crop_warning(inputs.modality, inputs.crop) for inputs in adapted)
    notes = list(dict.fromkeys(filter(None, crops)))
    report = Report(rows, _meta(dataset, notes), published, cited, selection, notes)
    write_report(report, out)  # last: who finds it finds all
    return report


def _one_dataset(table: Sequence[TableRow], prepared: str | None) -> Dataset:
    """The data that all rows are measured on: that which is named, or what all were trained on."""
    first, inputs = table[0].run.folder, table[0].run.record.inputs
    for run in (row.run for row in table):
        other = run.record.inputs
        if prepared is None and other.prepared_sha256 != inputs.prepared_sha256:
            raise UsageError(
                f"only: {first} was trained on {inputs.prepared_folder}, {run.folder} on other "
                f"data, {other.prepared_folder}; expected runs of one data set, or one that is "
                "named as prepared to measure all on"
            )
    dataset = open_dataset(prepared or inputs.prepared_folder)
    for run in (row.run for row in table):
        size, structures = run.config.size, run.record.inputs.structures
        if (size, structures) != (dataset.size, dataset.structures):
            raise DataError(
                f"{dataset.folder}: expected volumes of {size} voxels per side with the "
                f"structures that {run.folder} was trained on, found others"
            )
    return dataset


def draw_segmentations(
    out: Path,
    dataset: Dataset,
    rows: Sequence[TableRow],
    maps: Mapping[str, Mapping[str, np.ndarray]],
    structures: Structures,
) -> None:
    """Figure 3, and of more than one adapted model Figure 4, of rows tested on the target.

    One row per test subject of the target: slice, truth, a column for a method of each kind; in
    Figure 4 for each adapted model. `maps` are predicted classes [K, J, I] by row id, then by
    subject id.
    """
    modality, adapted = rows[0].modality, of_figure4(rows)
    subjects = dataset.test_subjects(modality)
    figures = {"figure3": of_figure3(rows)} | ({"figure4": adapted} if len(adapted) > 1 else {})
    for name, columns in figures.items():
        examples = [
            Example(s.id, s.image, s.truth, {row.title: maps[row.id][s.id] for row in columns})
            for s in subjects
        ]
        save(figure3(examples, structures, f"{modality.upper()} slice"), out / name)


def _meta(dataset: Dataset, warnings: Sequence[str]) -> dict[str, Any]:
    """Where and when the numbers were made."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()} {platform.system()}, Python {platform.python_version()}",
        "versions": {"cmda_tf": __version__, "tensorflow": tf.__version__},
        "size": dataset.size,
        "spacing_mm": dataset.spacing_mm,
        "warnings": list(warnings),
        "std": "population standard deviation over test subjects",
    }
