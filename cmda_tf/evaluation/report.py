"""The report: rows of the paper's Table 1 as printed text, Markdown, CSV and JSON.

A cell is `mean±std` over the test subjects; `N/A` (`-` in cited rows) where none has a value;
`(2/4)` follows where only some have one. The same report always gives the same bytes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmda_tf.evaluation.oracle_gap import OracleGap
from cmda_tf.evaluation.scores import Row, Statistic
from cmda_tf.files import write_json, write_text
from cmda_tf.tables import to_csv, to_markdown, to_text

DICE, ASD, MEAN_DICE = "Dice [%]", "ASD [voxel]", "mean Dice [%]"
NOT_AVAILABLE = "N/A"


@dataclass(frozen=True)
class Report:
    """Measured rows by id, in the order of the table, and what is known about them."""

    rows: Mapping[str, Row]
    # JSON-ready facts (settings, seeds, machine), copied to `results.json`.
    meta: Mapping[str, Any] = field(default_factory=dict)
    # Published rows; one whose id is among `rows` is printed below it, others' methods first.
    published: Mapping[str, Row] = field(default_factory=dict)
    cited: Mapping[str, Row] = field(default_factory=dict)
    # By id of rows whose model was chosen among snapshots, how good that choice was.
    selection: Mapping[str, OracleGap] = field(default_factory=dict)
    notes: Sequence[str] = ()  # sentences below the table
    details: Mapping[str, Any] = field(default_factory=dict)  # more for `results.json`
    counted: str = "subjects"  # what means and counts are of; or "seeds"

    @property
    def columns(self) -> list[str]:
        """Names of the structures, in the order of the rows' scores."""
        return list(next(iter(self.rows.values())).dice) if self.rows else []

    def to_text(self) -> str:
        """The table with aligned columns, for a terminal."""
        heads = [["", *(c for name in self.columns for c in (name, "")), ""]]
        heads += [["Methods", *[DICE, ASD] * len(self.columns), MEAN_DICE]]
        table = to_text([*heads, *self._cells()], heads=len(heads))
        return "\n".join([table, *self._lines_below()]) + "\n"

    def to_markdown(self) -> str:
        """The table in Markdown."""
        measures = [f"{name} {m}" for name in self.columns for m in (DICE, ASD)]
        notes = "".join(f"\n{line}\n" for line in self._lines_below())
        return to_markdown(["Methods", *measures, MEAN_DICE], self._cells()) + notes

    def to_csv(self) -> str:
        """One line for each row and structure, at full precision."""
        columns = [f"{m}_{x}" for m in ("dice", "asd") for x in ("mean", "std", self.counted)]
        lines = []
        for row in self.rows.values():
            for name, dice in row.dice.items():
                known = dice or row.asd[name]
                total = known.total if known else len(row.subjects)
                numbers = self._numbers(row, name, missing=NOT_AVAILABLE).values()
                lines.append([row.title, name, *numbers, total])
        return to_csv(["row", "structure", *columns, self.counted], lines)

    def to_subjects_csv(self) -> str:
        """One line for each row, subject and structure, at full precision."""
        lines = []
        for row in self.rows.values():
            for subject, scores in row.subjects.items():
                for name, score in scores.items():
                    values = score.dice_percent, score.asd_voxel
                    cells = [NOT_AVAILABLE if math.isnan(v) else v for v in values]
                    lines.append([row.title, subject, name, *cells])
        return to_csv(["row", "subject", "structure", "dice_percent", "asd_voxel"], lines)

    def to_results(self) -> dict[str, Any]:
        """Rows, `meta` and `selection` as JSON-ready values; None for what is not available."""
        return {
            "rows": {
                id: {
                    "title": row.title,
                    **row.facts,
                    **({"subjects": list(row.subjects)} if row.subjects else {}),
                    "structures": {name: self._numbers(row, name) for name in row.dice},
                }
                for id, row in self.rows.items()
            },
            "meta": dict(self.meta),
            "selection": {id: gap.to_result() for id, gap in self.selection.items()},
            **self.details,
        }

    def _numbers(self, row: Row, name: str, missing: str | None = None) -> dict[str, Any]:
        """Mean, std and count of both measures of one structure, by name."""
        numbers: dict[str, Any] = {}
        for measure, cell in (("dice", row.dice[name]), ("asd", row.asd[name])):
            values = (cell.mean, cell.std, cell.count) if cell else (missing, missing, 0)
            numbers |= zip((f"{measure}_{x}" for x in ("mean", "std", self.counted)), values)
        return numbers

    def _lines_below(self) -> list[str]:
        """The notes, and a line for each choice among snapshots."""
        choices = [f"{self.rows[id].title}: {gap}" for id, gap in self.selection.items()]
        return [*self.notes, *choices]

    def _cells(self) -> Iterator[list[str]]:
        """The lines of the table below its head."""
        for row in self.cited.values():
            yield _line(f"{row.title} (paper)", row, missing="-")
        for id, row in self.rows.items():
            yield _line(row.title, row)
            if id in self.published:
                yield _line(f"{row.title} (paper)", self.published[id])


def write_report(report: Report, folder: str | Path) -> None:
    """Writes `table.md`, `table.csv`, `subjects.csv` if there are scores of single subjects, then
    `results.json`, each atomically. DataError: the folder cannot be made or written to."""
    folder = Path(folder)
    write_text(folder / "table.md", report.to_markdown())
    write_text(folder / "table.csv", report.to_csv())
    if any(row.subjects for row in report.rows.values()):
        write_text(folder / "subjects.csv", report.to_subjects_csv())
    write_json(folder / "results.json", report.to_results())


def _line(title: str, row: Row, missing: str = NOT_AVAILABLE) -> list[str]:
    cells = [_cell(measure[name], missing) for name in row.dice for measure in (row.dice, row.asd)]
    mean = NOT_AVAILABLE if row.mean_dice is None else f"{row.mean_dice:.1f}"
    return [title, *cells, mean]


def _cell(cell: Statistic | None, missing: str) -> str:
    if cell is None:
        return missing
    part = f" ({cell.count}/{cell.total})" if cell.count < cell.total else ""
    return f"{cell.mean:.1f}±{cell.std:.1f}{part}"
