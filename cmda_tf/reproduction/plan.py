"""The plan of a reproduction: which runs, in which order, by which commands."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from absl import flags

from cmda_tf.cli import chosen_phase, read_flagfiles
from cmda_tf.datasets import open_dataset
from cmda_tf.errors import MALFORMED, DataError, UsageError
from cmda_tf.evaluation.settings import EvaluateSettings
from cmda_tf.files import read_json
from cmda_tf.reproduction.jobs import Job
from cmda_tf.runs.record import RunRecord, RunSettings, read_record
from cmda_tf.runs.run import WEIGHTS
from cmda_tf.settings import define_flags
from cmda_tf.training.phases import PHASES, AdabnPhase, AdaptPhase, Phase

RESULTS = "results.json"  # of a seed's report

PAPER_ROWS = (
    *("seg_mri", "seg_ct", "seg_ct_stl"),
    *("adabn_d13", "adabn_d21", "adabn_d31"),
    *("uda_d13", "uda_d21", "uda_d31"),
)
OUR_ROWS = (  # their schedules are the phantom's
    *("uda_one_level", "uda_tuned"),
    *("plus_source", "plus_adabn", "plus_uda", "plus_selftrain"),
)


@dataclass(frozen=True)
class Step:
    """One run of the plan: the name of its flagfile, the settings of its phase."""

    row: str
    settings: Phase

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.settings.folder.name

    @property
    def arguments(self) -> list[str]:
        """The arguments of `python -m cmda_tf.train` that make this run."""
        return [f"--phase={self.settings.name}", *self.settings.to_flags()]

    @property
    def command(self) -> list[str]:
        """What one types to make this run, as words."""
        return ["python", "-m", "cmda_tf.train", *self.arguments]

    @property
    def made(self) -> float:
        """When the file was written that is written last; infinity if it is not there yet."""
        path = self.settings.folder / WEIGHTS
        return path.stat().st_mtime if path.is_file() else math.inf

    @property
    def finished(self) -> bool:
        """Whether the run is there already."""
        return self.made < math.inf


def make_plan(
    base: Sequence[str], folder: str | Path, rows: Sequence[str], depths: Sequence[int]
) -> list[Step]:
    """The steps for these rows, a run's origin before it.

    Args:
      base: flags that all rows share, such as those of `flags/phantom.cfg`; a row's own win.
      folder: of the rows' flagfiles, `flags/rows`; `rows` are their names without `.cfg`.
      depths: more depths for AdaBN and UDA, besides those that rows have.

    UsageError: a row's flags are illegal, two rows make one run, or rows wait for each other.
    """
    for path in (Path(folder) / f"{row}.cfg" for row in rows):
        if not path.is_file():
            there = ", ".join(sorted(p.stem for p in Path(folder).glob("*.cfg"))) or "none"
            raise DataError(f"{path}: no such flagfile; rows there: {there}")
    steps = [_step(row, base, [f"--flagfile={Path(folder) / row}.cfg"]) for row in rows]
    present = {step.name for step in steps}
    for depth in depths:
        for phase, kind in ((AdabnPhase.name, "adabn"), (AdaptPhase.name, "uda")):
            if f"{phase}_d{depth}" not in present:
                words = [f"--phase={phase}", f"--depth={depth}"]
                steps.append(_step(f"{kind}_d{depth}", base, words))
    titles = [step.settings.run.title for step in steps if step.settings.run.title]
    for what, names in (("run", [step.name for step in steps]), ("title", titles)):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"rows: more than one row makes the {what} {twice[0]!r}")
    return _ordered(steps)


def with_seed(step: Step, seed: int, runs: Path) -> Step:
    """The same step for one seed: of training, and of the phantom where that is used."""
    changes: dict[str, Any] = {"seed": seed, "runs": str(runs)}
    if step.settings.data.phantom is not None:
        changes["phantom_seed"] = seed
    return dataclasses.replace(step, settings=step.settings.changed(**changes))


def check_finished(steps: Sequence[Step]) -> None:
    """Refuses finished runs of other flags, data or start, and those whose start has changed: a
    UsageError names the run and the first setting that differs."""
    by_name = {step.name: step for step in steps}
    for step in filter(lambda step: step.finished, steps):
        folder = step.settings.folder
        before, now = _before(step, read_record(folder)), _recorded(step)
        for name in ("phase", *sorted(now)):
            if before.get(name) != now[name]:
                raise UsageError(
                    f"{folder} was made with {name}={before.get(name)!r}, now it is "
                    f"{now[name]!r}; remove it, or choose another folder for the study"
                )
        init = by_name.get(str(step.settings.init_from))
        if init and init.made > step.made:
            name = init.name
            start = f"an older {name}" if init.finished else f"a {name} that is not there any more"
            raise UsageError(f"{folder} started from {start}; remove it")


def _before(step: Step, record: RunRecord) -> dict[str, Any]:
    """Of a finished run's record what `_recorded` says of a step."""
    values: dict[str, Any] = {"phase": record.phase}
    if record.phase == step.settings.name:  # else no other setting matters
        values |= type(step.settings).from_dict(record.settings).deciding()
    init = record.inputs.init_from and Path(record.inputs.init_from).name  # wherever runs lie
    facts = {"title": record.part(RunSettings).title, "init_from": init}
    return {**values, **facts, "prepared_sha256": record.inputs.prepared_sha256}


