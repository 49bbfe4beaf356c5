"""Fixtures that several test files share."""

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders.volumes import write_subject

# One thread a test process, of which there is one per core: faster on tiny networks, and what two
# orders of the same sum round to does not depend on what else the machine does.
os.environ |= {"TF_NUM_INTEROP_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}

SIZE, SPACING_MM = 16, 9.0
SUBJECTS = [f"{modality}_train_{1000 + n}" for modality in ("mr", "ct") for n in range(1, 5)]


@pytest.fixture
def make_raw(tmp_path) -> Callable[..., Path]:
    """Makes a raw folder of small subjects: `make_raw("mr_train_1001", "ct_train_1001")`."""

    def make(*ids: str, unlabeled: tuple[str, ...] = ()) -> Path:
        for id in ids:
            write_subject(tmp_path / "raw", id, labeled=id not in unlabeled)
        return tmp_path / "raw"

    return make


def _prepare(folder: Path, unlabeled: tuple[str, ...] = ()):
    """Raw and prepared data of 3 training subjects and 1 test subject a modality."""
    from cmda_tf.data.preparation import prepare

    for id in SUBJECTS:
        write_subject(folder / "raw", id, labeled=id not in unlabeled)
    held_out = ("mr_train_1004", "ct_train_1004")
    return prepare(
        folder / "raw", folder / "prepared", SIZE, SPACING_MM, test_ids=held_out, workers=1
    )


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """The dataset of a tiny prepared data set, 16x16x16 voxels a subject."""
    return _prepare(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def dataset_without_target_labels(tmp_path_factory):
    """The same data, but the target's training subjects have no labels."""
    return _prepare(tmp_path_factory.mktemp("unlabeled"), tuple(SUBJECTS[4:7]))


@pytest.fixture(scope="session")
def config():
    """The configuration of a tiny network."""
    from cmda_tf.models.settings import ModelConfig

    return ModelConfig(size=SIZE, width=0.0625)


@pytest.fixture
def press_ctrl_c() -> Iterator[Callable[[], None]]:
    """A function that sends SIGINT to this process, whatever a test runner does with it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def untraced():
    """`untraced(function, *arguments)` calls it with no graph made: tracing costs much more
    than a few tiny updates. The graphs have tests of their own."""
    import tensorflow as tf

    def call(function, *arguments):
        tf.config.run_functions_eagerly(True)
        try:
            with warnings.catch_warnings():  # tf.data keeps its graphs, and says so
                warnings.simplefilter("ignore", UserWarning)
                return function(*arguments)
        finally:
            tf.config.run_functions_eagerly(False)

    return call


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, dataset, untraced):
    """Settings of tiny phases; `tiny(cls, **changes)`. All share a folder with a source run."""
    from cmda_tf.settings import leaves
    from cmda_tf.training.phases import SourcePhase
    from cmda_tf.training.supervised import train_segmenter

    runs = tmp_path_factory.mktemp("runs")
    usual = {"prepared": str(dataset.folder), "runs": str(runs), "width": 0.0625, "batch": 2}
    # The last snapshot: any other criterion may choose the DAM of the start.
    usual |= {"warmup_updates": 2, "joint_updates": 2, "critic_updates": 1, "select": "last"}
    usual |= {"log_every": 1}

    def settings(cls, **changes):
        own = {name for name, _ in leaves(cls)}
        return cls.of(**{name: usual[name] for name in usual if name in own} | changes)

    untraced(train_segmenter, settings(SourcePhase, steps=3), dataset)
    return settings
