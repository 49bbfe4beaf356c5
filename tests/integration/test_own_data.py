"""Nothing is wired to the heart: two structures of an abdomen, domains of other names."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from helpers_data import centred_geometry, oblique, points_mm, write

import cmda_tf
from cmda_tf.data.dataset import Dataset
from cmda_tf.data.preparation import prepare
from cmda_tf.evaluate import EvaluateSettings, evaluate
from cmda_tf.settings import AdaptSettings, SelfTrainSettings, SourceSettings
from cmda_tf.training.adabn import adapt_statistics
from cmda_tf.training.adversarial import adapt
from cmda_tf.training.common import check_domains
from cmda_tf.training.selftraining import selftrain
from cmda_tf.training.source import train_segmenter

pytestmark = pytest.mark.slow

DATASET = Dataset.from_dict(
    {
        "structures": [
            {"name": "liver", "codes": [6], "colour": "#a0522d"},
            {"name": "kidneys", "codes": [2, 3], "colour": "#ffd21f"},
        ],
        "background_codes": [0, 1],
        "columns": ["kidneys", "liver"],
        "domains": {
            "t1": {"image": "t1/{id}.nii.gz", "label": "t1/{id}_seg.nii.gz", "test": ["p4"]},
            "ct": {"image": "ct/{id}.nii.gz", "label": "ct/{id}_seg.nii.gz", "test": ["p4"]},
        },
    }
)
BRIGHTNESS = {"t1": {0: 0, 6: 120, 2: 60, 3: 60, 1: 30}, "ct": {0: 0, 6: 60, 2: 120, 3: 120, 1: 90}}


def write_abdomen(raw, domain, name, seed):
    """A liver, two kidneys and a spleen (background) in a small oblique volume."""
    grid = centred_geometry((24, 22, 20), (6.0, 6.5, 7.0), oblique(seed, 3, -5))
    points = points_mm(grid)
    codes = np.zeros(grid.shape_kji, np.int16)
    organs = {
        6: (-30, -10, 10, 32),
        2: (-25, 35, -20, 14),
        3: (30, 35, -20, 14),
        1: (40, 0, 20, 15),
    }
    for code, (*centre, radius) in organs.items():
        codes[np.linalg.norm(points - centre, axis=-1) < radius] = code
    noise = np.random.default_rng(seed).normal(0, 8, codes.shape)
    image = noise + np.vectorize(BRIGHTNESS[domain].get)(codes)
    write(raw / domain / f"{name}.nii.gz", grid, image.astype(np.int16))
    write(raw / domain / f"{name}_seg.nii.gz", grid, codes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, untraced):
    """A folder of runs: every phase, a few updates each."""
    folder = tmp_path_factory.mktemp("abdomen")
    for index, domain in enumerate(("t1", "ct")):
        for n in range(1, 5):
            write_abdomen(folder / "raw", domain, f"p{n}", 10 * index + n)
    manifest = prepare(
        folder / "raw", folder / "prepared", 16, 10.0, ("t1",), workers=1, dataset=DATASET
    )
    common = {"source": "t1", "target": "ct", "width": 0.0625, "batch": 2, "log_every": 1}
    common |= {"prepared": str(manifest.folder), "runs": str(folder / "runs")}
    source = SourceSettings(**common, steps=3)
    game = {"warmup_updates": 1, "joint_updates": 2, "critic_updates": 1, "snapshot_every": 2}
    check_domains(source, manifest)
    untraced(train_segmenter, "source", source, manifest)
    untraced(adapt_statistics, AdaptSettings(**common), manifest)
    untraced(adapt, AdaptSettings(**common, **game), manifest)
    last = SelfTrainSettings(**common, selftrain_steps=2, align_classes=True)
    untraced(selftrain, last, manifest)
    return folder


def test_table_has_the_structures_and_domains_of_the_data(trained):
    report = evaluate(EvaluateSettings(runs=str(trained / "runs")))
    assert list(report.rows) == ["Seg-T1", "noDA", "AdaBN d=13", "UDA d=13", "Self-training d=13"]
    assert report.columns == ["kidneys", "liver"]
    head = (trained / "runs" / "table.md").read_text().splitlines()[0]
    assert head.startswith("| Methods | kidneys Dice [%] |") and "AA" not in head
    for name in ("figure1.png", "figure3.png", "figure4.png", "results.json"):
        assert (trained / "runs" / name).is_file()
    with open(trained / "runs" / "subjects.csv", newline="") as file:
        subjects = {(line["row"], line["subject"]) for line in csv.DictReader(file)}
    assert ("noDA", "ct_p4") in subjects and ("Seg-T1", "t1_p4") in subjects


def test_prediction_has_the_codes_of_the_data(trained):
    model = cmda_tf.load_run(trained / "runs" / "selftrain_d13")
    assert model.structures == DATASET.structures
    found = model.predict(trained / "raw" / "ct" / "p4.nii.gz")
    assert found.probabilities.shape == (16, 16, 16, 3)
    assert list(found.volumes_mm3()) == ["kidneys", "liver"]
    assert set(np.unique(sitk.GetArrayFromImage(found.label))) <= {0, 2, 6}
