"""The plan of a reproduction: which runs, in which order, by which commands."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags

from cmda_tf.errors import DataError, UsageError
from cmda_tf.evaluate import EvaluateSettings
from cmda_tf.files import read_json
from cmda_tf.old_settings import PhaseSettings
from cmda_tf.release2018.dataset import checksum, open_dataset
from cmda_tf.reproduction.jobs import Job
from cmda_tf.runs.naming import (
    FREE,
    PHANTOM_SIZE,
    PHANTOM_SPACING_MM,
    PHANTOM_SUBJECTS,
    PHASES,
    WEIGHTS,
    origin_name,
    phantom_folders,
    read_record,
    run_name,
)
from cmda_tf.settings import define_flags, from_flags
from cmda_tf.train import PhaseChoice

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
    """One run of the plan.

    Attributes:
      row: name of its flagfile.
      phase: of `cmda_tf.train`.
      settings: of the phase.
      name: of the run's folder.
      origin: name of the run it starts from, if any.
    """

    row: str
    phase: str
    settings: PhaseSettings
    name: str
    origin: str | None

    @property
    def arguments(self) -> list[str]:
        """The arguments of `python -m cmda_tf.train` that make this run."""
        return [f"--phase={self.phase}", *self.settings.to_flags()]

    @property
    def weights(self) -> Path:
        """The file that a run writes last."""
        return Path(self.settings.runs) / self.name / WEIGHTS

    @property
    def finished(self) -> bool:
        """Whether the run is there already."""
        return self.weights.is_file()


def make_plan(
    base: Sequence[str], folder: str | Path, rows: Sequence[str], depths: Sequence[int]
) -> list[Step]:
    """The steps for these rows, a run's origin before it.

    Args:
      base: flags that all rows share, such as those of `flags/phantom.cfg`; a row's own win.
      folder: of the rows' flagfiles, `flags/rows`.
      rows: their names without `.cfg`.
      depths: more depths for AdaBN and UDA, besides those that rows have.

    Raises:
      DataError: a flagfile is missing.
      UsageError: a row's flags are illegal, two rows make the same run, or rows wait for each
        other.
    """
    steps = [_step(row, [*base, f"--flagfile={_flagfile(folder, row)}"]) for row in rows]
    present = {step.name for step in steps}
    for depth in depths:
        for phase, kind in (("adabn", "adabn"), ("adapt", "uda")):
            if f"{phase}_d{depth}" not in present:
                more = [*base, f"--phase={phase}", f"--depth={depth}"]
                steps.append(_step(f"{kind}_d{depth}", more))
    titles = [step.settings.title for step in steps if step.settings.title]
    for kind, found in (("run", [step.name for step in steps]), ("title", titles)):
        if twice := sorted({name for name in found if found.count(name) > 1}):
            raise UsageError(f"--rows: more than one row makes the {kind} {twice[0]!r}")
    return _ordered(steps)


def with_seed(step: Step, seed: int, runs: Path) -> Step:
    """The same step for one seed: of training, and of the phantom where that is used."""
    changes = {"seed": seed, "runs": str(runs)}
    if step.settings.prepared is None:
        changes["phantom_seed"] = seed
    return dataclasses.replace(step, settings=dataclasses.replace(step.settings, **changes))


def check_finished(steps: Sequence[Step]) -> None:
    """Refuses finished runs of other flags, data or origin, and those whose origin has changed.

    Raises:
      UsageError: naming the run and the first setting that differs.
    """
    by_name = {step.name: step for step in steps}
    for step in filter(lambda step: step.finished, steps):
        folder, origin = step.weights.parent, by_name.get(step.origin)
        before, now = _before(read_record(folder)), _recorded(step)
        for name in ("phase", *sorted(now.keys() - FREE | {"title", "origin"})):
            if before.get(name) != now[name]:
                raise UsageError(
                    f"{folder} was made with {name}={before.get(name)!r}, now it is "
                    f"{now[name]!r}; remove it, or choose another --out"
                )
        if origin and not origin.finished:
            raise UsageError(
                f"{folder} started from a {origin.name} that is not there any more; remove it"
            )
        if origin and origin.weights.stat().st_mtime > _made(step):
            raise UsageError(f"{folder} started from an older {origin.name}; remove it")


def _before(record: dict[str, Any]) -> dict[str, Any]:
    """Of a run's record what `_recorded` says of a step."""
    inputs = record["inputs"]
    origin = Path(inputs.get("origin_folder") or "").name or None  # wherever the runs lie
    facts = {"origin": origin, "prepared_sha256": inputs.get("prepared_sha256")}
    return {"phase": record["phase"], **record["settings"], **facts}


def _data(step: Step) -> str | None:
    """The checksum of the data a step would be trained on; None if they are not there yet."""
    prepared = step.settings.prepared or phantom_folders(step.settings)[1]
    return checksum(open_dataset(prepared)) if Path(prepared).is_dir() else None


