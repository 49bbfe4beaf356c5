"""Fixtures that several test files share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers_data import write_subject


@pytest.fixture
def make_raw(tmp_path) -> Callable[..., Path]:
    """Makes a raw folder of small subjects: `make_raw("mr_train_1001", "ct_train_1001")`."""

    def make(*ids: str, unlabelled: tuple[str, ...] = ()) -> Path:
        for id in ids:
            write_subject(tmp_path / "raw", id, labelled=id not in unlabelled)
        return tmp_path / "raw"

    return make
