"""One report from the reports of several seeds: means over seeds, gaps, shares of the way.

Rows are told apart by their ids and by what `results.json` says of their runs, never by titles.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cmda_tf.evaluation.rows import ADAPTED
from cmda_tf.evaluation.scores import Row, Statistic, mean_over_structures

Result = Mapping[str, Any]  # the content of a seed's results.json
_OF_ONE_RUN = ("title", "structures", "seed", "subjects")  # what rows over seeds do not share


def combine(results: Mapping[int, Result]) -> dict[str, Row]:
    """Rows over seeds by id, in the order of the first seed's report.

    A statistic's mean is that of the seeds' means, its std their population standard deviation, its
    count that of the seeds; subjects' spread is not in it. Of one seed alone: its own statistics
    over subjects.
    """
    ids = dict.fromkeys(id for result in results.values() for id in result["rows"])
    rows = {id: [r["rows"][id] for r in results.values() if id in r["rows"]] for id in ids}
    return {id: _row(of_id, len(results)) for id, of_id in rows.items()}


def _row(rows: list[Mapping[str, Any]], seeds: int) -> Row:
    def combined(name: str, measure: str) -> Statistic | None:
        cells = [row["structures"][name] for row in rows]
        known = [cell for cell in cells if cell[f"{measure}_mean"] is not None]
        if not known:
            return None
        means = [cell[f"{measure}_mean"] for cell in known]
        if seeds > 1:
            return Statistic(float(np.mean(means)), float(np.std(means)), len(means), seeds)
        total = len(rows[0]["subjects"])
        count = known[0].get(f"{measure}_subjects", total)
        return Statistic(means[0], known[0][f"{measure}_std"], count, total)

    names = rows[0]["structures"]
    return Row(
        dice={name: combined(name, "dice") for name in names},
        asd={name: combined(name, "asd") for name in names},
        title=rows[0]["title"],
        facts={name: value for name, value in rows[0].items() if name not in _OF_ONE_RUN},
    )


@dataclass(frozen=True)
class Gain:
    """What a row's method is worth, in points of mean Dice [%]: a value per seed, None without."""

    title: str
    dice: list[float | None]
    above_adabn: list[float | None]  # at the same depth, from the usual source model
    share: list[float | None]  # of the way from noDA to `full`, 1 being all
    above_own_adabn: list[float | None]  # at the same depth, from its own source model
    above_own_start: list[float | None]  # its own source model without adaptation
    full: str = "Seg-CT-STL"  # the usual segmenter fine-tuned on target labels

    def __str__(self) -> str:
        def show(values: list[float | None], form: str) -> str:
            known = [v for v in values if v is not None]
            if not known:
                return "N/A"
            spread = f" ({min(known):{form}} to {max(known):{form}})" if len(known) > 1 else ""
            return f"{np.mean(known):{form}}{spread}"

        sentence = (
            f"{self.title}: {show(self.above_adabn, '+.1f')} points above AdaBN at its depth, "
            f"{show(self.share, '.0%')} of the way from noDA to {self.full}"
        )
        if self.above_own_adabn == self.above_adabn:
            return sentence
        return (
            f"{sentence}; {show(self.above_own_start, '+.1f')} above its own source model without "
            f"adaptation, {show(self.above_own_adabn, '+.1f')} above AdaBN from that"
        )


def gains(results: Mapping[int, Result]) -> list[Gain]:
    """The gains of all adapted rows but AdaBN's, in the order of the first seed's report."""
    titles = {
        id: row["title"]
        for result in results.values()
        for id, row in result["rows"].items()
        if row["kind"] in ADAPTED and row["kind"] != "adabn"
    }
    rows = [row for result in results.values() for row in _select(result["rows"], "finetuned")]
    full = next((row["title"] for row in rows if row["usual"]), Gain.full)
    worth = []
    for id, title in titles.items():
        by_seed = [_gain(id, result["rows"]) for result in results.values()]
        values: Any = map(list, zip(*by_seed))
        worth.append(replace(Gain(title, *values), full=full))
    return worth


def _gain(id: str, rows: Mapping[str, Any]) -> tuple[float | None, ...]:
    """One row's gain in one seed's report, as the fields of `Gain`."""
    if id not in rows or (own := mean_dice(rows[id])) is None:
        return (None,) * 5

    def first(kind: str, **facts: Any) -> float | None:
        return next((mean_dice(row) for row in _select(rows, kind, **facts)), None)

    def above(baseline: float | None) -> float | None:
        return None if baseline is None else own - baseline

    depth, start = rows[id]["depth"], _source_model(rows[id], rows)
    adabn = [r for r in _select(rows, "adabn", depth=depth) if _source_model(r, rows) == start]
    low, high = first("noDA", usual=True), first("finetuned", usual=True)
    return (
        own,
        above(first("adabn", depth=depth, usual=True)),
        None if low is None or high is None or high <= low else (own - low) / (high - low),
        above(mean_dice(adabn[-1]) if adabn else None),
        above(first("noDA", run=start)),
    )


def _select(rows: Mapping[str, Any], kind: str, **facts: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of a kind of which these facts hold, in their order."""
    wanted = {"kind": kind, **facts}
    return (row for row in rows.values() if all(row[k] == v for k, v in wanted.items()))


def _source_model(row: Mapping[str, Any], rows: Mapping[str, Any]) -> str:
    """The run of the source model that a row's run comes from, however many runs lie between."""
    by_run = {other["run"]: other for other in rows.values()}
    while row["init_from"] in by_run:
        row = by_run[row["init_from"]]
    return row["init_from"] or row["run"]


def regrets(results: Mapping[int, Result]) -> list[str]:
    """A sentence for each row chosen among snapshots: how far from the best one, over seeds."""
    by_row: dict[tuple[str, str], list[float]] = {}
    for result in results.values():
        for id, choice in result.get("selection", {}).items():
            key = result["rows"][id]["title"], choice["criterion"]
            by_row.setdefault(key, []).append(choice["regret"])
    return [
        f"{title}: the snapshot chosen by `{criterion}` is {np.mean(values):.1f} "
        f"({min(values):.1f} to {max(values):.1f}) Dice below the best one, measured on test "
        "labels after the fact"
        for (title, criterion), values in by_row.items()
    ]


def mean_dice(row: Mapping[str, Any]) -> float | None:
    """Mean Dice [%] over a row's structures that have one; None if none has."""
    return mean_over_structures(cell["dice_mean"] for cell in row["structures"].values())


def depth_curves(results: Mapping[int, Result]) -> dict[str, dict[int, list[float]]]:
    """Method to depth to the mean Dice [%] of each seed, of the runs that have the usual name."""
    curves: dict[str, dict[int, list[float]]] = {}
    for result in results.values():
        for row in result["rows"].values():
            dice = mean_dice(row)
            if row["kind"] in ADAPTED and row["usual"] and dice is not None:
                of_method = curves.setdefault(ADAPTED[row["kind"]], {})
                of_method.setdefault(row["depth"], []).append(dice)
    return curves


def across(results: Mapping[int, Result]) -> dict[str, float]:
    """Mean Dice [%] over seeds, by title, of the rows without a depth that bound the curves."""
    lines = {}
    for kind in ("noDA", "finetuned"):
        rows = [r for x in results.values() for r in _select(x["rows"], kind, usual=True)]
        if known := [dice for row in rows if (dice := mean_dice(row)) is not None]:
            lines[rows[0]["title"]] = float(np.mean(known))
    return lines
