"""Finding subjects in MM-WHS folders and holding some of them out."""

from pathlib import Path

import pytest

from cmda_tf.data.layout import RawSubject, find_sources, split_subjects
from cmda_tf.errors import DataError, UsageError


def touch(raw, *names):
    for name in names:
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def sources(modality, numbers, labeled=True, folder="train"):
    label = Path("l") if labeled else None
    return [RawSubject(f"{modality}_{folder}_{n}", modality, Path("i"), label) for n in numbers]


def held_out(members, test_ids=()):
    return sorted(i for i, s in split_subjects(members, test_ids).items() if s == "test")


def test_finds_packed_unpacked_and_unlabeled_subjects(tmp_path):
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
    actual = find_sources(tmp_path)
    assert [(s.id, s.modality, s.label and s.label.name) for s in actual] == [
        ("mr_train_pat-7_b", "mr", None),
        ("ct_train_1001", "ct", "ct_train_1001_label.nii"),
        ("ct_train_1002", "ct", None),
        ("ct_test_2001", "ct", None),
    ]
    assert actual[2].image == tmp_path / "ct_train/ct_train_1002_image.nii"


@pytest.mark.parametrize(
    "folders",
    [
        ("MM-WHS 2017 Dataset/mr_train", "MM-WHS 2017 Dataset/ct_test"),
        ("mr_train/mr_train", "ct_test"),
        ("mmwhs/mr_train/mr_train", "mmwhs/ct_test"),
        ("a/b/mr_train", "c/ct_test"),
    ],
)
def test_folders_may_lie_as_archives_unpack_them(tmp_path, folders):
    names = (
        ("mr_train_1001_image.nii.gz", "mr_train_1001_label.nii.gz"),
        ("ct_test_2001_image.nii",),
    )
    files = [f"{folder}/{name}" for folder, group in zip(folders, names) for name in group]
    touch(tmp_path, *files, "__MACOSX/mr_train/._mr_train_1001_image.nii.gz")
    actual = find_sources(tmp_path)
    paths = [p.relative_to(tmp_path).as_posix() for s in actual for p in (s.image, s.label) if p]
    assert paths == files and [s.id for s in actual] == ["mr_train_1001", "ct_test_2001"]


def test_the_least_deep_folder_counts_and_two_of_one_depth_are_refused(tmp_path):
    touch(tmp_path, *(f"{f}mr_train/mr_train_{n}_image.nii" for n, f in enumerate(("", "old/"))))
    assert [s.id for s in find_sources(tmp_path)] == ["mr_train_0"]
    touch(tmp_path, *(f"{f}/ct_train/ct_train_1_image.nii" for f in "ab"))
    with pytest.raises(DataError, match=r"b/ct_train: .*a/ct_train holds volumes too"):
        find_sources(tmp_path)


def test_a_file_unpacked_into_a_folder_of_its_name(tmp_path):
    name = "ct_train/ct_train_1_{}.nii"
    touch(tmp_path, *(f"{name.format(k)}/{f}" for k, f in (("image", "a.nii"), ("label", "b.nii"))))
    touch(tmp_path, f"{name.format('image')}/._a.nii", f"{name.format('image')}/notes.txt")
    (source,) = find_sources(tmp_path)
    assert (source.image.name, source.label.name) == ("a.nii", "b.nii")
    touch(tmp_path, f"{name.format('label')}/c.nii")
    with pytest.raises(DataError, match=r"_label\.nii: a folder; expected one .* found 2"):
        find_sources(tmp_path)


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


def test_the_fields_split_holds_whatever_is_labeled():
    numbers = range(1001, 1021)
    expected = [f"ct_train_{n}" for n in (1003, 1008, 1014, 1019)]
    expected += [f"mr_train_{n}" for n in (1007, 1009, 1018, 1019)]
    extra = sources("ct", [2001, 1003], labeled=False, folder="test")
    assert held_out(sources("mr", numbers) + sources("ct", numbers) + extra) == expected
    bare = sources("mr", numbers) + sources("ct", numbers, labeled=False)
    assert held_out(bare) == expected


@pytest.mark.parametrize(
    "labeled, expected",
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
def test_otherwise_the_last_fifth_of_the_labeled_is_held_out(labeled, expected):
    members = sources("mr", [f"{n:02}" for n in range(1, labeled + 1)])
    members += sources("mr", ["98", "99"], labeled=False)
    assert held_out(members) == [f"mr_train_{n:02}" for n in expected]


def test_asked_for_ids_replace_the_rule_of_their_modality():
    members = sources("mr", "12345") + sources("ct", "12345")
    assert held_out(members, ["ct_train_1", "ct_train_2"]) == [
        "ct_train_1",
        "ct_train_2",
        "mr_train_5",
    ]
    with pytest.raises(UsageError, match=r"^test_ids: no subject 'ct_train_9'"):
        split_subjects(members, ["ct_train_9"])
