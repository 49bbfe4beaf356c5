"""Prepares a folder of raw volumes, several subjects at a time, redoing only what changed.

A store's file name ends in a digest of all that decides its content. So a store that is there needs
no second look at how it came about; new settings never touch the stores that the present dataset
names; and a run that fails leaves the old dataset valid and the new stores for the next run.
"""

import hashlib
import itertools
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
from typing import Any

import SimpleITK as sitk
from tqdm import tqdm

from cmda_tf.data.dataset import LABEL, VOLUME, Entry
from cmda_tf.data.description import DatasetDescription, find_described, held_out
from cmda_tf.data.layout import RawSubject, find_sources, split_subjects
from cmda_tf.data.prepared import PreparedDataset, write_manifest
from cmda_tf.data.preprocess import PREPROCESSING_VERSION, preprocess, to_classes
from cmda_tf.data.structures import HEART, Structures
from cmda_tf.data.subjects import MAX_SIZE, STORE_FORMAT, Subject, load_subject, save_subject
from cmda_tf.errors import DataError
from cmda_tf.files import make_folder, readable
from cmda_tf.settings import Settings, setting
from cmda_tf.volumes.formats import volume_files
from cmda_tf.volumes.reading import check_same_geometry, read_label, read_volume

# Stores, and what a killed process leaves of one that it was writing.
_STORE_NAME = re.compile(r"(\.tmp\d+_)?[\w-]+\.[0-9a-f]{16}\.npz", re.ASCII)


Job = tuple[RawSubject, str, Path, int, float, bool, Structures]  # what `prepare_subject` takes


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
    """Prepares all subjects of a raw folder; `PreparationSettings` explains how.

    `raw` is in the MM-WHS layout (`cmda_tf.data.layout`), or as `description` describes. `prepared`
    gets the stores and the manifest, and loses stores of subjects that are no longer in `raw`. A
    full-size CT takes about 1.5 GB in each of the `workers`; a single one is this process.

    UsageError if `test_ids` names a subject that is not there; DataError if a file or folder is not
    what it should be: subjects that were prepared before stay, and the manifest is as it was.
    """
    sources = find_sources(raw) if description is None else find_described(raw, description)
    structures = HEART if description is None else description.structures
    split = split_subjects(sources, test_ids or (held_out(description) if description else ()))
    folder = make_folder(prepared)
    jobs = [
        (s, split[s.id], folder, size, spacing_mm, s.modality in center_on_labels, structures)
        for s in sources
    ]
    results = _run(jobs, min(workers, len(jobs)), folder)
    bar = tqdm(results, total=len(jobs), desc="preparing", unit="subject", disable=None)
    by_id = {entry.id: entry for entry in bar}
    entries = tuple(by_id[s.id] for s in sources)
    dataset = PreparedDataset(folder, size, float(spacing_mm), structures, entries)
    write_manifest(dataset)
    listed = {entry.file for entry in entries}
    for path in folder.iterdir():
        if _STORE_NAME.fullmatch(path.name) and path.name not in listed:
            path.unlink()
    return dataset


def _run(jobs: Sequence[Job], workers: int, folder: Path) -> Iterator[Entry]:
    """Prepares the jobs' subjects in any order; the first failure cancels those not begun."""
    if workers <= 1:
        yield from itertools.starmap(prepare_subject, jobs)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    # A forked child of a process that runs TensorFlow's threads may hang.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, spawn, initializer=_start_worker, initargs=(threads,))
    try:
        for future in as_completed([pool.submit(prepare_subject, *job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool as error:
        reason = "perhaps for lack of memory; a single worker needs the least"
        raise DataError(f"{folder}: a worker process died, {reason}") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(threads: int) -> None:
    """Shares the cores among the workers; Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def prepare_subject(
    source: RawSubject,
    split: str,
    folder: Path,
    size: int,
    spacing_mm: float,
    center_on_label: bool,
    structures: Structures,
) -> Entry:
    """Makes one subject's store unless a sound one is there, and returns its entry.

    DataError if a raw file is not what it should be, or the store cannot be written.
    """
    files = {"image": source.image, "label": source.label}
    sha256 = {kind: _sha256(path) if path else None for kind, path in files.items()}
    centered_on = LABEL if center_on_label and source.label else VOLUME
    decides = [PREPROCESSING_VERSION, STORE_FORMAT, sha256, size, spacing_mm, centered_on]
    decides.append(sorted(structures.code_to_class.items()))
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]
    path = folder / f"{source.id}.{digest}.npz"
    try:
        subject = load_subject(path)
    except DataError:
        grid = {"size": size, "spacing_mm": spacing_mm, "center_on_label": center_on_label}
        subject = _read_and_preprocess(source, structures, **grid)
        save_subject(path, subject)
    known = (subject.raw.spacing_mm, subject.intensity_cut, subject.label_inside, sha256)
    labeled = source.label is not None
    return Entry(source.id, source.modality, split, path.name, labeled, centered_on, *known)


def _read_and_preprocess(source: RawSubject, structures: Structures, **grid: Any) -> Subject:
    """The subject from its raw files."""
    classes = None
    try:
        image = read_volume(source.image)
        if source.label:
            codes = read_label(source.label)
            check_same_geometry(image, codes, source.image, source.label)
            classes = to_classes(codes, source.label, structures)
        return preprocess(source.id, source.modality, image, classes, **grid)
    except (MemoryError, RuntimeError) as error:  # ITK reports a failed allocation as the latter
        reason = (str(error).splitlines() or ["out of memory"])[-1]
        raise DataError(f"{source.image}: cannot be prepared ({reason})") from error


def _sha256(path: Path) -> str:
    """Checksum of a volume's bytes: of its file, or of all its files in order."""
    digest = hashlib.sha256()
    for file in volume_files(path):
        with readable(file), file.open("rb") as stream:
            for piece in iter(lambda: stream.read(1 << 20), b""):
                digest.update(piece)
    return digest.hexdigest()
