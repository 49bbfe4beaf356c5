"""`python -m cmda_tf.reproduce --flagfile=flags/phantom.cfg`: every row of Table 1 in one go.

Each row is a run of `cmda_tf.train`, made in a process of its own from the flags given here and
those of the row's flagfile (`flags/rows`). Runs that are finished are not made again, so the same
command goes on after a stop. Every seed gets a folder with runs and report under `--out`; the
report over all seeds is written beside them: `table.md`, `table.csv`, `results.json`.
"""

import datetime
import platform
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmda_tf import __version__, cli
from cmda_tf.errors import UsageError
from cmda_tf.files import read_json
from cmda_tf.options import Options, setting
from cmda_tf.reproduction.jobs import run_jobs
from cmda_tf.reproduction.plan import OUR_ROWS, PAPER_ROWS, Step, make_plan, seed_jobs, with_seed
from cmda_tf.settings import AdaptSettings, PhaseSettings, SelfTrainSettings, SourceSettings


@dataclass(frozen=True)
class ReproduceSettings(Options):
    """The flags of `python -m cmda_tf.reproduce`, besides those of `cmda_tf.train`."""

    rows: tuple[str, ...] = setting(
        (),
        "Rows to make: names of flagfiles in --rows_folder. Default: those of the paper, on the "
        "phantom ours as well.",
    )
    rows_folder: str = setting("flags/rows", "Folder of the rows' flagfiles.")
    depths: tuple[int, ...] = setting((), "More depths for AdaBN and UDA.")
    seeds: tuple[int, ...] = setting((0,), "Seeds of training, and of the phantom if it is used.")
    workers: int = setting(1, "Runs at the same time; see --threads.", minimum=1)
    out: str = setting("runs/reproduce", "Folder for everything.")
    dry_run: bool = setting(False, "Print the plan with estimated time and memory, and stop.")


def main(settings: ReproduceSettings, *phases: PhaseSettings) -> None:
    """Plans, runs, evaluates and reports."""
    if not settings.seeds:
        raise UsageError("--seeds: expected at least one, found none")
    # What several phases share is one flag, however many of them state it.
    base = list(dict.fromkeys(flag for phase in phases for flag in phase.to_flags()))
    on_phantom = phases[0].prepared is None
    rows = settings.rows or PAPER_ROWS + (OUR_ROWS if on_phantom else ())
    plan = make_plan(base, settings.rows_folder, rows, settings.depths)
    folders = {seed: Path(settings.out) / f"seed{seed}" for seed in settings.seeds}
    steps = {seed: [with_seed(s, seed, folders[seed]) for s in plan] for seed in settings.seeds}
    if settings.dry_run:
        return _show_plan(steps)
    jobs = [job for seed in settings.seeds for job in seed_jobs(steps[seed], folders[seed])]
    run_jobs(jobs, settings.workers)
    _report(settings, {seed: read_json(f / "results.json") for seed, f in folders.items()})


def _show_plan(steps: dict[int, list[Step]]) -> None:
    """Prints every command with its estimate."""
    from cmda_tf.reproduction.estimate import estimate, measured_throughput
    from cmda_tf.reproduction.sizes import slice_size

    speed, total, costs = measured_throughput(), 0.0, {}
    for plan in steps.values():
        for step in plan:
            size = slice_size(step.settings)
            if step.row not in costs:
                costs[step.row] = estimate(step, size)
            cost = costs[step.row]
            seconds = 0.0 if step.finished else cost.flop / speed
            total += seconds
            print(
                f"{'finished' if step.finished else _duration(seconds):>10s}"
                f"  {cost.memory / 2**30:5.1f} GiB  "
                + shlex.join(["python", "-m", "cmda_tf.train", *step.arguments])
            )
    print(
        f"{_duration(total):>10s}  in all, on {size}x{size} slices, at the {speed / 1e9:.0f} "
        "GFLOP/s measured here in a 3x3 convolution; evaluation comes on top"
    )


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"


def _report(settings: ReproduceSettings, results: dict[int, dict[str, Any]]) -> None:
    """Writes and prints the report over seeds."""
    from cmda_tf.evaluation.paper import TABLE_1
    from cmda_tf.evaluation.report import Report, write_report
    from cmda_tf.figures.canvas import save
    from cmda_tf.figures.depths import draw_depths
    from cmda_tf.reproduction.seeds import across, combine, depth_curves, gains

    first = next(iter(results.values()))
    meta = {
        "command": shlex.join(["python", "-m", "cmda_tf.reproduce", *sys.argv[1:]]),
        "seeds": list(results),
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()} {platform.system()}, Python {platform.python_version()}",
        "versions": {**first["meta"]["versions"], "cmda_tf": __version__},
        "size": first["meta"]["size"],
        "spacing_mm": first["meta"]["spacing_mm"],
        "std": "population standard deviation over seeds of each seed's mean over test subjects",
    }
    found = gains(results)
    spread = f"Mean ± {meta['std']}; seeds {', '.join(map(str, results))}."
    published = "(paper): MM-WHS at 256x256, mean ± std over its four test subjects."
    notes = [spread, published, *map(str, found)]
    details = {"gains": [vars(gain) for gain in found], "by_seed": results}
    report = Report(combine(results), meta, TABLE_1, notes=notes, details=details)
    out = Path(settings.out)
    write_report(report, out)
    if curves := depth_curves(results):
        save(draw_depths(curves, across(results)), out / "depths")
    print(f"\n{report.to_text()}\nwritten to {out}")


if __name__ == "__main__":
    cli.run(main, ReproduceSettings, SourceSettings, AdaptSettings, SelfTrainSettings)
