"""Writes a phantom data set: subjects of both modalities, a record of them, a contact sheet.

A subject is a function of (seed, modality, number): which process makes it, when, and how many
others there are changes nothing.
"""

import functools
import itertools
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
from cmda_tf.phantom import anatomy, ct, mr, scanner, sheet
from cmda_tf.phantom.settings import PhantomSettings

# Part of every data set's settings: a change of the images makes existing files outdated.
PHANTOM_VERSION = 2
_APPEARANCE = {"mr": mr, "ct": ct}
MODALITIES = tuple(_APPEARANCE)
KINDS = ("image", "label")
RECORD = "phantom.json"
SHEET = "contact_sheet.png"


@dataclass(frozen=True)
class PhantomSubject:
    """One subject of a data set."""

    modality: str  # "mr" or "ct"
    number: int  # 1 for the first of its modality
    seed: int  # the data set's
    resolution: str

    @property
    def id(self) -> str:
        """As in the names of its files, e.g. mr_train_1001."""
        return f"{self.modality}_train_{1000 + self.number}"

    def paths(self, out: Path) -> list[Path]:
        """Its files of image and label."""
        folder = out / f"{self.modality}_train"
        return [folder / f"{self.id}_{kind}.nii.gz" for kind in KINDS]

    def streams(self) -> list[np.random.Generator]:
        """Independent generators: anatomy, scanner, protocol, image."""
        key = [self.seed, MODALITIES.index(self.modality), self.number]
        return np.random.default_rng(key).spawn(4)

    def sample(self) -> tuple[anatomy.Person, scanner.Scan, mr.Protocol | ct.Protocol]:
        """Draws its person, where and how that is scanned, and the scan's protocol."""
        for_person, for_scanner, for_protocol, _ = self.streams()
        scan = scanner.plan_scan(self.modality, self.resolution, for_scanner)
        protocol = _APPEARANCE[self.modality].Protocol.sample(for_protocol)
        return anatomy.Person.sample(for_person), scan, protocol


def write_phantom(out: str | Path, **options: Any) -> Path:
    """Writes subjects of both modalities to a folder; those that are there already are kept.

    Options are the other fields of `PhantomSettings`; one worker is this process.

    Raises:
      UsageError: an option is out of its range.
      DataError: `out` cannot be written, or holds volumes that are not this phantom's.
    """
    settings, out = PhantomSettings(str(out), **options), make_folder(out)
    seed, resolution = settings.seed, settings.resolution
    numbers = itertools.product(MODALITIES, range(1, settings.subjects + 1))
    members = [PhantomSubject(modality, n, seed, resolution) for modality, n in numbers]
    about = {"version": PHANTOM_VERSION, "seed": seed, "resolution": resolution}
    _clear_others(out, about, members)
    write_json(out / RECORD, {"settings": about, "subjects": {s.id: {} for s in members}})
    records, panels = zip(*_make_all(out, members, settings.workers))
    ids = [subject.id for subject in members]
    sheet.write_sheet(out / SHEET, dict(zip(ids, panels)))
    write_json(out / RECORD, {"settings": about, "subjects": dict(zip(ids, records))})
    return out


def _clear_others(out: Path, about: dict[str, Any], members: list[PhantomSubject]) -> None:
    """Removes the volumes of another phantom from `out`; refuses where any is not a phantom's."""
    volumes = [p for m in MODALITIES for p in sorted((out / f"{m}_train").glob("[!.]*.nii.gz"))]
    if not volumes:
        return
    recorded = read_json(out / RECORD) if (out / RECORD).exists() else {}
    if not (isinstance(recorded, dict) and isinstance(recorded.get("subjects", {}), dict)):
        raise DataError(f"{out / RECORD}: expected the record of a phantom; choose another folder")
    own = {f"{id}_{kind}.nii.gz" for id in recorded.get("subjects", {}) for kind in KINDS}
    for path in volumes:
        if path.name not in own:
            why = f"not this phantom's, since {out / RECORD} does not list it"
            raise DataError(f"{path}: {why}; choose another folder")
    same = recorded.get("settings") == about
    wanted = {path for subject in members for path in subject.paths(out)}
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
    # With many threads each, the workers would fight over the cores.
    limit = sitk.ProcessObject.SetGlobalDefaultNumberOfThreads
    with ProcessPoolExecutor(workers, context, initializer=limit, initargs=(1,)) as pool:
        try:
            yield from bar(pool.map(work, members))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def make_subject(out: Path, subject: PhantomSubject) -> tuple[dict[str, Any], np.ndarray]:
    """Writes one subject unless its files are there and sound.

    Gives its record for `phantom.json`, and its panel of the contact sheet (uint8 RGB [h, w, 3]).
    """
    paths = list(map(str, subject.paths(out)))
    try:
        image, label = map(sitk.ReadImage, paths)
    except RuntimeError:  # one is missing or damaged
        _write(out, subject)
        image, label = map(sitk.ReadImage, paths)
    codes, voxel_ml = sitk.GetArrayViewFromImage(label), np.prod(label.GetSpacing()) / 1000
    volumes = {s.name: round(float((codes == s.codes[0]).sum() * voxel_ml), 1) for s in HEART}
    person, scan, protocol = subject.sample()
    record = {
        "stack": scan.stack,
        "size": list(scan.grid.size_ijk),
        "spacing_mm": list(scan.grid.spacing_mm),
        "volumes_ml": volumes,
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
    image_path, label_path = subject.paths(out)
    for path, array in ((label_path, scene.label), (image_path, image)):
        with replacing(path) as temporary:
            sitk.WriteImage(scan.grid.apply(array), str(temporary), True, 2)
