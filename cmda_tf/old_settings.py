"""The settings of the phases of `python -m cmda_tf.train`; defaults are those of the phantom.

`flags/phantom.cfg` states the same defaults as a flagfile, `flags/paper.cfg` the paper's.
"""

from dataclasses import dataclass

from cmda_tf.errors import UsageError
from cmda_tf.model_selection.criteria import CRITERIA
from cmda_tf.models.topology import DEFAULT_TAPS, check_depth, check_taps
from cmda_tf.settings import Options, setting

PRECISIONS = ("float32", "mixed_bfloat16")
CONSTRAINTS = ("clip", "spectral", "gradient_penalty")
CRITIC_NORMS = ("batch", "layer", "group", "none")


@dataclass(frozen=True)
class PhaseSettings(Options):
    """What all phases share: data, network, augmentation, and how a run is kept."""

    prepared: str | None = setting(
        None, "Prepared data (cmda_tf.prepare). Default: the phantom, made on first use."
    )
    data: str = setting("data", "Where the phantom is cached when --prepared is not given.")
    phantom_seed: int = setting(0, "Seed of the phantom, without --prepared.", minimum=0)
    runs: str = setting("runs", "Folder that holds one folder per run.")
    name: str | None = setting(None, "The run's folder under --runs. Default: by phase.")
    origin: str | None = setting(
        None,
        "Run under --runs that this one starts from. Default: source_<source>, or the adaptation.",
    )
    title: str | None = setting(None, "The row's title in tables. Default: by phase.")
    resume: bool = setting(True, "Go on from the last checkpoint; --noresume starts anew.")
    seed: int = setting(0, "Seed of weights, sampling and augmentation.", minimum=0)

    source: str = setting("mr", "Domain with labels.")
    target: str = setting("ct", "Domain to adapt to, without labels.")

    width: float = setting(
        0.5, "Multiplier of all widths; 1 is the paper.", minimum=0.0625, maximum=4
    )
    dropout: float = setting(
        0.0,
        "Dropout rate in training; with it a resumed run is not that of one stretch, bit for bit.",
        minimum=0.0,
        maximum=0.9,
    )
    precision: str = setting("float32", "Arithmetic of the layers.", choices=PRECISIONS)
    jit_compile: bool = setting(False, "Compile with XLA; needs --nodeterministic.")
    deterministic: bool = setting(True, "Repeat bit for bit on the same machine.")

    threads: int = setting(
        0,
        "CPU threads; 0: one per core. Sums are split among them, so their number decides the last "
        "bits of a result.",
        minimum=0,
    )

    batch: int = setting(8, "Slice triples per batch (paper: 5).", minimum=1)
    augment: bool = setting(True, "Augment images (and labels) on the device.")
    rotation_degrees: float = setting(15.0, "Largest rotation.", minimum=0, maximum=180)
    zoom: float = setting(0.15, "Largest relative change of size.", minimum=0, maximum=0.9)
    shear: float = setting(0.1, "Largest shear.", minimum=0, maximum=1)
    translation: float = setting(0.08, "Largest shift, share of size.", minimum=0, maximum=1)

    log_every: int = setting(10, "Updates between two TensorBoard entries.", minimum=1)
    checkpoint_every: int = setting(250, "Updates between two checkpoints.", minimum=1)

    def __post_init__(self):
        super().__post_init__()
        if self.source == self.target:
            raise UsageError(f"--target: expected another modality than --source={self.source}")
        if self.jit_compile and self.deterministic:
            raise UsageError(
                "--jit_compile: XLA has no deterministic gradient of max-pooling; "
                "add --nodeterministic"
            )


@dataclass(frozen=True)
class SegmentationSettings(PhaseSettings):
    """What the phases share that minimize Eq. 1: its weight, and the appearance of the images.

    The adversarial phase has no random appearance: its critic is to know the source as it is. In
    self-training it is that of the source images (`source_weight`).
    """

    dice_weight: float = setting(1.0, "Lambda of Eq. 1.", minimum=0)
    class_weights: bool = setting(True, "Weigh the cross-entropy by w_c of Eq. 1.")
    intensity_curves: float = setting(
        0.0, "Random monotone intensity curves (about 1).", minimum=0, maximum=3
    )
    bias_field: float = setting(0.0, "Random smooth bias (about 0.3).", minimum=0, maximum=1)
    random_networks: float = setting(
        0.0, "Largest share of a random shallow network's output (about 1).", minimum=0, maximum=1
    )
    contrast: float = setting(0.0, "Largest change of contrast (0.2).", minimum=0, maximum=0.9)
    blur: float = setting(0.0, "Largest blur in pixels (about 0.7).", minimum=0, maximum=5)
    noise: float = setting(0.0, "Largest noise added (about 0.2).", minimum=0, maximum=2)


