"""The one table of the segmenter's topology (the paper, section 3.1).

Convolution layers are counted as the paper's adaptation depth counts them: layer 1 is `conv1`,
layer 33 is `output`; d = 13 ends with RM3, d = 21 with RM5, d = 31 with conv9.
"""

from dataclasses import dataclass

from cmda_tf.errors import UsageError


@dataclass(frozen=True)
class Unit:
    """The smallest part of the network a DAM can end with.

    Its kind is `conv` (bare 3x3), `residual`, `conv_norm_act`, `upsample` (3x3 to 64 times the
    width, pixel shuffle by 8) or `output` (5x5). The width, the channels of its output before the
    width multiplier, is 0 where the classes decide: 8 for each (`upsample`) or one (`output`).
    """

    name: str  # prefix of the Keras names of its layers, such as `rm3_block2`
    stage: str  # the stage it belongs to, such as `rm3`
    kind: str
    width: int
    last_layer: int  # index of its last convolution layer
    dilation: int = 1  # of its 3x3 convolutions
    pool: bool = False  # whether a 2x2 max-pooling follows
    stride: int = 8  # of its output relative to the image, after pooling


def _residual_stage(name: str, width: int, first: int, dilation: int = 1) -> list[Unit]:
    """Two residual blocks at 1/8 resolution that begin with layer `first`."""
    ends = ("block1", first + 1), ("block2", first + 3)
    return [Unit(f"{name}_{block}", name, "residual", width, end, dilation) for block, end in ends]


TOPOLOGY: tuple[Unit, ...] = (
    Unit("conv1", "conv1", "conv", 16, 1, stride=1),
    Unit("rm1_block1", "rm1", "residual", 16, 3, pool=True, stride=2),
    Unit("rm1_block2", "rm1", "residual", 32, 5, pool=True, stride=4),
    Unit("rm2_block1", "rm2", "residual", 64, 7, stride=4),
    Unit("rm2_block2", "rm2", "residual", 64, 9, pool=True),
    *_residual_stage("rm3", 128, 10),
    *_residual_stage("rm4", 256, 14),
    *_residual_stage("rm5", 256, 18),
    *_residual_stage("rm6", 512, 22),
    *_residual_stage("rm7", 512, 26, dilation=2),
    Unit("conv8", "conv8", "conv_norm_act", 512, 30),
    Unit("conv9", "conv9", "conv_norm_act", 512, 31),
    Unit("conv10", "conv10", "upsample", 0, 32, stride=1),
    Unit("output", "output", "output", 0, 33, stride=1),
)

NUM_LAYERS = TOPOLOGY[-1].last_layer
UPSAMPLING = 8  # the product of the poolings, undone by conv10's pixel shuffle

# A DAM must leave at least the output layer to be shared (section 3.2).
LEGAL_DEPTHS = tuple(u.last_layer for u in TOPOLOGY[:-1])

# Layers whose features can be given to the critic: every unit's output.
TAPPABLE_LAYERS = tuple(u.last_layer for u in TOPOLOGY)

# The released program's choice: features of RM3, RM5, RM6 and conv9, and the logits.
DEFAULT_TAPS = (13, 21, 25, 31, 33)


def units_between(first_layer: int, last_layer: int) -> tuple[Unit, ...]:
    """Units whose convolution layers lie in `first_layer..last_layer`, in order."""
    return tuple(u for u in TOPOLOGY if first_layer <= u.last_layer <= last_layer)


def unit_ending_at(layer: int) -> Unit:
    """The unit whose last convolution layer is `layer`; KeyError if there is none."""
    return {u.last_layer: u for u in TOPOLOGY}[layer]


def check_depth(depth: int) -> int:
    """The depth, if a DAM can end there; UsageError inside a block or with no layer to share."""
    if depth not in LEGAL_DEPTHS:
        legal = ", ".join(map(str, LEGAL_DEPTHS))
        raise UsageError(f"depth: {depth} does not end a block; legal depths: {legal}")
    return depth


def check_taps(taps: tuple[int, ...]) -> tuple[int, ...]:
    """The taps in order, if each is a unit's last layer and none named twice, else UsageError."""
    wrong = [t for t in taps if t not in TAPPABLE_LAYERS]
    if wrong or not taps or len(set(taps)) != len(taps):
        legal = ", ".join(map(str, TAPPABLE_LAYERS))
        raise UsageError(f"taps: expected distinct layers of {legal}; found {list(taps)}")
    return tuple(sorted(taps))
