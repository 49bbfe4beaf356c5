"""MM-WHS as it is downloaded and unpacked: recognized, validated, prepared, the field's split."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, heart_codes, write, write_subject

from cmda_tf.data.preparation import prepare
from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError

GRID = centered_geometry((24, 24, 24), (6.0, 6.5, 5.5))


@pytest.fixture
def raw(tmp_path):
    """20 MR subjects, unpacked in three ways, and an unlabeled CT; `raw/MM-WHS 2017 Dataset/`."""
    raw = tmp_path / "raw"
    write_subject(raw, "mr_train_1001")
    write_subject(raw / "MM-WHS 2017 Dataset", "ct_test_2001", labeled=False)
    first, folder = raw / "mr_train", raw / "MM-WHS 2017 Dataset/mr_train/mr_train"
    for n in range(1001, 1021):
        for kind in ("image", "label"):
            source = first / f"mr_train_1001_{kind}.nii.gz"
            target = folder / f"mr_train_{n}_{kind}.nii.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            if n % 3:
                shutil.copy(source, target)
                continue
            target = target.with_suffix("")  # unpacked, with or without a folder of its name
            if n % 2:
                target.mkdir()
                target = target / target.name
            sitk.WriteImage(sitk.ReadImage(str(source)), str(target))
    shutil.rmtree(first)
    (folder / "._mr_train_1001_image.nii.gz").write_bytes(b"Mac OS X")
    return raw


def test_download_is_prepared_with_the_fields_split(raw, tmp_path):
    dataset = prepare(raw, tmp_path / "out", size=16, spacing_mm=9.0, workers=1)
    assert dataset.structures == HEART and len(dataset.entries) == 21
    assert [e.id for e in dataset.select("mr", "test")] == [
        f"mr_train_{n}" for n in (1007, 1009, 1018, 1019)
    ]
    assert len(dataset.select("mr", "train")) == 16
    (ct,) = dataset.select("ct", "train")
    assert (ct.id, ct.labeled, ct.centered_on) == ("ct_test_2001", False, "volume")
    with np.load(dataset.path(dataset.entries[0]), allow_pickle=False) as packed:
        first = {name: packed[name] for name in packed.files}
    # 1003 is packed, 1005 a file in a folder of its name, 1002 a file: the same voxels.
    for number in (1003, 1005, 1002):
        entry = next(e for e in dataset.entries if e.id == f"mr_train_{number}")
        with np.load(dataset.path(entry), allow_pickle=False) as packed:
            for name in ("image", "label"):
                assert np.array_equal(packed[name], first[name])


def test_what_is_wrong_names_the_unpacked_file(raw, tmp_path):
    codes = heart_codes(GRID)
    codes[0, 0, 0] = 77
    folder = raw / "MM-WHS 2017 Dataset/mr_train/mr_train"
    inner = folder / "mr_train_1005_label.nii/mr_train_1005_label.nii"
    write(inner, GRID, codes)
    write(folder / "mr_train_1005_image.nii/mr_train_1005_image.nii", GRID, codes + 1)
    with pytest.raises(DataError, match=r"1005_label\.nii: label code 77 is unknown"):
        prepare(raw, tmp_path / "out", size=16, spacing_mm=9.0, workers=1)
    write(inner, GRID, np.where(codes == 77, 421, codes))  # reported beside 420, the same
    prepare(raw, tmp_path / "out", size=16, spacing_mm=9.0, workers=1)