def _recorded(step: Step) -> dict[str, Any]:
    """Phase, settings, origin and data as the run writes them down."""
    values = {"phase": step.phase, **step.settings.to_dict(), "origin": step.origin}
    if (data := _data(step)) is not None:
        values["prepared_sha256"] = data
    if step.phase == "finetune":
        rate = values["finetune_learning_rate"]
        values |= {"steps": values["finetune_steps"], "learning_rate": rate}
    return values


def _made(step: Step) -> float:
    return step.weights.stat().st_mtime


def seed_jobs(steps: Sequence[Step], folder: Path) -> list[Job]:
    """What is to be done for one seed: the phantom, the runs that are missing, the report.

    Args:
      steps: of `with_seed`.
      folder: of the seed.
    """

    def job(name: str, module: str, arguments: Sequence[str], needs: Iterable[str]) -> Job:
        own = {f"{folder.name}/{need}" for need in needs}
        log = folder / "logs" / f"{name.split(' ')[-1]}.log"
        return Job(f"{folder.name}/{name}", module, tuple(arguments), frozenset(own), log)

    jobs, missing = [], [step for step in steps if not step.finished]
    if missing and missing[0].settings.prepared is None:
        # Jobs of their own: two trainings that start at once would both make it.
        make, prepare = _phantom_flags(missing[0].settings)
        jobs.append(job("phantom", "cmda_tf.phantom", make, ()))
        jobs.append(job("prepare", "cmda_tf.prepare", prepare, ["phantom"]))
    for step in missing:
        needs = ["prepare", *([f"run {step.origin}"] if step.origin else [])]
        jobs.append(job(f"run {step.name}", "cmda_tf.train", step.arguments, needs))
    if not _reported(steps, folder):
        names = [step.name for step in steps]
        settings = EvaluateSettings(
            runs=str(folder),
            only=tuple(names),
            published=True,
            threads=steps[0].settings.threads,
        )
        needs = [f"run {name}" for name in names]
        jobs.append(job("report", "cmda_tf.evaluate", settings.to_flags(), needs))
    return _longest_first(jobs)


def _longest_first(jobs: list[Job]) -> list[Job]:
    """The jobs, those before the others for which the longest chains wait: else one worker would
    go through such a chain at the end while the others have nothing to do."""

    def waiting(job: Job) -> int:
        return 1 + max((waiting(other) for other in jobs if job.name in other.needs), default=0)

    return sorted(jobs, key=waiting, reverse=True)


def _reported(steps: Sequence[Step], folder: Path) -> bool:
    """Whether all runs are finished and the seed's report is younger than any of them."""
    report = folder / RESULTS
    if not report.is_file() or not all(step.finished for step in steps):
        return False
    results = read_json(report)
    try:
        reported = {run["run"] for run in results["meta"]["runs"].values()}
    except (AttributeError, LookupError, TypeError) as error:
        raise DataError(f"{report}: expected the results of a seed ({error!r})") from error
    newer = all(_made(step) < report.stat().st_mtime for step in steps)
    return newer and {step.name for step in steps} == reported


def _phantom_flags(settings: PhaseSettings) -> tuple[list[str], list[str]]:
    """Flags of the commands that make and prepare the phantom; both keep what is there."""
    raw, prepared = phantom_folders(settings)
    make = [f"--out={raw}", f"--subjects={PHANTOM_SUBJECTS}", f"--seed={settings.phantom_seed}"]
    grid = [f"--size={PHANTOM_SIZE}", f"--spacing_mm={PHANTOM_SPACING_MM}"]
    center = f"--center_on_labels={settings.source}"
    return make, [f"--raw={raw}", f"--prepared={prepared}", *grid, center]


def _flagfile(folder: str | Path, row: str) -> Path:
    path = Path(folder) / f"{row}.cfg"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in Path(folder).glob("*.cfg"))) or "none"
        raise DataError(f"{path}: no such flagfile; rows there: {there}")
    return path


def _step(row: str, arguments: list[str]) -> Step:
    """Reads a row's flags as `cmda_tf.train` would."""
    values = flags.FlagValues()
    define_flags(PhaseChoice, *PHASES.values(), flag_values=values)
    try:
        values(["row", *arguments])
        phase = from_flags(PhaseChoice, values).phase
        if phase is None:
            raise UsageError("expected a --phase, found none")
        settings = from_flags(PHASES[phase], values)
    except (flags.Error, UsageError) as error:
        raise UsageError(f"row {row}: {str(error).splitlines()[0]}") from error
    name = settings.name or run_name(phase, settings)
    return Step(row, phase, settings, name, origin_name(phase, settings))


def _ordered(steps: list[Step]) -> list[Step]:
    """The steps in their order, each moved behind the one it starts from."""
    ordered, waiting = [], list(steps)
    while waiting:
        pending = {step.name for step in waiting}
        ready = next((s for s in waiting if s.origin not in pending), None)
        if ready is None:
            raise UsageError(f"--rows: {waiting[0].row} waits for itself")
        ordered.append(ready)
        waiting.remove(ready)
    return ordered
