"""Self-training: an adapted DAM goes on learning from confident predictions on target images.

The teacher is an exponential average of the student's weights (Tarvainen and Valpola, "Mean
teachers are better role models", NeurIPS 2017). Its predictions become pseudo labels where they
are confident (`pseudo_labels`). Labeled source images of random appearance may be learned from
beside them: what is known for certain keeps the structures' outlines in place while the pseudo
labels move the rest. Only the DAM learns; the layers above it stay as they are. Target labels are
not read.
"""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from cmda_tf.data.prepared import Dataset
from cmda_tf.data.slices import SliceStack, batches, load_slices
from cmda_tf.errors import UsageError
from cmda_tf.losses.hybrid import hybrid_loss
from cmda_tf.models.blocks import ModelConfig
from cmda_tf.models.segmenter import build_dam, build_router, build_upper, path
from cmda_tf.old_settings import SelfTrainSettings
from cmda_tf.runs.run import Run, finished_run, start_run
from cmda_tf.runs.weights import set_weights
from cmda_tf.training.adabn import refresh_statistics
from cmda_tf.training.loop import Loop
from cmda_tf.training.pseudo_labels import IGNORED, Rule, class_shares
from cmda_tf.training.setup import (
    appearance,
    augmentation,
    model_config,
    previews,
    run_inputs,
    seed_everything,
    target_slices,
    trained_segmenter,
)
from cmda_tf.training.steps import Metrics, fold, follow, minimize
from cmda_tf.transforms.affine import augment_affine
from cmda_tf.transforms.intensity import augment_intensity


@dataclass(frozen=True)
class Pair:
    """Teacher and student: two DAMs below the same frozen layers.

    Attributes:
      teacher: changed by `follow` alone; ends as the result.
      student: changed by the optimizer.
      upper: the segmenter's layers above both.
      optimizer: the student's.
    """

    teacher: tf.keras.Model
    student: tf.keras.Model
    upper: tf.keras.Model
    optimizer: Any

    def predict(self, images: tf.Tensor) -> tf.Tensor:
        """The teacher's probabilities `[B, H, W, C]`, all layers in inference mode."""
        return tf.nn.softmax(self.upper(self.teacher(images, training=False), training=False))

    def student_logits(self, images: tf.Tensor) -> tf.Tensor:
        """The student's logits; its BatchNorm uses the batch, the layers above do not."""
        return self.upper(self.student(images, training=True), training=False)

    def source_logits(self, images: tf.Tensor) -> tf.Tensor:
        """The student's logits for source images, all layers in inference mode: the moving
        statistics stay the target's, to which the DAM belongs."""
        return self.upper(self.student(images, training=False), training=False)


def selftrain(settings: SelfTrainSettings, dataset: Dataset) -> Run:
    """`--phase=selftrain`: goes on from an adapted run, or with a self-training stopped earlier.

    Returns:
      The finished run; its model is the router with the teacher as its DAM.
    """
    _check_appearance(settings)
    config = model_config(settings, dataset)
    origin = adapted_run(settings)
    run = start_run("selftrain", settings, config, run_inputs(dataset, settings.target, origin))
    if run.finished:
        return run
    seed_everything(settings)
    segmenter = trained_segmenter(config, origin)
    pair = make_pair(settings, config, segmenter, origin)
    router = build_router(config, settings.depth, segmenter, pair.teacher)
    target, source = target_slices(settings, dataset), None
    if settings.source_weight or settings.align_classes:
        source = load_slices(dataset, settings.source, "train", with_labels=True)
    rule = _rule(settings, dataset.structures.classes, source)
    _learn(run, settings, pair, router, target, source, rule)
    if settings.refresh_statistics:
        refresh_statistics(config, settings.depth, segmenter, pair.teacher, target)
    run.finish(router)
    return run


def adapted_run(settings: SelfTrainSettings) -> Run:
    """The finished run with a DAM that `--origin` names; by default that of adapt.

    Raises:
      DataError: it is not there or not finished.
      UsageError: it has no DAM, or one of another depth.
    """
    folder = Path(settings.runs) / (settings.origin or f"adapt_d{settings.depth}")
    depth, runs = settings.depth, settings.runs
    command = f"python -m cmda_tf.train --phase=adapt --depth={depth} --runs={runs}"
    run = finished_run(folder, command)
    found = run.record["settings"].get("depth")
    if found != settings.depth:
        what = f"depth {found}" if found else f"phase {run.phase}, without a DAM"
        raise UsageError(f"--origin: expected a run of --depth={depth}; {folder} is of {what}")
    return run


