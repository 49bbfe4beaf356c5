"""Self-training: who may change, what teaches, no target label, resume to the bit."""

import numpy as np
import pytest
import tensorflow as tf
from builders.training import assert_equal, stop_at, watch_labels

from cmda_tf.errors import DataError, UsageError
from cmda_tf.evaluation.rows import ADAPTED
from cmda_tf.inference.networks import load_networks
from cmda_tf.losses.hybrid import hybrid_loss
from cmda_tf.losses.settings import SegmentationLoss
from cmda_tf.models.segmenter import build_segmenter
from cmda_tf.runs.weights import get_weights, set_weights
from cmda_tf.training.adabn import adapt_statistics
from cmda_tf.training.phases import AdabnPhase, SelftrainPhase
from cmda_tf.training.pseudo_labels import Rule
from cmda_tf.training.self_training import make_pair, make_selftrain_step, selftrain
from cmda_tf.training.setup import seed_everything
from cmda_tf.training.steps import ema_update

SHORT = {"selftrain_steps": 3, "thresholds_every": 2, "init_from": "taught"}


@pytest.fixture(scope="module")
def start(tiny, dataset, untraced):
    """The finished run that the others start from: AdaBN, which takes no training."""
    return untraced(adapt_statistics, tiny(AdabnPhase, name="taught"), dataset)


@pytest.fixture(scope="module")
def short(tiny, start):
    """Settings of a short self-training; `short(**changes)`."""
    return lambda **changes: tiny(SelftrainPhase, **{**SHORT, **changes})


@pytest.fixture(scope="module")
def taught(short, dataset, untraced):
    return untraced(selftrain, short(), dataset)


def test_frozen_layers_stay_bit_identical_and_the_dam_moves(start, taught):
    before, after = start.weights(), taught.weights()
    assert before.keys() == after.keys()
    for name, value in after.items():
        moved = (value != before[name]).any()
        assert moved == name.startswith("dam_"), name


def test_run_has_its_name_and_its_model_loads(taught):
    assert taught.folder.name == "selftrain_d13"
    assert taught.record.inputs.init_from.endswith("taught")
    assert taught.record.inputs.modality == "ct"
    router = tf.keras.models.load_model(taught.folder / "model.keras")
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)
    logits = load_networks(taught).paths()["target"](images)
    np.testing.assert_allclose(
        router({"source": images, "target": images})["target"], logits, atol=1e-5
    )
    assert ADAPTED[taught.phase] == "Self-training"


@pytest.mark.parametrize(
    ("changes", "reads_the_source"),
    [
        ({"name": "of_images"}, False),
        ({"name": "of_shares", "align_classes": True, "confidence_quantile": 0.0}, True),
        ({"name": "of_source", "source_weight": 1.0, "noise": 0.1}, True),
    ],
)
def test_no_target_label_is_read(
    short,
    dataset,
    dataset_without_target_labels,
    untraced,
    monkeypatch,
    changes,
    reads_the_source,
):
    expected = untraced(selftrain, short(**changes), dataset).weights()
    read = watch_labels(monkeypatch)
    unlabeled = dataset_without_target_labels
    settings = {**changes, "prepared": str(unlabeled.folder), "name": changes["name"] + "_alone"}
    assert_equal(untraced(selftrain, short(**settings), unlabeled).weights(), expected)
    # Shares and images come from the source's training labels, and from nothing else.
    assert bool(read) == reads_the_source
    assert all(name.startswith("mr_train_") for name in read), read


@pytest.mark.parametrize("update", [1, 2])  # before the second measurement of thresholds and at it
def test_stopped_run_resumes_to_the_same_bits(
    short, dataset, taught, untraced, press_ctrl_c, monkeypatch, update
):
    settings = short(name=f"selftrain_stopped_{update}")
    with monkeypatch.context() as patch:
        stop_at(patch, press_ctrl_c, ("selftrain", update))
        with pytest.raises(KeyboardInterrupt):
            untraced(selftrain, settings, dataset)
    assert_equal(untraced(selftrain, settings, dataset).weights(), taught.weights())


def test_thresholds_are_measured_as_asked_and_statistics_left_where_asked(
    short, dataset, untraced, monkeypatch
):
    measured = []
    monkeypatch.setattr(  # would raise if called
        "cmda_tf.training.self_training.refresh_statistics", None
    )

    def measure(rule, predictor, stack):
        assert stack.labels is None
        assert predictor.on_inputs(np.zeros([1, 16, 16, 3], np.float32)).shape == (1, 16, 16, 5)
        assert rule.shares is None
        measured.append((rule.quantile, rule.cap))

    monkeypatch.setattr(Rule, "measure", measure)
    changes = {"confidence": 0.8, "confidence_quantile": 0.4, "refresh_statistics": False}
    untraced(selftrain, short(**changes, name="measured"), dataset)
    assert measured == [(0.4, 0.8)] * 2  # before updates 0 and 2


