"""The updates: source step, critic update, DAM update and one joint update, each one graph.

A factory returns a `tf.function`; the variables an update may change are listed where it is
made. Every update takes its number as a tensor; learning rate and random draws follow from it,
so that a resumed run repeats what an undisturbed one does. Metrics are dicts of scalars.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from cmda_tf.data.appearance import Appearance, randomise
from cmda_tf.data.augment import Augmentation, augment
from cmda_tf.losses.hybrid import hybrid_loss
from cmda_tf.losses.wasserstein import clip_weights, clipped_weights, critic_loss, dam_loss
from cmda_tf.models.critic import FeaturePaths

Metrics = dict[str, tf.Tensor]


def staircase(initial: float, factor: float, every: int, number: tf.Tensor) -> tf.Tensor:
    """Learning rate at update `number`: `initial` times `factor` for each `every` updates."""
    return initial * tf.pow(factor, tf.cast(number // every, tf.float32))


def fold(seed: int, *numbers: Any) -> tf.Tensor:
    """A stateless `[2]` seed that is a function of `seed` and the numbers."""
    folded = tf.constant([seed, 0], tf.int64)
    for number in numbers:
        folded = tf.random.experimental.stateless_fold_in(folded, tf.cast(number, tf.int64))
    return folded


def _minimise(loss: tf.Tensor, tape: tf.GradientTape, optimizer: Any, variables: list) -> None:
    """Applies the gradients of `loss` to `variables`."""
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))


def make_source_step(
    segmenter: tf.keras.Model,
    optimizer: Any,
    learning_rate: Callable[[tf.Tensor], tf.Tensor],
    dice_weight: float,
    augmentation: Augmentation | None,
    seed: int,
    jit_compile: bool = False,
    appearance: Appearance | None = None,
) -> Callable[[tf.Tensor, dict[str, tf.Tensor]], Metrics]:
    """Supervised step: one Adam update of all the segmenter's weights on Eq. 1.

    Images and labels are warped alike; then the images alone get a random appearance.

    Returns:
      A function of (step number, batch of `images` and `labels`) to metrics.
    """
    variables = segmenter.trainable_variables

    @tf.function(jit_compile=jit_compile)
    def update(images: tf.Tensor, labels: tf.Tensor) -> Metrics:
        with tf.GradientTape() as tape:
            metrics = hybrid_loss(segmenter(images, training=True), labels, dice_weight)
        _minimise(metrics["loss"], tape, optimizer, variables)
        return metrics

    @tf.function
    def step(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        optimizer.learning_rate.assign(learning_rate(number))
        # XLA has no kernel for the warp: it stays outside the compiled part.
        seeds = fold(seed, number)
        images, labels = augment(batch["images"], batch["labels"], seeds, augmentation)
        return update(randomise(images, fold(seed, number, 1), appearance), labels)

    return step


@dataclass(frozen=True)
class AdversarialPlayers:
    """The two players of section 3.3 and what each may change.

    Attributes:
      paths: images to critic input.
      dam: the domain adaptation module; only the DAM update changes its weights.
      critic: the domain critic; only the critic update changes its weights.
      dam_optimizer, critic_optimizer: one for each.
      clip: bound of the critic's weights.
      jit_compile: compile the updates with XLA.
    """

    paths: FeaturePaths
    dam: tf.keras.Model
    critic: tf.keras.Model
    dam_optimizer: Any
    critic_optimizer: Any
    clip: float
    jit_compile: bool = False

    def update_critic(self, source_images: tf.Tensor, target_images: tf.Tensor) -> Metrics:
        """One update of the critic on Eq. 6, then the clipping constraint."""
        source = self.paths.source_features(source_images)
        # As in the DAM's own update its BatchNorm uses the batch's statistics, so that the critic
        # learns the features it will judge; the moving statistics follow the target images.
        target = self.paths.target_features(target_images, training=True)
        variables = self.critic.trainable_variables
        with tf.GradientTape() as tape:
            target_scores = self.critic(target, training=True)
            source_scores = self.critic(source, training=True)
            loss = critic_loss(target_scores, source_scores)
        _minimise(loss, tape, self.critic_optimizer, variables)
        clip_weights(clipped_weights(self.critic), self.clip)
        return {"critic_loss": loss, "distance": -loss}

    def update_dam(self, target_images: tf.Tensor) -> Metrics:
        """One update of the DAM on Eq. 5; the critic and all shared layers stay as they are."""
        variables = self.dam.trainable_variables
        with tf.GradientTape() as tape:
            features = self.paths.target_features(target_images, training=True)
            loss = dam_loss(self.critic(features, training=True))
        _minimise(loss, tape, self.dam_optimizer, variables)
        return {"dam_loss": loss}

    @functools.cached_property
    def critic_graph(self) -> Callable[..., Metrics]:
        """`update_critic` as a graph, traced once for warm-up and joint updates."""
        return tf.function(self.update_critic, jit_compile=self.jit_compile)

    @functools.cached_property
    def dam_graph(self) -> Callable[..., Metrics]:
        """`update_dam` as a graph."""
        return tf.function(self.update_dam, jit_compile=self.jit_compile)


def make_warmup_step(
    players: AdversarialPlayers,
    learning_rate: float,
    augmentation: Augmentation | None,
    seed: int,
) -> Callable[[tf.Tensor, dict[str, tf.Tensor]], Metrics]:
    """Critic update while the DAM rests.

    Returns:
      A function of (update number, batch of `source` and `target` images `[B, H, W, 3]`).
    """

    @tf.function
    def step(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        players.critic_optimizer.learning_rate.assign(learning_rate)
        return players.critic_graph(*_augmented(batch, fold(seed, number), augmentation))

    return step


def make_joint_update(
    players: AdversarialPlayers,
    learning_rates: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    critic_updates: int,
    augmentation: Augmentation | None,
    seed: int,
) -> Callable[[tf.Tensor, dict[str, tf.Tensor]], Metrics]:
    """One joint update in one graph: `critic_updates` critic updates, then one DAM update.

    Args:
      players: the two players.
      learning_rates: update number to the rates of the critic and of the DAM.
      critic_updates: 20 in the paper.
      augmentation: for both domains' images.
      seed: of the augmentation.

    Returns:
      A function of (number, batch) to metrics; the batch holds `source` and `target` images
      `[critic_updates + 1, B, H, W, 3]`. Critic metrics are means over its updates.
    """

    @tf.function
    def joint_update(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        critic_rate, dam_rate = learning_rates(number)
        players.critic_optimizer.learning_rate.assign(critic_rate)
        players.dam_optimizer.learning_rate.assign(dam_rate)
        total = tf.zeros([])
        for k in tf.range(critic_updates):
            images = {domain: stack[k] for domain, stack in batch.items()}
            seeds = fold(seed, number, k)
            total += players.critic_graph(*_augmented(images, seeds, augmentation))["distance"]
        images = {domain: stack[critic_updates] for domain, stack in batch.items()}
        _, target = _augmented(images, fold(seed, number, critic_updates), augmentation)
        return {"distance": total / critic_updates, **players.dam_graph(target)}

    return joint_update


def _augmented(
    images: dict[str, tf.Tensor], seed: tf.Tensor, augmentation: Augmentation | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Source and target images, each warped by maps of its own."""
    warped = (
        augment(images[domain], None, fold_seed(seed, index), augmentation)[0]
        for index, domain in enumerate(("source", "target"))
    )
    return tuple(warped)


def fold_seed(seed: tf.Tensor, number: int) -> tf.Tensor:
    """A seed derived from another one."""
    return tf.random.experimental.stateless_fold_in(seed, number)
