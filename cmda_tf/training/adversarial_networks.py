"""The adversarial networks of section 3.3: what each update may change, and the updates."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from cmda_tf.losses import wasserstein
from cmda_tf.losses.entropy import prediction_entropy
from cmda_tf.models.critic import FeaturePaths, Features
from cmda_tf.training.settings import AdversarialSettings, CriticSettings
from cmda_tf.training.steps import Metrics, Update, ema_update, fold, minimize
from cmda_tf.transforms.affine import augment_affine
from cmda_tf.transforms.settings import AffineAugmentation

DISTANCES = ("distance", "mask_distance")  # what the critics' estimates are called


@dataclass(frozen=True)
class Critic:
    """A critic: a network of its input to a score `[B, 1]`, which only `update` trains (its
    BatchNorm's moving statistics, which nothing reads, follow every call)."""

    network: tf.keras.Model
    optimizer: Any
    view: Callable[[Features], tf.Tensor]  # features to the critic's input
    settings: CriticSettings
    weight: float = 1.0  # of its score in the DAM's loss

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


@dataclass
class AdversarialNetworks:
    """The DAM and its critics; `critic_graph`, `critics_graph` and `dam_graph` are the updates of
    the paper's critic, of all critics and of the DAM as graphs.

    Only `update_dam` trains the DAM; its BatchNorm's moving statistics follow the target images of
    every update.
    """

    paths: FeaturePaths
    dam: tf.keras.Model
    dam_optimizer: Any
    critic: Critic  # the paper's, on features of several levels
    mask_critic: Critic | None  # the journal version's, on the segmentation
    average: tf.keras.Model | None  # follows the DAM's weights as an exponential average
    settings: AdversarialSettings
    jit_compile: bool

    def __post_init__(self):
        self.critics = [self.critic] + ([self.mask_critic] if self.mask_critic else [])
        graph = functools.partial(tf.function, jit_compile=self.jit_compile)
        # Without a mask critic one trace is enough for warm-up and joint updates.
        self.critic_graph = graph(functools.partial(self.update_critics, warmup=True))
        self.critics_graph = graph(self.update_critics) if self.mask_critic else self.critic_graph
        self.dam_graph = graph(self.update_dam)

    def update_critics(
        self, source_images: tf.Tensor, target_images: tf.Tensor, seed: tf.Tensor, warmup=False
    ) -> Metrics:
        """One update of all critics; in the warm-up of the paper's alone."""
        source = self.paths.source_features(source_images)
        # As in the DAM's own update its BatchNorm uses the batch's statistics, so that the critic
        # learns the features it will judge; the moving statistics follow the target images.
        target = self.paths.target_features(target_images, training=True)
        critics = dict(zip(DISTANCES, [self.critic] if warmup else self.critics))
        return {name: c.update(source, target, seed) for name, c in critics.items()}

    def update_dam(self, target_images: tf.Tensor) -> Metrics:
        """One update of the DAM on Eq. 5; the critics and all shared layers stay as they are."""
        with tf.GradientTape() as tape:
            features = self.paths.target_features(target_images, training=True)
            loss = tf.add_n([critic.dam_loss(features) for critic in self.critics])
            entropy = prediction_entropy(features.logits)
            if weight := self.settings.entropy_weight:
                loss += weight * entropy
        minimize(loss, tape, self.dam_optimizer, self.dam.trainable_variables)
        return {"dam_loss": loss, "entropy": entropy}

    def update_average(self, number: tf.Tensor) -> None:
        """Moves the average towards the DAM after joint update `number`.

        The start is not in it: its weight of zero is made up for, as Adam makes up for that of its
        moments (Kingma and Ba, 2015, section 3), so that the decay grows from 0 to what it is.
        """
        if self.average is None:
            return
        decay, number = self.settings.dam_ema_decay, tf.cast(number, tf.float32)
        share = (1.0 - decay) / (1.0 - tf.pow(decay, number + 1.0))  # of the newest weights
        ema_update(self.average, self.dam, 1.0 - share)


def make_warmup_step(
    networks: AdversarialNetworks, rate: float, affine: AffineAugmentation | None, seed: int
) -> Update:
    """Critic update while the DAM rests, on `source` and `target` images `[B, H, W, 3]`."""

    @tf.function
    def step(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        networks.critic.optimizer.learning_rate.assign(rate)
        seeds = fold(seed, number)
        return networks.critic_graph(*_augmented(batch, seeds, affine), seeds)

    return step


def make_joint_update(
    networks: AdversarialNetworks,
    learning_rates: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    critic_updates: int,
    affine: AffineAugmentation | None,
    seed: int,
) -> Update:
    """One joint update in one graph: `critic_updates` updates of the critics, then the DAM's.

    `learning_rates` gives those of the critics and of the DAM for an update's number. The batch
    holds `source` and `target` images `[critic_updates + 1, B, H, W, 3]`. Critic metrics are means
    over the critics' updates.
    """

    @tf.function
    def joint_update(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        critic_rate, dam_rate = learning_rates(number)
        for critic in networks.critics:
            critic.optimizer.learning_rate.assign(critic_rate)
        networks.dam_optimizer.learning_rate.assign(dam_rate)
        totals = {name: tf.zeros([]) for name in DISTANCES[: len(networks.critics)]}
        for k in tf.range(critic_updates):
            images = {role: stack[k] for role, stack in batch.items()}
            seeds = fold(seed, number, k)
            metrics = networks.critics_graph(*_augmented(images, seeds, affine), seeds)
            totals = {name: total + metrics[name] for name, total in totals.items()}
        images = {role: stack[critic_updates] for role, stack in batch.items()}
        _, target = _augmented(images, fold(seed, number, critic_updates), affine)
        dam_metrics = networks.dam_graph(target)
        networks.update_average(number)
        return {name: total / critic_updates for name, total in totals.items()} | dam_metrics

    return joint_update


def _augmented(
    images: dict[str, tf.Tensor], seed: tf.Tensor, affine: AffineAugmentation | None
) -> list[tf.Tensor]:
    """Source and target images, each warped by maps of its own."""
    fold_in = tf.random.experimental.stateless_fold_in
    roles = enumerate(("source", "target"))
    return [augment_affine(images[r], None, fold_in(seed, i), affine)[0] for i, r in roles]