def _recorded(step: Step) -> dict[str, Any]:
    """Phase, settings, start and data of a step; without the data if it is not there yet."""
    settings, data = step.settings, step.settings.data
    values: dict[str, Any] = {"phase": settings.name, **settings.deciding()}
    values |= {"title": settings.run.title, "init_from": step.settings.init_from}
    prepared = data.phantom.prepared if data.phantom else Path(data.prepared or "")
    if prepared.is_dir():
        values["prepared_sha256"] = open_dataset(prepared).checksum()
    return values


def seed_jobs(steps: Sequence[Step], folder: Path) -> list[Job]:
    """What is to be done for one seed, whose folder it is: the phantom, the runs that are missing
    of steps of `with_seed`, the report."""

    def job(name: str, module: str, arguments: Sequence[str], needs: Iterable[str]) -> Job:
        own = {f"{folder.name}/{need}" for need in needs}
        log = folder / "logs" / f"{name.split(' ')[-1]}.log"
        return Job(f"{folder.name}/{name}", module, tuple(arguments), frozenset(own), log)

    jobs, missing = [], [step for step in steps if not step.finished]
    if missing and (phantom := missing[0].settings.data.phantom):
        # Jobs of their own: two trainings that start at once would both make it.
        jobs.append(job("phantom", "cmda_tf.phantom", phantom.write_flags, ()))
        jobs.append(job("prepare", "cmda_tf.prepare", phantom.prepare_flags, ["phantom"]))
    for step in missing:
        init = step.settings.init_from
        needs = ["prepare", f"run {init}"] if init else ["prepare"]
        jobs.append(job(f"run {step.name}", "cmda_tf.train", step.arguments, needs))
    if not _reported(steps, folder):
        names, threads = tuple(step.name for step in steps), steps[0].settings.compute.threads
        settings = EvaluateSettings(str(folder), names, published=True, threads=threads)
        needs = [f"run {name}" for name in names]
        jobs.append(job("report", "cmda_tf.evaluate", settings.to_flags(), needs))

    def waiting(job: Job) -> int:
        return 1 + max((waiting(other) for other in jobs if job.name in other.needs), default=0)

    # First those for which the longest chains wait: else one worker would go through such a chain
    # at the end while the others have nothing to do.
    return sorted(jobs, key=waiting, reverse=True)


def _reported(steps: Sequence[Step], folder: Path) -> bool:
    """Whether all runs are finished and the seed's report is younger than any of them."""
    report = folder / RESULTS
    if not report.is_file():
        return False
    results = read_json(report)
    try:
        reported = {row["run"] for row in results["rows"].values()}
    except MALFORMED as error:
        raise DataError(f"{report}: expected the results of a seed ({error!r})") from error
    newer = all(step.made < report.stat().st_mtime for step in steps)
    return newer and {step.name for step in steps} == reported


def _step(row: str, base: Sequence[str], words: Sequence[str]) -> Step:
    """Reads a row's flags as `cmda_tf.train` would; its own are to be those of its phase."""
    values = flags.FlagValues()
    define_flags(*PHASES.values(), flag_values=values)
    flags.DEFINE_string("phase", None, "", flag_values=values)
    try:
        own = read_flagfiles(words)
        values(["row", *read_flagfiles(base), *own])
        settings = cast(Phase, chosen_phase(PHASES, own, values))
    except (flags.Error, UsageError) as error:
        raise UsageError(f"row {row}: {str(error).splitlines()[0]}") from error
    return Step(row, settings)


def _ordered(steps: list[Step]) -> list[Step]:
    """The steps in their order, each moved behind the one it starts from."""
    ordered, waiting = [], list(steps)
    while waiting:
        pending = {step.name for step in waiting}
        ready = next((s for s in waiting if s.settings.init_from not in pending), None)
        if ready is None:
            raise UsageError(f"rows: {waiting[0].row} waits for itself")
        ordered.append(ready)
        waiting.remove(ready)
    return ordered
