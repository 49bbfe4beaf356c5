"""Files in the form of the authors' release: what they hold, and what is refused."""

import io
import os
import struct
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.errors import DataError
from cmda_tf.release2018.folder import find_records, read_test_volume, write_test_volume
from cmda_tf.release2018.records import read_records, write_records

SIZE = 8


def triple(seed=0, channels=3):
    """An image and a label as in the release, both float32 [SIZE, SIZE, 3]."""
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(SIZE, SIZE, 3)).astype(np.float32)
    return image, rng.integers(0, 5, (SIZE, SIZE, channels)).astype(np.float32)


def features(image, label, **changes):
    """The features of a record made by hand; a change to None removes the key."""
    values = {f"dsize_dim{axis}": n for axis, n in enumerate(image.shape)}
    values |= {f"lsize_dim{axis}": n for axis, n in enumerate(label.shape)}
    values |= {"data_vol": image.tobytes(), "label_vol": label.tobytes(), **changes}
    made = {}
    for key, value in values.items():
        if isinstance(value, bytes):
            made[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        elif isinstance(value, float):
            made[key] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        elif value is not None:
            value = value if isinstance(value, list) else [value]
            made[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def save(path, *records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def masked_crc32c(data):
    """The checksum of a TFRecord file, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def header(length):
    """A record's header with a right checksum, whatever the length."""
    data = struct.pack("<Q", length)
    return data + struct.pack("<I", masked_crc32c(data))


def patch(path, position, *data):
    content = bytearray(path.read_bytes())
    content[position : position + len(data)] = bytes(data)
    path.write_bytes(content)


def test_records_are_read_in_order(tmp_path):
    triples = [triple(seed) for seed in range(3)]
    extra = {"mask_vol": bytes(99), "mask_scale": 0.5, "bias_dim0": 3}
    first = save(tmp_path / "b.tfrecords", features(*triples[0]))
    second = save(tmp_path / "a.tfrecord", *[features(*t, **extra) for t in triples[1:]])
    images, labels = read_records([first, str(second)], size=SIZE)
    assert images.dtype == np.float16 and images.shape == (3, SIZE, SIZE, 3)
    assert labels.dtype == np.uint8 and labels.shape == (3, SIZE, SIZE)
    for (image, label), found_image, found_label in zip(triples, images, labels):
        np.testing.assert_array_equal(found_image, image.astype(np.float16))
        np.testing.assert_array_equal(found_label, label[..., 1])


def test_a_label_of_the_documented_form_is_read(tmp_path):
    image, label = triple(channels=1)
    path = save(tmp_path / "a.tfrecords", features(image, label))
    np.testing.assert_array_equal(read_records([path])[1][0], label[..., 0])


def test_the_pulmonary_artery_becomes_background(tmp_path):
    image, label = triple()
    label[2, 3, 1] = 5
    path = save(tmp_path / "a.tfrecords", features(image, label))
    actual = read_records([path])[1][0]
    assert actual[2, 3] == 0
    label[2, 3, 1] = 0
    np.testing.assert_array_equal(actual, label[..., 1])
    assert read_records([path], classes=6)[1][0, 2, 3] == 5


@pytest.mark.parametrize("with_neighbors", [False, True])
def test_written_records_come_back(tmp_path, with_neighbors):
    triples = [triple(seed) for seed in range(2)]
    images = np.stack([image for image, _ in triples]).astype(np.float16)
    labels = np.stack([label for _, label in triples]).astype(np.uint8)
    path = tmp_path / "new" / "ct_train_slice0.tfrecords"
    write_records(path, images, labels if with_neighbors else labels[..., 1])
    found_images, found_labels = read_records([path])
    np.testing.assert_array_equal(found_images, images)
    np.testing.assert_array_equal(found_labels, labels[..., 1])
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_written_records_are_what_the_published_programs_read(tmp_path):
    image, label = triple()
    path = tmp_path / "a.tfrecords"
    write_records(path, image[None], label[None, ..., 1])
    scalar = {kind: tf.io.FixedLenFeature([], kind) for kind in (tf.int64, tf.string)}
    form = {f"{k}size_dim{axis}": scalar[tf.int64] for k in "dl" for axis in range(3)}
    form |= {"data_vol": scalar[tf.string], "label_vol": scalar[tf.string]}
    (actual,) = [tf.io.parse_single_example(r, form) for r in tf.data.TFRecordDataset(str(path))]
    assert [int(actual[f"lsize_dim{axis}"]) for axis in range(3)] == [SIZE, SIZE, 3]
    image_back, label_back = (
        tf.reshape(tf.io.decode_raw(actual[key], tf.float32), (SIZE, SIZE, 3)).numpy()
        for key in ("data_vol", "label_vol")
    )
    np.testing.assert_array_equal(image_back, image)
    np.testing.assert_array_equal(label_back, np.repeat(label[..., 1:2], 3, axis=-1))


def changed(**changes):
    """A record of which something is wrong."""
    return features(*triple(), **changes)


def with_voxel(image=None, label=None):
    """A record with this value at one voxel of its image or label."""
    arrays = triple()
    for array, value in zip(arrays, (image, label)):
        if value is not None:
            array[1, 2, 1] = value
    return features(*arrays)


WRONG_RECORDS = {
    "no label": (changed(label_vol=None), "key label_vol is missing"),
    "no dimension": (changed(dsize_dim2=None), "key dsize_dim2 is missing"),
    "two values": (changed(dsize_dim0=[8, 8]), "dsize_dim0 holds 2 int64 values"),
    "other type": (changed(lsize_dim1=8.0), "lsize_dim1 holds 0 int64 values"),
    "image no bytes": (changed(data_vol=3), "data_vol holds 0 bytes values"),
    "dims beyond data": (changed(dsize_dim0=16, dsize_dim1=16), "holds 768 bytes, not float32"),
    "huge dims": (changed(dsize_dim0=1 << 40, dsize_dim1=1 << 40), "no dimensions of slices"),
    "dims that overflow": (changed(dsize_dim0=1 << 62, dsize_dim1=1 << 62), "no dimensions"),
    "negative dims": (changed(lsize_dim0=-8, lsize_dim1=-8), "lsize .* are no dimensions"),
    "no square": (changed(dsize_dim0=4, dsize_dim1=16), "no dimensions of slices"),
    "two channels": (features(triple()[0], triple(channels=2)[1]), "lsize .* are no dimensions"),
    "channels beyond data": (changed(lsize_dim2=1), "label_vol holds 768 bytes"),
    "short data": (changed(data_vol=triple()[0].tobytes()[:-4]), "data_vol holds 764 bytes"),
    "label of other size": (features(triple()[0], np.zeros((4, 4, 3), "f4")), "label .4, 4, 3."),
    "NaN image": (with_voxel(image=np.nan), "image holds NaN"),
    "infinite image": (with_voxel(image=np.inf), "image holds NaN"),
    "beyond float16": (with_voxel(image=1e6), "float16 cannot hold"),
    "NaN label": (with_voxel(label=np.nan), "label nan is no class index below 5"),
    "no whole label": (with_voxel(label=0.5), "label 0.5 is no class"),
    "nearly label 5": (with_voxel(label=4.9999995), "is no class"),
    "negative label": (with_voxel(label=-1), "label -1.0 is no class"),
    "label 6": (with_voxel(label=6), "label 6.0 is no class"),
    "label 256": (with_voxel(label=256), "label 256.0 is no class"),
    "label 261": (with_voxel(label=261), "label 261.0 is no class"),
    "no protobuf": (b"\xff" * 2000, "no tf.train.Example"),
    "zeros": (bytes(2000), "no tf.train.Example"),
}


@pytest.mark.parametrize("way", WRONG_RECORDS)
def test_wrong_records_are_refused(tmp_path, way):
    record, words = WRONG_RECORDS[way]
    fine = save(tmp_path / "a.tfrecords", changed())
    path = save(tmp_path / "b.tfrecords", record, changed())
    with pytest.raises(DataError, match=words) as caught:
        read_records([path, fine])
    message = str(caught.value)
    assert message.startswith(f"{path}: record 1: ") and "\n" not in message
    save(path, changed(), changed(), record)
    with pytest.raises(DataError) as caught:
        read_records([fine, path])
    assert str(caught.value).startswith(f"{path}: record 3: ")


def damaged(path):
    """Ways a file of two records can be wrong: what makes it so, and the record's number."""
    size = path.stat().st_size if path else 0
    half = size // 2
    return {
        "length": (lambda: patch(path, half + 1, 0), 2),
        "length's checksum": (lambda: patch(path, 8, 1, 2, 3, 4), 1),
        "bit of the data": (lambda: patch(path, half + 500, path.read_bytes()[half + 500] ^ 4), 2),
        "data's checksum": (lambda: patch(path, half - 1, path.read_bytes()[half - 1] ^ 128), 1),
        "huge length": (lambda: patch(path, half, *header(1 << 60)), 2),
        "length beyond the file": (lambda: patch(path, half, *header(half)), 2),
        "length of 2^64 - 1": (lambda: patch(path, 0, *header((1 << 64) - 1)), 1),
        "length that reaches the end": (lambda: patch(path, 0, *header(size - 16)), 1),
        "length 0": (lambda: patch(path, 0, *header(0)), 1),
        "half": (lambda: os.truncate(path, half + 700), 2),
        "no last byte": (lambda: os.truncate(path, size - 1), 2),
        "half a header": (lambda: os.truncate(path, half + 5), 2),
        "one byte": (lambda: os.truncate(path, 1), 1),
        "bytes behind": (lambda: path.write_bytes(path.read_bytes() + b"end"), 3),
        "text": (lambda: path.write_text("no record\n" * 99), 1),
    }


@pytest.mark.parametrize("way", damaged(None))
def test_damaged_files_are_refused(tmp_path, way):
    path = save(tmp_path / "a.tfrecords", changed(), changed())
    damage, number = damaged(path)[way]
    damage()
    with pytest.raises(DataError) as caught:
        read_records([path])
    message = str(caught.value)
    assert message.startswith(f"{path}: record {number}: ") and "\n" not in message


def test_flipped_bits_never_pass(tmp_path):
    path = save(tmp_path / "a.tfrecords", changed())
    content = path.read_bytes()
    for position in np.random.default_rng(0).choice(len(content), 40, replace=False):
        path.write_bytes(content)
        patch(path, position, content[position] ^ 1 << int(position) % 8)
        with pytest.raises(DataError, match="record 1"):
            read_records([path])


def test_a_declared_record_of_gigabytes_is_refused_though_the_file_is_as_large(tmp_path):
    path = tmp_path / "a.tfrecords"
    path.write_bytes(header(1 << 33))
    os.truncate(path, (1 << 33) + 16)  # sparse: takes no space
    with pytest.raises(DataError, match=r"record 1: its length 8589934592"):
        read_records([path])


def test_records_of_other_sizes_are_refused(tmp_path):
    large = save(tmp_path / "a.tfrecords", changed())
    small_triple = np.zeros((4, 4, 3), "f4"), np.zeros((4, 4, 3), "f4")
    small = save(tmp_path / "b.tfrecords", features(*small_triple))
    with pytest.raises(DataError, match=r"b\.tfrecords: record 1: .* too few for 8x8"):
        read_records([large, small])
    with pytest.raises(DataError, match=r"a\.tfrecords: record 1: .*expected 4x4"):
        read_records([small, large])
    with pytest.raises(DataError, match=r"a\.tfrecords: record 1: .*expected 256x256"):
        read_records([large], size=256)


def test_missing_and_empty_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="no record files"):
        read_records([])
    with pytest.raises(DataError, match=r"none\.tfrecords: .*No such file"):
        read_records([tmp_path / "none.tfrecords"])
    (tmp_path / "empty.tfrecords").touch()
    with pytest.raises(DataError, match=r"empty\.tfrecords: no records"):
        read_records([tmp_path / "empty.tfrecords"])


def test_folders_and_pipes_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        for read in (lambda path: read_records([path]), read_test_volume):
            with pytest.raises(DataError, match="not a file"):
                read(path)


@pytest.mark.parametrize(
    "images, labels, words",
    [
        (np.zeros((2, 8, 8, 3)), np.zeros((1, 8, 8)), "no triples"),
        (np.zeros((2, 8, 8)), np.zeros((2, 8, 8)), "no triples"),
        (np.zeros((0, 8, 8, 3)), np.zeros((0, 8, 8)), "no triples"),
        (np.zeros((1, 8, 4, 3)), np.zeros((1, 8, 4)), "no triples"),
        (np.full((1, 8, 8, 3), np.nan), np.zeros((1, 8, 8)), "NaN"),
        (np.zeros((1, 8, 8, 3)), np.full((1, 8, 8), 0.5), "label 0.5"),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, images, labels, words):
    path = tmp_path / "a.tfrecords"
    write_records(path, np.ones((1, 8, 8, 3)), np.ones((1, 8, 8), np.uint8))
    before = path.read_bytes()
    with pytest.raises(DataError, match=words):
        write_records(path, images, labels)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.tfrecords"]


def test_records_that_cannot_be_written_are_reported(tmp_path):
    (tmp_path / "a.tfrecords").mkdir()
    with pytest.raises(DataError, match=r"a\.tfrecords: cannot be written \(Is a directory\)"):
        write_records(tmp_path / "a.tfrecords", np.ones((1, 8, 8, 3)), np.ones((1, 8, 8)))
    with pytest.raises(DataError, match=r"a\.tfrecords: cannot be written \(Is a directory\)"):
        write_test_volume(tmp_path / "a.tfrecords", *cube())
    assert [p.name for p in tmp_path.iterdir()] == ["a.tfrecords"]


def cube(size=SIZE):
    """A test volume: image float32 and label uint8, both [size, size, size]."""
    rng = np.random.default_rng(1)
    image = rng.normal(size=(size,) * 3).astype(np.float32)
    return image, rng.integers(0, 5, (size,) * 3).astype(np.uint8)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, ">f4", np.int16])
def test_a_test_volume_lies_as_the_records_do(tmp_path, dtype, order):
    image, label = cube()
    image = np.round(100 * image).astype(dtype)
    flipped = (np.flip(np.flip(a, 0), 1) for a in (image, label.astype(dtype)))
    np.savez(tmp_path / "ct_1003.npz", *(np.array(a, order=order) for a in flipped))
    found_image, found_label = read_test_volume(tmp_path / "ct_1003.npz", size=SIZE)
    assert found_image.dtype == np.float32 and found_label.dtype == np.uint8
    np.testing.assert_array_equal(found_image, image)
    np.testing.assert_array_equal(found_label, label)
    found_image[0], found_label[0] = 0, 0  # both are writable


def test_written_test_volumes_come_back(tmp_path):
    image, label = cube()
    path = tmp_path / "new" / "mr_1007.npz"
    write_test_volume(path, image, label)
    with np.load(path, allow_pickle=False) as archive:
        assert archive.files == ["arr_0", "arr_1"]
        assert archive["arr_0"].dtype == archive["arr_1"].dtype == np.float32
        np.testing.assert_array_equal(archive["arr_1"], label[::-1, ::-1])
    for actual, expected in zip(read_test_volume(path, size=SIZE), (image, label)):
        np.testing.assert_array_equal(actual, expected)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_pulmonary_artery_of_a_test_volume_becomes_background(tmp_path):
    image, label = cube()
    label[1, 2, 3] = 5
    write_test_volume(tmp_path / "a.npz", image, label)
    assert read_test_volume(tmp_path / "a.npz", size=SIZE)[1][1, 2, 3] == 0


def npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **options)
    return stream.getvalue()


