"""One report from the reports of several seeds: means over seeds, gaps, shares of the way."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmda_tf.evaluation.rows import ADAPTED
from cmda_tf.evaluation.scores import Row, Statistic


def combine(results: Mapping[int, Mapping[str, Any]]) -> dict[str, Row]:
    """Rows over seeds.

    Args:
      results: `results.json` of each seed's report.

    Returns:
      Row by title, in the order of the first seed's report. A statistic's mean is that of the
      seeds' means, its std their population standard deviation, its count that of the seeds;
      subjects' spread is not in it. Of one seed alone: its own statistics over subjects.
    """
    titles = list(dict.fromkeys(t for r in results.values() for t in r["rows"]))
    rows = {t: [r["rows"][t] for r in results.values() if t in r["rows"]] for t in titles}
    if len(results) > 1:
        return {title: _row(of_title, len(results)) for title, of_title in rows.items()}
    runs = next(iter(results.values()))["meta"]["runs"]
    return {title: _one_row(row, len(runs[title]["subjects"])) for title, (row,) in rows.items()}


def _one_row(row: Mapping[str, Any], subjects: int) -> Row:
    """A row of the only seed, as its own report has it."""

    def read(name: str, measure: str) -> Statistic | None:
        if row[name][f"{measure}_mean"] is None:
            return None
        count = row[name].get(f"{measure}_subjects", subjects)
        return Statistic(row[name][f"{measure}_mean"], row[name][f"{measure}_std"], count, subjects)

    return Row(
        dice={name: read(name, "dice") for name in row},
        asd={name: read(name, "asd") for name in row},
        subjects={},
    )


def _row(rows: list[Mapping[str, Any]], seeds: int) -> Row:
    def over_seeds(name: str, measure: str) -> Statistic | None:
        cells = [row[name] for row in rows if row[name][f"{measure}_mean"] is not None]
        if not cells:
            return None
        means = [cell[f"{measure}_mean"] for cell in cells]
        return Statistic(float(np.mean(means)), float(np.std(means)), len(means), seeds)

    return Row(
        dice={name: over_seeds(name, "dice") for name in rows[0]},
        asd={name: over_seeds(name, "asd") for name in rows[0]},
        subjects={},
    )


@dataclass(frozen=True)
class Gain:
    """What a row's method is worth, in points of mean Dice [%]; one value per seed, None without.

    Attributes:
      title: of the row.
      dice: mean Dice.
      above_adabn: its distance from AdaBN at the same depth, from the usual source model.
      share: of the way from noDA to `full`, 1 being all.
      above_own_adabn: its distance from AdaBN at the same depth, from its own source model.
      above_own_start: its distance from its own source model without adaptation.
      full: row of the segmenter fine-tuned on target labels.
    """

    title: str
    dice: list[float | None]
    above_adabn: list[float | None]
    share: list[float | None]
    above_own_adabn: list[float | None]
    above_own_start: list[float | None]
    full: str = "Seg-CT-STL"

    def __str__(self) -> str:
        def show(values: list[float | None], form: str) -> str:
            known = [v for v in values if v is not None]
            if not known:
                return "N/A"
            spread = f" ({min(known):{form}} to {max(known):{form}})" if len(known) > 1 else ""
            return f"{np.mean(known):{form}}{spread}"

        told = (
            f"{self.title}: {show(self.above_adabn, '+.1f')} points above AdaBN at its depth, "
            f"{show(self.share, '.0%')} of the way from noDA to {self.full}"
        )
        if self.above_own_adabn == self.above_adabn:
            return told
        return (
            f"{told}; {show(self.above_own_start, '+.1f')} above its own source model without "
            f"adaptation, {show(self.above_own_adabn, '+.1f')} above AdaBN from that"
        )


def gains(results: Mapping[int, Mapping[str, Any]]) -> list[Gain]:
    """The gains of all rows that adapt with a depth, in the order of the first seed's report.

    Args:
      results: `results.json` of each seed's report; its `meta.runs` tells phase, depth, run and
        origin of each row.
    """
    titles = dict.fromkeys(
        title
        for result in results.values()
        for title, run in result["meta"]["runs"].items()
        if run["depth"] is not None and run["phase"] != "adabn"
    )
    full = _full(results)
    found = {title: [_gain(title, full, r) for r in results.values()] for title in titles}
    return [Gain(title, *map(list, zip(*values)), full) for title, values in found.items()]


def _full(results: Mapping[int, Mapping[str, Any]]) -> str:
    """The usual row of the segmenter fine-tuned on target labels: Seg-CT-STL, or of what modality."""
    titles = [title for result in results.values() for title in result["rows"]]
    return next((t for t in titles if re.fullmatch(r"Seg-\w+-STL", t)), Gain.full)


def _gain(title: str, full: str, result: Mapping[str, Any]) -> tuple[float | None, ...]:
    """One row's gain in one seed's result, as the fields of `Gain`."""
    dice = {name: mean_dice(row) for name, row in result["rows"].items()}
    runs, own = result["meta"]["runs"], dice.get(title)
    if own is None:
        return (None,) * 5

    def above(baseline: float | None) -> float | None:
        return None if baseline is None else own - baseline

    depth, start = runs[title]["depth"], _source_model(title, runs)
    own_start, own_adabn = None, None
    for name, run in runs.items():
        if run["run"] == start and name.startswith("noDA"):
            own_start = dice[name]
        if (run["phase"], run["depth"], _source_model(name, runs)) == ("adabn", depth, start):
            own_adabn = dice[name]
    low, high = dice.get("noDA"), dice.get(full)
    known = low is not None and high is not None and high > low
    share = (own - low) / (high - low) if known else None
    return own, above(dice.get(f"AdaBN d={depth}")), share, above(own_adabn), above(own_start)


def _source_model(title: str, runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The run of the source model that a row's run comes from, however many runs lie between."""
    by_run = {run["run"]: run for run in runs.values()}
    run = runs[title]
    while run.get("origin") in by_run:
        run = by_run[run["origin"]]
    return run.get("origin") or run["run"]


