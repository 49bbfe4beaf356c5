"""The numbers of the paper's Table 1, to stand beside measured ones.

Mean and standard deviation over its four test subjects of the MM-WHS data at 256x256.
"""

from collections.abc import Sequence

from cmda_tf.data.structures import HEART
from cmda_tf.evaluation.scores import Row, Statistic

SUBJECTS = 4


def _row(title: str, *cells: tuple[float, float] | None) -> Row:
    """A row from (mean, std) of Dice and ASD for each structure in table order; None is N/A."""
    known = [cell and Statistic(*cell, count=SUBJECTS, total=SUBJECTS) for cell in cells]
    columns = HEART.columns
    return Row(dict(zip(columns, known[0::2])), dict(zip(columns, known[1::2])), title=title)


# fmt: off
TABLE_1 = {
    #                      AA                           LA-blood
    #                      LV-blood                     LV-myo
    "source_mr": _row("Seg-MRI", (75.9, 5.5), (12.9, 8.4),    (78.8, 6.8), (16.0, 8.1),
                           (90.3, 1.3), (2.0, 0.2),     (75.5, 3.6), (2.6, 1.4)),
    "source_ct": _row("Seg-CT", (81.3, 24.4), (2.1, 1.1),    (89.1, 3.0), (10.6, 6.9),
                           (88.8, 3.7), (21.3, 8.8),    (73.3, 5.9), (42.8, 16.4)),
    "finetune_ct": _row("Seg-CT-STL", (78.3, 2.8), (2.9, 2.0),     (89.7, 3.6), (7.6, 6.7),
                           (91.6, 2.2), (4.9, 3.2),     (85.2, 3.3), (5.9, 3.8)),
    "source_mr/noDA": _row("noDA", (19.7, 2.0), (31.2, 17.5),   (25.7, 17.2), (8.7, 3.3),
                           (0.8, 1.3), None,            (11.1, 14.4), (31.0, 37.6)),
    "adapt_d13": _row("UDA d=13", (63.9, 15.4), (13.9, 5.6),   (54.7, 13.2), (16.6, 6.8),
                           (35.1, 26.1), (18.4, 5.1),   (35.4, 18.4), (14.2, 5.3)),
    "adapt_d21": _row("UDA d=21", (74.8, 6.2), (27.5, 7.6),    (51.1, 11.2), (20.1, 4.5),
                           (57.2, 12.4), (29.5, 11.7),  (47.8, 5.8), (31.2, 10.1)),
    "adapt_d31": _row("UDA d=31", (71.9, 0.5), (25.8, 12.5),   (55.2, 22.9), (15.2, 8.2),
                           (39.2, 21.8), (21.2, 3.9),   (34.3, 19.1), (24.7, 10.5)),
}

# Supervised by others (Payer et al., 2017); the paper has no ASD of them.
CITED = {
    "payer_mr": _row("DL-MR, Payer 2017", (76.6, 13.8), None, (81.1, 13.8), None,
                              (87.7, 7.7), None,  (75.2, 12.1), None),
    "payer_ct": _row("DL-CT, Payer 2017", (91.1, 18.4), None, (92.4, 3.6), None,
                              (92.4, 3.3), None,  (87.2, 3.9), None),
}
# fmt: on


def published_rows(source: str, target: str, columns: Sequence[str]) -> dict[str, Row]:
    """The rows of `TABLE_1` that stand for the same as ours of that id.

    With other structures none; in other directions than from MR to CT those that know no target.
    """
    if tuple(columns) != HEART.columns:
        return {}
    if (source, target) == ("mr", "ct"):
        return TABLE_1
    return {id: row for id, row in TABLE_1.items() if id in ("source_mr", "source_ct")}


def cited_rows(columns: Sequence[str]) -> dict[str, Row]:
    """The rows of others in the paper's table; with other structures none."""
    return CITED if tuple(columns) == HEART.columns else {}
