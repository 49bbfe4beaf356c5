"""The adversarial networks of section 3.3: what each update may change, and the updates."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from cmda_tf.losses import wasserstein
from cmda_tf.losses.entropy import prediction_entropy
from cmda_tf.models.critic import FeaturePaths, Features
from cmda_tf.training.settings import CriticSettings
from cmda_tf.training.steps import Metrics, ema_update, fold, minimize
from cmda_tf.transforms.affine import augment_affine
from cmda_tf.transforms.settings import AffineAugmentation

DISTANCES = ("distance", "mask_distance")  # what the critics' estimates are called


@dataclass(frozen=True)
class Critic:
    """A critic, what it looks at, and what keeps it Lipschitz.

    Attributes:
      network: critic input to a score `[B, 1]`; only `update` trains it (its BatchNorm's
        moving statistics, which nothing reads, follow every call).
      optimizer: its own.
      view: features to the critic's input.
      settings: what keeps it Lipschitz: `constraint`, `clip` and `penalty`.
      weight: of its score in the DAM's loss.
    """

    network: tf.keras.Model
    optimizer: Any
    view: Callable[[Features], tf.Tensor]
    settings: CriticSettings
    weight: float = 1.0

    def update(self, source: Features, target: Features, seed: tf.Tensor) -> tf.Tensor:
        """One update on Eq. 6, then the constraint; returns the estimate of the distance."""
        source, target = self.view(source), self.view(target)
        with tf.GradientTape() as tape:
            # Two calls: its BatchNorm uses the statistics of each role's own batch.
            target_scores = self.network(target, training=True)
            source_scores = self.network(source, training=True)
            loss = objective = wasserstein.critic_loss(target_scores, source_scores)
            if self.settings.constraint == "gradient_penalty":
                penalty = wasserstein.gradient_penalty(self.network, source, target, seed)
                objective = loss + self.settings.penalty * penalty
        minimize(objective, tape, self.optimizer, self.network.trainable_variables)
        kernels = wasserstein.clipped_weights(self.network)
        if self.settings.constraint == "clip":
            wasserstein.clip_weights(kernels, self.settings.clip)
        elif self.settings.constraint == "spectral":
            wasserstein.bound_spectral_norms(kernels, seed)
        return -loss

    def dam_loss(self, target: Features) -> tf.Tensor:
        """This critic's part of the DAM's loss (Eq. 5)."""
        return self.weight * wasserstein.dam_loss(self.network(self.view(target), training=True))


@dataclass(frozen=True)
class AdversarialNetworks:
    """The DAM and its critics.

    Attributes:
      paths: images to features.
      dam: the domain adaptation module; only `update_dam` trains it (its BatchNorm's
        moving statistics follow the target images of every update).
      dam_optimizer: the DAM's.
      critic: the paper's, on features of several levels.
      mask_critic: the journal version's, on the segmentation; None without it.
      entropy_weight: of the predictions' entropy in the DAM's loss.
      average: a model like the DAM that follows its weights as an exponential average, or None.
      ema_decay: of that average.
      jit_compile: compile the updates with XLA.
    """

    paths: FeaturePaths
    dam: tf.keras.Model
    dam_optimizer: Any
    critic: Critic
    mask_critic: Critic | None = None
    entropy_weight: float = 0.0
    average: tf.keras.Model | None = None
    ema_decay: float = 0.0
    jit_compile: bool = False

    @property
    def critics(self) -> list[Critic]:
        """All critics that are trained."""
        return [self.critic] + ([self.mask_critic] if self.mask_critic else [])

    def update_critic(
        self, source_images: tf.Tensor, target_images: tf.Tensor, seed: tf.Tensor
    ) -> Metrics:
        """One update of the paper's critic alone: the warm-up."""
        return self._update([self.critic], source_images, target_images, seed)

    def update_critics(
        self, source_images: tf.Tensor, target_images: tf.Tensor, seed: tf.Tensor
    ) -> Metrics:
        """One update of every critic; the mask critic takes part from the first joint update on."""
        return self._update(self.critics, source_images, target_images, seed)

    def _update(self, critics: list[Critic], source_images, target_images, seed) -> Metrics:
        source = self.paths.source_features(source_images)
        # As in the DAM's own update its BatchNorm uses the batch's statistics, so that the critic
        # learns the features it will judge; the moving statistics follow the target images.
        target = self.paths.target_features(target_images, training=True)
        return {name: c.update(source, target, seed) for name, c in zip(DISTANCES, critics)}

    def update_dam(self, target_images: tf.Tensor) -> Metrics:
        """One update of the DAM on Eq. 5; the critics and all shared layers stay as they are."""
        variables = self.dam.trainable_variables
        with tf.GradientTape() as tape:
            features = self.paths.target_features(target_images, training=True)
            loss = tf.add_n([critic.dam_loss(features) for critic in self.critics])
            entropy = prediction_entropy(features.logits)
            if self.entropy_weight:
                loss += self.entropy_weight * entropy
        minimize(loss, tape, self.dam_optimizer, variables)
        return {"dam_loss": loss, "entropy": entropy}

    def update_average(self, number: tf.Tensor) -> None:
        """Moves the average towards the DAM after joint update `number`.

        The start is not in it: its weight of zero is made up for, as Adam makes up for that of its
        moments (Kingma and Ba, 2015, section 3), so that the decay grows from 0 to what it is.
        """
        if self.average is None:
            return
        decay, number = self.ema_decay, tf.cast(number, tf.float32)
        share = (1.0 - decay) / (1.0 - tf.pow(decay, number + 1.0))  # of the newest weights
        ema_update(self.average, self.dam, 1.0 - share)

    @functools.cached_property
    def critic_graph(self) -> Callable[..., Metrics]:
        """`update_critic` as a graph, traced once for warm-up and joint updates."""
        return tf.function(self.update_critic, jit_compile=self.jit_compile)

    @functools.cached_property
    def critics_graph(self) -> Callable[..., Metrics]:
        """`update_critics` as a graph; without a mask critic the same one."""
        if self.mask_critic is None:
            return self.critic_graph
        return tf.function(self.update_critics, jit_compile=self.jit_compile)

    @functools.cached_property
    def dam_graph(self) -> Callable[..., Metrics]:
        """`update_dam` as a graph."""
        return tf.function(self.update_dam, jit_compile=self.jit_compile)