def regrets(results: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """A sentence for each row chosen among snapshots: how far from the best one, over seeds."""
    found: dict[tuple[str, str], list[float]] = {}
    for result in results.values():
        for title, choice in result.get("selection", {}).items():
            found.setdefault((title, choice["criterion"]), []).append(choice["regret"])
    return [
        f"{title}: the snapshot chosen by `{criterion}` is {np.mean(values):.1f} "
        f"({min(values):.1f} to {max(values):.1f}) Dice below the best one, measured on test "
        "labels after the fact"
        for (title, criterion), values in found.items()
    ]


def mean_dice(row: Mapping[str, Mapping[str, float | None]]) -> float | None:
    """Mean Dice [%] over a row's structures that have one; None if none has."""
    known = [v["dice_mean"] for v in row.values() if v["dice_mean"] is not None]
    return float(np.mean(known)) if known else None


def depth_curves(results: Mapping[int, Mapping[str, Any]]) -> dict[str, dict[int, list[float]]]:
    """Method to depth to the mean Dice [%] of each seed, of the runs that have the usual name.

    Methods are called as usual, whatever titles their rows have.
    """
    curves: dict[str, dict[int, list[float]]] = {}
    for result in results.values():
        for title, run in result["meta"]["runs"].items():
            dice, depth = mean_dice(result["rows"][title]), run["depth"]
            usual = depth is not None and run["run"] == f"{run['phase']}_d{depth}"
            if usual and dice is not None:
                by_depth = curves.setdefault(ADAPTED[run["phase"]], {})
                by_depth.setdefault(depth, []).append(dice)
    return curves


def across(results: Mapping[int, Mapping[str, Any]]) -> dict[str, float]:
    """Mean Dice [%] over seeds of the rows without a depth that bound the curves."""
    found = {}
    for title in ("noDA", _full(results)):
        dice = [mean_dice(r["rows"][title]) for r in results.values() if title in r["rows"]]
        if known := [d for d in dice if d is not None]:
            found[title] = float(np.mean(known))
    return found
