"""The structures that a data set labels: codes in its files, class indices, names and colors.

`HEART` is the table of the paper and of MM-WHS; another data set brings its own. Prepared data
carry theirs in `manifest.json`, runs in `settings.json`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

MAX_CLASSES = 255  # class indices are bytes, and 255 marks what does not count
MAX_CODE = 65535


@dataclass(frozen=True)
class Structure:
    """A segmented structure."""

    name: str
    index: int  # class index in prepared labels and network outputs (0 is background)
    codes: tuple[int, ...]  # label codes in files that mean it; the first one is written
    color: str  # in figures, as `#rrggbb`


@dataclass(frozen=True)
class Structures:
    """All structures of a data set; ValueError for names, indices, codes or colors that cannot be.

    `members` are in the order of their class indices 1, 2, ...; `background_codes` are label codes
    in files that become background; `columns` is the order of tables and figures, by name.
    """

    members: tuple[Structure, ...]
    background_codes: tuple[int, ...] = (0,)
    columns: tuple[str, ...] = ()

    def __post_init__(self):
        names: list[Any] = [s.name for s in self.members]
        if not 1 <= len(names) < MAX_CLASSES:
            raise ValueError(f"expected 1 to {MAX_CLASSES - 1} structures, found {len(names)}")
        for index, member in enumerate(self.members, 1):
            if member.index != index or not member.name.strip() or not member.codes:
                raise ValueError(f"structure {index}: expected a name and label codes: {member}")
            if not re.fullmatch(r"#[0-9a-fA-F]{6}", color := member.color):
                raise ValueError(f"{member.name}: expected a color #rrggbb, not {color!r:.80}")
        codes: list[Any] = [c for s in self.members for c in s.codes] + [*self.background_codes]
        if outside := [c for c in codes if not 0 <= c <= MAX_CODE]:
            raise ValueError(f"expected label codes 0..{MAX_CODE}, found {outside[0]}")
        for kind, values in (("name", names), ("label code", codes)):
            if twice := sorted({v for v in values if values.count(v) > 1}):
                raise ValueError(f"{kind} {twice[0]!r} is given twice")
        if not self.columns:
            object.__setattr__(self, "columns", tuple(names))
        if sorted(self.columns) != sorted(names):
            raise ValueError(f"expected columns {', '.join(names)}; found {self.columns}")

    def __iter__(self) -> Iterator[Structure]:
        return iter(self.members)

    def __getitem__(self, name: str) -> Structure:
        """The structure of this name; KeyError if there is none."""
        return {s.name: s for s in self.members}[name]

    @property
    def classes(self) -> int:
        """Number of classes, the background included."""
        return len(self.members) + 1

    @property
    def in_columns(self) -> tuple[Structure, ...]:
        """The members in the order of tables and figures."""
        return tuple(self[name] for name in self.columns)

    @property
    def written_codes(self) -> tuple[int, ...]:
        """The label code that is written for each class index, the background's first."""
        background = next(iter(self.background_codes), 0)
        return (background, *(s.codes[0] for s in self.members))

    @cached_property
    def code_to_class(self) -> dict[int, int]:
        """Class index of every known label code."""
        of_structures = {code: s.index for s in self.members for code in s.codes}
        return dict.fromkeys(self.background_codes, 0) | of_structures

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        members = [{"name": s.name, "codes": list(s.codes), "color": s.color} for s in self]
        background, columns = list(self.background_codes), list(self.columns)
        return {"structures": members, "background_codes": background, "columns": columns}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Structures":
        """The structures of `to_dict`'s values; the background's codes and columns may be missing.

        Other values raise LookupError, TypeError or ValueError.
        """
        members = tuple(
            Structure(str(s["name"]), index, _codes(s["codes"]), str(s["color"]))
            for index, s in enumerate(values["structures"], 1)
        )
        background = _codes(values.get("background_codes", [0]))
        return cls(members, background, tuple(map(str, values.get("columns", ()))))


def _codes(values: Any) -> tuple[int, ...]:
    """Label codes from a list; ValueError for anything else."""
    if not isinstance(values, (list, tuple)) or any(type(code) is not int for code in values):
        raise ValueError(f"expected a list of whole numbers as label codes, found {values!r:.80}")
    return tuple(values)


# The paper's order of classes and of columns, and its colors in Figures 3 and 4. 421 has been
# reported beside 420 in one MM-WHS label file; it means the same structure. Background: right
# ventricle, right atrium, pulmonary artery.
HEART = Structures(
    members=(
        Structure("LV-myo", 1, (205,), "#2b6cff"),
        Structure("LA-blood", 2, (420, 421), "#e8302a"),
        Structure("LV-blood", 3, (500,), "#23b34a"),
        Structure("AA", 4, (820,), "#ffd21f"),
    ),
    background_codes=(0, 600, 550, 850),
    columns=("AA", "LA-blood", "LV-blood", "LV-myo"),
)
