"""The one writer of tables: aligned text for a terminal, Markdown, CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any


def to_text(lines: Iterable[Sequence[str]], heads: int = 0, right: bool = False) -> str:
    """Aligned columns, two spaces apart; a rule follows the first `heads` lines, if any."""
    rows = [list(line) for line in lines]
    widths = [max(map(len, column)) for column in zip(*rows)]
    align = str.rjust if right else str.ljust
    text = ["  ".join(align(c, w) for c, w in zip(row, widths)).rstrip() for row in rows]
    if heads:
        text.insert(heads, "-" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(text)


def to_markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    rows = [list(head), rule, *([c.replace("|", r"\|") for c in line] for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def to_csv(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """Comma-separated values, numbers at full precision."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *lines])
    return text.getvalue()
