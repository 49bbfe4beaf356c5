"""The phantom's intensities after preparation, beside those of four real MM-WHS samples.

    python benchmarks/phantom_calibration.py --prepared=data/phantom_prepared

Prints for each modality and class the mean over all training subjects' voxels and the mean
within-subject standard deviation, in units of the normalized image. The real figures are those of
two published CT and two published MR samples after the same preprocessing, as ranges.
"""

from dataclasses import dataclass

import numpy as np

from cmda_tf import cli
from cmda_tf.data.prepared import PreparedDataset, read_prepared
from cmda_tf.data.structures import HEART
from cmda_tf.settings import Settings, setting

REAL = {
    "ct": {
        "background": "0.0-0.5 (0.6-0.8)",
        "LV-myo": "0.97 (0.37)",
        "LA-blood": "1.29 (0.12)",
        "LV-blood": "1.30 (0.46)",
        "AA": "1.72 (0.35)",
    },
    "mr": {
        "background": "-0.1-0.0 (0.8-0.9)",
        "LV-myo": "-0.06-0.17 (0.3-0.4)",
        "LA-blood": "0.81-1.67 (0.3)",
        "LV-blood": "1.37-1.57 (0.7)",
        "AA": "1.61 (0.57)",
    },
}


@dataclass(frozen=True)
class CalibrationSettings(Settings):
    """What to measure."""

    prepared: str = setting("data/phantom_prepared", "Prepared phantom.")


def main(settings: CalibrationSettings) -> None:
    """Prints one table per modality."""
    dataset = read_prepared(settings.prepared)
    for modality, real in REAL.items():
        print(f"{modality}: class, phantom mean (sd within a subject), lowest..highest mean, real")
        for name, (means, deviations) in measure(dataset, modality).items():
            ours = f"{np.mean(means):5.2f} ({np.mean(deviations):.2f})"
            print(f"  {name:10s}  {ours}  {min(means):5.2f}..{max(means):.2f}  {real[name]}")


def measure(dataset: PreparedDataset, modality: str) -> dict[str, tuple[list[float], list[float]]]:
    """Each class' mean and standard deviation in each training subject."""
    names = {0: "background", **{s.index: s.name for s in HEART}}
    measured: dict = {name: ([], []) for name in names.values()}
    for entry in dataset.select(modality, "train"):
        subject = dataset.subject(entry)
        for index, name in names.items():
            values = subject.image[subject.label == index]
            measured[name][0].append(float(values.mean()))
            measured[name][1].append(float(values.std()))
    return measured


if __name__ == "__main__":
    cli.run(main, CalibrationSettings)
