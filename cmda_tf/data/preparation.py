"""Prepares a folder of raw volumes, several subjects at a time, redoing only what changed.

A store's file name ends in a digest of all that decides its content (checksums of the raw
files, grid, centering, program version). So a store that is there needs no second look at
how it came about; new settings never touch the stores that the present dataset names; and
a run that fails leaves the old dataset valid and the new stores for the next run to find.
"""

import hashlib
import json
import multiprocessing
import os
import re
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
from tqdm import tqdm

from cmda_tf.data.dataset import LABEL, VOLUME, Entry
from cmda_tf.data.description import DatasetDescription, find_described, held_out
from cmda_tf.data.labels import to_classes
from cmda_tf.data.layout import RawSubject, find_sources, split_subjects
from cmda_tf.data.prepared import PreparedDataset, write_manifest
from cmda_tf.data.preprocess import PREPROCESSING_VERSION, preprocess
from cmda_tf.data.structures import HEART, Structures
from cmda_tf.data.subjects import MAX_SIZE, STORE_FORMAT, Subject, load_subject, save_subject
from cmda_tf.errors import DataError
from cmda_tf.files import make_folder
from cmda_tf.settings import Settings, setting
from cmda_tf.volumes.formats import volume_files
from cmda_tf.volumes.reading import check_same_geometry, read_label, read_volume

# Stores, and what a killed process leaves of one that it was writing.
_STORE_NAME = re.compile(r"(\.tmp\d+_)?[\w-]+\.[0-9a-f]{16}\.npz", re.ASCII)


@dataclass(frozen=True)
class Job:
    """What a worker needs to prepare one subject."""

    source: RawSubject
    split: str
    folder: Path
    size: int
    spacing_mm: float
    center_on_label: bool
    structures: Structures


@dataclass(frozen=True)
class PreparationSettings(Settings):
    """How raw volumes are prepared; the defaults are the paper's setting."""

    key = "preparation"
    size: int = setting(256, "Voxels per side of the prepared grid.", minimum=16, maximum=MAX_SIZE)
    spacing_mm: float = setting(1.0, "Its isotropic voxel spacing.", minimum=0.1, maximum=20)
    center_on_labels: tuple[str, ...] = setting(
        ("mr",),
        "Modalities whose grid is centered on the labeled structures instead of on the volume; "
        "a target modality's labels are for evaluation only and should not move its images.",
    )
    test_ids: tuple[str, ...] = setting(
        (), "Subjects to hold out, such as ct_train_1003; replaces the rule of their modality."
    )
    workers: int = setting(2, "Processes that prepare subjects side by side.", minimum=1)


def prepare(
    raw: str | Path,
    prepared: str | Path,
    size: int = PreparationSettings.size,
    spacing_mm: float = PreparationSettings.spacing_mm,
    center_on_labels: Sequence[str] = PreparationSettings.center_on_labels,
    test_ids: Sequence[str] = PreparationSettings.test_ids,
    workers: int = PreparationSettings.workers,
    description: DatasetDescription | None = None,
) -> PreparedDataset:
    """Prepares all subjects of a raw folder.

    Args:
      raw: folder in the MM-WHS layout (`cmda_tf.data.layout`), or as `description` describes.
      prepared: folder for the stores and the manifest; stores of subjects that are no longer
        in `raw` are removed from it.
      size, spacing_mm, center_on_labels: see `PreparationSettings`.
      test_ids: subjects to hold out, see `layout.split_subjects`.
      workers: processes; 1 works in this process. A full-size CT takes about 1.5 GB in each.
      description: description of the raw folder; None for the heart in the MM-WHS layout.

    Returns:
      The data set.

    Raises:
      DataError: a file or folder is not what it should be; subjects that were prepared before
        stay, and the manifest is as it was.
      UsageError: `test_ids` names a subject that is not there.
    """
    sources = find_sources(raw) if description is None else find_described(raw, description)
    structures = HEART if description is None else description.structures
    split = split_subjects(sources, test_ids or (held_out(description) if description else ()))
    folder = make_folder(prepared)
    jobs = [
        Job(s, split[s.id], folder, size, spacing_mm, s.modality in center_on_labels, structures)
        for s in sources
    ]
    results = _run(jobs, min(workers, len(jobs)))
    bar = tqdm(results, total=len(jobs), desc="preparing", unit="subject", disable=None)
    by_id = {entry.id: entry for entry in bar}
    entries = tuple(by_id[s.id] for s in sources)
    dataset = PreparedDataset(folder, size, float(spacing_mm), structures, entries)
    write_manifest(dataset)
    _remove_unlisted(dataset)
    return dataset


