"""`python -m cmda_tf.init --raw=DIR`: looks at a folder of volumes and writes a first description.

Prints what each file is (size, spacing, orientation, intensities, label codes) and writes it as
CSV; guesses a description (`cmda_tf.data.description`), which is yours to edit. What cannot be read
is listed and left out. A folder in the MM-WHS layout needs no description and gets none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from cmda_tf import cli
from cmda_tf.data.layout import raw_folder
from cmda_tf.errors import DataError, UsageError
from cmda_tf.files import write_json, write_text
from cmda_tf.settings import Settings, setting
from cmda_tf.survey.guess import describe, is_mmwhs
from cmda_tf.survey.volumes import Volume, classify, find_volumes, survey, to_csv, to_text
from cmda_tf.volumes.formats import ENDINGS


@dataclass(frozen=True)
class InitSettings(Settings):
    """The flags of `python -m cmda_tf.init`."""

    raw: str | None = setting(None, "Folder of raw volumes.")
    out: str = setting(
        "dataset.json", "Description to write; the report gets its name with _report.csv."
    )
    overwrite: bool = setting(False, "Replace a description or report that is there.")


def main(settings: InitSettings) -> None:
    """Looks, prints, writes."""
    raw, out = map(Path, (*cli.required(settings, "raw"), settings.out))
    report = out.with_name(f"{out.stem}_report.csv")
    for path in (out, report):
        if path.exists() and not settings.overwrite:
            raise UsageError(f"out: {path} is there already; --overwrite replaces it")
    names = find_volumes(raw_folder(raw))
    if not names:
        expected = f"files that end in {', '.join(ENDINGS)}, or folders of DICOM slices"
        raise DataError(f"{raw}: no volumes; expected {expected}")
    bar = tqdm(names, desc="looking", unit="volume", disable=None)
    volumes = classify(list(survey(raw, bar)))
    print(to_text(volumes))
    write_text(report, to_csv(volumes))
    print(f"\nreport: {report}")
    unreadable = [v for v in volumes if v.kind == "unreadable"]
    for volume in unreadable:
        print(f"cannot be read: {volume.name}: {volume.error}")
    if len(unreadable) == len(volumes):
        raise DataError(f"{raw}: none of its {len(volumes)} volumes can be read")
    if unreadable:
        print("note: cmda_tf.prepare stops at what cannot be read; fix or remove it")
    if is_mmwhs(raw, volumes):
        print(f"{raw} is in the MM-WHS layout: no description is needed, go on with")
        print(f"  python -m cmda_tf.prepare --raw={raw} --prepared=DIR")
    else:
        _write_description(raw, out, volumes)


def _write_description(raw: Path, out: Path, volumes: Sequence[Volume]) -> None:
    """Guesses the description and says what to do with it."""
    from cmda_tf.visualization.palette import distinct

    values, notes = describe(raw, volumes, distinct)
    write_json(out, values)
    for name, modality in values["modalities"].items():
        print(f"modality {name}: {', labels '.join(modality.values())}")
    print(f"structures: {', '.join(s['name'] for s in values['structures'])}")
    for note in notes:
        print(f"note: {note}")
    labeled = " or ".join(n for n, d in values["modalities"].items() if "label" in d)
    command = f"python -m cmda_tf.prepare --raw={raw} --prepared=DIR --dataset={out}"
    print(f"description: {out}; name its structures, look it through, and go on with")
    print(f"  {command} --center_on_labels=SOURCE")
    print(f"where SOURCE is the modality whose labels are to be learned from ({labeled})")


if __name__ == "__main__":
    cli.run(main, InitSettings)
