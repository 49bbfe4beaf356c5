"""Settings of the networks."""

from dataclasses import dataclass

from cmda_tf.data.structures import MAX_CLASSES
from cmda_tf.data.subjects import MAX_SIZE
from cmda_tf.errors import UsageError
from cmda_tf.models.topology import UPSAMPLING, check_depth
from cmda_tf.settings import Settings, setting

PRECISIONS = ("float32", "mixed_bfloat16")


@dataclass(frozen=True)
class NetworkSettings(Settings):
    """The segmenter's: what the topology's table leaves open and people choose."""

    key = "network"
    width: float = setting(
        0.5, "Multiplier of all widths; 1 is the paper.", minimum=0.0625, maximum=4
    )
    dropout: float = setting(
        0.0,
        "Dropout rate in training; with it a resumed run is not that of one stretch, bit for bit.",
        minimum=0,
        maximum=0.9,
    )
    precision: str = setting("float32", "Arithmetic of the layers.", choices=PRECISIONS)


@dataclass(frozen=True)
class DamSettings(Settings):
    """The domain adaptation module's."""

    key = "dam"
    depth: int = setting(13, "Adaptation depth d, the last layer the DAM replaces.")

    def __post_init__(self):
        super().__post_init__()
        check_depth(self.depth)


@dataclass(frozen=True)
class ModelConfig:
    """What a segmenter, a DAM or a critic is built from, besides the topology's table.

    Raises:
      ValueError: no network has such a size, or such numbers of channels or classes.
      UsageError: no network has such a width, dropout or precision.
    """

    size: int  # height and width of the input image, a multiple of 8
    channels: int = 3  # of the input: consecutive slices
    classes: int = 5  # background included
    width: float = NetworkSettings.width
    dropout: float = NetworkSettings.dropout  # rate after each normalized activation
    precision: str = NetworkSettings.precision  # weights and logits always are float32
    seed: int = 0  # of the initial weights: each layer's depend on it and on the layer's name

    def __post_init__(self):
        for name, value, low, high in (
            ("size", self.size, 2 * UPSAMPLING, MAX_SIZE),
            ("channels", self.channels, 1, 3),
            ("classes", self.classes, 2, MAX_CLASSES),
        ):
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name}: expected {low} to {high}, found {value!r:.80}")
        if self.size % UPSAMPLING:
            raise ValueError(f"size: expected a multiple of {UPSAMPLING}, found {self.size}")
        NetworkSettings.of(width=self.width, dropout=self.dropout, precision=self.precision)

    @classmethod
    def of(cls, settings: NetworkSettings, size: int, classes: int, seed: int) -> "ModelConfig":
        """The configuration for slices of a data set; UsageError if their size suits no network."""
        try:
            return cls(size, classes=classes, seed=seed, **settings.to_dict())
        except ValueError as error:
            raise UsageError(
                f"prepared: expected volumes whose size is a multiple of {UPSAMPLING}, "
                f"{2 * UPSAMPLING} to {MAX_SIZE} ({error})"
            ) from error

    def scaled(self, width: int) -> int:
        """A width of the table times the multiplier, at least 1."""
        return max(1, round(width * self.width))
