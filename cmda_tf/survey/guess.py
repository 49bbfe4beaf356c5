"""A first description (`cmda_tf.data.description`) of a folder, from what `volumes` saw in it."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from cmda_tf.data.description import ModalityFiles, subjects, walk
from cmda_tf.data.layout import RawSubject, find_sources
from cmda_tf.data.structures import HEART, MAX_CLASSES
from cmda_tf.errors import DataError
from cmda_tf.survey.patterns import candidates
from cmda_tf.survey.volumes import Volume, same_grid, words

# Words of a path that name a modality. A path with several belongs to them all: `mr_t1`.
MODALITY_WORDS = {
    **dict.fromkeys(("mr", "mri", "cmr", "mra"), "mr"),
    **dict.fromkeys(("ct", "cta", "cect", "ccta"), "ct"),
    **{name: name for name in ("t1", "t2", "flair", "lge", "bssfp", "cbct", "pet")},
}
# Words of folders that say nothing of the modality.
ROLE_WORDS = {
    *("image", "images", "img", "imgs", "imagestr", "imagests", "volume", "volumes", "data"),
    *("train", "training", "test", "testing", "val", "validation", "raw", "nifti", "nii"),
}
MAX_FOLDERS = 6  # more are rather subjects than modalities
ONE_MODALITY = "images"  # its name where no path says one
_FAILURE = "no description can be guessed"


def is_mmwhs(raw: Path, volumes: Sequence[Volume]) -> bool:
    """Whether `cmda_tf.prepare` knows this folder and its codes without a description."""
    try:
        find_sources(raw)
    except DataError:
        return False
    return _codes([v for v in volumes if v.kind == "label"]) <= HEART.code_to_class.keys()


def describe(
    raw: Path, volumes: Sequence[Volume], colors: Callable[[int], Sequence[str]]
) -> tuple[dict[str, Any], list[str]]:
    """Guesses modalities, patterns and structures from all volumes of a folder (`classify`).

    `colors` gives so many different colors, `#rrggbb`. Returns the description's JSON values, and a
    sentence for each thing that needs a look; DataError without image, label map or legal codes.
    """
    images, labels = ([v for v in volumes if v.kind == kind] for kind in ("image", "label"))
    if not images:
        raise DataError(f"{raw}: {_FAILURE}: no volume there is an image")
    if not labels:
        label_map = "a label map (a few whole numbers, on the grid of an image)"
        nothing = "so there is nothing to learn from"
        raise DataError(f"{raw}: {_FAILURE}: no volume there is {label_map}, {nothing}")
    by_name = {v.name: v for v in images + labels}
    # What cannot be read has no say in how files are called.
    unreadable = {v.name for v in volumes if v.kind == "unreadable"}
    names = sorted(set(walk(raw)) - unreadable)
    names = [n for n in names if n in by_name or n.endswith("/")]
    folders = _modality_folders(images)
    by_modality: dict[str, list[Volume]] = {}
    for image in images:
        by_modality.setdefault(_modality_of(image.name, folders) or ONE_MODALITY, []).append(image)
    modalities: dict[str, dict[str, str]] = {}
    sources: dict[str, list[RawSubject]] = {}
    for name, members in by_modality.items():
        of_modality = _labels_of(name, members, labels, folders)
        if choice := _choose(raw, name, members, of_modality, names):
            files, sources[name] = choice
            modalities[name] = {"image": files.image}
            modalities[name] |= {"label": files.label} if files.label else {}
    used = [by_name[_name(raw, s.label)] for of in sources.values() for s in of if s.label]
    values = {"structures": _structures(raw, used, colors), "modalities": modalities}
    return values, _notes(raw, by_name, sources)


def _notes(
    raw: Path, by_name: dict[str, Volume], sources: dict[str, list[RawSubject]]
) -> list[str]:
    """A sentence for each thing that needs a look."""
    notes = []
    for name, members in sources.items():
        if missing := sum(s.label is None for s in members):
            some = f"{missing} of {len(members)} images have no label"
            none = "no labels; it can be the target, but not be measured"
            notes.append(f"{name}: {none if missing == len(members) else some}")
    described = [s for members in sources.values() for s in members]
    paths = {_name(raw, path) for s in described for path in (s.image, s.label) if path}
    left_out = "left out: its name fits no pattern of the others"
    notes += [f"{v.name}: {v.kind}, {left_out}" for v in by_name.values() if v.name not in paths]
    for image, label in [(_name(raw, s.image), _name(raw, s.label)) for s in described if s.label]:
        if not same_grid(by_name[image], by_name[label]):
            notes.append(f"{label}: not on the grid of {image}")
    if len(sources) == 1:
        (only,) = sources
        notes.append(f"only one modality found, {only}: adaptation needs a source and a target")
    return notes


def _codes(labels: Sequence[Volume]) -> set[int]:
    return {code for volume in labels for code in volume.codes or ()}


def _modality_folders(images: Sequence[Volume]) -> set[str]:
    """The first folders that seem to be a modality each: few, of several images that name none."""
    unnamed = [v.name.split("/") for v in images if not _modality_words(v.name)]
    firsts = [parts[0] for parts in unnamed if len(parts) > 1]
    counts = Counter(name for name in firsts if not ROLE_WORDS.issuperset(words(name)))
    several = len(counts) <= MAX_FOLDERS and min(counts.values(), default=0) > 1
    return set(counts) if several else set()


def _modality_of(name: str, folders: Collection[str]) -> str:
    """The modality that a path names, or else that of its first folder; "" for none."""
    if named := _modality_words(name):
        return "_".join(named)
    first = name.split("/")[0]
    if first not in folders:
        return ""
    slug = re.sub(r"[^a-z0-9]+", "_", first.lower()).strip("_")
    return slug if slug[:1].isalpha() else f"d{slug}"


def _modality_words(name: str) -> list[str]:
    return list(dict.fromkeys(MODALITY_WORDS[w] for w in words(name) if w in MODALITY_WORDS))


def _labels_of(
    name: str, images: Sequence[Volume], labels: Sequence[Volume], folders: Collection[str]
) -> list[Volume]:
    """Labels of a modality's own name; else those that name no other and lie on an image's grid."""
    modalities = [(v, _modality_of(v.name, folders)) for v in labels]
    if of_name := [v for v, modality in modalities if modality == name]:
        return of_name
    general = [v for v, modality in modalities if not modality or f"_{modality}_" in f"_{name}_"]
    return [v for v in general if any(same_grid(v, image) for image in images)]


def _choose(
    raw: Path, name: str, images: Sequence[Volume], labels: Sequence[Volume], names: Sequence[str]
) -> tuple[ModalityFiles, list[RawSubject]] | None:
    """The first pair of patterns that finds a modality's files, or most of them, and no others."""
    image_names, label_names = ({v.name for v in volumes} for volumes in (images, labels))
    best, best_count = None, 0
    label_patterns = candidates(sorted(label_names)) if labels else []
    for pair in itertools.product(candidates(sorted(image_names)), (*label_patterns, None)):
        try:
            files = ModalityFiles(name, *pair)
            sources = subjects(raw, files, names)
        except (DataError, ValueError):
            continue
        of_images = {_name(raw, s.image) for s in sources}
        of_labels = {_name(raw, s.label) for s in sources if s.label}
        count = len(of_images) + len(of_labels)
        if of_images <= image_names and of_labels <= label_names and count > best_count:
            best, best_count = (files, sources), count
            if count == len(images) + len(labels):
                break
    return best


def _structures(
    raw: Path, labels: Sequence[Volume], colors: Callable[[int], Sequence[str]]
) -> list[dict[str, Any]]:
    """One structure for each code but 0."""
    codes = sorted(_codes(labels) - {0})
    if not 1 <= len(codes) < MAX_CLASSES:
        raise DataError(
            f"{raw}: {_FAILURE}: expected 1 to {MAX_CLASSES - 1} label codes besides 0 in its "
            f"{len(labels)} label maps, found {len(codes)}"
        )
    return [
        {"name": f"label_{code}", "codes": [code], "color": color}
        for code, color in zip(codes, colors(len(codes)))
    ]


def _name(raw: Path, path: Path) -> str:
    """A path as `walk` gives it."""
    return path.relative_to(raw).as_posix() + ("/" if path.is_dir() else "")
