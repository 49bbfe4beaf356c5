"""The topology table against the paper's description, written out by hand."""

import pytest

from cmda_tf.errors import UsageError
from cmda_tf.models.topology import (
    LEGAL_DEPTHS,
    NUM_LAYERS,
    TOPOLOGY,
    check_depth,
    check_taps,
    units_between,
)

# Last layer of each stage, and the stride of its output (the paper, section 3.1 and Table 1).
STAGES = {
    "conv1": (1, 1), "rm1": (5, 4), "rm2": (9, 8), "rm3": (13, 8), "rm4": (17, 8), "rm5": (21, 8),
    "rm6": (25, 8), "rm7": (29, 8), "conv8": (30, 8), "conv9": (31, 8), "conv10": (32, 1),
    "output": (33, 1),
}  # fmt: skip


def test_stages_end_at_the_papers_layers():
    ends = {unit.stage: (unit.last_layer, unit.stride) for unit in TOPOLOGY}
    assert ends == STAGES
    assert NUM_LAYERS == 33


def test_legal_depths_end_a_block():
    blocks = set(range(1, 30, 2))  # conv1, then fourteen residual blocks of two layers
    assert set(LEGAL_DEPTHS) == blocks | {30, 31, 32}


@pytest.mark.parametrize("depth", [0, 2, 12, 33, -1])
def test_other_depths_are_refused_with_the_legal_ones(depth):
    with pytest.raises(UsageError, match=rf"^depth: {depth} .*1, 3, 5, .*29, 30, 31, 32"):
        check_depth(depth)


@pytest.mark.parametrize("taps", [(), (12,), (13, 13), (13, 34)])
def test_illegal_taps_are_refused(taps):
    with pytest.raises(UsageError, match=r"^taps: "):
        check_taps(taps)


def test_taps_are_sorted():
    assert check_taps((33, 13)) == (13, 33)


def test_units_between_split_the_table_without_a_gap():
    for depth in LEGAL_DEPTHS:
        assert units_between(1, depth) + units_between(depth + 1, NUM_LAYERS) == TOPOLOGY
