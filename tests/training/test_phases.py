"""What each phase's settings are made of, and what its run is called."""

import dataclasses

import pytest

from cmda_tf.errors import UsageError
from cmda_tf.runs.record import PHASE_NAMES
from cmda_tf.settings import leaves
from cmda_tf.training.phases import PHASES, AdabnPhase, AdaptPhase, SelftrainPhase, SourcePhase
from cmda_tf.transforms.settings import AffineAugmentation


def test_records_know_all_phases():
    assert sorted(PHASE_NAMES) == sorted(PHASES)


@pytest.mark.parametrize("cls", PHASES.values())
def test_parts_have_one_name_and_flags_are_distinct(cls):
    for field in dataclasses.fields(cls):
        assert field.metadata["part"].key == field.name
    names = [name for name, _ in leaves(cls)]
    assert len(set(names)) == len(names)
    assert cls.from_dict(cls().to_dict()) == cls() and cls().to_flags() == []


@pytest.mark.parametrize(
    ("phase", "changes", "name", "init_from", "modality"),
    [
        ("source", {}, "source_mr", None, "mr"),
        ("source", {"modality": "ct"}, "source_ct", None, "ct"),
        ("source", {"source": "ct", "target": "mr"}, "source_ct", None, "ct"),
        ("finetune", {}, "finetune_ct", "source_mr", "ct"),
        ("adabn", {}, "adabn_d13", "source_mr", "ct"),
        ("adabn", {"depth": 21}, "adabn_d21", "source_mr", "ct"),
        ("adapt", {"depth": 21}, "adapt_d21", "source_mr", "ct"),
        ("adapt", {"init_from": "other"}, "adapt_d13", "other", "ct"),
        ("adapt", {"source": "ct", "target": "mr"}, "adapt_d13", "source_ct", "mr"),
        ("selftrain", {}, "selftrain_d13", "adapt_d13", "ct"),
        ("selftrain", {"depth": 31}, "selftrain_d31", "adapt_d31", "ct"),
    ],
)
def test_names_of_runs_and_of_what_they_start_from(phase, changes, name, init_from, modality):
    settings = PHASES[phase].of(runs="there", **changes)
    assert (settings.folder.name, settings.init_from) == (name, init_from)
    assert settings.modality == modality and settings.folder.as_posix() == f"there/{name}"
    assert settings.changed(name="own").folder.as_posix() == "there/own"


def test_phases_have_their_own_settings_alone():
    own = {cls: {name for name, _ in leaves(cls)} for cls in PHASES.values()}
    assert not own[AdabnPhase] & {"clip", "batch", "steps", "joint_updates", "augment", "select"}
    assert not own[SourcePhase] & {"depth", "init_from", "finetune_steps", "joint_updates"}
    assert "intensity_curves" not in own[AdaptPhase] and "clip" not in own[SelftrainPhase]
    with pytest.raises(UsageError, match="unknown setting 'clip'"):
        AdabnPhase.of(clip=0.1)


def test_augmentation_follows_settings():
    limits = {"rotation_degrees": 1.0, "zoom": 0.2, "shear": 0.3, "translation": 0.4}
    assert SourcePhase.of(**limits).affine == AffineAugmentation(True, 1.0, 0.2, 0.3, 0.4)
    assert not SourcePhase.of(augment=False).affine.augment


def test_contradictions_are_refused():
    with pytest.raises(UsageError, match=r"^target: expected another modality than the source, mr"):
        SourcePhase.of(target="mr")
    with pytest.raises(UsageError, match=r"^jit_compile: XLA has no deterministic"):
        SourcePhase.of(jit_compile=True)
    with pytest.raises(UsageError, match=r"^depth: 12 does not end a block"):
        AdabnPhase.of(depth=12)
