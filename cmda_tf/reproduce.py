"""`python -m cmda_tf.reproduce --flagfile=flags/phantom.cfg`: every row of Table 1 in one go.

Each row is a run of `cmda_tf.train`, made in a process of its own from the flags given here and
those of the row's flagfile (`flags/rows`). Runs that are finished are not made again, so the same
command goes on after a stop. Every seed gets a folder with runs and report under `--out`; the
report over all seeds (`reproduction/report.py`) is written beside them, or to `--report`.
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from cmda_tf import cli
from cmda_tf.errors import UsageError
from cmda_tf.files import read_json
from cmda_tf.old_settings import AdaptSettings, PhaseSettings, SelfTrainSettings, SourceSettings
from cmda_tf.reproduction.jobs import run_jobs
from cmda_tf.reproduction.plan import (
    OUR_ROWS,
    PAPER_ROWS,
    RESULTS,
    Step,
    check_finished,
    make_plan,
    seed_jobs,
    with_seed,
)
from cmda_tf.settings import Options, setting


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
    report: str | None = setting(None, "Folder for the report over seeds. Default: that of --out.")
    dry_run: bool = setting(False, "Print the plan with estimated time and memory, and stop.")


def main(settings: ReproduceSettings, *phases: PhaseSettings) -> None:
    """Plans, runs, evaluates and reports."""
    if not settings.seeds or len(set(settings.seeds)) < len(settings.seeds):
        raise UsageError(f"--seeds: expected at least one, and each once; found {settings.seeds}")
    for name in ("seed", "phantom_seed"):
        if getattr(phases[0], name):
            raise UsageError(f"--{name}: this command takes its seeds from --seeds")
    # What several phases share is one flag, however many of them state it.
    base = list(dict.fromkeys(flag for phase in phases for flag in phase.to_flags()))
    on_phantom = phases[0].prepared is None
    rows = settings.rows or PAPER_ROWS + (OUR_ROWS if on_phantom else ())
    plan = make_plan(base, settings.rows_folder, rows, settings.depths)
    folders = {seed: Path(settings.out) / f"seed{seed}" for seed in settings.seeds}
    steps = {seed: [with_seed(s, seed, folders[seed]) for s in plan] for seed in settings.seeds}
    for seed in settings.seeds:
        check_finished(steps[seed])
    if settings.dry_run:
        return _show_plan(steps, settings.workers, phases[0].threads)
    jobs = [job for seed in settings.seeds for job in seed_jobs(steps[seed], folders[seed])]
    run_jobs(jobs, settings.workers)
    _report(settings, folders, plan)


def _report(settings: ReproduceSettings, folders: dict[int, Path], plan: list[Step]) -> None:
    """Writes the report over seeds and prints its table."""
    from cmda_tf.reproduction.report import write_seeds_report

    out = Path(settings.report or settings.out)
    command = ["python", "-m", "cmda_tf.reproduce", *sys.argv[1:]]
    results = {seed: read_json(f / RESULTS) for seed, f in folders.items()}
    report = write_seeds_report(out, command, results, folders, plan)
    print(f"\n{report.to_text()}\nwritten to {out}")


def _show_plan(steps: dict[int, list[Step]], workers: int, threads: int) -> None:
    """Prints every command with its estimate."""
    from cmda_tf.reproduction.estimate import estimate, measured_throughput, side_by_side
    from cmda_tf.reproduction.sizes import slice_size
    from cmda_tf.training.setup import limit_threads

    limit_threads(threads)
    speed, total, costs, memory = measured_throughput(), 0.0, {}, []
    for plan in steps.values():
        for step in plan:
            size = slice_size(step.settings)
            if step.row not in costs:
                costs[step.row] = estimate(step, size)
            cost = costs[step.row]
            seconds = 0.0 if step.finished else cost.flop / speed
            total += seconds
            memory += [] if step.finished else [cost.memory]
            print(
                f"{'finished' if step.finished else _duration(seconds):>10s}"
                f"  {cost.memory / 2**30:5.1f} GiB  "
                + shlex.join(["python", "-m", "cmda_tf.train", *step.arguments])
            )
    most = sum(sorted(memory)[-workers:])
    total /= side_by_side(workers, threads)
    print(
        f"{_duration(total):>10s}  {most / 2**30:5.1f} GiB  in all, "
        f"--workers={workers} at a time, on {size}x{size} slices, at the {speed / 1e9:.0f} GFLOP/s "
        "measured here in a 3x3 convolution; evaluation comes on top"
    )


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"


if __name__ == "__main__":
    cli.run(main, ReproduceSettings, SourceSettings, AdaptSettings, SelfTrainSettings)
