"""A data set that models train on: its subjects, slices and structures, whatever form it has.

`cmda_tf.data.prepared` holds what this package prepared, `cmda_tf.release2018.dataset` the
authors' release; `cmda_tf.datasets.open_dataset` opens either. Nothing else asks which it is.
"""

import abc
from dataclasses import dataclass
from pathlib import Path

from cmda_tf.data.slices import SliceStack
from cmda_tf.data.structures import Structures
from cmda_tf.data.subjects import Subject
from cmda_tf.errors import DataError, UsageError

LABEL, VOLUME = "label", "volume"  # what an image may be centered on


@dataclass(frozen=True)
class Entry:
    """One subject, or of the release one file of slices; None for what is not known of it."""

    id: str  # such as "ct_train_1003"
    modality: str  # such as "mr"
    split: str  # "train", or "test": held out, also where it has no label
    file: str  # path within the data set's folder
    labeled: bool
    centered_on: str | None = None  # LABEL or VOLUME, whose center is that of the image's crop
    raw_spacing_mm: tuple[float, float, float] | None = None  # along the raw file's i, j, k
    intensity_cut: float | None = None  # raw intensity at which the histogram was cut
    label_inside: float | None = None  # share of the structures' volume inside the prepared grid
    sha256: dict[str, str | None] | None = None  # of the raw files, by "image" and "label"


@dataclass(frozen=True)
class Dataset(abc.ABC):
    """Subjects of some modalities, for training and for testing.

    Every volume has `size` voxels per side with an isotropic spacing; `structures` says what the
    class indices of labels mean. The entries are sorted by modality, then by id.
    """

    folder: Path
    size: int
    spacing_mm: float
    structures: Structures
    entries: tuple[Entry, ...]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those that have subjects, in the order of the entries."""
        return tuple(dict.fromkeys(e.modality for e in self.entries))

    def select(self, modality: str, split: str) -> list[Entry]:
        """The entries of one modality and split ("train" or "test")."""
        return [e for e in self.entries if (e.modality, e.split) == (modality, split)]

    def path(self, entry: Entry) -> Path:
        """The file of an entry."""
        return self.folder / entry.file

    def check_modality(self, modality: str, parameter: str) -> None:
        """Raises UsageError, naming the parameter, unless there is such a modality."""
        if modality not in self.modalities:
            expected = f"a modality of {self.folder} ({', '.join(self.modalities)})"
            raise UsageError(f"{parameter}: expected {expected}, found {modality!r}")

    def crop(self, modality: str) -> str | None:
        """What the training images of a modality are centered on.

        "label" if that is so for any of them, else None if it is unknown for any, else "volume".
        """
        centers = {e.centered_on for e in self.select(modality, "train")}
        return LABEL if LABEL in centers else None if None in centers else VOLUME

    def slices(self, modality: str, split: str, with_labels: bool) -> SliceStack:
        """The slices of a modality's split, without labels, or of the labeled subjects with them.

        DataError if there is no such subject, or a file is missing or damaged.
        """
        return self._stack(self._some(modality, split, with_labels), with_labels)

    def target_slices(self, modality: str) -> SliceStack:
        """The training slices of a modality that is adapted to, without labels.

        DataError if labels have decided where these images were cropped.
        """
        for entry in self.select(modality, "train"):
            if entry.centered_on == LABEL:
                raise DataError(
                    f"{self.path(entry)}: this target training image is centered on its label, "
                    f"which adaptation must not know; prepare the data again, with the labels of "
                    f"{modality} not among those that images are centered on"
                )
        return self.slices(modality, "train", with_labels=False)

    def has_test_subjects(self, modality: str) -> bool:
        """Whether a modality has labeled test subjects."""
        return any(e.labeled for e in self.select(modality, "test"))

    def test_subjects(self, modality: str) -> list[Subject]:
        """A modality's labeled test subjects; DataError if none is there or a file is damaged."""
        return [self.test_subject(entry) for entry in self._some(modality, "test", labeled=True)]

    def _some(self, modality: str, split: str, labeled: bool) -> list[Entry]:
        """At least one entry of a modality's split; of the labeled ones, if asked for."""
        entries = [e for e in self.select(modality, split) if e.labeled or not labeled]
        if not entries:
            kind = "labeled " if labeled else ""
            raise DataError(f"{self.folder}: no {kind}{split} subject of modality {modality!r}")
        return entries

    @abc.abstractmethod
    def test_subject(self, entry: Entry) -> Subject:
        """A test subject with its label; DataError if its file is missing or damaged."""

    @abc.abstractmethod
    def checksum(self) -> str:
        """SHA-256 of what tells one data set's content from another's."""

    @abc.abstractmethod
    def _stack(self, entries: list[Entry], with_labels: bool) -> SliceStack:
        """The slices of these entries of one split."""
