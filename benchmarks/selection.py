"""How well does each label-free criterion order snapshots? Measured with target test labels.

    python benchmarks/selection.py --folders=runs/adapt_d13,runs/adapt_d21

For every criterion: Spearman's correlation with mean Dice over a run's snapshots, and the regret,
the points of Dice between the best snapshot and the chosen one; for each run, and their means.
Where `cmda_tf.evaluate` has measured a run's snapshots since, its numbers are taken.
Choose a default on other phantom seeds than the reported ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmda_tf import cli
from cmda_tf.errors import UsageError
from cmda_tf.files import read_json, write_json
from cmda_tf.model_selection.criteria import CRITERIA, best
from cmda_tf.runs.run import WEIGHTS
from cmda_tf.settings import Settings, setting

Values = Mapping[int, float | None]  # of a criterion, by joint update


@dataclass(frozen=True)
class BenchmarkSettings(Settings):
    """Which runs to measure."""

    folders: tuple[str, ...] = setting((), "Folders of finished adaptations with snapshots.")
    prepared: str | None = setting(None, "Prepared data. Default: what each run was trained on.")
    out: str = setting("build/selection.json", "Where all values go, for further study.")


def main(settings: BenchmarkSettings) -> None:
    """Measures and prints."""
    if not settings.folders:
        raise UsageError("folders: expected folders of finished adaptations, found none")
    measured = {folder: measure(folder, settings.prepared) for folder in settings.folders}
    write_json(Path(settings.out), measured)
    for folder, record in measured.items():
        dice = record["dice"]
        print(f"\n{folder}: Dice " + ", ".join(f"{u}: {d:.1f}" for u, d in dice.items()))
        _print(record["criteria"])
    print(f"\nmeans over {len(measured)} runs")
    _print({name: _means([r["criteria"][name] for r in measured.values()]) for name in CRITERIA})
    print(f"written to {settings.out}")


def measure(folder: str, prepared: str | None) -> dict[str, Any]:
    """Dice and criteria of all snapshots of a run, JSON-ready."""
    from cmda_tf.datasets import open_dataset
    from cmda_tf.evaluation.oracle_gap import measure_snapshots
    from cmda_tf.model_selection.choice import complete, read_selection, score_again
    from cmda_tf.runs.run import finished_run

    run = finished_run(folder, "adapt")
    dataset = open_dataset(prepared or run.record.inputs.prepared_folder)
    selection = read_selection(run)
    if not complete(selection):
        selection = score_again(run, dataset)
    dice = reported(run) or measure_snapshots(run, dataset)
    criteria = {}
    for name in CRITERIA:
        values = selection.values(name)
        criteria[name] = {
            "values": {str(update): value for update, value in values.items()},
            "rank_correlation": rank_correlation(values, dice),
            "regret": regret(values, dice),
        }
    return {"dice": {str(u): d for u, d in dice.items()}, "criteria": criteria}


def rank_correlation(values: Values, dice: Mapping[int, float]) -> float | None:
    """Spearman's correlation of a criterion with Dice over snapshots; None if fewer than three
    snapshots have a value, or all the same one."""
    from scipy.stats import spearmanr

    known = [(value, dice[update]) for update, value in values.items() if value is not None]
    if len(known) < 3 or any(len(set(column)) == 1 for column in zip(*known)):
        return None
    return float(spearmanr(*zip(*known)).statistic)


def regret(values: Values, dice: Mapping[int, float]) -> float | None:
    """Points of Dice between the best snapshot and the one a criterion chooses; None for none."""
    chosen = best(values)
    return None if chosen is None else max(dice.values()) - dice[chosen]


def reported(run: Any) -> dict[int, float] | None:
    """Dice of a run's snapshots as `cmda_tf.evaluate` has measured them since; else None."""
    from cmda_tf.runs.weights import find_snapshots

    path = run.folder.parent / "results.json"
    if not path.is_file() or path.stat().st_mtime < (run.folder / WEIGHTS).stat().st_mtime:
        return None
    gap = read_json(path)["selection"].get(run.folder.name, {})
    dice = {int(u): d for u, d in gap.get("dice_by_joint_update", {}).items()}
    return dice if dice.keys() == {s.update for s in find_snapshots(run.folder)} else None


def _means(records: list[dict[str, Any]]) -> dict[str, float | None]:
    means = {}
    for key in ("rank_correlation", "regret"):
        known = [r[key] for r in records if r[key] is not None]
        means[key] = sum(known) / len(known) if known else None
    return means


def _print(records: dict[str, dict[str, Any]]) -> None:
    print(f"{'criterion':<22}  Spearman  regret [Dice]")
    for name, record in records.items():
        values = [record["rank_correlation"], record["regret"]]
        texts = ["N/A" if v is None else f"{v:.2f}" for v in values]
        print(f"{name:<22}  {texts[0]:>8}  {texts[1]:>13}")


if __name__ == "__main__":
    cli.run(main, BenchmarkSettings)
