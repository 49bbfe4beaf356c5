"""Raw folders in the MM-WHS layout, and which subjects are held out for testing.

    RAW/mr_train/mr_train_1001_image.nii.gz    RAW/mr_train/mr_train_1001_label.nii.gz
    RAW/ct_train/ct_train_1001_image.nii.gz    RAW/ct_train/ct_train_1001_label.nii.gz
    RAW/mr_test/mr_test_2001_image.nii.gz      RAW/ct_test/ct_test_2001_image.nii.gz

Files may be unpacked (`.nii`), labels may be missing, and `1001` may be any name of letters,
digits, `_` and `-`. What lies in the `_test` folders of MM-WHS, without labels, is material to
train on. As archives unpack into more folders than they hold, each of the four may lie up to two
folders deeper (`mr_train/mr_train`), and `x.nii` may be a folder that holds one `.nii` file.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cmda_tf.errors import DataError, UsageError

FOLDERS = ("mr_train", "ct_train", "mr_test", "ct_test")
ENDINGS = (".nii", ".nii.gz")

# The split that published comparisons on MM-WHS use, for ids 1001 to 1020.
FIELD_IDS = frozenset(str(n) for n in range(1001, 1021))
FIELD_TEST_IDS = {"mr": ("1007", "1009", "1018", "1019"), "ct": ("1003", "1008", "1014", "1019")}


@dataclass(frozen=True)
class RawSubject:
    """One subject, such as "mr_train_1001": files, or folders of DICOM slices."""

    id: str
    modality: str
    image: Path
    label: Path | None = None


def raw_folder(raw: str | Path) -> Path:
    """A folder of raw volumes; DataError if there is none."""
    if not Path(raw).is_dir():
        raise DataError(f"{raw}: no such folder of raw volumes")
    return Path(raw)


def find_sources(raw: str | Path) -> list[RawSubject]:
    """All subjects of a folder's `FOLDERS`, in that order, then by id.

    DataError if it or all of these are missing, one holds no image or is there twice, a label has
    no image, or a file is there both packed and unpacked.
    """
    raw = raw_folder(raw)
    folders = list(filter(None, (_find_folder(raw, name) for name in FOLDERS)))
    if not folders:
        raise DataError(
            f"{raw}: expected a folder {' or '.join(FOLDERS)} with files such as "
            "mr_train/mr_train_1001_image.nii.gz and mr_train/mr_train_1001_label.nii.gz"
        )
    return [source for folder in folders for source in _sources_of(folder)]


def split_subjects(sources: Sequence[RawSubject], test_ids: Sequence[str] = ()) -> dict[str, str]:
    """Decides which subjects are held out.

    Returns "train" or "test" for each id; UsageError if `test_ids` names what is not there. Of a
    modality of which it names none, the field's split is held out where the `_train` folder holds
    exactly 1001 to 1020 (labeled or not, so that removing labels moves nobody), otherwise the last
    max(1, round(n / 5)) of the n labeled subjects in the order of their ids.
    """
    held_out = set(test_ids)
    if unknown := sorted(held_out - {s.id for s in sources}):
        raise UsageError(f"test_ids: no subject {unknown[0]!r} among the raw volumes")
    for modality in dict.fromkeys(s.modality for s in sources):
        members = [s for s in sources if s.modality == modality]
        if not any(s.id in held_out for s in members):
            held_out |= _default_test_ids(modality, members)
    return {s.id: "test" if s.id in held_out else "train" for s in sources}


def _default_test_ids(modality: str, members: Sequence[RawSubject]) -> set[str]:
    """The held-out ids of a modality for which nothing is asked."""
    prefix = f"{modality}_train_"
    numbers = {s.id.removeprefix(prefix) for s in members if s.id.startswith(prefix)}
    if numbers == FIELD_IDS and modality in FIELD_TEST_IDS:
        return {prefix + number for number in FIELD_TEST_IDS[modality]}
    labeled = sorted(s.id for s in members if s.label)
    return set(labeled[-max(1, round(len(labeled) / 5)) :])


def _find_folder(raw: Path, name: str) -> Path | None:
    """The least deep folder of this name that holds volumes; else the first, for an error."""
    empty = []
    for depth in range(3):
        folders = sorted(p for p in raw.glob("*/" * depth + name) if p.is_dir())
        full = [p for p in folders if any(map(_is_volume, p.iterdir()))]
        if len(full) > 1:
            raise DataError(f"{full[1]}: {full[0]} holds volumes too; keep one of them")
        if full:
            return full[0]
        empty += folders
    return empty[0] if empty else None


def _sources_of(folder: Path) -> list[RawSubject]:
    """The subjects of one of `FOLDERS`, by id."""
    expected = f"{folder.name}_<id>_image.nii.gz or {folder.name}_<id>_label.nii.gz"
    pattern = re.compile(rf"({folder.name}_[\w-]+)_(image|label)\.nii(\.gz)?", re.ASCII)
    files: dict[str, dict[str, Path]] = {"image": {}, "label": {}}
    for path in sorted(folder.iterdir()):
        if match := pattern.fullmatch(path.name):
            id, kind = match[1], match[2]
            if other := files[kind].get(id):
                raise DataError(f"{path}: {other.name} is there too; keep one of them")
            files[kind][id] = path
        elif _is_volume(path):
            logging.warning("%s: left out; its name is not %s", path, expected)
    if orphans := sorted(files["label"].keys() - files["image"].keys()):
        path = files["label"][orphans[0]]
        raise DataError(f"{path}: a label without its image {orphans[0]}_image.nii.gz")
    if not files["image"]:
        raise DataError(f"{folder}: no volumes; expected files named {expected}")
    modality = folder.name.split("_")[0]
    images, labels = ({id: _unfolded(p) for id, p in files[k].items()} for k in ("image", "label"))
    return [RawSubject(id, modality, images[id], labels.get(id)) for id in sorted(images)]


def _is_volume(path: Path) -> bool:
    """Whether a path is called like a volume; the Mac's companions (`._x.nii`) are not."""
    return path.name.endswith(ENDINGS) and not path.name.startswith(".")


def _unfolded(path: Path) -> Path:
    """The file itself, also where it was unpacked into a folder of its own name."""
    if not path.is_dir():
        return path
    inner = [p for p in sorted(path.iterdir()) if _is_volume(p) and p.is_file()]
    if len(inner) != 1:
        raise DataError(f"{path}: a folder; expected one NIfTI file in it, found {len(inner)}")
    return inner[0]
