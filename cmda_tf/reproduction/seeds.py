"""One report from the reports of several seeds: means over seeds, gaps, shares of the way."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmda_tf.evaluation.scores import Row, Statistic


def combine(results: Mapping[int, Mapping[str, Any]]) -> dict[str, Row]:
    """Rows over seeds.

    Args:
      results: `results.json` of each seed's report.

    Returns:
      Row by title, in the order of the first seed's report. A statistic's mean is that of the
      seeds' means, its std their population standard deviation; subjects' spread is not in it.
    """
    titles = list(dict.fromkeys(t for r in results.values() for t in r["rows"]))
    return {title: _row([r["rows"].get(title) for r in results.values()]) for title in titles}


def _row(rows: list[Mapping[str, Any] | None]) -> Row:
    def over_seeds(name: str, measure: str) -> Statistic | None:
        values = [row[name][measure] for row in rows if row and row[name][measure] is not None]
        if not values:
            return None
        return Statistic(float(np.mean(values)), float(np.std(values)), len(values), len(rows))

    names = next(row for row in rows if row)
    return Row(
        dice={name: over_seeds(name, "dice_mean") for name in names},
        asd={name: over_seeds(name, "asd_mean") for name in names},
        subjects={},
    )


@dataclass(frozen=True)
class Gain:
    """What a row's method is worth, in points of mean Dice [%].

    Attributes:
      title: of the row.
      dice: mean Dice of each seed.
      above_adabn: its distance from AdaBN at the same depth, for each seed; nan without one.
      share: of the way from noDA to Seg-CT-STL, for each seed, 1 being all; nan without them.
    """

    title: str
    dice: list[float]
    above_adabn: list[float]
    share: list[float]

    def __str__(self) -> str:
        def show(values: list[float], form: str) -> str:
            known = [v for v in values if not math.isnan(v)]
            if not known:
                return "N/A"
            spread = f" ({min(known):{form}} to {max(known):{form}})" if len(known) > 1 else ""
            return f"{np.mean(known):{form}}{spread}"

        return (
            f"{self.title}: {show(self.above_adabn, '+.1f')} points above AdaBN at its depth, "
            f"{show(self.share, '.0%')} of the way from noDA to Seg-CT-STL"
        )


def gains(results: Mapping[int, Mapping[str, Any]]) -> list[Gain]:
    """The gains of all rows that adapt with a depth, in the order of the first seed's report.

    Args:
      results: `results.json` of each seed's report; its `meta.runs` tells phase and depth.
    """
    titles = dict.fromkeys(
        title
        for result in results.values()
        for title, run in result["meta"]["runs"].items()
        if run["depth"] is not None and run["phase"] != "adabn"
    )
    return [_gain(title, list(results.values())) for title in titles]


def _gain(title: str, results: list[Mapping[str, Any]]) -> Gain:
    """One row's gain in each seed's result."""
    found = {"dice": [], "above_adabn": [], "share": []}
    for result in results:
        dice = {name: mean_dice(row) for name, row in result["rows"].items()}
        own = dice.get(title, math.nan)
        depth = result["meta"]["runs"].get(title, {}).get("depth")
        # The usual baseline, also where a row starts from another source model.
        baseline = dice.get(f"AdaBN d={depth}", math.nan)
        start, goal = dice.get("noDA", math.nan), dice.get("Seg-CT-STL", math.nan)
        way = goal - start
        found["dice"].append(own)
        found["above_adabn"].append(own - baseline)
        found["share"].append((own - start) / way if way > 0 else math.nan)
    return Gain(title, **found)


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


def mean_dice(row: Mapping[str, Mapping[str, float | None]]) -> float:
    """Mean Dice [%] over a row's structures that have one; nan if none has."""
    known = [v["dice_mean"] for v in row.values() if v["dice_mean"] is not None]
    return float(np.mean(known)) if known else math.nan


def depth_curves(results: Mapping[int, Mapping[str, Any]]) -> dict[str, dict[int, list[float]]]:
    """Method to depth to the mean Dice [%] of each seed, of the rows with a usual title."""
    curves: dict[str, dict[int, list[float]]] = {}
    for result in results.values():
        for title in result["meta"]["runs"]:
            kind, _, depth = title.partition(" d=")
            if depth.isdigit() and title in result["rows"]:
                dice = mean_dice(result["rows"][title])
                curves.setdefault(kind, {}).setdefault(int(depth), []).append(dice)
    return curves


def across(results: Mapping[int, Mapping[str, Any]]) -> dict[str, float]:
    """Mean Dice [%] over seeds of the rows without a depth that bound the curves."""
    found = {}
    for title in ("noDA", "Seg-CT-STL"):
        dice = [mean_dice(r["rows"][title]) for r in results.values() if title in r["rows"]]
        if dice:
            found[title] = float(np.mean(dice))
    return found
