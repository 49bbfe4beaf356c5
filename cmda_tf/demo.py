"""`python -m cmda_tf.demo`: from nothing to an adapted segmenter, on the phantom.

Makes and prepares the phantom, trains the source segmenter on MR, adapts it to CT at d = 13
without one CT label (the other way round with `--source=ct --target=mr`), evaluates Seg-MRI,
noDA, AdaBN and UDA, and draws Figure 3. Each part is what the commands it prints do; what is
finished already is not done again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmda_tf import cli
from cmda_tf.evaluation.settings import EvaluateSettings
from cmda_tf.settings import Settings, setting
from cmda_tf.training.phases import PHASES, AdabnPhase, AdaptPhase, SourcePhase
from cmda_tf.training.run_phase import run_phase


@dataclass(frozen=True)
class DemoSettings(Settings):
    """The demo's own flag; all flags of the phases that it runs work as well."""

    report_only: bool = setting(False, "Do not train; evaluate the runs that are there.")


def main(demo: DemoSettings, source: SourcePhase, adabn: AdabnPhase, adapt: AdaptPhase) -> None:
    """Trains, adapts, evaluates and says what was shown."""
    runs, depth = source.run.runs, f" --depth={adapt.dam.depth}"
    if not demo.report_only:
        for phase, flags in ((source, ""), (adabn, depth), (adapt, depth)):
            command = f"python -m cmda_tf.train --phase={phase.name}{flags} --runs={runs}"
            print(f"\n$ {command}", flush=True)
            run_phase(phase)
    from cmda_tf.evaluation.evaluate import evaluate

    print(f"\n$ python -m cmda_tf.evaluate --runs={runs}", flush=True)
    report = evaluate(EvaluateSettings(runs=runs))
    print("\n" + report.to_text())
    print(_conclusion(report.rows, source, adabn, adapt))


def _conclusion(
    rows: Mapping[str, Any], start: SourcePhase, adabn: AdabnPhase, adapt: AdaptPhase
) -> str:
    """Three sentences from the measured rows, and what to type next."""
    runs, depth = adapt.run.runs, adapt.dam.depth
    source, target = adapt.data.source.upper(), adapt.data.target.upper()
    names = [phase.folder.name for phase in (start, adabn, adapt)]
    own, baseline, adapted = (rows[name].mean_dice for name in names)
    return (
        f"A segmenter trained on {source} phantoms reaches {own:.1f} mean Dice on unseen "
        f"{source} and {rows[f'{names[0]}/noDA'].mean_dice:.1f} on {target}.\n"
        f"Without one {target} label, re-estimated BatchNorm statistics (AdaBN) bring it to "
        f"{baseline:.1f} and the adversarially trained DAM (d = {depth}) to {adapted:.1f}: "
        f"{adapted - baseline:+.1f} points are the adversarial training's own.\n"
        f"The table is {runs}/table.md, the picture {runs}/figure3.png; this says something of "
        "the phantom, nothing of patients.\n\n"
        "Next: a deeper DAM        python -m cmda_tf.train --phase=adapt --depth=21 "
        f"--runs={runs}\n"
        f"      the learning curves   tensorboard --logdir={runs}\n"
        "      your own NIfTI files  python -m cmda_tf.prepare --raw=DIR --prepared=DIR"
    )


if __name__ == "__main__":
    cli.run(main, DemoSettings, SourcePhase, AdabnPhase, AdaptPhase, phases=PHASES)
