"""What is measured: sizes, precision, and the names of the tasks."""

from dataclasses import dataclass

CRITIC_UPDATES = 20  # per joint update, the paper's
DEPTH = 21
UPDATES = ("forward", "source_step", "critic_update", "dam_update", "joint_update", "prediction")
TOOLS = ("preparation", "evaluation")  # of no precision; PyTorch has no part in them


@dataclass(frozen=True)
class Case:
    """One size of network and data.

    Attributes:
      size: height and width of a slice; a predicted volume has as many slices.
      width: multiplier of all channels; 1 is the paper's network.
      batch: slice triples per batch.
      precision: `float32` or `mixed_bfloat16`.
    """

    size: int
    width: float
    batch: int
    precision: str = "float32"


CASES = {"phantom": (64, 0.5, 8), "paper": (256, 1.0, 5)}  # size, width, batch
