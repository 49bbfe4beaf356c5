"""Guessed descriptions of folders as people have them."""

import pytest

from cmda_tf.data.description import DatasetDescription, find_described
from cmda_tf.errors import DataError
from cmda_tf.survey.guess import describe
from cmda_tf.survey.patterns import candidates
from cmda_tf.survey.volumes import Volume, find_volumes, words
from cmda_tf.visualization.palette import distinct
from cmda_tf.volumes.geometry import Geometry

AXIAL = (1, 0, 0, 0, 1, 0, 0, 0, 1)


def look(raw, labels, unreadable=(), codes=(0, 6)):
    """All volumes of a folder, on one grid; those with the names of `labels` are labels."""
    grid = Geometry((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    actual = []
    for name in find_volumes(raw):
        kind = "label" if name in labels else "unreadable" if name in unreadable else "image"
        counts = dict.fromkeys(codes, 9) if kind == "label" else None
        actual.append(Volume(name, kind, None if kind == "unreadable" else grid, codes=counts))
    return actual


def touch(raw, *names):
    for name in names:
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


# Of each: pairs of image and label for each modality, then the patterns that we would write.
LAYOUTS = {
    "beside": (
        {
            "mr": [(f"MR/p{n}.nii.gz", f"MR/p{n}_seg.nii.gz") for n in (1, 2, 10, 11)],
            "ct": [(f"CT/p{n}.nii.gz", f"CT/p{n}_seg.nii.gz") for n in (1, 2)],
        },
        {
            "mr": ("MR/{id}.nii.gz", "MR/{id}_seg.nii.gz"),
            "ct": ("CT/{id}.nii.gz", "CT/{id}_seg.nii.gz"),
        },
    ),
    "flat": (
        {
            "mr": [(f"mri_{n}_image.nii", f"mri_{n}_label.nii") for n in (101, 102)],
            "ct": [(f"ct_{n}_image.nii", None) for n in (101, 109)],
        },
        {"mr": ("mri_{id}_image.nii", "mri_{id}_label.nii"), "ct": ("ct_{id}_image.nii", None)},
    ),
    "nnU-Net": (
        {
            d: [(f"imagesTr/{d}_{n:03}_0000.nii.gz", f"labelsTr/{d}_{n:03}.nii.gz") for n in (1, 2)]
            for d in ("mr", "ct")
        },
        {
            d: (f"imagesTr/{d}_{{id}}_0000.nii.gz", f"labelsTr/{d}_{{id}}.nii.gz")
            for d in ("mr", "ct")
        },
    ),
    "numbers in words": (
        {"ct": [(f"ct/img/img{n:04}.nii.gz", f"ct/label/label{n:04}.nii.gz") for n in (1, 2, 13)]},
        {"ct": ("ct/img/img{id}.nii.gz", "ct/label/label{id}.nii.gz")},
    ),
    "a folder each": (
        {
            "ct": [(f"CT/{n}/DICOM_anon/", f"CT/{n}/truth.nii.gz") for n in (1, 2, 8)],
            "mr_t1": [(f"MR/{n}/T1/image.nrrd", f"MR/{n}/T1/mask.nrrd") for n in (1, 3)],
            "mr_t2": [(f"MR/{n}/T2/image.nrrd", None) for n in (1, 3)],
        },
        {
            "ct": ("CT/{id}/DICOM_anon/", "CT/{id}/truth.nii.gz"),
            "mr_t1": ("MR/{id}/T1/image.nrrd", "MR/{id}/T1/mask.nrrd"),
            "mr_t2": ("MR/{id}/T2/image.nrrd", None),
        },
    ),
    "twice, and one label for two": (
        {
            "t1": [(f"B_{n}/B_{n}_t1.nii", f"B_{n}/B_{n}_seg.nii") for n in ("001", "002")],
            "t2": [(f"B_{n}/B_{n}_t2.nii", f"B_{n}/B_{n}_seg.nii") for n in ("001", "002")],
        },
        {
            "t1": ("B_{id}/B_{id}_t1.nii", "B_{id}/B_{id}_seg.nii"),
            "t2": ("B_{id}/B_{id}_t2.nii", "B_{id}/B_{id}_seg.nii"),
        },
    ),
    "folders with other names": (
        {"ct": [(f"ct/p{n}/series_{7 * n}/", f"ct/p{n}/label.mha") for n in (1, 2, 3)]},
        {"ct": ("ct/{id}/series_*/", "ct/{id}/label.mha")},
    ),
    "labels of some": (
        {
            "ct": [(f"ct/imagesTr/{n}.nii", f"ct/labelsTr/{n}.nii") for n in ("anna", "bob")]
            + [("ct/imagesTs/eve.nii", None)]
        },
        {"ct": ("ct/images*/{id}.nii", "ct/labelsTr/{id}.nii")},
    ),
    "a file in a folder of its name": (
        {"ct": [(f"ct/{n}.nii/{n}.nii", f"ct/{n}_seg.nii/{n}_seg.nii") for n in (1, 2)]},
        {"ct": ("ct/{id}.nii/{id}.nii", "ct/{id}_seg.nii/{id}_seg.nii")},
    ),
    "sites": (
        {
            "site_a": [(f"Site-A/{n}.nii", f"Site-A/{n}-mask.nii") for n in (4, 5)],
            "site_b": [(f"Site-B/{n}.nii", None) for n in (4, 5)],
        },
        {
            "site_a": ("Site-A/{id}.nii", "Site-A/{id}-mask.nii"),
            "site_b": ("Site-B/{id}.nii", None),
        },
    ),
    "subjects without a modality": (
        {"images": [(f"p{n}/image.nii", f"p{n}/label.nii") for n in range(1, 9)]},
        {"images": ("{id}/image.nii", "{id}/label.nii")},
    ),
    "one subject": (
        {"ct": [("ct/7_image.nii", "ct/7_label.nii")], "mr": [("mr/8_image.nii", None)]},
        {"ct": ("ct/{id}_image.nii", "ct/{id}_label.nii"), "mr": ("mr/{id}.nii", None)},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_description_finds_exactly_the_files(tmp_path, layout):
    pairs, patterns = layout
    files = {path for actual in pairs.values() for pair in actual for path in pair if path}
    touch(tmp_path, *(f"{p}1.dcm" if p.endswith("/") else p for p in files), "readme.txt")
    labels = {label for actual in pairs.values() for _, label in actual}
    values, notes = describe(tmp_path, look(tmp_path, labels), distinct)
    actual = {n: (d["image"], d.get("label")) for n, d in values["modalities"].items()}
    assert actual == patterns
    there = {name: set() for name in pairs}
    for s in find_described(tmp_path, DatasetDescription.from_dict(values)):
        there[s.modality].add((s.image, s.label))
    expected = {
        name: {(tmp_path / i, tmp_path / j if j else None) for i, j in actual}
        for name, actual in pairs.items()
    }
    assert there == expected
    assert not [note for note in notes if "left out" in note or "grid" in note]


def test_structures_are_the_codes_of_the_labels(tmp_path):
    touch(tmp_path, "ct/1.nii", "ct/1_seg.nii")
    volumes = look(tmp_path, {"ct/1_seg.nii"}, codes=(0, 205, 7))
    values, notes = describe(tmp_path, volumes, distinct)
    assert [(s["name"], s["codes"]) for s in values["structures"]] == [
        ("label_7", [7]), ("label_205", [205]),
    ]  # fmt: skip
    assert len({s["color"] for s in values["structures"]}) == 2
    assert notes == ["only one modality found, ct: adaptation needs a source and a target"]


def test_what_a_description_lacks_is_said(tmp_path):
    names = [f"ct/p{n}.nii" for n in (1, 2, 3)] + ["ct/p1_seg.nii", "ct/p2_seg.nii", "mr/q.nii"]
    touch(tmp_path, *names, "ct/p4.nii", "mr/deep/er/x.nii")
    volumes = look(tmp_path, {"ct/p1_seg.nii", "ct/p2_seg.nii"}, unreadable={"ct/p4.nii"})
    moved = Geometry((4, 4, 4), (1.0, 1.0, 1.0), (5.0, 0.0, 0.0), AXIAL)
    volumes = [
        Volume(v.name, v.kind, moved, codes=v.codes) if v.name == "ct/p2.nii" else v
        for v in volumes
    ]
    values, notes = describe(tmp_path, volumes, distinct)
    assert values["modalities"]["ct"] == {"image": "ct/{id}.nii", "label": "ct/{id}_seg.nii"}
    assert "ct: 1 of 3 images have no label" in notes
    assert "mr: no labels; it can be the target, but not be measured" in notes
    assert "ct/p2_seg.nii: not on the grid of ct/p2.nii" in notes
    left_out = [note.split(":")[0] for note in notes if "left out" in note]
    assert left_out in (["mr/q.nii"], ["mr/deep/er/x.nii"])  # no pattern fits both


@pytest.mark.parametrize(
    ("labels", "codes", "message"),
    [
        ((), (0, 1), "no volume there is a label map"),
        (("ct/1.nii", "ct/2.nii"), (0, 1), "no volume there is an image"),
        (("ct/2.nii",), (0,), "found 0"),
        (("ct/2.nii",), range(256), "expected 1 to 254 label codes besides 0 .* found 255"),
    ],
)
def test_no_description_can_be_guessed(tmp_path, labels, codes, message):
    touch(tmp_path, "ct/1.nii", "ct/2.nii")
    with pytest.raises(DataError, match=message):
        describe(tmp_path, look(tmp_path, labels, codes=codes), distinct)


def test_patterns_prefer_whole_words_that_differ():
    assert candidates(["a/img_01.nii", "a/img_02.nii"])[0] == "a/img_{id}.nii"
    assert candidates(["a/p1.nii", "a/p2.nii"]) == ["a/{id}.nii", "a/p{id}.nii"]
    assert candidates(["é.nii"]) == []  # such names fit no id
    assert candidates(["a/1.nii", "b/2.nii"])[0] == "*/{id}.nii"


def test_of_two_images_a_subject_one_is_described(tmp_path):
    names = [f"MR/{n}/{p}/" for n in (1, 2, 3) for p in ("InPhase", "OutPhase")]
    labels = [f"MR/{n}/Ground.nii" for n in (1, 2, 3)]
    touch(tmp_path, *(f"{n}1.dcm" for n in names), *labels)
    values, notes = describe(tmp_path, look(tmp_path, labels), distinct)
    assert values["modalities"]["mr"] == {
        "image": "MR/{id}/InPhase/",
        "label": "MR/{id}/Ground.nii",
    }
    assert [n.split(":")[0] for n in notes if "left out" in n] == names[1::2]


def test_words_of_a_path():
    assert words("MR/labelsTr/T1_p10-t2w.nii.gz") == [
        *("mr", "labelstr", "t1", "p", "10", "t", "2", "w", "nii", "gz"),
    ]


def test_colors_are_distinct_and_stay():
    colors = distinct(254)
    assert len(set(map(str.lower, colors))) == 254 and distinct(9) == colors[:9]
