"""Guesses how files are called: paths in, patterns with `{id}` (`cmda_tf.data.description`) out.

Every way to put `{id}` in the place of a run of a path's words is a candidate; a pattern is
good if it arises from all paths. So nothing has to be known of how people name their files.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement

from cmda_tf.data.description import pattern_regex

# What an id may hold, and where it may begin and end: at letters or digits.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+", re.ASCII)
_ENDING = re.compile(r"(\.[A-Za-z]+)*/?$", re.ASCII)
MAX_CANDIDATES = 24  # of images, and of labels, to be tried in pairs
MAX_RANKED = 1000  # that fit as many paths; hundreds only where nothing fits two of them


def candidates(paths: Sequence[str]) -> list[str]:
    """Patterns that fit as many of the relative paths as possible, each with an id of its own.

    At most `MAX_CANDIDATES`, the most natural first: without `*`, with ids that are whole words
    between other signs, begin and end with what differs between the paths, have numbers, and
    are long. With `*` only if nothing else fits all paths.
    """
    counts = Counter(p for path in paths for p in set(_with_id(path)))
    if max(counts.values(), default=0) < len(paths):
        counts += Counter(p for path in paths for p in set(_with_star(path)))
    for best in sorted(set(counts.values()), reverse=True):
        fitting = [pattern for pattern, count in counts.items() if count == best]
        ranks = {pattern: _rank(pattern, paths) for pattern in fitting[:MAX_RANKED]}
        if ranked := sorted((rank, pattern) for pattern, rank in ranks.items() if rank is not None):
            return [pattern for _, pattern in ranked[:MAX_CANDIDATES]]
    return []


def _with_id(path: str) -> Iterator[str]:
    """All patterns that arise from a path; where its id stands twice, `{id}` does."""
    body = path[: next(_ENDING.finditer(path)).start()]
    spans = [match.span() for match in _WORD.finditer(body)]
    for first, last in combinations_with_replacement(spans, 2):
        id = body[first[0] : last[1]]
        if re.fullmatch(r"[\w.-]+", id, re.ASCII):
            yield f"{path[: first[0]]}{{id}}{path[last[1] :]}"
            # The same id again, as in `p1/p1_t1.nii`, but not within a longer word.
            alone = rf"(?<![A-Za-z0-9]){re.escape(id)}(?![A-Za-z0-9])"
            everywhere = re.sub(alone, "{id}", path)
            if everywhere.count("{id}") > 1:
                yield everywhere


def _with_star(path: str) -> Iterator[str]:
    """The patterns of a path in which one more folder or file name, or its last word, is `*`."""
    for pattern in set(_with_id(path)):
        parts = pattern.split("/")
        for place, part in enumerate(parts):
            if not part or "{id}" in part:
                continue
            last = place == len(parts) - 1
            ending = part[next(_ENDING.finditer(part)).start() :] if last else ""
            starts = [match.start() for match in _WORD.finditer(part.removesuffix(ending))]
            for start in {0, starts[-1]} if starts else ():
                starred = f"{part[:start]}*{ending}"
                yield "/".join([*parts[:place], starred, *parts[place + 1 :]])


def _rank(pattern: str, paths: Sequence[str]) -> tuple | None:
    """Sorting key of a pattern, the best first; None if two paths have one id."""
    regex = pattern_regex(pattern)
    ids = [match["id"] for path in paths if (match := regex.fullmatch(path))]
    if len(set(ids)) < len(ids):
        return None
    cut = re.search(r"[A-Za-z0-9]\{id\}|\{id\}[A-Za-z0-9]", pattern) is not None
    words = [re.split(r"[^A-Za-z0-9]+", id) for id in ids]
    same = len(ids) > 1 and any(len({w[end] for w in words}) == 1 for end in (0, -1))
    unnumbered = not all(re.search(r"\d", id) for id in ids)
    stars, place = pattern.count("*"), pattern.index("{id}")
    # With a star, the id is in the folder above it; else in the file's name.
    natural = (-len(pattern), place) if stars else (-len(max(ids, key=len)), -place)
    return stars, cut, same, unnumbered, *natural
