"""`python -m cmda_tf.evaluate`: Table 1 and the figures from the finished runs of a folder.

Predicts every slice of every test volume and writes to `--out`: `results.json`, `table.md`,
`table.csv`, `subjects.csv`, Figures 1 and 3 as PNG and PDF, Figure 4 where there is more than one
adapted model, and `predictions/` (NIfTI).
"""

import datetime
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmda_tf import __version__, cli
from cmda_tf.settings import Options, setting


@dataclass(frozen=True)
class EvaluateSettings(Options):
    """The flags of `python -m cmda_tf.evaluate`."""

    runs: str = setting("runs", "Folder that holds the runs.")
    only: tuple[str, ...] = setting(
        (), "Names of the runs to evaluate. Default: all finished ones."
    )
    out: str | None = setting(None, "Folder for the report. Default: the folder of the runs.")
    prepared: str | None = setting(None, "Prepared data. Default: what the runs were trained on.")
    palette: str = setting("paper", "Colors of the figures.", choices=("paper", "colorblind_safe"))
    measure_snapshots: bool = setting(
        True, "Measure each adaptation's snapshots, to say how far the chosen one is from the best."
    )
    published: bool = setting(False, "Print the paper's own numbers beside ours.")
    threads: int = setting(0, "CPU threads; 0: one per core.", minimum=0)


def main(settings: EvaluateSettings) -> None:
    """Evaluates all runs and prints the table."""
    report = evaluate(settings)
    print(report.to_text())
    print(f"written to {settings.out or settings.runs}")


def evaluate(settings: EvaluateSettings):
    """Measures every row that the finished runs make and writes the report.

    Returns:
      The `evaluation.report.Report`.

    Raises:
      DataError: there is no finished run, or data it needs is missing.
    """
    from cmda_tf.evaluation.paper import cited_rows, published_rows
    from cmda_tf.evaluation.report import Report, write_report
    from cmda_tf.evaluation.rows import find_experiments, measure, test_subjects
    from cmda_tf.evaluation.snapshots import measure_oracle_gap
    from cmda_tf.model_selection.choice import has_snapshots
    from cmda_tf.release2018.dataset import open_dataset
    from cmda_tf.training.setup import limit_threads
    from cmda_tf.visualization.palette import in_palette

    limit_threads(settings.threads)
    out = Path(settings.out or settings.runs)
    rows, maps, selection, dataset = {}, {}, {}, None
    experiments = find_experiments(Path(settings.runs), settings.only)
    for experiment in experiments:
        record = experiment.run.record
        dataset = open_dataset(settings.prepared or record["inputs"]["prepared_folder"])
        row, predicted = measure(experiment, dataset, out / "predictions")
        rows[experiment.title] = row
        if experiment.modality == record["settings"]["target"]:
            maps[experiment.title] = predicted
        if settings.measure_snapshots and has_snapshots(experiment.run):
            selection[experiment.title] = measure_oracle_gap(experiment.run, dataset)
    meta = _meta(dataset) | {"runs": {e.title: _run_facts(e, rows[e.title]) for e in experiments}}
    colored = in_palette(dataset.structures, settings.palette)
    _draw_shift(out, dataset, colored, record["settings"])
    if maps:
        target = test_subjects(dataset, record["settings"]["target"])
        shown = [e for e in experiments if e.title in maps]
        _draw_figures(out, target, shown, maps, colored)
    modalities, columns = (record["settings"][d] for d in ("source", "target")), colored.columns
    published = published_rows(*modalities, columns) if settings.published else {}
    cited = cited_rows(columns) if settings.published else {}
    report = Report(rows, meta, published, cited, selection)
    write_report(report, out)  # last: who finds it finds all
    return report


def _draw_shift(out: Path, dataset: Any, structures: Any, settings: dict[str, Any]) -> None:
    """Figure 1, if the test subjects of both modalities have labels."""
    from cmda_tf.evaluation.rows import test_subjects
    from cmda_tf.visualization.canvas import save
    from cmda_tf.visualization.shift import figure1

    modalities = settings["source"], settings["target"]
    if all(any(e.labeled for e in dataset.select(d, "test")) for d in modalities):
        subjects = {d.upper(): test_subjects(dataset, d) for d in modalities}
        save(figure1(subjects, structures), out / "figure1")


def _draw_figures(
    out: Path, subjects: list, experiments: list, maps: dict[str, dict], structures: Any
) -> None:
    """Figure 3: one row per test subject of the target; slice, truth, a column for a method of
    each kind. Figure 4: the adapted models, if there is more than one."""
    from cmda_tf.evaluation.rows import of_figure3, of_figure4
    from cmda_tf.visualization.canvas import save
    from cmda_tf.visualization.segmentation import Example, figure3

    modality = experiments[0].modality.upper()

    def draw(name: str, chosen: list) -> None:
        examples = [
            Example(s.id, s.image, s.label, {e.title: maps[e.title][s.id] for e in chosen})
            for s in subjects
        ]
        save(figure3(examples, structures, f"{modality} slice"), out / name)

    draw("figure3", of_figure3(experiments))
    if len(adapted := of_figure4(experiments)) > 1:
        draw("figure4", adapted)


def _run_facts(experiment: Any, row: Any) -> dict[str, Any]:
    """What of a row's run a reader of `results.json` may ask for."""
    record = experiment.run.record
    origin = record["inputs"].get("origin_folder")
    return {
        "phase": record["phase"],
        "run": experiment.run.folder.name,
        "depth": record["settings"].get("depth"),
        "origin": origin and Path(origin).name,
        "seed": record["settings"]["seed"],
        "subjects": list(row.subjects),
    }


def _meta(dataset: Any) -> dict[str, Any]:
    """Where and when the numbers were made."""
    import tensorflow as tf

    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()} {platform.system()}, Python {platform.python_version()}",
        "versions": {"cmda_tf": __version__, "tensorflow": tf.__version__},
        "size": dataset.size,
        "spacing_mm": dataset.spacing_mm,
        "std": "population standard deviation over test subjects",
    }


if __name__ == "__main__":
    cli.run(main, EvaluateSettings)
