"""Where should the model's cube lie in a large image? Measured on phantoms with off-center hearts.

    python benchmarks/crop_center.py --model=runs/adapt_d13 --phantom_seed=200

Draws chests in a wide field of view, the heart some way off its middle in a random direction, and
segments each with `--center=image`, `--center=model` and the true middle of the heart given. Prints
mean Dice on the image's own grid, the cube's distance from the heart, and seconds per image.
"""

import time
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from cmda_tf import cli
from cmda_tf.errors import UsageError
from cmda_tf.settings import Settings, setting

RULES = ("image", "model", "given")


@dataclass(frozen=True)
class BenchmarkSettings(Settings):
    """What to measure."""

    model: str | None = setting(None, "Folder of a finished run.")
    role: str = setting("target", "Path of the model.", choices=("target", "source"))
    modality: str = setting("ct", "What to draw.", choices=("mr", "ct"))
    phantom_seed: int = setting(200, "Of the people drawn; none that the model has seen.")
    subjects: int = setting(6, "Images for each distance.", minimum=1)
    offsets_mm: tuple[int, ...] = setting(
        (0, 30, 60, 90), "Distances of the heart from the middle."
    )
    extent_mm: float = setting(360.0, "Field of view per side.", minimum=100)


def main(settings: BenchmarkSettings) -> None:
    """Measures and prints a table."""
    if settings.model is None:
        raise UsageError("model: expected the folder of a finished run, found none")
    from cmda_tf.inference.trained import load_run

    model = load_run(settings.model)
    print(
        "| heart off the middle [mm] | center | mean Dice | cube off the heart [mm] | s per image |"
    )
    print("|---:|---|---:|---:|---:|")
    for offset_mm in settings.offsets_mm:
        measured: dict[str, list] = {rule: [] for rule in RULES}
        for number in tqdm(range(settings.subjects), desc=f"{offset_mm} mm", disable=None):
            image, label, heart_mm = _draw(settings, number, offset_mm)
            for rule in RULES:
                center = heart_mm if rule == "given" else rule
                values = _measure(model, settings.role, image, label, center, heart_mm)
                measured[rule].append(values)
        for rule, values in measured.items():
            dice, apart_mm, _ = np.nanmean(values, axis=0)
            seconds = np.median([v[2] for v in values])
            print(
                f"| {offset_mm} | {rule} | {dice:.1f} | {apart_mm:.0f} | {seconds:.1f} |",
                flush=True,
            )


def _draw(settings: BenchmarkSettings, number: int, offset_mm: float):
    """An image, its label codes [K, J, I], and the middle of its heart (LPS, mm)."""
    from cmda_tf.phantom import anatomy, ct, mr, scanner
    from cmda_tf.phantom.generate import PhantomSubject
    from cmda_tf.volumes.geometry import box_center_mm

    subject = PhantomSubject(settings.modality, number + 1, settings.phantom_seed, "fast")
    person, scan, protocol = subject.sample()
    spacing_mm, direction = np.array(scan.grid.spacing_mm), np.reshape(scan.grid.direction, (3, 3))
    middle_mm = scan.grid.origin_mm + direction @ (
        spacing_mm * (np.array(scan.grid.size_ijk) - 1) / 2
    )
    size = np.round(settings.extent_mm / spacing_mm).astype(int)
    grid = scanner.grid_around(middle_mm, size, spacing_mm, direction)
    # A direction of its own, the same at every distance.
    towards = np.random.default_rng([settings.phantom_seed, number]).normal(size=3)
    heart_mm = middle_mm + offset_mm * towards / np.linalg.norm(towards)
    scene = anatomy.draw(person, scanner.Scan(grid, scan.stack, heart_mm))
    render = {"ct": ct, "mr": mr}[settings.modality].render
    image = render(scene, protocol, subject.streams()[3])
    structures = np.where(np.isin(scene.label, _codes()), scene.label, 0)
    return grid.apply(image), scene.label, box_center_mm(grid.apply(structures))


def _codes() -> list[int]:
    from cmda_tf.data.structures import HEART

    return [s.codes[0] for s in HEART]


def _measure(model, role, image, label, center, heart_mm) -> tuple[float, float, float]:
    """Mean Dice [%], distance of the cube from the heart [mm], and seconds."""
    import SimpleITK as sitk

    from cmda_tf.errors import DataError
    from cmda_tf.evaluation.measures import dice_percent

    start = time.perf_counter()
    try:
        prediction = model.predict(image, role, center)
    except DataError:  # the model finds nothing
        return 0.0, float("nan"), time.perf_counter() - start
    seconds = time.perf_counter() - start
    codes = sitk.GetArrayViewFromImage(prediction.label)
    dice = np.nanmean([dice_percent(codes == code, label == code) for code in _codes()])
    seen_mm = prediction.seen.corners_mm.mean(axis=0)
    return float(dice), float(np.linalg.norm(seen_mm - heart_mm)), seconds


if __name__ == "__main__":
    cli.run(main, BenchmarkSettings)
