"""Finding subjects in MM-WHS folders and holding some of them out."""

from pathlib import Path

import pytest

from cmda_tf.data.layout import Source, find_sources, split_subjects
from cmda_tf.errors import DataError, UsageError


def touch(raw, *names):
    for name in names:
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def sources(domain, numbers, labelled=True, folder="train"):
    label = Path("l") if labelled else None
    return [Source(f"{domain}_{folder}_{n}", domain, Path("i"), label) for n in numbers]


def held_out(members, test_ids=()):
    return sorted(i for i, s in split_subjects(members, test_ids).items() if s == "test")


def test_finds_packed_unpacked_and_unlabelled_subjects(tmp_path):
    touch(
        tmp_path,
        "ct_train/ct_train_1002_image.nii",
        "ct_train/ct_train_1001_image.nii.gz",
        "ct_train/ct_train_1001_label.nii",
        "mr_train/mr_train_pat-7_b_image.nii.gz",
        "ct_test/ct_test_2001_image.nii.gz",
        "ct_train/readme.txt",
        "ct_train/._ct_train_1001_image.nii.gz",
        "other/ct_train_1009_image.nii.gz",
    )
    found = find_sources(tmp_path)
    assert [(s.id, s.domain, s.label and s.label.name) for s in found] == [
        ("mr_train_pat-7_b", "mr", None),
        ("ct_train_1001", "ct", "ct_train_1001_label.nii"),
        ("ct_train_1002", "ct", None),
        ("ct_test_2001", "ct", None),
    ]
    assert found[2].image == tmp_path / "ct_train/ct_train_1002_image.nii"


def test_volumes_with_other_names_are_pointed_out(tmp_path, caplog):
    touch(tmp_path, "ct_train/ct_train_1_image.nii", "ct_train/mr_train_2_image.nii")
    assert [s.id for s in find_sources(tmp_path)] == ["ct_train_1"]
    assert "mr_train_2_image.nii: left out" in caplog.text


@pytest.mark.parametrize(
    "names, words",
    [
        ([], "no such folder"),
        (["readme.txt"], "expected a folder mr_train or ct_train"),
        (["ct_train/patient.nii.gz"], "expected files named ct_train_<id>_image.nii.gz"),
        (["mr_train/x", "ct_train/ct_train_1_image.nii"], "mr_train: no volumes"),
        (["mr_train/mr_train_1_label.nii.gz"], "label without its image mr_train_1_image.nii.gz"),
        (
            ["mr_train/mr_train_1_image.nii", "mr_train/mr_train_1_image.nii.gz"],
            "mr_train_1_image.nii is there too",
        ),
    ],
)
def test_unusable_folders_are_refused(tmp_path, names, words):
    touch(tmp_path / "raw", *names)
    with pytest.raises(DataError) as caught:
        find_sources(tmp_path / "raw")
    assert words in str(caught.value) and str(tmp_path / "raw") in str(caught.value)


def test_the_fields_split_holds_whatever_is_labelled():
    numbers = range(1001, 1021)
    expected = [f"ct_train_{n}" for n in (1003, 1008, 1014, 1019)]
    expected += [f"mr_train_{n}" for n in (1007, 1009, 1018, 1019)]
    extra = sources("ct", [2001, 1003], labelled=False, folder="test")
    assert held_out(sources("mr", numbers) + sources("ct", numbers) + extra) == expected
    bare = sources("mr", numbers) + sources("ct", numbers, labelled=False)
    assert held_out(bare) == expected


@pytest.mark.parametrize(
    "labelled, expected",
    [
        (0, []),
        (1, [1]),
        (2, [2]),
        (7, [7]),
        (8, [7, 8]),
        (13, [11, 12, 13]),
        (19, [16, 17, 18, 19]),
    ],
)
def test_otherwise_the_last_fifth_of_the_labelled_is_held_out(labelled, expected):
    members = sources("mr", [f"{n:02}" for n in range(1, labelled + 1)])
    members += sources("mr", ["98", "99"], labelled=False)
    assert held_out(members) == [f"mr_train_{n:02}" for n in expected]


def test_asked_for_ids_replace_the_rule_of_their_domain():
    members = sources("mr", "12345") + sources("ct", "12345")
    assert held_out(members, ["ct_train_1", "ct_train_2"]) == [
        "ct_train_1",
        "ct_train_2",
        "mr_train_5",
    ]
    with pytest.raises(UsageError, match="--test_ids: no subject 'ct_train_9'"):
        split_subjects(members, ["ct_train_9"])
