"""The phases of training: the settings that each is composed of, what its run is called, what it
starts from. Nothing here needs TensorFlow."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cmda_tf.datasets import DataSettings
from cmda_tf.errors import UsageError
from cmda_tf.inference.settings import ForegroundSettings, StatisticsSettings
from cmda_tf.losses.settings import SegmentationLoss
from cmda_tf.model_selection.criteria import SelectionSettings
from cmda_tf.models.settings import DamSettings, NetworkSettings
from cmda_tf.runs.record import InitSettings, RunSettings
from cmda_tf.settings import Settings, part
from cmda_tf.training import settings as own
from cmda_tf.transforms.settings import AffineAugmentation, IntensityAugmentation


@dataclass(frozen=True)
class Phase(Settings):
    """What all phases share."""

    name: ClassVar[str]  # as records call the phase
    run: RunSettings = part(RunSettings)
    data: DataSettings = part(DataSettings)
    network: NetworkSettings = part(NetworkSettings)
    compute: own.ComputeSettings = part(own.ComputeSettings)

    @property
    def modality(self) -> str:
        """The modality whose training images are learned from."""
        return self.data.target

    @property
    def folder(self) -> Path:
        """The run's folder; where no name is given it is one like `adapt_d13` or `source_mr`."""
        dam: DamSettings | None = getattr(self, "dam", None)
        usual = f"{self.name}_{self.modality if dam is None else f'd{dam.depth}'}"
        return Path(self.run.runs) / (self.run.name or usual)

    @property
    def init_from(self) -> str | None:
        """The run under the same folder that this one starts from; None for from scratch."""
        init: InitSettings | None = getattr(self, "init", None)
        return None if init is None else init.init_from or self.usual_init

    @property
    def usual_init(self) -> str:
        """The run that this one starts from where none is given: the source segmenter's."""
        return f"{SourcePhase.name}_{self.data.source}"


@dataclass(frozen=True)
class TrainedPhase(Phase):
    """What the phases share that do updates."""

    loop: own.LoopSettings = part(own.LoopSettings)
    affine: AffineAugmentation = part(AffineAugmentation)

    def __post_init__(self):
        super().__post_init__()
        if self.loop.jit_compile and self.compute.deterministic:
            why = "XLA has no deterministic gradient of max-pooling"
            raise UsageError(f"jit_compile: {why}; expected nodeterministic beside it")


@dataclass(frozen=True)
class SupervisedPhase(TrainedPhase):
    """What the phases share that learn from labels."""

    supervised: own.SupervisedSettings = part(own.SupervisedSettings)
    loss: SegmentationLoss = part(SegmentationLoss)
    intensity: IntensityAugmentation = part(IntensityAugmentation)

    @property
    def modality(self) -> str:
        """The target, if no other is asked for."""
        return self.supervised.modality or self.data.target


@dataclass(frozen=True)
class SourcePhase(SupervisedPhase):
    """Supervised training from scratch: Seg-MRI; on the target Seg-CT."""

    name = "source"
    schedule: own.SourceSchedule = part(own.SourceSchedule)

    @property
    def modality(self) -> str:
        """The source, if no other is asked for."""
        return self.supervised.modality or self.data.source


@dataclass(frozen=True)
class FinetunePhase(SupervisedPhase):
    """The source segmenter trained on labeled target images: Seg-CT-STL."""

    name = "finetune"
    init: InitSettings = part(InitSettings)
    schedule: own.FinetuneSchedule = part(own.FinetuneSchedule)


@dataclass(frozen=True)
class AdabnPhase(Phase):
    """BatchNorm statistics of the DAM's layers, re-estimated on the target."""

    name = "adabn"
    init: InitSettings = part(InitSettings)
    dam: DamSettings = part(DamSettings)
    slices: ForegroundSettings = part(ForegroundSettings)


@dataclass(frozen=True)
class AdaptPhase(TrainedPhase):
    """The DAM against the critic, without target labels (section 3.3): UDA."""

    name = "adapt"
    init: InitSettings = part(InitSettings)
    dam: DamSettings = part(DamSettings)
    critic: own.CriticSettings = part(own.CriticSettings)
    adversarial: own.AdversarialSettings = part(own.AdversarialSettings)
    slices: ForegroundSettings = part(ForegroundSettings)
    statistics: StatisticsSettings = part(StatisticsSettings)
    selection: SelectionSettings = part(SelectionSettings)


@dataclass(frozen=True)
class SelftrainPhase(TrainedPhase):
    """An adapted DAM learns from what its averaged self predicts."""

    name = "selftrain"
    init: InitSettings = part(InitSettings)
    dam: DamSettings = part(DamSettings)
    self_training: own.SelfTrainingSettings = part(own.SelfTrainingSettings)
    loss: SegmentationLoss = part(SegmentationLoss)
    intensity: IntensityAugmentation = part(IntensityAugmentation)
    statistics: StatisticsSettings = part(StatisticsSettings)

    def __post_init__(self):
        super().__post_init__()
        strong = [name for name, strength in self.intensity.to_dict().items() if strength]
        if strong and not self.self_training.source_weight:
            what = "in self-training for source images alone; expected a source_weight above 0"
            raise UsageError(f"{strong[0]}: {what}")

    @property
    def usual_init(self) -> str:
        """The adaptation of this depth."""
        return f"{AdaptPhase.name}_d{self.dam.depth}"


_PHASES = (SourcePhase, AdaptPhase, AdabnPhase, FinetunePhase, SelftrainPhase)
PHASES: dict[str, type[Phase]] = {cls.name: cls for cls in _PHASES}
