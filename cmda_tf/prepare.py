"""Prepares raw volumes for training: python -m cmda_tf.prepare --raw=DIR --prepared=DIR

Reads volumes in the MM-WHS layout (`cmda_tf.data.layout`), or as `--dataset` describes
(`cmda_tf.data.dataset`), and writes one store a subject and `manifest.json`. A second run redoes
only what changed.
"""

from dataclasses import dataclass

from cmda_tf import cli
from cmda_tf.data.dataset import read_dataset
from cmda_tf.data.manifest import Manifest
from cmda_tf.data.preparation import prepare
from cmda_tf.data.store import MAX_SIZE
from cmda_tf.errors import UsageError
from cmda_tf.options import Options, setting

# Nearest-neighbour sampling alone changes a structure's volume by some per cent at 3.5 mm.
MIN_LABEL_INSIDE = 0.95


@dataclass(frozen=True)
class PrepareSettings(Options):
    """The flags of `python -m cmda_tf.prepare`; the defaults are the paper's setting."""

    raw: str | None = setting(None, "Folder of raw volumes.")
    prepared: str | None = setting(None, "Folder to write the prepared subjects to.")
    dataset: str | None = setting(
        None, "JSON file that describes the raw folder. Default: the heart in the MM-WHS layout."
    )
    size: int = setting(256, "Voxels a side of the prepared grid.", minimum=16, maximum=MAX_SIZE)
    spacing_mm: float = setting(1.0, "Its isotropic voxel spacing.", minimum=0.1, maximum=20)
    centre_on_labels: tuple[str, ...] = setting(
        ("mr",),
        "Domains whose grid is centred on the labelled structures instead of on the volume; "
        "a target domain's labels are for evaluation only and should not move its images.",
    )
    test_ids: tuple[str, ...] = setting(
        (), "Subjects to hold out, such as ct_train_1003; replaces the rule of their domain."
    )
    workers: int = setting(2, "Processes that prepare subjects side by side.", minimum=1)


def main(settings: PrepareSettings) -> None:
    """Prepares the raw folder and says what is there now."""
    values = settings.to_dict()
    for name in ("raw", "prepared"):
        if not values[name]:
            raise UsageError(f"--{name}: a folder is required")
    if settings.dataset is not None:
        values["dataset"] = read_dataset(settings.dataset)
    manifest = prepare(**values)
    for line in [*_counts(manifest), *_warnings(manifest)]:
        print(line)


def _counts(manifest: Manifest) -> list[str]:
    """One line a domain, such as "mr: 16 for training (16 labelled), 4 for testing"."""
    lines = []
    for domain in manifest.domains:
        train, test = manifest.select(domain, "train"), manifest.select(domain, "test")
        labelled = sum(e.labelled for e in train)
        lines.append(
            f"{domain}: {len(train)} for training ({labelled} labelled), {len(test)} for testing"
        )
    return lines


def _warnings(manifest: Manifest) -> list[str]:
    """One line for each subject whose structures reach beyond the prepared grid."""
    return [
        f"warning: {e.id}: {1 - e.label_inside:.0%} of the labelled structures lie outside the "
        f"prepared grid of {manifest.size * manifest.spacing_mm:g} mm"
        for e in manifest.entries
        if e.label_inside is not None and e.label_inside < MIN_LABEL_INSIDE
    ]


if __name__ == "__main__":
    cli.run(main, PrepareSettings)
