"""Prepares raw volumes for training: python -m cmda_tf.prepare --raw=DIR --prepared=DIR

Reads volumes in the MM-WHS layout (`cmda_tf.data.layout`), or as `--dataset` describes
(`cmda_tf.data.description`), and writes one store per subject and `manifest.json`. A second run
redoes only what changed.
"""

from dataclasses import dataclass

from cmda_tf import cli
from cmda_tf.data.dataset import Dataset
from cmda_tf.data.description import read_description
from cmda_tf.data.preparation import PreparationSettings, prepare
from cmda_tf.settings import Settings, part, setting

# Nearest-neighbor sampling alone changes a structure's volume by some per cent at 3.5 mm.
MIN_LABEL_INSIDE = 0.95


@dataclass(frozen=True)
class PrepareSettings(Settings):
    """The flags of `python -m cmda_tf.prepare`; the defaults are the paper's setting."""

    raw: str | None = setting(None, "Folder of raw volumes.")
    prepared: str | None = setting(None, "Folder to write the prepared subjects to.")
    dataset: str | None = setting(
        None, "JSON file that describes the raw folder. Default: the heart in the MM-WHS layout."
    )
    preparation: PreparationSettings = part(PreparationSettings)


def main(settings: PrepareSettings) -> None:
    """Prepares the raw folder and says what is there now."""
    raw, prepared = cli.required(settings, "raw", "prepared")
    description = read_description(settings.dataset) if settings.dataset else None
    dataset = prepare(raw, prepared, description=description, **vars(settings.preparation))
    for line in [*_counts(dataset), *_warnings(dataset)]:
        print(line)


def _counts(dataset: Dataset) -> list[str]:
    """One line per modality, such as "mr: 16 for training (16 labeled), 4 for testing"."""
    lines = []
    for modality in dataset.modalities:
        train, test = dataset.select(modality, "train"), dataset.select(modality, "test")
        labeled = sum(e.labeled for e in train)
        lines.append(
            f"{modality}: {len(train)} for training ({labeled} labeled), {len(test)} for testing"
        )
    return lines


def _warnings(dataset: Dataset) -> list[str]:
    """One line for each subject whose structures reach beyond the prepared grid."""
    return [
        f"warning: {e.id}: {1 - e.label_inside:.0%} of the labeled structures lie outside the "
        f"prepared grid of {dataset.size * dataset.spacing_mm:g} mm"
        for e in dataset.entries
        if e.label_inside is not None and e.label_inside < MIN_LABEL_INSIDE
    ]


if __name__ == "__main__":
    cli.run(main, PrepareSettings)
