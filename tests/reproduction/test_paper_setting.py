"""The first steps of the paper's full setting, on a tiny network and tiny slices."""

from pathlib import Path

from cmda_tf.reproduction.plan import make_plan, with_seed
from cmda_tf.train import train

FLAGS = Path(__file__).parents[2] / "flags"
SHORT = ("--width=0.0625", "--steps=2", "--finetune_steps=1", "--warmup_updates=1")


def test_first_steps_of_the_papers_setting(manifest, tmp_path, untraced):
    base = [f"--flagfile={FLAGS / 'paper.cfg'}", f"--prepared={manifest.folder}", *SHORT]
    base += ["--joint_updates=1", "--critic_updates=2"]
    rows = ("uda_d13", "adabn_d13", "seg_ct_stl", "seg_mri")
    done = []
    for step in make_plan(base, FLAGS / "rows", rows, []):
        settings = with_seed(step, 1, tmp_path).settings
        assert settings.batch == 5
        run = untraced(train, step.phase, settings)
        assert run.finished and run.folder == tmp_path / step.name
        done.append(step.name)
    assert done == ["source_mr", "adapt_d13", "adabn_d13", "finetune_ct"]


def test_step_is_finished_when_its_weights_are_there(manifest, tmp_path):
    plan = make_plan([f"--prepared={manifest.folder}"], FLAGS / "rows", ["seg_mri"], [])
    step = with_seed(plan[0], 2, tmp_path)
    assert step.arguments[0] == "--phase=source" and not step.finished
    (tmp_path / "source_mr").mkdir()
    (tmp_path / "source_mr/weights.npz").touch()
    assert step.finished
