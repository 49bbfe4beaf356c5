"""The plan of a reproduction: which runs, in which order, by which commands."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from cmda_tf.errors import DataError, UsageError
from cmda_tf.options import define_flags, from_flags
from cmda_tf.settings import PhaseSettings
from cmda_tf.train import PhaseChoice
from cmda_tf.training.names import PHASES, origin_name, run_name

ROWS = (
    *("seg_mri", "seg_ct", "seg_ct_stl"),
    *("adabn_d13", "adabn_d21", "adabn_d31"),
    *("uda_d13", "uda_d21", "uda_d31"),
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
    def finished(self) -> bool:
        """Whether the run is there already."""
        return (Path(self.settings.runs) / self.name / "weights.npz").is_file()


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
    present = {(s.phase, s.settings.depth) for s in steps if s.phase in ("adabn", "adapt")}
    for depth in depths:
        for phase, kind in (("adabn", "adabn"), ("adapt", "uda")):
            if (phase, depth) not in present:
                more = [*base, f"--phase={phase}", f"--depth={depth}"]
                steps.append(_step(f"{kind}_d{depth}", more))
    names = [step.name for step in steps]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"--rows: more than one row makes the run {twice[0]!r}")
    return _ordered(steps)


def with_seed(step: Step, seed: int, runs: Path) -> Step:
    """The same step for one seed: of training, and of the phantom where that is used."""
    changes = {"seed": seed, "runs": str(runs)}
    if step.settings.prepared is None:
        changes["phantom_seed"] = seed
    return dataclasses.replace(step, settings=dataclasses.replace(step.settings, **changes))


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