def make_pair(
    settings: SelfTrainSettings, config: ModelConfig, segmenter: tf.keras.Model, origin: Run
) -> Pair:
    """Teacher and student, both as the origin's DAM; freezes the segmenter."""
    segmenter.trainable = False
    teacher, student = (build_dam(config, settings.depth, segmenter) for _ in range(2))
    for dam in (teacher, student):
        set_weights(dam, origin.weights(), str(origin.folder))
    optimizer = tf.keras.optimizers.Adam(settings.selftrain_learning_rate)
    optimizer.build(student.trainable_variables)
    return Pair(
        teacher, student, build_upper(config, settings.depth, segmenter, student), optimizer
    )


def make_selftrain_step(
    pair: Pair, rule: Rule, settings: SelfTrainSettings
) -> Callable[[tf.Tensor, dict[str, tf.Tensor]], Metrics]:
    """One update of the student on the teacher's pseudo labels; then the teacher follows.

    The teacher sees the image as it is. Its labels are warped with the student's image.

    Returns:
      A function of (step number, batch) to metrics. The batch holds target `images` and, where
      `settings.source_weight` is not 0, `source` with `images` and `labels`.
    """
    warps, looks, seed = augmentation(settings), appearance(settings), settings.seed
    variables = pair.student.trainable_variables
    terms = {"dice_weight": settings.dice_weight, "class_weights": settings.class_weights}

    @tf.function(jit_compile=settings.jit_compile)
    def update(images: tf.Tensor, labels: tf.Tensor, source: tuple | None) -> Metrics:
        kept = labels != IGNORED
        with tf.GradientTape() as tape:
            metrics = hybrid_loss(pair.student_logits(images), labels, mask=kept, **terms)
            loss = metrics["loss"]
            if source is not None:
                known = hybrid_loss(pair.source_logits(source[0]), source[1], **terms)["loss"]
                metrics["source_loss"] = known
                loss += settings.source_weight * known
        minimize(loss, tape, pair.optimizer, variables)
        follow(pair.teacher, pair.student, settings.teacher_ema_decay)
        return {**metrics, "kept": tf.reduce_mean(tf.cast(kept, tf.float32))}

    @tf.function
    def step(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        labels = rule.labels(pair.predict(batch["images"]))
        images, labels = augment_affine(batch["images"], labels, fold(seed, number), warps)
        source = None
        if settings.source_weight:
            known = batch["source"]["images"], batch["source"]["labels"]
            seen, truth = augment_affine(*known, fold(seed, number, 2), warps)
            source = augment_intensity(seen, fold(seed, number, 3), looks), truth
        return update(images, labels, source)

    return step


def _check_appearance(settings: SelfTrainSettings) -> None:
    """Refuses a random appearance without the images that would get it."""
    for name, strength in dataclasses.asdict(appearance(settings)).items():
        if strength and not settings.source_weight:
            raise UsageError(
                f"--{name}: in self-training for source images alone; expected --source_weight "
                "above 0"
            )


def _rule(settings: SelfTrainSettings, classes: int, source: SliceStack | None) -> Rule:
    """How the teacher's predictions become labels; of the source's labels the shares alone."""
    shares = None
    if settings.align_classes:
        shares = class_shares(source.labels[source.usable], classes)
    return Rule.of(classes, settings.confidence_quantile, settings.confidence, shares)


def _learn(
    run: Run,
    settings: SelfTrainSettings,
    pair: Pair,
    router: tf.keras.Model,
    target: SliceStack,
    source: SliceStack | None,
    rule: Rule,
) -> None:
    """The training loop."""
    step = make_selftrain_step(pair, rule, settings)
    shape = [None, *pair.teacher.input_shape[1:]]
    predict = tf.function(pair.predict, input_signature=[tf.TensorSpec(shape)])

    def update(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        if int(number) % settings.thresholds_every == 0:
            rule.measure(predict, target)
        return step(number, batch)

    loop = Loop(
        run.folder,
        teacher=pair.teacher,
        student=pair.student,
        optimizer=pair.optimizer,
        thresholds=rule.thresholds,
        factors=rule.factors,
    )
    loop.restore("selftrain")
    draw = functools.partial(_draw, settings, target, source)
    show = previews(path(router, "target"), target)
    every = settings.log_every, settings.checkpoint_every
    loop.run("selftrain", settings.selftrain_steps, draw, update, *every, show)


def _draw(
    settings: SelfTrainSettings,
    target: SliceStack,
    source: SliceStack | None,
    start: int,
    stop: int,
) -> tf.data.Dataset:
    """Batches of target images and, where they are learned from, of labeled source images."""
    drawn = batches(target, settings.batch, settings.seed, start, stop)
    if not settings.source_weight:
        return drawn
    known = batches(source, settings.batch, settings.seed + 1, start, stop)
    return tf.data.Dataset.zip((drawn, known)).map(lambda own, other: {**own, "source": other})
