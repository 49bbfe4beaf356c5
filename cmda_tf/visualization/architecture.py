"""The architecture (the paper, Fig. 2), drawn from the topology table.

Every box is a stage of the table: its widths, its layers, its resolution. Source images pass the
segmenter's first d layers, target images the DAM's, both then the shared layers.
"""

from collections.abc import Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

from cmda_tf.models.topology import DEFAULT_TAPS, TOPOLOGY, Unit, check_depth, check_taps
from cmda_tf.visualization.canvas import Canvas

SOURCE, DAM, SHARED, CRITIC = "#9ecae1", "#fdae6b", "#c7c7c7", "#bcbddc"
BOX_WIDTH, GAP = 1.0, 0.28
LANES = {"source": 2.0, "target": 0.0, "shared": 1.0, "critic": -1.9}


def draw(depth: int = 13, taps: Sequence[int] = DEFAULT_TAPS) -> Canvas:
    """Draws segmenter, DAM of depth d, router, and critic with the layers that it taps.

    Raises:
      UsageError: an illegal depth or tap (`topology.LEGAL_DEPTHS`, `topology.TAPPABLE_LAYERS`).
    """
    check_depth(depth)
    taps = check_taps(tuple(taps))
    boxes = _boxes(depth)
    figure = Canvas(15, 5.4, layout="constrained")
    panel = figure.subplots()
    for index, units in enumerate(boxes):
        for lane in _lanes(units, depth):
            _draw_box(panel, index, lane, units)
            _draw_arrow_to(panel, index, lane, boxes, depth)
            _draw_taps(panel, index, lane, units, taps)
    _draw_ends(panel, len(boxes))
    _draw_critic(panel, len(boxes))
    names = ("Segmenter, layers 1..d", "DAM", "Shared layers, frozen in adaptation", "Critic")
    colors = (SOURCE, DAM, SHARED, CRITIC)
    handles = [Patch(facecolor=c, edgecolor="black", label=n) for c, n in zip(colors, names)]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9)
    panel.set(xlim=(-1.3, len(boxes) * (BOX_WIDTH + GAP) + 0.9), ylim=(-2.5, 2.75), aspect=1)
    panel.set_title(f"Adaptation depth d = {depth}", fontsize=11)
    panel.axis("off")
    return figure


def _boxes(depth: int) -> list[tuple[Unit, ...]]:
    """The table's stages; one that the depth cuts becomes two boxes."""
    groups = groupby(TOPOLOGY, key=lambda unit: (unit.stage, unit.last_layer <= depth))
    return [tuple(units) for _, units in groups]


def _lanes(units: Sequence[Unit], depth: int) -> tuple[str, ...]:
    return ("source", "target") if units[-1].last_layer <= depth else ("shared",)


def _left(index: int) -> float:
    return index * (BOX_WIDTH + GAP)


def _draw_box(panel: Axes, index: int, lane: str, units: Sequence[Unit]) -> None:
    """A stage's box with its name, widths, layers and resolution."""
    color = {"source": SOURCE, "target": DAM, "shared": SHARED}[lane]
    corner = (_left(index), LANES[lane] - 0.5)
    style = "round,pad=0.02,rounding_size=0.06"
    panel.add_patch(FancyBboxPatch(corner, BOX_WIDTH, 1.0, style, facecolor=color, lw=0.8))
    panel.text(_left(index) + BOX_WIDTH / 2, LANES[lane], _text(units), ha="center", va="center",
               fontsize=7.5, linespacing=1.35)  # fmt: skip


def _text(units: Sequence[Unit]) -> str:
    """What the table says of these units, in at most four lines."""
    first, last = units[0], units[-1]
    count = 2 if first.kind == "residual" else 1
    begin = first.last_layer - count + 1
    layers = f"layer {begin}" if begin == last.last_layer else f"layers {begin}-{last.last_layer}"
    widths = sorted({u.width for u in units if u.width})
    default = {"upsample": "8 per class", "output": "classes"}.get(first.kind, "")
    width = ", ".join(map(str, widths)) or default
    dilation = f", dilation {first.dilation}" if first.dilation > 1 else ""
    resolution = "1/1" if last.stride == 1 else f"1/{last.stride}"
    return f"{first.stage.upper()}\n{width}{dilation}\n{layers}\nout {resolution}"


def _draw_arrow_to(
    panel: Axes, index: int, lane: str, boxes: Sequence[Sequence[Unit]], depth: int
) -> None:
    """The arrow, or at the router the two arrows, from the previous box."""
    before = _lanes(boxes[index - 1], depth) if index else (lane,)
    for origin in before if lane == "shared" else (lane,):
        start = (_left(index) - GAP if index else -0.35, LANES[origin])
        _arrow(panel, start, (_left(index), LANES[lane]))


def _draw_taps(
    panel: Axes, index: int, lane: str, units: Sequence[Unit], taps: Sequence[int]
) -> None:
    """Dashed lines from tapped layers to the critic; the source's taps are marked by dots."""
    for unit in units:
        if unit.last_layer not in taps:
            continue
        x = _left(index) + BOX_WIDTH * (1 + units.index(unit)) / (1 + len(units))
        panel.text(x, LANES[lane] + 0.53, f"tap {unit.last_layer}", ha="center", va="bottom",
                   fontsize=7, color="#54278f")  # fmt: skip
        if lane != "source":
            end = (x, LANES["critic"] + 0.42)
            _arrow(panel, (x, LANES[lane] - 0.52), end, linestyle="dashed", color="#54278f")


def _draw_ends(panel: Axes, count: int) -> None:
    """The images at the left, the logits at the right."""
    for lane, text in (("source", "source\nimage"), ("target", "target\nimage")):
        panel.text(-0.75, LANES[lane], text, ha="center", va="center", fontsize=9)
    end = _left(count) - GAP
    _arrow(panel, (end, LANES["shared"]), (end + 0.35, LANES["shared"]))
    panel.text(end + 0.75, LANES["shared"], "softmax", ha="center", va="center", fontsize=9)


def _draw_critic(panel: Axes, count: int) -> None:
    """The critic's bar below everything."""
    width = _left(count) - GAP
    style = "round,pad=0.02,rounding_size=0.06"
    corner = (0, LANES["critic"] - 0.35)
    panel.add_patch(FancyBboxPatch(corner, width, 0.7, style, facecolor=CRITIC, lw=0.8))
    text = (
        "Domain critic: tapped features of either path, logits and argmax mask, "
        "each at full resolution and concatenated, to one score"
    )
    panel.text(width / 2, LANES["critic"], text, ha="center", va="center", fontsize=9)


def _arrow(panel: Axes, start: tuple, end: tuple, **options) -> None:
    style = {"arrowstyle": "-|>", "mutation_scale": 9, "lw": 0.9, "color": "black", **options}
    panel.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, **style))