@dataclass(frozen=True)
class SourceSettings(SegmentationSettings):
    """`--phase=source` and `--phase=finetune`: supervised training (the paper, section 3.4)."""

    modality: str | None = setting(
        None, "Domain to train on. Default: the source; for finetune the target."
    )
    steps: int = setting(1000, "Training steps.", minimum=1)
    finetune_steps: int = setting(500, "Training steps of finetune.", minimum=1)
    learning_rate: float = setting(1e-3, "Adam's learning rate.", minimum=0)
    finetune_learning_rate: float = setting(3e-4, "Adam's rate in finetune.", minimum=0)
    learning_rate_decay: float = setting(0.95, "Factor of each decay.", minimum=0, maximum=1)
    learning_rate_decay_every: int = setting(1500, "Steps between decays.", minimum=1)
    balanced: bool = setting(True, "Draw slices so that every structure is seen as often.")


@dataclass(frozen=True)
class AdaptSettings(PhaseSettings):
    """`--phase=adapt` and `--phase=adabn`: learning without target labels (section 3.3)."""

    depth: int = setting(13, "Adaptation depth d, the last layer the DAM replaces.")
    taps: tuple[int, ...] = setting(DEFAULT_TAPS, "Layers whose features the critic sees.")
    warmup_updates: int = setting(100, "Critic updates before the first DAM update.", minimum=0)
    joint_updates: int = setting(20, "Joint updates: critic updates, then a DAM update.", minimum=1)
    joint_checkpoint_every: int = setting(10, "Joint updates between checkpoints.", minimum=1)
    critic_updates: int = setting(20, "Critic updates per joint update.", minimum=1)
    critic_learning_rate: float = setting(3e-4, "RMSProp's rate for the critic.", minimum=0)
    dam_learning_rate: float = setting(3e-4, "RMSProp's rate for the DAM.", minimum=0)
    adversarial_decay: float = setting(0.98, "Factor of each decay of both rates.", minimum=0)
    adversarial_decay_every: int = setting(100, "Joint updates between decays.", minimum=1)
    constraint: str = setting("clip", "What keeps the critic Lipschitz.", choices=CONSTRAINTS)
    clip: float = setting(0.03, "Bound of the critic's weights under clip.", minimum=1e-6)
    penalty: float = setting(10.0, "Factor of the gradient penalty.", minimum=0)
    critic_norm: str = setting("batch", "Normalization in the critic.", choices=CRITIC_NORMS)
    rmsprop_epsilon: float = setting(1e-7, "RMSProp's epsilon, both networks.", minimum=1e-12)
    rmsprop_start: float = setting(0.0, "RMSProp's accumulator at the start (TF1: 1).", minimum=0)
    standardize_taps: bool = setting(
        False,
        "Scale each channel of the critic's input by the source features' mean and deviation.",
    )
    mask_critic_weight: float = setting(
        0.0, "Weight of a second critic on the softmax; the journal version: 0.3.", minimum=0
    )
    entropy_weight: float = setting(
        0.0, "Weight of the predictions' entropy in the DAM's loss.", minimum=0
    )
    dam_ema_decay: float = setting(
        0.0,
        "Decay of an average of the DAM's weights that replaces them; 0: none.",
        minimum=0,
        maximum=0.9999,
    )
    foreground_only: bool = setting(
        False,
        "Take BatchNorm statistics, and play the critic game, on slices alone in which the source "
        "segmenter finds a structure.",
    )
    refresh_statistics: bool = setting(
        True, "Re-estimate the DAM's BatchNorm statistics on target slices when done."
    )
    snapshot_every: int = setting(10, "Joint updates between kept snapshots.", minimum=1)
    select: str = setting(
        "source_shapes",
        "Which snapshot becomes the final DAM; no target label.",
        choices=tuple(CRITERIA),
    )

    def __post_init__(self):
        super().__post_init__()
        check_depth(self.depth)
        check_taps(self.taps)
        if self.constraint == "gradient_penalty" and self.critic_norm == "batch":
            raise UsageError(
                "--constraint=gradient_penalty: BatchNorm makes one sample's score depend on the "
                "others; expected --critic_norm=layer, group or none"
            )


@dataclass(frozen=True)
class SelfTrainSettings(SegmentationSettings):
    """`--phase=selftrain`: an adapted DAM learns from a teacher's confident predictions."""

    depth: int = setting(13, "Adaptation depth d, the last layer the DAM replaces.")
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
    thresholds_every: int = setting(
        100, "Steps between two measurements of the classes' thresholds.", minimum=1
    )
    source_weight: float = setting(
        0.0, "Weight of Eq. 1 on labeled source images beside the pseudo labels.", minimum=0
    )
    align_classes: bool = setting(
        False,
        "Scale the teacher's probabilities of each class until its labels have the class shares of "
        "the source's labels.",
    )
    refresh_statistics: bool = setting(
        True, "Re-estimate the DAM's BatchNorm statistics on target slices when done."
    )

    def __post_init__(self):
        super().__post_init__()
        check_depth(self.depth)
