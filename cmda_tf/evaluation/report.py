"""The report: rows of the paper's Table 1 as printed text, Markdown, CSV and JSON.

A cell is `mean±std` over the test subjects; `N/A` where no subject has a value; `(2/4)` follows
where only some have one. The same report always gives the same bytes.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmda_tf.evaluation.oracle_gap import OracleGap
from cmda_tf.evaluation.scores import Row, Statistic
from cmda_tf.files import write_json, write_text

DICE, ASD, MEAN_DICE = "Dice [%]", "ASD [voxel]", "mean Dice [%]"
NOT_AVAILABLE = "N/A"


@dataclass(frozen=True)
class Report:
    """Measured rows and what is known about the run that made them.

    Attributes:
      rows: by method, in the order of the table.
      meta: JSON-ready facts (settings, seeds, machine), copied to `results.json`.
      published: published rows; one whose name is among `rows` is printed below it.
      cited: published rows of other methods, printed first; `-` where they have no value.
      selection: for rows whose model was chosen among snapshots, how good that choice was.
      notes: sentences below the table.
      details: more JSON-ready values for `results.json`.
      counted: what means and counts are of, `subjects` or `seeds`.
    """

    rows: Mapping[str, Row]
    meta: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, Row] = field(default_factory=dict)
    cited: Mapping[str, Row] = field(default_factory=dict)
    selection: Mapping[str, OracleGap] = field(default_factory=dict)
    notes: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    counted: str = "subjects"

    @property
    def columns(self) -> list[str]:
        """Names of the structures, in the order of the rows' scores."""
        return list(next(iter(self.rows.values())).dice) if self.rows else []

    def to_text(self) -> str:
        """The table with aligned columns, for a terminal."""
        heads = [["", *(c for name in self.columns for c in (name, "")), ""]]
        heads += [["Methods", *[DICE, ASD] * len(self.columns), MEAN_DICE]]
        lines = heads + list(self._cells())
        widths = [max(map(len, column)) for column in zip(*lines)]
        text = ["  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in lines]
        text.insert(len(heads), "-" * (sum(widths) + 2 * (len(widths) - 1)))
        return "\n".join([*text, *self._lines_below()]) + "\n"

    def to_markdown(self) -> str:
        """The table in Markdown."""
        measures = [f"{name} {m}" for name in self.columns for m in (DICE, ASD)]
        lines = [["Methods", *measures, MEAN_DICE], ["---", *["---:"] * (len(measures) + 1)]]
        lines += ([c.replace("|", r"\|") for c in line] for line in self._cells())
        notes = "".join(f"\n{line}\n" for line in self._lines_below())
        return "".join(f"| {' | '.join(line)} |\n" for line in lines) + notes

    def to_csv(self) -> str:
        """One line for each row and structure, at full precision."""
        columns = [f"{m}_{x}" for m in ("dice", "asd") for x in ("mean", "std", self.counted)]
        lines = [["row", "structure", *columns, self.counted]]
        for method, row in self.rows.items():
            for name in row.dice:
                dice, asd = _numbers(row.dice[name]), _numbers(row.asd[name])
                known = row.dice[name] or row.asd[name]
                total = known.total if known else len(row.subjects)
                lines.append([method, name, *dice, *asd, total])
        return _csv(lines)

    def to_subjects_csv(self) -> str:
        """One line for each row, subject and structure, at full precision."""
        lines = [["row", "subject", "structure", "dice_percent", "asd_voxel"]]
        for method, row in self.rows.items():
            for subject, scores in row.subjects.items():
                for name in scores:
                    values = scores[name].dice_percent, scores[name].asd_voxel
                    shown = [NOT_AVAILABLE if math.isnan(v) else v for v in values]
                    lines.append([method, subject, name, *shown])
        return _csv(lines)

    def to_results(self) -> dict[str, Any]:
        """Rows, `meta` and `selection` as JSON-ready values; None for what is not available."""
        return {
            "rows": {
                method: {name: self._result(row, name) for name in row.dice}
                for method, row in self.rows.items()
            },
            "meta": dict(self.meta),
            "selection": {title: h.to_result() for title, h in self.selection.items()},
            **self.details,
        }

    def _result(self, row: Row, name: str) -> dict[str, float | int | None]:
        """One structure's entry in `results.json`."""
        dice, asd = row.dice[name], row.asd[name]
        return {
            "dice_mean": dice and dice.mean,
            "dice_std": dice and dice.std,
            f"dice_{self.counted}": dice.count if dice else 0,
            "asd_mean": asd and asd.mean,
            "asd_std": asd and asd.std,
            f"asd_{self.counted}": asd.count if asd else 0,
        }

    def _lines_below(self) -> list[str]:
        """The notes, and a line for each choice among snapshots."""
        choices = [f"{title}: {oracle_gap}" for title, oracle_gap in self.selection.items()]
        return [*self.notes, *choices]

    def _cells(self) -> Iterator[list[str]]:
        """The lines of the table below its head."""
        for method, row in self.cited.items():
            yield _line(f"{method} (paper)", row, missing="-")
        for method, row in self.rows.items():
            yield _line(method, row)
            if method in self.published:
                yield _line(f"{method} (paper)", self.published[method])


def write_report(report: Report, folder: str | Path) -> None:
    """Writes `table.md`, `table.csv`, `subjects.csv`, then `results.json`, each atomically.

    Without scores of single subjects there is no `subjects.csv`.

    Args:
      report: what to write.
      folder: where; made if missing.

    Raises:
      DataError: the folder cannot be made or written to.
    """
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


def _cell(statistic: Statistic | None, missing: str) -> str:
    if statistic is None:
        return missing
    some = statistic.count < statistic.total
    part = f" ({statistic.count}/{statistic.total})" if some else ""
    return f"{statistic.mean:.1f}±{statistic.std:.1f}{part}"


def _numbers(statistic: Statistic | None) -> list[float | int | str]:
    """Mean, std and count for the CSV."""
    if statistic is None:
        return [NOT_AVAILABLE, NOT_AVAILABLE, 0]
    return [statistic.mean, statistic.std, statistic.count]


def _csv(lines: list[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()
