"""`python -m cmda_tf.reproduce --flagfile=flags/phantom.cfg`: every row of Table 1 in one go.

Each row is a run of `cmda_tf.train`, made in a process of its own from the flags given here and
those of the row's flagfile (`flags/rows`). Runs that are finished are not made again, so the same
command goes on after a stop. Every seed gets a folder with runs and report under `--out`; the
report over all seeds (`reproduction/report.py`) is written beside them, or to `--report`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from cmda_tf import cli
from cmda_tf.errors import UsageError
from cmda_tf.reproduction import plan as planning
from cmda_tf.reproduction.jobs import run_jobs
from cmda_tf.settings import Settings, setting
from cmda_tf.training.phases import PHASES, Phase


@dataclass(frozen=True)
class ReproduceSettings(Settings):
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


def main(settings: ReproduceSettings, *phases: Phase) -> None:
    """Plans, runs, evaluates and reports."""
    if not settings.seeds or len(set(settings.seeds)) < len(settings.seeds):
        raise UsageError(f"seeds: expected at least one, and each once; found {settings.seeds}")
    shared = phases[0]
    for name, value in (("seed", shared.compute.seed), ("phantom_seed", shared.data.phantom_seed)):
        if value:
            raise UsageError(f"{name}: this command takes its seeds from --seeds")
    on_phantom = shared.data.phantom is not None
    # What several phases share is one flag, however many of them state it.
    base = list(dict.fromkeys(flag for phase in phases for flag in phase.to_flags()))
    rows = settings.rows or planning.PAPER_ROWS + (planning.OUR_ROWS if on_phantom else ())
    rows_folder = cli.packaged(settings.rows_folder)
    plan = planning.make_plan(base, rows_folder, rows, settings.depths)
    folders = {seed: Path(settings.out) / f"seed{seed}" for seed in settings.seeds}
    steps = {s: [planning.with_seed(x, s, runs) for x in plan] for s, runs in folders.items()}
    for of_seed in steps.values():
        planning.check_finished(of_seed)
    if settings.dry_run:
        from cmda_tf.reproduction.estimate import describe_plan
        from cmda_tf.threads import limit_threads

        limit_threads(shared.compute.threads)
        print("\n".join(describe_plan(steps, settings.workers, shared.compute.threads)))
        return
    jobs = [job for s, runs in folders.items() for job in planning.seed_jobs(steps[s], runs)]
    run_jobs(jobs, settings.workers)
    from cmda_tf.reproduction.report import write_seeds_report

    out = Path(settings.report or settings.out)
    command = ["python", "-m", "cmda_tf.reproduce", *sys.argv[1:]]
    report = write_seeds_report(out, command, folders, plan)
    print(f"\n{report.to_text()}\nwritten to {out}")


if __name__ == "__main__":
    cli.run(main, ReproduceSettings, *PHASES.values())
