"""What settings name is opened, whatever form it has; the phantom is made where they name none."""

import dataclasses

import numpy as np
import pytest
from builders.release import write_release

from cmda_tf import datasets
from cmda_tf.convert import ConvertSettings, main
from cmda_tf.data.dataset import Dataset
from cmda_tf.data.prepared import PreparedDataset
from cmda_tf.datasets import DataSettings, open_data, open_dataset
from cmda_tf.errors import DataError, UsageError
from cmda_tf.phantom.recipe import PhantomRecipe
from cmda_tf.release2018.dataset import Release2018


def test_phantom_is_made_where_no_data_is_named(tmp_path, dataset, monkeypatch):
    made = []
    monkeypatch.setattr(PhantomRecipe, "make", lambda self: made.append(self) or dataset.folder)
    assert open_data(DataSettings(data=str(tmp_path))) == dataset
    settings = DataSettings(data=str(tmp_path), phantom_seed=7, source="ct", target="mr")
    assert open_data(settings) == dataset
    assert made == [PhantomRecipe(tmp_path), PhantomRecipe(tmp_path, 7, "ct")]
    given = DataSettings(prepared=str(dataset.folder), data=str(tmp_path / "none"))
    assert open_data(given) == dataset and len(made) == 2
    with pytest.raises(DataError, match=r"none/manifest\.json: no such file") as caught:
        open_data(DataSettings(prepared=str(tmp_path / "none")))
    assert caught.value.made_by == "prepare" and len(made) == 2


def test_modalities_must_be_there(dataset):
    with pytest.raises(UsageError, match=r"^target: expected a modality of .* \(mr, ct\), found"):
        open_data(DataSettings(prepared=str(dataset.folder), target="pet"))
    with pytest.raises(UsageError, match=r"^source: expected a modality of .*'us'"):
        open_data(DataSettings(prepared=str(dataset.folder), source="us"))


def test_a_folder_that_is_neither_says_so(tmp_path):
    with pytest.raises(DataError, match=r"neither manifest\.json nor published records") as caught:
        datasets.open_dataset(tmp_path)
    assert caught.value.made_by == "prepare"


def test_either_form_is_opened(dataset, tmp_path):
    assert open_dataset(dataset.folder) == open_dataset(str(dataset.folder)) == dataset
    assert type(open_dataset(dataset.folder)) is PreparedDataset
    release = open_dataset(write_release(tmp_path))
    assert type(release) is Release2018 and release.modalities == ("ct", "mr")


@pytest.fixture(scope="module")
def forms(dataset, tmp_path_factory) -> dict[str, Dataset]:
    """Prepared data, that data as a release, and prepared data made of that again."""
    folder = tmp_path_factory.mktemp("forms")
    out, back = str(folder / "release"), str(folder / "back")
    main(ConvertSettings(prepared=str(dataset.folder), out=out))
    main(ConvertSettings(release=out, out=back))
    return {"prepared": dataset, "release": open_dataset(out), "back": open_dataset(back)}


def public(dataset: Dataset) -> set[str]:
    return {name for name in dir(dataset) if not name.startswith("_")}


def test_forms_offer_the_same(forms):
    """`subject`, of any split, is what only prepared data can say; conversion alone asks for it."""
    assert public(forms["release"]) == public(forms["back"]) - {"subject"}
    assert public(forms["release"]) >= {name for name in vars(Dataset) if name[0] != "_"}
    checksums = {dataset.checksum() for dataset in forms.values()}
    assert len(checksums) == 3 and {len(c) for c in checksums} == {64}
    for dataset in forms.values():
        assert (dataset.size, dataset.structures) == (16, forms["prepared"].structures)
        assert set(dataset.modalities) == {"mr", "ct"}
        dataset.check_modality("ct", "target")


@pytest.mark.parametrize("modality", ["mr", "ct"])
def test_forms_have_equal_slices(forms, modality):
    def samples(dataset: Dataset, with_labels: bool) -> list[bytes]:
        stack = dataset.slices(modality, "train", with_labels)
        inputs = stack.inputs(stack.usable)
        labels = stack.truth[stack.usable] if with_labels else np.zeros(len(inputs), np.uint8)
        return sorted(i.tobytes() + label.tobytes() for i, label in zip(inputs, labels))

    for with_labels in (True, False):
        expected = samples(forms["prepared"], with_labels)
        assert len(expected) > 16
        assert samples(forms["release"], with_labels) == expected
        assert samples(forms["back"], with_labels) == expected
    for dataset in forms.values():
        (subject,) = dataset.test_subjects(modality)
        (expected,) = forms["prepared"].test_subjects(modality)
        np.testing.assert_array_equal(subject.image, expected.image)
        np.testing.assert_array_equal(subject.truth, expected.truth)
        assert dataset.has_test_subjects(modality)


def test_crop_is_known_of_prepared_data_alone(forms):
    assert (forms["prepared"].crop("mr"), forms["prepared"].crop("ct")) == ("label", "volume")
    for form in ("release", "back"):
        assert forms[form].crop("mr") is None and forms[form].crop("ct") is None


def test_a_target_cropped_by_its_labels_is_refused(forms):
    """What is unknown may be used, what is known to be wrong may not."""
    with pytest.raises(DataError, match=r"mr_train_1001.*npz: this target training image is cent"):
        forms["prepared"].target_slices("mr")
    for form in forms.values():
        stack = form.target_slices("ct")
        assert stack.labels is None
    for form in ("release", "back"):
        assert forms[form].target_slices("mr").labels is None


def test_without_labeled_test_subjects_nothing_can_be_measured(dataset):
    unlabeled = tuple(dataclasses.replace(e, labeled=e.split == "train") for e in dataset.entries)
    bare = dataclasses.replace(dataset, entries=unlabeled)
    assert dataset.has_test_subjects("ct") and not bare.has_test_subjects("ct")
    with pytest.raises(DataError, match="no labeled test subject of modality 'ct'"):
        bare.test_subjects("ct")
