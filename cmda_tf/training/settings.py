"""Settings of the training itself; defaults are those of the phantom.

`flags/phantom.cfg` states the same defaults as a flagfile, `flags/paper.cfg` the paper's.
"""

from dataclasses import dataclass

from cmda_tf.errors import UsageError
from cmda_tf.models.topology import DEFAULT_TAPS, check_taps
from cmda_tf.settings import Settings, setting

CONSTRAINTS = ("clip", "spectral", "gradient_penalty")
CRITIC_NORMS = ("batch", "layer", "group", "none")


@dataclass(frozen=True)
class ComputeSettings(Settings):
    """Seed, and how far a run repeats."""

    key = "compute"
    seed: int = setting(0, "Seed of weights, sampling and augmentation.", minimum=0)
    deterministic: bool = setting(True, "Repeat bit for bit on the same machine.")
    threads: int = setting(
        0, "CPU threads; 0: one per core. Their number decides the last bits of sums.", minimum=0
    )


@dataclass(frozen=True)
class LoopSettings(Settings):
    """How updates are drawn, compiled, logged and kept."""

    key = "loop"
    batch: int = setting(8, "Slice triples per batch (paper: 5).", minimum=1)
    jit_compile: bool = setting(False, "Compile with XLA; needs --nodeterministic.")
    log_every: int = setting(10, "Updates between two TensorBoard entries.", minimum=1, free=True)
    checkpoint_every: int = setting(250, "Updates between two checkpoints.", minimum=1, free=True)


@dataclass(frozen=True)
class SupervisedSettings(Settings):
    """What training from scratch and fine-tuning share (the paper, section 3.4)."""

    key = "supervised"
    modality: str | None = setting(None, "Modality to train on. Default: source; finetune: target.")
    learning_rate_decay: float = setting(0.95, "Factor of each decay.", minimum=0, maximum=1)
    learning_rate_decay_every: int = setting(1500, "Steps between decays.", minimum=1)
    balanced: bool = setting(True, "Draw slices so that every structure is seen as often.")


@dataclass(frozen=True)
class SourceSchedule(Settings):
    """Steps and learning rate of training from scratch."""

    key = "schedule"
    steps: int = setting(1000, "Training steps.", minimum=1)
    learning_rate: float = setting(1e-3, "Adam's learning rate.", minimum=0)


@dataclass(frozen=True)
class FinetuneSchedule(Settings):
    """Steps and learning rate of fine-tuning."""

    key = "schedule"
    finetune_steps: int = setting(500, "Training steps of finetune.", minimum=1)
    finetune_learning_rate: float = setting(3e-4, "Adam's rate in finetune.", minimum=0)

    @property
    def steps(self) -> int:
        """As `SourceSchedule.steps`."""
        return self.finetune_steps

    @property
    def learning_rate(self) -> float:
        """As `SourceSchedule.learning_rate`."""
        return self.finetune_learning_rate


@dataclass(frozen=True)
class CriticSettings(Settings):
    """The critic: what it sees, what it is made of, what keeps it Lipschitz (section 3.3)."""

    key = "critic"
    taps: tuple[int, ...] = setting(DEFAULT_TAPS, "Layers whose features the critic sees.")
    critic_norm: str = setting("batch", "Normalization in the critic.", choices=CRITIC_NORMS)
    constraint: str = setting("clip", "What keeps the critic Lipschitz.", choices=CONSTRAINTS)
    clip: float = setting(0.03, "Bound of the critic's weights under clip.", minimum=1e-6)
    penalty: float = setting(10.0, "Factor of the gradient penalty.", minimum=0)
    standardize_taps: bool = setting(
        False,
        "Scale each channel of the critic's input by the source features' mean and deviation.",
    )
    mask_critic_weight: float = setting(
        0.0, "Weight of a second critic on the softmax; the journal version: 0.3.", minimum=0
    )

    def __post_init__(self):
        super().__post_init__()
        check_taps(self.taps)
        if self.constraint == "gradient_penalty" and self.critic_norm == "batch":
            raise UsageError(
                "constraint: BatchNorm makes one sample's score depend on the others, which "
                "gradient_penalty forbids; expected layer, group or none as critic_norm"
            )


@dataclass(frozen=True)
class AdversarialSettings(Settings):
    """Schedule and optimizers of critic and DAM (sections 3.3 and 3.4)."""

    key = "adversarial"
    warmup_updates: int = setting(100, "Critic updates before the first DAM update.", minimum=0)
    joint_updates: int = setting(20, "Joint updates: critic updates, then a DAM update.", minimum=1)
    joint_checkpoint_every: int = setting(
        10, "Joint updates between checkpoints.", minimum=1, free=True
    )
    critic_updates: int = setting(20, "Critic updates per joint update.", minimum=1)
    critic_learning_rate: float = setting(3e-4, "RMSProp's rate for the critic.", minimum=0)
    dam_learning_rate: float = setting(3e-4, "RMSProp's rate for the DAM.", minimum=0)
    adversarial_decay: float = setting(0.98, "Factor of each decay of both rates.", minimum=0)
    adversarial_decay_every: int = setting(100, "Joint updates between decays.", minimum=1)
    rmsprop_epsilon: float = setting(1e-7, "RMSProp's epsilon, critic and DAM.", minimum=1e-12)
    rmsprop_start: float = setting(0.0, "RMSProp's accumulator at the start (TF1: 1).", minimum=0)
    entropy_weight: float = setting(
        0.0, "Weight of the predictions' entropy in the DAM's loss.", minimum=0
    )
    dam_ema_decay: float = setting(
        0.0,
        "Decay of an exponential moving average of the DAM's weights that replaces them; 0: none.",
        minimum=0,
        maximum=0.9999,
    )


@dataclass(frozen=True)
class SelfTrainingSettings(Settings):
    """What a teacher's confident predictions teach, and how long."""

    key = "self_training"
    selftrain_steps: int = setting(300, "Steps of self-training.", minimum=1)
    selftrain_learning_rate: float = setting(3e-4, "Adam's rate in self-training.", minimum=0)
    teacher_ema_decay: float = setting(
        0.99, "Decay of the average of the student that teaches.", minimum=0, maximum=0.9999
    )
    confidence: float = setting(0.9, "Probability that lets any pixel teach.", minimum=0, maximum=1)
    confidence_quantile: float = setting(
        0.5,
        "Share of each predicted class that need not teach; its confidence is that class' "
        "threshold where it is below --confidence.",
        minimum=0,
        maximum=1,
    )
    thresholds_every: int = setting(100, "Steps between measurements of thresholds.", minimum=1)
    source_weight: float = setting(
        0.0, "Weight of Eq. 1 on labeled source images beside the pseudo labels.", minimum=0
    )
    align_classes: bool = setting(
        False, "Scale the teacher's probabilities until its labels have the source's class shares."
    )
