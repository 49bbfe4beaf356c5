"""The physics of both modalities against values worked by hand."""

import math

import numpy as np
import pytest

from cmda_tf.phantom import anatomy, ct, mr, scanner
from cmda_tf.phantom.painting import TISSUE_ID, TISSUES


def test_every_tissue_has_an_appearance():
    assert set(mr.PROPERTIES) == set(TISSUES)
    assert set(ct.hounsfield(np.random.default_rng(0))) == set(TISSUES)


def test_bssfp_signal():
    # For TR much shorter than T1 and T2: M0 sin a / (1 + cos a + (1 - cos a) T1/T2), times the
    # decay to the echo.
    t1, t2, angle, tr = 1500.0, 250.0, 60.0, 0.01
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    expected = sin / (1 + cos + (1 - cos) * t1 / t2)
    assert mr.bssfp_signal(t1, t2, 1.0, angle, tr) == pytest.approx(expected, rel=1e-3)
    assert mr.bssfp_signal(t1, t2, 0.5, angle, tr) == pytest.approx(expected / 2, rel=1e-3)
    # At a finite TR, the equation itself: E1 = exp(-4/1000), E2 = exp(-4/50), 70 degrees.
    e1, e2, c = 0.996008, 0.923116, 0.342020
    by_hand = 0.939693 * (1 - e1) / (1 - (e1 - e2) * c - e1 * e2) * math.sqrt(e2)
    assert mr.bssfp_signal(1000, 50, 1.0, 70, 4) == pytest.approx(by_hand, rel=1e-3)


def test_blood_is_bright_and_myocardium_dark_in_mr():
    for seed in range(20):
        protocol = mr.Protocol.sample(np.random.default_rng(seed))
        signal = dict(zip(TISSUES, mr.tissue_signals(protocol)))
        assert signal["myocardium"] < 0.75 * signal["lv_blood"]
        assert signal["lung"] < 0.2 * signal["lv_blood"]


def test_fat_suppression_differs_between_subjects():
    left = [mr.Protocol.sample(np.random.default_rng(s)).fat_left for s in range(40)]
    assert any(x == 1 for x in left) and any(x < 0.5 for x in left)


def test_rician_noise():
    rng = np.random.default_rng(0)
    air = mr.rician(np.zeros((100, 100, 100), np.float32), 2.0, rng)
    assert air.mean() == pytest.approx(2 * math.sqrt(math.pi / 2), rel=2e-3)
    bright = mr.rician(np.full((100, 100, 100), 50, np.float32), 2.0, rng)
    assert bright.std() == pytest.approx(2.0, rel=1e-2)
    assert bright.mean() == pytest.approx(math.hypot(50, 2 / math.sqrt(2)), rel=1e-3)


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(5)
    scan = scanner.plan_scan("ct", "fast", rng)
    return anatomy.draw(anatomy.Person.sample(rng), scan)


def test_ct_tissues_have_their_hounsfield_units(scene):
    protocol = ct.Protocol.sample(np.random.default_rng(1))
    image = ct.render(scene, protocol, np.random.default_rng(2))
    assert image.min() >= -1024
    for name, tolerance in (("lv_blood", 15), ("liver", 15), ("lung", 40), ("aorta_blood", 25)):
        inside = scene.tissue == TISSUE_ID[name]
        for axis in range(3):  # away from its borders, where the blur mixes
            inside &= np.roll(inside, 1, axis) & np.roll(inside, -1, axis)
        actual = np.median(image[inside])
        assert actual == pytest.approx(protocol.hounsfield[name], abs=tolerance), name


def test_ct_noise_is_correlated_and_of_unit_deviation_in_the_middle(scene):
    noise = ct.correlated_noise(scene.points, np.random.default_rng(0))
    middle = np.square(scene.points).sum(0) < 30**2
    assert noise[middle].std() == pytest.approx(1, abs=0.15)
    next_to = np.corrcoef(noise[:, :, :-1].ravel(), noise[:, :, 1:].ravel())[0, 1]
    assert 0.1 < next_to < 0.9


def test_coils_are_even_at_the_heart_and_stronger_at_the_chest(scene):
    profile = mr.coil_profile(scene.points, 70.0, np.random.default_rng(0))
    heart = np.square(scene.points).sum(0) < 20**2
    assert profile[heart].mean() == pytest.approx(1, abs=0.1)
    assert profile.max() > 1.5
    steps = np.abs(np.diff(profile, axis=2))
    assert steps.max() < 0.2  # smooth