def _run(jobs: Sequence[Job], workers: int) -> Iterator[Entry]:
    """Prepares the jobs' subjects in any order; the first failure cancels those not begun."""
    if workers <= 1:
        yield from map(prepare_subject, jobs)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(
        workers,
        # A forked child of a process that runs TensorFlow's threads may hang.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(threads,),
    )
    try:
        for future in as_completed([pool.submit(prepare_subject, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            f"{jobs[0].folder}: a worker process died, perhaps for lack of memory; a single "
            "worker needs the least"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(threads: int) -> None:
    """Shares the cores among the workers; Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def prepare_subject(job: Job) -> Entry:
    """Makes one subject's store unless a sound one is there, and returns its entry.

    Raises:
      DataError: a raw file is not what it should be, or the store cannot be written.
    """
    source = job.source
    files = {"image": source.image, "label": source.label}
    sha256 = {kind: _sha256(path) if path else None for kind, path in files.items()}
    centered_on = LABEL if job.center_on_label and source.label else VOLUME
    decides = [PREPROCESSING_VERSION, STORE_FORMAT, sha256, job.size, job.spacing_mm, centered_on]
    decides.append(sorted(job.structures.code_to_class.items()))
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]
    path = job.folder / f"{source.id}.{digest}.npz"
    try:
        subject = load_subject(path)
    except DataError:
        subject = _read_and_preprocess(job)
        save_subject(path, subject)
    return Entry(
        id=source.id,
        modality=source.modality,
        split=job.split,
        file=path.name,
        labeled=source.label is not None,
        centered_on=centered_on,
        raw_spacing_mm=subject.raw.spacing_mm,
        intensity_cut=subject.intensity_cut,
        label_inside=subject.label_inside,
        sha256=sha256,
    )


def _read_and_preprocess(job: Job) -> Subject:
    """The subject of a job from its raw files."""
    source, classes = job.source, None
    try:
        image = read_volume(source.image)
        if source.label:
            codes = read_label(source.label)
            check_same_geometry(image, codes, source.image, source.label)
            classes = to_classes(codes, source.label, job.structures)
        return preprocess(
            source.id,
            source.modality,
            image,
            classes,
            size=job.size,
            spacing_mm=job.spacing_mm,
            center_on_label=job.center_on_label,
        )
    except (MemoryError, RuntimeError) as error:  # ITK reports a failed allocation as the latter
        reason = (str(error).splitlines() or ["out of memory"])[-1]
        raise DataError(f"{source.image}: cannot be prepared ({reason})") from error


def _sha256(path: Path) -> str:
    """Checksum of a volume's bytes: of its file, or of all its files in order."""
    digest = hashlib.sha256()
    for file in volume_files(path):
        try:
            with file.open("rb") as stream:
                for piece in iter(lambda: stream.read(1 << 20), b""):
                    digest.update(piece)
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def _remove_unlisted(dataset: PreparedDataset) -> None:
    """Removes stores that the manifest does not name; other files are not touched."""
    listed = {entry.file for entry in dataset.entries}
    for path in dataset.folder.iterdir():
        if _STORE_NAME.fullmatch(path.name) and path.name not in listed:
            path.unlink()