def test_classes_are_aligned_with_the_source_labels(short, dataset, untraced, monkeypatch):
    given, measure = [], Rule.measure
    source = dataset.slices("mr", "train", with_labels=True)
    labels = source.labels[source.usable]  # padding is not predicted on the target either

    def watched(rule, predict, stack):
        measure(rule, predict, stack)
        given.append((rule.shares, rule.factors.numpy()))

    monkeypatch.setattr(Rule, "measure", watched)
    untraced(selftrain, short(align_classes=True, name="aligned"), dataset)
    assert len(given) == 2
    for shares, factors in given:
        np.testing.assert_allclose(shares, [(labels == c).mean() for c in range(5)], rtol=1e-12)
        assert factors[0] == 1 and (factors[1:] != 1).all()


def test_finished_run_is_not_done_again(short, dataset, taught, monkeypatch):
    monkeypatch.setattr("cmda_tf.training.self_training.build_dam", None)  # would raise if called
    assert_equal(selftrain(short(), dataset).weights(), taught.weights())


def test_origin_is_the_adaptation_of_the_same_depth(tiny, dataset):
    with pytest.raises(DataError, match=r"adapt_d21: no finished run here") as caught:
        selftrain(tiny(SelftrainPhase, depth=21), dataset)
    assert caught.value.made_by == "adapt"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 21}, r"^init_from: expected a run of depth 21; .*taught is of depth 13"),
        ({"init_from": "source_mr"}, r"^init_from: .*source_mr is of phase source, without a DAM"),
    ],
)
def test_origin_without_such_a_dam_is_refused(short, dataset, change, message):
    with pytest.raises(UsageError, match=message):
        selftrain(short(**change, name="refused"), dataset)


def test_another_origin_is_refused_by_its_weights(short, dataset, taught, tiny, untraced):
    run = untraced(selftrain, short(init_from="selftrain_d13", name="second"), dataset)
    assert run.finished  # a second round on the first one's result
    with pytest.raises(UsageError, match="second holds a run with init_sha256="):
        selftrain(short(name="second"), dataset)


@pytest.fixture(scope="module")
def make(config, start):
    """`make(settings)`: teacher and student at the start, and the frozen segmenter."""

    def pair(settings):
        seed_everything(settings.compute)
        segmenter = build_segmenter(config)
        set_weights(segmenter, start.weights(), "start")
        rate = settings.self_training.selftrain_learning_rate
        return make_pair(config, 13, segmenter, start, rate), segmenter

    return pair


@pytest.fixture(scope="module")
def images(dataset):
    stack = dataset.slices("ct", "train", with_labels=False)
    return tf.constant(stack.inputs(np.arange(22, 26)))


@pytest.fixture(scope="module")
def known(dataset):
    """A batch of labeled source images."""
    stack = dataset.slices("mr", "train", with_labels=True)
    images = stack.inputs(np.arange(22, 26))
    return {"images": tf.constant(images), "labels": tf.constant(stack.labels[22:26])}


@pytest.fixture(scope="module")
def once(make, short, images, known, untraced):
    """`once(**changes)`: the teacher's weights after one update under changed settings."""
    rule = Rule(5, 0.5, 0.9, None)
    rule.thresholds.assign(tf.fill([5], 0.25))

    def update(**changes):
        settings = short(**changes)
        pair, _ = make(settings)
        step = make_selftrain_step(pair, rule, settings)
        batch = {
            "images": images,
            **({"source": known} if settings.self_training.source_weight else {}),
        }
        untraced(step, tf.constant(1, tf.int64), batch)
        return get_weights(pair.teacher)

    return update


@pytest.fixture(scope="module")
def usual(once):
    return once()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("selftrain_learning_rate", 3e-3),
        ("teacher_ema_decay", 0.5),
        ("dice_weight", 0.0),
        ("class_weights", False),
        ("source_weight", 1.0),
        ("augment", False),
        ("seed", 1),
    ],
)
def test_settings_of_the_update_have_an_effect(once, usual, name, value):
    actual = once(**{name: value})
    assert any((actual[key] != usual[key]).any() for key in usual if key.endswith("/kernel"))


