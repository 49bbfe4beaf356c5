"""Descriptions of a user's own data, and the subjects they find."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from cmda_tf.data.description import DatasetDescription, find_described, held_out, read_description
from cmda_tf.data.preparation import prepare
from cmda_tf.data.prepared import read_prepared
from cmda_tf.data.subjects import load_subject
from cmda_tf.errors import DataError

ABDOMEN = {
    "structures": [
        {"name": "liver", "codes": [6], "color": "#a0522d"},
        {"name": "kidneys", "codes": [2, 3], "color": "#ffd21f"},
    ],
    "background_codes": [0, 1],
    "modalities": {
        "t1": {"image": "MR/{id}/t1_*.nii.gz", "label": "MR/{id}/truth.nii.gz", "test": ["p2"]},
        "ct": {"image": "CT/{id}.nii.gz", "label": "CT/{id}_seg.nii.gz"},
    },
}


def changed(**changes):
    return json.loads(json.dumps({**ABDOMEN, **changes}))


def touch(raw, *names):
    for name in names:
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_subjects_of_all_domains_are_found(tmp_path):
    touch(
        tmp_path,
        *("MR/p2/t1_a.nii.gz", "MR/p2/truth.nii.gz", "MR/p1/t1_b.nii.gz", "MR/p1/t2_b.nii.gz"),
        *("CT/x.y.nii.gz", "CT/x.y_seg.nii.gz", "CT/.hidden.nii.gz", "MR/p1/deep/t1_c.nii.gz"),
    )
    description = DatasetDescription.from_dict(ABDOMEN)
    sources = find_described(tmp_path, description)
    actual = {s.id: (s.modality, s.image.name, s.label and s.label.name) for s in sources}
    assert actual["t1_p1"] == ("t1", "t1_b.nii.gz", None)
    assert actual["t1_p2"] == ("t1", "t1_a.nii.gz", "truth.nii.gz")
    assert actual["ct_x-y"] == ("ct", "x.y.nii.gz", "x.y_seg.nii.gz")
    assert list(actual) == ["t1_p1", "t1_p2", "ct_x-y"] and held_out(description) == ("t1_p2",)


def test_folders_and_repeated_names(tmp_path):
    touch(tmp_path, "ct/a/slices/1.dcm", "ct/b/slices/1.dcm", "mr/a/a.nii", "mr/a/b.nii")
    modalities = {"ct": {"image": "ct/{id}/slices/"}, "mr": {"image": "mr/{id}/{id}.nii"}}
    actual = find_described(tmp_path, DatasetDescription.from_dict(changed(modalities=modalities)))
    assert [s.id for s in actual] == ["ct_a", "ct_b", "mr_a"] and actual[0].image.is_dir()


def test_two_images_of_one_subject_are_refused(tmp_path):
    touch(tmp_path, "MR/p1/t1_a.nii.gz", "MR/p1/t1_b.nii.gz", "CT/x.nii.gz")
    with pytest.raises(
        DataError, match=r"t1_b\.nii\.gz: MR/p1/t1_a\.nii\.gz is subject 'p1' of t1"
    ):
        find_described(tmp_path, DatasetDescription.from_dict(ABDOMEN))


def test_the_longer_pattern_decides(tmp_path):
    touch(tmp_path, "ct/a_0000.nii.gz", "ct/a.nii.gz", "ct/b_0000.nii.gz")  # as nnU-Net calls them
    modalities = {"ct": {"image": "ct/{id}_0000.nii.gz", "label": "ct/{id}.nii.gz"}}
    actual = find_described(tmp_path, DatasetDescription.from_dict(changed(modalities=modalities)))
    assert [(s.id, s.label and s.label.name) for s in actual] == [
        ("ct_a", "a.nii.gz"), ("ct_b", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["CT/x.nii.gz"], r"no image of modality t1; expected MR/\{id\}/t1_\*\.nii\.gz"),
        (["MR/p1/t1_a.nii.gz", "CT/x.nii.gz"], "subject 'p2' is to be held out, but is not there"),
    ],
)
def test_what_is_missing_is_named(tmp_path, files, message):
    touch(tmp_path, *files)
    with pytest.raises(DataError, match=message):
        find_described(tmp_path, DatasetDescription.from_dict(ABDOMEN))
    with pytest.raises(DataError, match="no such folder"):
        find_described(tmp_path / "none", DatasetDescription.from_dict(ABDOMEN))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"d\.json: not a description"),
        ({"structures": []}, "no entry 'modalities'"),
        (changed(modalities={}), "at least one modality"),
        (changed(structures=[]), "1 to 254 structures"),
        (changed(sructures=1), "unknown entry 'sructures'"),
        (changed(modalities={"MR": {"image": "{id}"}}), "modality 'MR': expected small letters"),
        (changed(modalities={"mr": {"label": "{id}"}}), "no entry 'image'"),
        (changed(modalities={"mr": {"image": "{id}", "lable": "x"}}), "unknown entry 'lable'"),
        (changed(modalities={"mr": {"image": "a.nii"}}), r"relative path with \{id\} as image"),
        (changed(modalities={"mr": {"image": "../{id}"}}), "relative path"),
        (changed(modalities={"mr": {"image": "/{id}"}}), "relative path"),
        (changed(modalities={"mr": {"image": "{id}", "label": "l"}}), "as label, not 'l'"),
        (changed(modalities={"mr": {"image": 5}}), r"relative path with \{id\} as image, not 5"),
        (changed(modalities={"mr": {"image": "{id}", "test": "p2"}}), "a list of names as test"),
        (
            changed(modalities={"mr": {"image": "*a*a*a*a{id}"}}),
            r"mr: expected at most 3 \* as image",
        ),
        (changed(background_codes="12"), "whole numbers as label codes, found '12'"),
        (changed(background_codes=[0, 1.5]), r"whole numbers as label codes, found \[0, 1.5\]"),
        (changed(background_codes=[float("inf")]), r"label codes, found \[inf\]"),
    ],
)
def test_no_description_is_refused(tmp_path, values, message):
    path = tmp_path / "d.json"
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=message):
        read_description(path)


def test_described_data_are_prepared_with_their_own_structures(tmp_path):
    codes = np.zeros((12, 12, 12), np.int16)
    codes[2:5], codes[5:7], codes[7:8], codes[8:] = 6, 2, 3, 1
    image = np.random.default_rng(0).normal(size=codes.shape).astype(np.float32)
    for name in ("MR/p1/t1_x", "MR/p2/t1_x", "CT/a", "CT/b"):
        path = tmp_path / f"raw/{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(image), str(path))
    for name in ("MR/p1/truth", "MR/p2/truth", "CT/b_seg"):
        sitk.WriteImage(sitk.GetImageFromArray(codes), str(tmp_path / f"raw/{name}.nii.gz"))
    ct = {**ABDOMEN["modalities"]["ct"], "test": ["b"]}
    description = DatasetDescription.from_dict(
        changed(modalities={**ABDOMEN["modalities"], "ct": ct})
    )
    prepare(
        tmp_path / "raw", tmp_path / "out", 16, 1.0, ("t1",), workers=1, description=description
    )
    dataset = read_prepared(tmp_path / "out")
    assert dataset.structures == description.structures and dataset.modalities == ("t1", "ct")
    assert {e.id: (e.split, e.labeled) for e in dataset.entries} == {
        "t1_p1": ("train", True), "t1_p2": ("test", True),
        "ct_a": ("train", False), "ct_b": ("test", True),
    }  # fmt: skip
    label = load_subject(dataset.path(dataset.select("ct", "test")[0])).label
    assert set(np.unique(label)) == {0, 1, 2}  # 2 and 3 are both kidneys, 1 is background
    assert (label == 2).sum() == (label == 1).sum() == 3 * 12 * 12


def test_labels_may_have_a_star_and_are_found_once(tmp_path):
    touch(tmp_path, "a/1/i.nii", "a/1/truth_x.nii", "a/2/i.nii")
    modalities = {"ct": {"image": "a/{id}/i.nii", "label": "a/{id}/truth_*.nii"}}
    description = DatasetDescription.from_dict(changed(modalities=modalities))
    actual = {s.id: s.label and s.label.name for s in find_described(tmp_path, description)}
    assert actual == {"ct_1": "truth_x.nii", "ct_2": None}
    touch(tmp_path, "a/1/truth_y.nii")
    with pytest.raises(DataError, match=r"truth_y\.nii: a/1/truth_x\.nii is subject '1' of ct"):
        find_described(tmp_path, description)