def npz(path, arr_0=None, arr_1=None, method=zipfile.ZIP_DEFLATED):
    """Writes a test volume from members' bytes; None stands for fine ones."""
    image, label = cube()
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("arr_0.npy", npy(image) if arr_0 is None else arr_0)
        if arr_1 != b"":
            archive.writestr("arr_1.npy", npy(label) if arr_1 is None else arr_1)


def huge_header():
    stream = io.BytesIO()
    about = {"descr": "<f4", "fortran_order": False, "shape": (60000, 60000, 60000)}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue()


def raw_header(text):
    """A member with this text in the place of its header's dictionary."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def volume_with(label=0.0, image=0.0):
    arrays = np.zeros((2, SIZE, SIZE, SIZE))
    arrays[:, 1, 2, 3] = image, label
    return dict(zip(("arr_0", "arr_1"), map(npy, arrays)))


WRONG_VOLUMES = {
    "huge shape": ({"arr_0": huge_header()}, "60000"),
    "other shape": ({"arr_0": npy(np.zeros((8, 8, 7)))}, r"\(8, 8, 7\)"),
    "two axes": ({"arr_1": npy(np.zeros((8, 8)))}, r"arr_1 is float64 \(8, 8\)"),
    "complex": ({"arr_0": npy(np.zeros((8, 8, 8), complex))}, "complex128"),
    "text": ({"arr_0": npy(np.full((8, 8, 8), "a"))}, "<U1"),
    "pickle": ({"arr_0": npy(np.array([print], object), allow_pickle=True)}, "object"),
    "short data": ({"arr_1": npy(cube()[1])[:-9]}, "does not hold 512 bytes"),
    "long data": ({"arr_1": npy(cube()[1]) + b"x"}, "does not hold 512 bytes"),
    "no label": ({"arr_1": b""}, "arr_1.npy"),
    "no array": ({"arr_0": b"text"}, "arr_0|magic|bytes"),
    "unfinished header": ({"arr_0": raw_header(b"((((")}, "not a readable"),
    "nested header": ({"arr_0": raw_header(b"(" * 9000)}, "not a readable"),
    "long header": ({"arr_0": raw_header(b" " * 60000)}, "large"),
    "other method": ({"method": zipfile.ZIP_LZMA}, "compressed in an unknown way"),
    "NaN image": (volume_with(image=np.nan), "NaN"),
    "image beyond float32": (volume_with(image=1e300), "NaN or infinite"),
    "NaN label": (volume_with(label=np.nan), "label nan is no class"),
    "no whole label": (volume_with(label=0.5), "label 0.5 is no class"),
    "label 6": (volume_with(label=6), "label 6.0 is no class"),
}


@pytest.mark.parametrize("way", WRONG_VOLUMES)
def test_wrong_test_volumes_are_refused(tmp_path, way):
    members, words = WRONG_VOLUMES[way]
    path = tmp_path / "ct_1003.npz"
    npz(path)
    read_test_volume(path, size=SIZE)
    npz(path, **members)
    with pytest.raises(DataError, match=words) as caught:
        read_test_volume(path, size=SIZE)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_test_volume_has_256_voxels_a_side(tmp_path):
    npz(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"not numbers \(256, 256, 256\)"):
        read_test_volume(tmp_path / "a.npz")


def test_damaged_test_volumes_give_one_line_or_the_same_volume(tmp_path):
    path = tmp_path / "ct_1003.npz"
    write_test_volume(path, *cube())
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    ends = [*range(40), *range(len(content) - 300, len(content))]  # where zip keeps its tables
    for position in [*ends, *rng.choice(len(content), 60)]:
        path.write_bytes(content)
        patch(path, position, int(rng.integers(256)))
        try:
            actual = read_test_volume(path, size=SIZE)
        except DataError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            np.testing.assert_array_equal(actual[0], cube()[0])
            np.testing.assert_array_equal(actual[1], cube()[1])
    for length in rng.choice(len(content), 20):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match="not a readable test volume"):
            read_test_volume(path, size=SIZE)


def test_no_wrong_test_volume_is_written(tmp_path):
    image, label = cube()
    for wrong in ((image[1:], label[1:]), (image, label[1:]), (image * np.float32(np.inf), label)):
        with pytest.raises(DataError):
            write_test_volume(tmp_path / "a.npz", *wrong)
    assert not list(tmp_path.iterdir())


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_the_release_is_found(tmp_path):
    names = {
        ("ct", "train"): ["train_n_val/ct_train_tfs/ct_train_slice0.tfrecords"],
        ("ct", "val"): ["train_n_val/ct_val_tfs/CT-val-slice1.tfrecord"],
        ("ct", "test"): ["ct_1003.npz", "test_ct_image_n_labels/1008.npz"],
        ("mr", "train"): ["mr_train/slice0.tfrecords", "mr_train/slice1.tfrecords"],
        ("mr", "val"): ["mr/val.tfrecords", "mr_val_all.tfrecords"],
    }
    touch(tmp_path, *(name for group in names.values() for name in group))
    touch(tmp_path, "readme.txt", "ct_train/._ct_train_slice0.tfrecords", "a.nii.gz")
    (tmp_path / "folder.tfrecords").mkdir()
    actual = find_records(tmp_path)
    flat = {
        (modality, split): paths for modality in actual for split, paths in actual[modality].items()
    }
    assert flat == {key: [tmp_path / n for n in sorted(group)] for key, group in names.items()}


@pytest.mark.parametrize(
    "names, words",
    [
        ([], "no such folder"),
        (["readme.txt"], "expected files such as ct_train_tfs/ct_train_slice0.tfrecords"),
        (["ct/slice0.tfrecords"], "expected one split, train or val, .* found none"),
        (["train/slice0.tfrecords"], "expected one modality, mr or ct, .* found none"),
        (["train/direct0.tfrecords"], "expected one modality, .* found none"),
        (["ct_train/a/slice0.tfrecords"], "found none"),
        (["train_n_val/ct_slice0.tfrecords"], "found train and val"),
        (["ct_mr_train.tfrecords"], "found ct and mr"),
        (["ct_train/mr_train_slice0.tfrecords"], "its modality is not its folder's, ct"),
        (["ct_val/ct_train_slice0.tfrecords"], "its split is not its folder's, val"),
        (["volumes/1003.npz"], "1003.npz: expected one modality"),
    ],
)
def test_unusable_folders_are_refused(tmp_path, names, words):
    folder = tmp_path / "ct_train"
    touch(folder, *names)
    with pytest.raises(DataError, match=words) as caught:
        find_records(folder)
    assert str(caught.value).startswith(str(folder))
