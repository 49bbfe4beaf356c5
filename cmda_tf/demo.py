"""`python -m cmda_tf.demo`: from nothing to an adapted segmenter, on the phantom.

Makes and prepares the phantom, trains the source segmenter on MR, adapts it to CT at d = 13
without one CT label (the other way round with `--source=ct --target=mr`), evaluates Seg-MRI,
noDA, AdaBN and UDA, and draws Figure 3. Each part is what the commands it prints do; what is
finished already is not done again.
"""

from dataclasses import dataclass

from cmda_tf import cli
from cmda_tf.evaluate import EvaluateSettings, evaluate
from cmda_tf.old_settings import AdaptSettings, SourceSettings
from cmda_tf.settings import Options, setting
from cmda_tf.train import train


@dataclass(frozen=True)
class DemoSettings(Options):
    """The demo's own flag; all flags of `cmda_tf.train` work as well."""

    report_only: bool = setting(False, "Do not train; evaluate the runs that are there.")


def main(demo: DemoSettings, source: SourceSettings, adaptation: AdaptSettings) -> None:
    """Trains, adapts, evaluates and says what was shown."""
    runs, depth = source.runs, adaptation.depth
    if not demo.report_only:
        for phase, settings, flags in (
            ("source", source, ""),
            ("adabn", adaptation, f" --depth={depth}"),
            ("adapt", adaptation, f" --depth={depth}"),
        ):
            print(f"\n$ python -m cmda_tf.train --phase={phase}{flags} --runs={runs}", flush=True)
            train(phase, settings)
    print(f"\n$ python -m cmda_tf.evaluate --runs={runs}", flush=True)
    report = evaluate(EvaluateSettings(runs=runs))
    print("\n" + report.to_text())
    print(_conclusion(report.rows, adaptation))


def _conclusion(rows: dict, settings: AdaptSettings) -> str:
    """Three sentences from the measured rows, and what to type next."""
    from cmda_tf.evaluation.rows import segmenter_title

    runs, depth = settings.runs, settings.depth
    source, target = settings.source.upper(), settings.target.upper()
    own = segmenter_title(settings.source)
    dice = {title: row.mean_dice for title, row in rows.items()}
    adapted, baseline = dice[f"UDA d={depth}"], dice[f"AdaBN d={depth}"]
    return (
        f"A segmenter trained on {source} phantoms reaches {dice[own]:.1f} mean Dice on unseen "
        f"{source} and {dice['noDA']:.1f} on {target}.\n"
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
    cli.run(main, DemoSettings, SourceSettings, AdaptSettings)
