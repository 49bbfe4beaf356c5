"""The paper's figures from measured rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cmda_tf.data.dataset import Dataset
from cmda_tf.data.structures import Structures
from cmda_tf.evaluation.rows import TableRow, of_figure3, of_figure4
from cmda_tf.visualization.canvas import save
from cmda_tf.visualization.segmentation import Example, figure3
from cmda_tf.visualization.shift import figure1


def draw_shift(
    out: Path, dataset: Dataset, modalities: Sequence[str], structures: Structures
) -> None:
    """Figure 1, if the test subjects of both modalities have labels."""
    if all(dataset.has_test_subjects(modality) for modality in modalities):
        subjects = {m.upper(): dataset.test_subjects(m) for m in modalities}
        save(figure1(subjects, structures), out / "figure1")


def draw_segmentations(
    out: Path,
    dataset: Dataset,
    rows: Sequence[TableRow],
    maps: Mapping[str, Mapping[str, np.ndarray]],
    structures: Structures,
) -> None:
    """Figure 3, and Figure 4 if there is more than one adapted model.

    Figure 3: one row per test subject of the target; slice, truth, a column for a method of each
    kind. Figure 4: the adapted models.

    Args:
      out: folder to write to.
      dataset: that was measured.
      rows: tested on the target, in the order of the table.
      maps: predicted classes [K, J, I] by row id, then by subject id.
      structures: in the colors to draw them in.
    """
    modality = rows[0].modality
    subjects = dataset.test_subjects(modality)

    def draw(name: str, chosen: Sequence[TableRow]) -> None:
        examples = [
            Example(s.id, s.image, s.truth, {row.title: maps[row.id][s.id] for row in chosen})
            for s in subjects
        ]
        save(figure3(examples, structures, f"{modality.upper()} slice"), out / name)

    draw("figure3", of_figure3(rows))
    if len(adapted := of_figure4(rows)) > 1:
        draw("figure4", adapted)
