"""Writes a phantom data set: subjects of both modalities, a record of them, a contact sheet.

A subject is a function of (seed, modality, number): which process makes it, when, and how many
others there are changes nothing.
"""

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError
from cmda_tf.files import make_folder, read_json, replacing, write_json
from cmda_tf.phantom import PHANTOM_VERSION, anatomy, ct, mr, scanner, sheet
from cmda_tf.phantom.settings import PhantomSettings

_APPEARANCE = {"mr": mr, "ct": ct}
MODALITIES = tuple(_APPEARANCE)
KINDS = ("image", "label")
RECORD = "phantom.json"
SHEET = "contact_sheet.png"


@dataclass(frozen=True)
class PhantomSubject:
    """One subject of a data set.

    Attributes:
      modality: "mr" or "ct".
      number: 1 for the first of its modality.
      seed: the data set's.
      resolution: one of `settings.RESOLUTIONS`.
    """

    modality: str
    number: int
    seed: int
    resolution: str

    @property
    def id(self) -> str:
        """As in the names of its files, e.g. mr_train_1001."""
        return f"{self.modality}_train_{1000 + self.number}"

    def path(self, out: Path, kind: str) -> Path:
        """Its file of `kind` "image" or "label"."""
        return out / f"{self.modality}_train" / f"{self.id}_{kind}.nii.gz"

    def streams(self) -> list[np.random.Generator]:
        """Independent generators: anatomy, scanner, protocol, image."""
        key = [self.seed, MODALITIES.index(self.modality), self.number]
        return np.random.default_rng(key).spawn(4)

    def sample(self) -> tuple[anatomy.Person, scanner.Scan, mr.Protocol | ct.Protocol]:
        """Draws its person, where and how that is scanned, and the scan's protocol."""
        for_person, for_scanner, for_protocol, _ = self.streams()
        return (
            anatomy.Person.sample(for_person),
            scanner.plan_scan(self.modality, self.resolution, for_scanner),
            _APPEARANCE[self.modality].Protocol.sample(for_protocol),
        )


def write_phantom(
    out: str | Path,
    subjects: int = PhantomSettings.subjects,
    seed: int = PhantomSettings.seed,
    resolution: str = PhantomSettings.resolution,
    workers: int = PhantomSettings.workers,
) -> Path:
    """Writes `subjects` MR and `subjects` CT subjects; those that are there already are kept.

    Args:
      out: folder of the data set.
      subjects: how many of each modality, at least 2.
      seed: of all that is random, at least 0.
      resolution: "fast" (about 2 mm) or "full" (about 1 mm).
      workers: processes, at least 1; 1 works in this process.

    Returns:
      `out` as a Path.

    Raises:
      UsageError: an argument is out of its range.
      DataError: `out` cannot be written, or holds volumes that are not this phantom's.
    """
    PhantomSettings(str(out), subjects, seed, resolution, workers)  # checks them
    out = make_folder(out)
    settings = {"version": PHANTOM_VERSION, "seed": seed, "resolution": resolution}
    members = [
        PhantomSubject(m, n + 1, seed, resolution) for m in MODALITIES for n in range(subjects)
    ]
    _clear_others(out, settings, members)
    write_json(out / RECORD, {"settings": settings, "subjects": {s.id: {} for s in members}})
    records, panels = {}, {}
    for subject, (record, panel) in zip(members, _make_all(out, members, workers)):
        records[subject.id], panels[subject.id] = record, panel
    sheet.write_sheet(out / SHEET, panels)
    write_json(out / RECORD, {"settings": settings, "subjects": records})
    return out


def _clear_others(out: Path, settings: dict[str, Any], members: list[PhantomSubject]) -> None:
    """Removes the volumes of another phantom from `out`; refuses where any is not a phantom's."""
    folders = [out / f"{modality}_train" for modality in MODALITIES]
    volumes = [p for f in folders for p in sorted(f.glob("*.nii.gz")) if p.name[0] != "."]
    if not volumes:
        return
    recorded = read_json(out / RECORD) if (out / RECORD).exists() else {}
    if not (isinstance(recorded, dict) and isinstance(recorded.get("subjects", {}), dict)):
        raise DataError(f"{out / RECORD}: expected the record of a phantom; choose another folder")
    own = {f"{id}_{kind}.nii.gz" for id in recorded.get("subjects", {}) for kind in KINDS}
    for path in volumes:
        if path.name not in own:
            raise DataError(
                f"{path}: not this phantom's, since {out / RECORD} does not list it; "
                "choose another folder"
            )
    same = recorded.get("settings") == settings
    wanted = {subject.path(out, kind) for subject in members for kind in KINDS}
    for path in volumes:
        if not (same and path in wanted):
            path.unlink()


def _make_all(out: Path, members: list[PhantomSubject], workers: int):
    """Yields each subject's record and panel, in order, with a progress bar."""
    work = functools.partial(make_subject, out)
    bar = functools.partial(tqdm, total=len(members), desc="phantom", unit="subject", disable=None)
    if workers == 1:
        yield from bar(map(work, members))
        return
    # Forking a process that has TensorFlow's threads can deadlock; a fresh one cannot.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_single_thread) as pool:
        try:
            yield from bar(pool.map(work, members))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _single_thread() -> None:
    """Keeps the workers from fighting over the cores."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def make_subject(out: Path, subject: PhantomSubject) -> tuple[dict[str, Any], np.ndarray]:
    """Writes one subject unless its files are there and sound.

    Returns:
      its record for `phantom.json`, and its panel of the contact sheet (uint8 RGB [h, w, 3]).
    """
    try:
        image, label = _read(out, subject)
    except RuntimeError:  # one is missing or damaged
        _write(out, subject)
        image, label = _read(out, subject)
    person, scan, protocol = subject.sample()
    record = {
        "stack": scan.stack,
        "size": list(scan.grid.size_ijk),
        "spacing_mm": list(scan.grid.spacing_mm),
        "volumes_ml": _volumes_ml(label),
        "anatomy": person.describe(),
        "protocol": asdict(protocol),
    }
    return record, sheet.panel(image, label)


def _write(out: Path, subject: PhantomSubject) -> None:
    """Draws a subject and writes its files, the label first: an image means it is complete."""
    person, scan, protocol = subject.sample()
    scene = anatomy.draw(person, scan)
    image = _APPEARANCE[subject.modality].render(scene, protocol, subject.streams()[3])
    image = np.clip(np.rint(image), -32768, 32767).astype(np.int16)
    for kind, array in (("label", scene.label), ("image", image)):
        with replacing(subject.path(out, kind)) as temporary:
            sitk.WriteImage(scan.grid.apply(array), str(temporary), True, 2)


def _read(out: Path, subject: PhantomSubject) -> list[sitk.Image]:
    """A subject's image and label."""
    return [sitk.ReadImage(str(subject.path(out, kind))) for kind in KINDS]


def _volumes_ml(label: sitk.Image) -> dict[str, float]:
    """Volume of each labeled structure in ml."""
    codes = sitk.GetArrayViewFromImage(label)
    voxel_ml = float(np.prod(label.GetSpacing())) / 1000
    return {s.name: round(int((codes == s.codes[0]).sum()) * voxel_ml, 1) for s in HEART}