def test_source_images_alone_get_a_random_appearance(once):
    plain, random = once(source_weight=1.0), once(source_weight=1.0, intensity_curves=1.0)
    assert any((random[key] != plain[key]).any() for key in plain if key.endswith("/kernel"))
    # What follows the target's batches does not see the source's.
    first = "dam_conv1_conv"  # before any weight has moved, so is the input of the first norm
    statistics = [n for n in plain if n.endswith("moving_mean") and n.startswith("dam_rm1_")]
    assert first + "/kernel" in plain and statistics
    np.testing.assert_array_equal(plain[statistics[0]], random[statistics[0]])


def test_random_appearance_without_source_images_is_refused(short):
    message = "^noise: in self-training for source images alone; expected a source_weight above 0"
    with pytest.raises(UsageError, match=message):
        short(noise=0.1, name="noisy")


def test_source_images_alone_lower_the_loss_on_them(make, short, images, known):
    """No pixel of the target teaches: what the DAM learns it learns from the source."""
    settings = short(selftrain_learning_rate=3e-3, augment=False, source_weight=2.0)
    networks, segmenter = make(settings)
    rule = Rule(5, 0.0, 0.9, None)
    rule.thresholds.assign(tf.fill([5], 2.0))
    step, frozen = make_selftrain_step(networks, rule, settings), get_weights(segmenter)
    batch = {"images": images, "source": known}
    actual = [step(tf.constant(n, tf.int64), batch) for n in range(8)]
    expected = hybrid_loss(
        networks.logits(known["images"], training=False), known["labels"], SegmentationLoss()
    )["loss"]
    assert float(actual[-1]["source_loss"]) < float(actual[0]["source_loss"])
    assert float(expected) < float(actual[0]["source_loss"])
    assert all(float(metrics["loss"]) == 0 for metrics in actual)
    assert_equal(get_weights(segmenter), frozen)


@pytest.fixture(scope="module")
def pair(make, short):
    settings = short(selftrain_learning_rate=3e-3, augment=False)
    return *make(settings), settings


def test_teacher_follows_by_hand(pair):
    teacher, student = pair[0].teacher, pair[0].student
    saved = teacher.get_weights(), student.get_weights()
    teacher.set_weights([np.full_like(w, 2.0) for w in saved[0]])
    student.set_weights([np.full_like(w, 4.0) for w in saved[1]])
    for expected in (2.2, 2.38):  # 0.9 * 2 + 0.1 * 4, then 0.9 * 2.2 + 0.4
        ema_update(teacher, student, 0.9)
        for weight in teacher.get_weights():
            np.testing.assert_allclose(weight, expected, rtol=1e-6)
    assert all((w == 4.0).all() for w in student.get_weights())
    teacher.set_weights(saved[0])
    student.set_weights(saved[1])


def test_step_moves_the_dam_alone(pair, images):
    networks, segmenter, settings = pair
    rule = Rule(5, 0.5, 0.9, None)
    rule.thresholds.assign(tf.fill([5], 0.3))
    frozen, before = get_weights(segmenter), get_weights(networks.teacher)
    sure = networks.predict(images).numpy().max(axis=-1) >= 0.3
    copying = settings.changed(teacher_ema_decay=0.0)
    step = make_selftrain_step(networks, rule, copying)
    metrics = step(tf.constant(0, tf.int64), {"images": images})
    assert float(metrics["kept"]) == pytest.approx(sure.mean(), abs=1e-6)
    assert_equal(get_weights(segmenter), frozen)
    actual = get_weights(networks.student)
    assert_equal(get_weights(networks.teacher), actual)  # decay 0
    assert all((actual[n] != before[n]).any() for n in before if n.endswith("/kernel"))
    rule.thresholds.assign(tf.fill([5], 2.0))  # nothing is as sure as that
    metrics = step(tf.constant(1, tf.int64), {"images": images})
    assert {name: float(value) for name, value in metrics.items()} == dict.fromkeys(metrics, 0.0)


def test_learning_from_a_teacher_that_rests_lowers_the_loss(pair, images):
    networks, _, settings = pair
    resting = settings.changed(teacher_ema_decay=0.9999)
    rule = Rule(5, 0.0, 0.9, None)
    rule.thresholds.assign(tf.zeros([5]))  # every pixel teaches
    step = make_selftrain_step(networks, rule, resting)
    losses = [float(step(tf.constant(n, tf.int64), {"images": images})["loss"]) for n in range(8)]
    assert losses[-1] < losses[0]
