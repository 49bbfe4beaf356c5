"""The report over seeds: table, gains, choices among snapshots, figures, commands.

report.md                  all of it, to be read
table.md table.csv results.json
depths figure1 figure3 figure4     as PNG and PDF; the paper's figures of the first seed

Nothing in it tells where on a machine it was made.
"""

import datetime
import platform
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cmda_tf import __version__
from cmda_tf.evaluation.paper import cited_rows, published_rows
from cmda_tf.evaluation.report import Report, write_report
from cmda_tf.files import read_json, replacing, write_text
from cmda_tf.reproduction.jobs import available_cores
from cmda_tf.reproduction.plan import RESULTS, Step
from cmda_tf.reproduction.seeds import across, combine, depth_curves, gains, regrets
from cmda_tf.visualization.canvas import save
from cmda_tf.visualization.depths import draw_depths

FIGURES = {
    "figure1": "Figure 1: the same structures in MR and CT, and their intensities.",
    "figure3": "Figure 3: test subjects of the target; truth, and one method of each kind.",
    "figure4": "Figure 4: all adapted models.",
}
PAPER_ROWS = (
    "(paper): MM-WHS at 256x256, mean ± std over its four test subjects; DL-MR and DL-CT as the "
    "paper cites them."
)
ON_PHANTOM = (
    "These are numbers of a phantom: simulated volumes whose modalities differ by imaging physics "
    "alone. They show that the program does what it is meant to do and what each part of it is "
    "worth there. They do not show how well it does on patients, whose anatomy, disease and "
    "artifacts the phantom does not have. Both modalities of the phantom draw their anatomy from "
    "one distribution; methods that rely on that (the choice of a snapshot by source shapes, and "
    "UDA+, whose self-training takes over the source's class shares) gain from it what other data "
    "may not give."
)


def write_seeds_report(
    out: Path, command: Sequence[str], folders: Mapping[int, Path], steps: Sequence[Step]
) -> Report:
    """Writes the report over seeds into a folder; gives it, of which the table is to be printed.

    `command` is that which makes it, as words; `folders` those of the seeds' reports; `steps` the
    rows' runs, of any seed.
    """
    results = {seed: read_json(folder / RESULTS) for seed, folder in folders.items()}
    meta, worth = _meta(command, results, steps), gains(results)
    notes = [f"Mean ± {meta['std']}. Seeds: {', '.join(map(str, results))}."]
    details = {"gains": [vars(gain) for gain in worth], "by_seed": results}
    rows, roles = combine(results), steps[0].settings.data
    columns = tuple(next(iter(rows.values())).dice)
    table_1, cited = published_rows(roles.source, roles.target, columns), cited_rows(columns)
    if cited:
        notes.append(PAPER_ROWS)
    notes += [*map(str, worth), *regrets(results), *meta["warnings"]]
    counted = "seeds" if len(results) > 1 else "subjects"
    report = Report(rows, meta, table_1, cited, notes=notes, details=details, counted=counted)
    write_report(report, out)
    figures = {}
    if curves := depth_curves(results):
        save(draw_depths(curves, across(results)), out / "depths")
        figures["depths"] = "Adaptation depth d against mean Dice; a small mark per seed."
    seed, folder = next(iter(folders.items()))
    for name, caption in FIGURES.items():
        for path in filter(Path.is_file, (folder / f"{name}.png", folder / f"{name}.pdf")):
            with replacing(out / path.name) as temporary:
                shutil.copyfile(path, temporary)
            figures[name] = f"{caption} Seed {seed}."
    write_text(out / "report.md", _to_markdown(report, figures, steps))
    return report


def _meta(
    command: Sequence[str], results: Mapping[int, Mapping[str, Any]], steps: Sequence[Step]
) -> dict[str, Any]:
    """Where, when and how the numbers were made; of each run all settings that decide them."""
    metas = [result["meta"] for result in results.values()]
    first, several = metas[0], len(metas) > 1
    return {
        "command": portable(command),
        "seeds": list(results),
        "settings": {step.name: _deciding(step) for step in steps},
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": {**first["versions"], "cmda_tf": __version__},
        "size": first["size"],
        "spacing_mm": first["spacing_mm"],
        "warnings": list(dict.fromkeys(w for meta in metas for w in meta["warnings"])),
        "std": "population standard deviation over "
        + ("seeds of each seed's mean over test subjects" if several else "test subjects"),
    }


def _deciding(step: Step) -> dict[str, Any]:
    """Phase and settings of a run but its seed and what leaves results alone, such as folders."""
    settings = step.settings
    decide = {name: value for name, value in settings.deciding().items() if name != "seed"}
    return {"phase": settings.name, "init_from": settings.init_from, **decide}


def machine() -> str:
    """Processor, number of cores, system and Python of this machine."""
    cpu, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.is_file():  # on Linux platform knows no more than the architecture
        named = re.search(r"^model name.*?: *(.+)", info.read_text(encoding="utf-8"), re.MULTILINE)
        cpu = named[1].strip() if named else cpu
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{cpu}, {available_cores()} cores, {system}"


def _to_markdown(report: Report, figures: Mapping[str, str], steps: Sequence[Step]) -> str:
    """`report.md`."""
    meta = report.meta
    versions = ", ".join(f"{name} {version}" for name, version in meta["versions"].items())
    phantom = all(step.settings.data.phantom is not None for step in steps)
    lines = [
        "# Table 1" + (" on the phantom" if phantom else ""),
        f"`{meta['command']}`",
        f"{meta['date']}; {meta['machine']}; {versions}; {meta['size']} voxels per side of "
        f"{meta['spacing_mm']} mm.",
        *([ON_PHANTOM] if phantom else []),
        report.to_markdown().strip(),
        *(f"![{caption}]({name}.png)\n\n{caption}" for name, caption in figures.items()),
        "## Commands",
        f"One line per run, of one seed; `--seed=S{' --phantom_seed=S' if phantom else ''} "
        "--runs=FOLDER` make another's. What is not said is the default "
        "(`python -m cmda_tf.train --help`).",
        "```sh\n" + "\n".join(portable(step.command) for step in steps) + "\n```",
    ]
    return "\n\n".join(lines) + "\n"


def portable(command: Sequence[str]) -> str:
    """A command line, quoted for a shell, without this machine's folders.

    An absolute path, a word or what follows a flag's `=`, is given from the working folder if it
    lies there, else by its last name alone.
    """

    def without_folder(word: str) -> str:
        flag, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        path, here = Path(value), Path.cwd()
        local = path.relative_to(here) if path.is_relative_to(here) else path.name
        return f"{flag}{equals}{local}" if path.is_absolute() else word

    return shlex.join(map(without_folder, command))
