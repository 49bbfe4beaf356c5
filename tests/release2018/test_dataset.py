"""A folder of the authors' release as `--prepared`, and conversion there and back."""

import dataclasses

import numpy as np
import pytest
from builders.release import SIZE, triples, without_target_labels, write_release

from cmda_tf.convert import ConvertSettings, main
from cmda_tf.data.batches import batches
from cmda_tf.data.prepared import read_prepared
from cmda_tf.data.slices import stack_triples
from cmda_tf.data.subjects import load_subject, save_subject
from cmda_tf.datasets import open_dataset
from cmda_tf.errors import DataError, UsageError
from cmda_tf.model_selection.scoring import spread
from cmda_tf.volumes.geometry import prepared_grid


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_release(tmp_path_factory.mktemp("release"))


def test_a_release_is_prepared_data(release):
    dataset = open_dataset(release)
    assert (dataset.size, dataset.spacing_mm, dataset.modalities) == (SIZE, 1.0, ("ct", "mr"))
    assert len(dataset.select("ct", "train")) == 12
    assert [e.id for e in dataset.select("ct", "test")] == ["ct_1003"]
    (subject,) = dataset.test_subjects("ct")
    rng = np.random.default_rng(11)
    image, label = rng.normal(size=(SIZE,) * 3), rng.integers(0, 5, (SIZE,) * 3)
    np.testing.assert_allclose(subject.image[3], image[:, :, 3], rtol=1e-6)
    np.testing.assert_array_equal(subject.label[3], label[:, :, 3])
    assert subject.grid.size_ijk == (SIZE,) * 3


def test_batches_hold_the_records_triples(release):
    stack = open_dataset(release).slices("mr", "train", with_labels=True)
    images, labels = triples(0)
    expected = labels[..., 1].copy()
    expected[expected == 5] = 0
    seen = set()
    for batch in batches(stack, 4, 0, 0, 6):
        for image, label in zip(batch["images"].numpy(), batch["labels"].numpy()):
            same = [n for n in range(12) if (images[n] == image).all()]
            # Sorted by name, slice10 follows slice1: which record it is does not matter.
            assert len(same) == 1
            np.testing.assert_array_equal(label, expected[same[0]])
            seen.add(same[0])
    assert seen == set(range(12))


def test_groups_of_records_stand_for_subjects():
    stack = stack_triples(np.ones((200, 8, 8, 3), np.float16), None, 5)
    assert len(stack.usable) == 0  # constant slices show nothing
    index, subjects = spread(stack)
    assert set(np.unique(subjects)) == {0, 1, 2} and (index % 3 == 1).all()
    assert (np.bincount(stack.subject + 1)[1:] >= 64).all()


def test_labels_that_are_not_asked_for_are_not_read(tmp_path):
    folder = write_release(tmp_path)
    expected = open_dataset(folder).slices("ct", "train", with_labels=False)
    without_target_labels(folder)
    actual = open_dataset(folder).slices("ct", "train", with_labels=False)
    np.testing.assert_array_equal(actual.images, expected.images)
    assert actual.labels is None
    with pytest.raises(DataError, match=r"ct_train_slice0.*label_vol is missing"):
        open_dataset(folder).slices("ct", "train", with_labels=True)


def test_the_checksum_follows_the_files(tmp_path, dataset):
    folder = write_release(tmp_path)
    before = open_dataset(folder).checksum()
    (folder / "ct_train_tfs/ct_train_slice3.tfrecords").unlink()
    assert open_dataset(folder).checksum() != before
    assert len(dataset.checksum()) == 64


def test_other_folders_name_both_that_could_be_there(tmp_path):
    with pytest.raises(DataError, match=r"manifest\.json: no such file"):
        open_dataset(tmp_path / "none")
    (tmp_path / "ct_1001.0123456789abcdef.npz").touch()  # of a preparation that was stopped
    with pytest.raises(DataError, match=r"neither manifest\.json nor published records"):
        open_dataset(tmp_path)
    (tmp_path / "ct_val_0.tfrecords").touch()
    with pytest.raises(DataError, match="validation records alone"):
        open_dataset(tmp_path)
    (tmp_path / "ct_train_0.tfrecords").write_bytes(b"\xff" * 100)
    with pytest.raises(DataError, match=r"ct_train_0\.tfrecords"):
        open_dataset(tmp_path)
    (tmp_path / "ct_train_0.tfrecords").unlink()
    (tmp_path / "ct_1003.npz").write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match=r"ct_1003\.npz: not a readable test volume"):
        open_dataset(tmp_path)


def test_prepared_data_goes_there_and_back(dataset, tmp_path):
    out, back = str(tmp_path / "release"), str(tmp_path / "back")
    main(ConvertSettings(prepared=str(dataset.folder), out=out))
    names = (tmp_path / "release/ct_train_list.txt").read_text(encoding="utf-8").splitlines()
    assert len(names) == 3 * SIZE
    assert names[10] == "ct_train_tfs/ct_train_slice10.tfrecords"
    assert (tmp_path / "release/ct_test_list.txt").read_text(
        encoding="utf-8"
    ) == "ct_test/ct_1004.npz\n"
    main(ConvertSettings(release=out, out=back))
    actual = read_prepared(back)
    for modality in ("mr", "ct"):
        for split, count in (("train", 3), ("test", 1)):
            before, after = dataset.select(modality, split), actual.select(modality, split)
            assert len(before) == len(after) == count
            for old, new in zip(before, after):
                old, new = load_subject(dataset.path(old)), load_subject(actual.path(new))
                np.testing.assert_array_equal(new.image, old.image)
                np.testing.assert_array_equal(new.label, old.label)


def test_conversions_that_cannot_be_are_refused(release, dataset, tmp_path):
    with pytest.raises(DataError, match="not in slice order"):
        main(ConvertSettings(release=str(release), out=str(tmp_path / "a")))
    assert not (tmp_path / "a/manifest.json").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(DataError, match="full: expected an empty folder"):
        main(ConvertSettings(prepared=str(dataset.folder), out=str(tmp_path / "full")))
    # Its stores are prepared subjects, which are no test volumes of a release.
    with pytest.raises(DataError, match=r"prepared: expected files such as .*, found none"):
        main(ConvertSettings(release=str(dataset.folder), out=str(tmp_path / "b")))
    for wrong in ({"out": "x"}, {"prepared": "a", "release": "b", "out": "x"}, {"prepared": "a"}):
        with pytest.raises(UsageError, match="expected"):
            main(ConvertSettings(**wrong))


def test_a_store_must_be_the_one_of_the_manifest(tmp_path, dataset):
    """Another subject's, of another size, or without the label that the dataset promises."""
    (tmp_path / "p").mkdir()
    entry = dataset.select("mr", "train")[0]
    subject = load_subject(dataset.path(entry))
    moved = dataclasses.replace(dataset, folder=tmp_path / "p")
    cube = np.zeros((8, 8, 8), np.float32)
    other = prepared_grid((0, 0, 0), 8, 6.0)
    for changes, words in (
        ({"id": "../../elsewhere"}, r"found \('../../elsewhere'"),
        ({"modality": "ct"}, "found .*, 'ct'"),
        ({"image": cube, "label": cube, "grid": other}, r"found .*\(8, 8, 8\)"),
        ({"label": None}, "expected a label, as manifest.json says, found none"),
    ):
        save_subject(moved.path(entry), dataclasses.replace(subject, **changes))
        with pytest.raises(DataError, match=words) as caught:
            moved.subject(entry)
        assert str(moved.path(entry)) in str(caught.value)
    assert moved.subject(entry, with_label=False).label is None
