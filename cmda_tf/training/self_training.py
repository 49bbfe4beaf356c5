"""Self-training: an adapted DAM goes on learning from confident predictions on target images.

The teacher is an exponential average of the student's weights (Tarvainen and Valpola, "Mean
teachers are better role models", NeurIPS 2017). Its predictions become pseudo labels where they
are confident (`pseudo_labels`). Labeled source images of random appearance may be learned from
beside them, to keep the structures' outlines in place. Only the DAM learns. Target labels are not
read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from cmda_tf.data.batches import batches
from cmda_tf.data.dataset import Dataset
from cmda_tf.data.slices import SliceStack
from cmda_tf.errors import UsageError
from cmda_tf.inference.networks import trained_segmenter
from cmda_tf.inference.predictor import Predictor, probabilities
from cmda_tf.inference.statistics import refresh_statistics
from cmda_tf.losses.hybrid import hybrid_loss
from cmda_tf.models.segmenter import build_dam, build_router, build_upper, path
from cmda_tf.models.settings import ModelConfig
from cmda_tf.runs.run import Run, finished_run
from cmda_tf.runs.weights import set_weights
from cmda_tf.training.loop import Loop, previews
from cmda_tf.training.phases import AdaptPhase, SelftrainPhase
from cmda_tf.training.pseudo_labels import IGNORED, Rule, class_shares
from cmda_tf.training.setup import start
from cmda_tf.training.steps import Metrics, Update, ema_update, fold, minimize
from cmda_tf.transforms.affine import augment_affine
from cmda_tf.transforms.intensity import augment_intensity


@dataclass(frozen=True)
class Pair:
    """Teacher and student: two DAMs below the same frozen layers."""

    teacher: tf.keras.Model  # changed by `ema_update` alone; ends as the result
    student: tf.keras.Model  # changed by the optimizer
    upper: tf.keras.Model  # the segmenter's layers above both
    optimizer: Any

    def predict(self, images: tf.Tensor) -> tf.Tensor:
        """The teacher's probabilities `[B, H, W, C]`, all layers in inference mode."""
        return tf.nn.softmax(self.upper(self.teacher(images, training=False), training=False))

    def logits(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        """The student's logits, the layers above in inference mode."""
        return self.upper(self.student(images, training=training), training=False)


def selftrain(settings: SelftrainPhase, dataset: Dataset) -> Run:
    """Goes on from an adapted run, or with a self-training stopped earlier; the run's model is the
    router with the teacher as its DAM."""
    depth, roles, teaching = settings.dam.depth, settings.data, settings.self_training
    init = adapted_run(Path(settings.run.runs) / str(settings.init_from), depth)
    run = start(settings, dataset, init)
    if run.finished:
        return run
    config, segmenter = run.config, trained_segmenter(run.config, init)
    pair = make_pair(config, depth, segmenter, init, teaching.selftrain_learning_rate)
    router = build_router(config, depth, segmenter, pair.teacher)
    target, source, shares = dataset.target_slices(roles.target), None, None
    if teaching.source_weight or teaching.align_classes:
        source = dataset.slices(roles.source, "train", with_labels=True)
        if teaching.align_classes:
            shares = class_shares(source.truth[source.usable], source.classes)
    limits = teaching.confidence_quantile, teaching.confidence
    rule = Rule(dataset.structures.classes, *limits, shares)
    _train(run, settings, pair, router, target, source, rule)
    if settings.statistics.refresh_statistics:
        refresh_statistics(config, depth, segmenter, pair.teacher, target)
    return run.finish(router)


def adapted_run(folder: Path, depth: int) -> Run:
    """The finished run that self-training starts from; UsageError if it has no DAM of the depth."""
    run = finished_run(folder, AdaptPhase.name)
    if (actual := run.record.depth) != depth:
        what = f"depth {actual}" if actual else f"phase {run.phase}, without a DAM"
        raise UsageError(f"init_from: expected a run of depth {depth}; {folder} is of {what}")
    return run


def make_pair(
    config: ModelConfig, depth: int, segmenter: tf.keras.Model, init: Run, learning_rate: float
) -> Pair:
    """Teacher and student, both as the first run's DAM; freezes the segmenter."""
    segmenter.trainable = False
    teacher, student = (build_dam(config, depth, segmenter) for _ in range(2))
    for dam in (teacher, student):
        set_weights(dam, init.weights(), str(init.folder))
    optimizer = tf.keras.optimizers.Adam(learning_rate)
    optimizer.build(student.trainable_variables)
    return Pair(teacher, student, build_upper(config, depth, segmenter, student), optimizer)


def make_selftrain_step(pair: Pair, rule: Rule, settings: SelftrainPhase) -> Update:
    """One update of the student on the teacher's pseudo labels, then one of the teacher.

    The teacher sees the image as it is. Its labels are warped with the student's image. The batch
    holds target `images` and, where `source_weight` is not 0, `source` with `images` and `labels`.
    """
    affine, intensity, loss_terms = settings.affine, settings.intensity, settings.loss
    teaching, seed = settings.self_training, settings.compute.seed

    @tf.function(jit_compile=settings.loop.jit_compile)
    def update(images: tf.Tensor, labels: tf.Tensor, source: tuple | None) -> Metrics:
        teaches = labels != IGNORED
        with tf.GradientTape() as tape:
            logits = pair.logits(images, training=True)
            metrics = hybrid_loss(logits, labels, loss_terms, teaches)
            loss = metrics["loss"]
            if source is not None:
                # In inference mode: the moving statistics stay the target's, as the DAM is.
                logits = pair.logits(source[0], training=False)
                metrics["source_loss"] = hybrid_loss(logits, source[1], loss_terms)["loss"]
                loss += teaching.source_weight * metrics["source_loss"]
        minimize(loss, tape, pair.optimizer, pair.student.trainable_variables)
        ema_update(pair.teacher, pair.student, teaching.teacher_ema_decay)
        return {**metrics, "kept": tf.reduce_mean(tf.cast(teaches, tf.float32))}

    @tf.function
    def step(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        labels = rule.labels(pair.predict(batch["images"]))
        images, labels = augment_affine(batch["images"], labels, fold(seed, number), affine)
        source = None
        if teaching.source_weight:
            labeled = batch["source"]["images"], batch["source"]["labels"]
            warped, truth = augment_affine(*labeled, fold(seed, number, 2), affine)
            source = augment_intensity(warped, fold(seed, number, 3), intensity), truth
        return update(images, labels, source)

    return step


def _train(
    run: Run,
    settings: SelftrainPhase,
    pair: Pair,
    router: tf.keras.Model,
    target: SliceStack,
    source: SliceStack | None,
    rule: Rule,
) -> None:
    """The training loop."""
    teaching = settings.self_training
    step = make_selftrain_step(pair, rule, settings)
    target_path = path(router, "target")
    predictor = Predictor(target_path, probabilities)

    def update(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        if int(number) % teaching.thresholds_every == 0:
            rule.measure(predictor, target)
        return step(number, batch)

    state = {"teacher": pair.teacher, "student": pair.student, "optimizer": pair.optimizer}
    state |= {"thresholds": rule.thresholds, "factors": rule.factors}
    loop = Loop(run.folder, ["selftrain"], **state)
    batch, seed = settings.loop.batch, settings.compute.seed

    def draw(start: int, stop: int) -> tf.data.Dataset:
        images = batches(target, batch, seed, start, stop)
        if source is None or not teaching.source_weight:
            return images
        both = tf.data.Dataset.zip((images, batches(source, batch, seed + 1, start, stop)))
        return both.map(lambda target, source: {**target, "source": source})

    intervals = settings.loop.log_every, settings.loop.checkpoint_every
    images = previews(target_path, target)
    loop.run("selftrain", teaching.selftrain_steps, draw, update, *intervals, images)