def make_warmup_step(
    networks: AdversarialNetworks,
    learning_rate: float,
    augmentation: AffineAugmentation | None,
    seed: int,
) -> Callable[[tf.Tensor, dict[str, tf.Tensor]], Metrics]:
    """Critic update while the DAM rests.

    Returns:
      A function of (update number, batch of `source` and `target` images `[B, H, W, 3]`).
    """

    @tf.function
    def step(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        networks.critic.optimizer.learning_rate.assign(learning_rate)
        seeds = fold(seed, number)
        return networks.critic_graph(*_augmented(batch, seeds, augmentation), seeds)

    return step


def make_joint_update(
    networks: AdversarialNetworks,
    learning_rates: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    critic_updates: int,
    augmentation: AffineAugmentation | None,
    seed: int,
) -> Callable[[tf.Tensor, dict[str, tf.Tensor]], Metrics]:
    """One joint update in one graph: `critic_updates` updates of the critics, then the DAM's.

    Args:
      networks: DAM and critics.
      learning_rates: update number to the rates of the critics and of the DAM.
      critic_updates: 20 in the paper.
      augmentation: for both roles' images.
      seed: of the augmentation.

    Returns:
      A function of (number, batch) to metrics; the batch holds `source` and `target` images
      `[critic_updates + 1, B, H, W, 3]`. Critic metrics are means over its updates.
    """

    @tf.function
    def joint_update(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        critic_rate, dam_rate = learning_rates(number)
        for critic in networks.critics:
            critic.optimizer.learning_rate.assign(critic_rate)
        networks.dam_optimizer.learning_rate.assign(dam_rate)
        names = DISTANCES[: len(networks.critics)]
        totals = {name: tf.zeros([]) for name in names}
        for k in tf.range(critic_updates):
            images = {role: stack[k] for role, stack in batch.items()}
            seeds = fold(seed, number, k)
            metrics = networks.critics_graph(*_augmented(images, seeds, augmentation), seeds)
            totals = {name: totals[name] + metrics[name] for name in names}
        images = {role: stack[critic_updates] for role, stack in batch.items()}
        _, target = _augmented(images, fold(seed, number, critic_updates), augmentation)
        dam_metrics = networks.dam_graph(target)
        networks.update_average(number)
        return {**{name: totals[name] / critic_updates for name in names}, **dam_metrics}

    return joint_update


def _augmented(
    images: dict[str, tf.Tensor], seed: tf.Tensor, augmentation: AffineAugmentation | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Source and target images, each warped by maps of its own."""
    seeds = [tf.random.experimental.stateless_fold_in(seed, index) for index in range(2)]
    source, _ = augment_affine(images["source"], None, seeds[0], augmentation)
    target, _ = augment_affine(images["target"], None, seeds[1], augmentation)
    return source, target
