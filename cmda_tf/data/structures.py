"""The one table of cardiac structures: MM-WHS codes, class indices, names and colours."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Structure:
    """A segmented structure.

    Attributes:
      name: as in the paper's Table 1.
      index: class index in prepared labels and network outputs (0 is background).
      code: label code in MM-WHS files.
      colour: the paper's colour in Figures 3 and 4, as `#rrggbb`.
    """

    name: str
    index: int
    code: int
    colour: str


STRUCTURES = (
    Structure("LV-myo", 1, 205, "#2b6cff"),
    Structure("LA-blood", 2, 420, "#e8302a"),
    Structure("LV-blood", 3, 500, "#23b34a"),
    Structure("AA", 4, 820, "#ffd21f"),
)
NUM_CLASSES = len(STRUCTURES) + 1

# The column order of the paper's Table 1.
TABLE_ORDER = ("AA", "LA-blood", "LV-blood", "LV-myo")

# Codes that become background: right ventricle, right atrium, pulmonary artery.
BACKGROUND_CODES = (0, 600, 550, 850)

# 421 has been reported beside 420 in one MM-WHS label file; it means the same structure.
CODE_TO_CLASS = {
    **{code: 0 for code in BACKGROUND_CODES},
    **{s.code: s.index for s in STRUCTURES},
    421: 2,
}


def structure(name: str) -> Structure:
    """The structure of this name; KeyError if there is none."""
    return {s.name: s for s in STRUCTURES}[name]
