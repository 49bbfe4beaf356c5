"""Feature figures: principal components against SciPy's, places and channels by hand."""

import numpy as np
import pytest
from scipy.linalg import eigh

from cmda_tf.inference.networks import ROLES, load_networks
from cmda_tf.training.adabn import adapt_statistics
from cmda_tf.training.phases import AdabnPhase
from cmda_tf.visualization.features import (
    draw_components,
    draw_feature_maps,
    most_varying,
    principal_components,
    sample_vectors,
)


def test_components_are_the_covariances_eigenvectors():
    rng = np.random.default_rng(0)
    groups = {"a": rng.normal(size=(40, 5)), "b": rng.normal(2, 3, size=(60, 5))}
    actual, shares = principal_components(groups)
    vectors_of_all = np.concatenate(list(groups.values()))
    values, vectors = eigh(np.cov(vectors_of_all.T))
    np.testing.assert_allclose(shares, values[::-1][:2] / values.sum(), rtol=1e-9)
    expected = (vectors_of_all - vectors_of_all.mean(0)) @ vectors[:, ::-1][:, :2]
    together = np.concatenate([actual["a"], actual["b"]])
    np.testing.assert_allclose(np.abs(together), np.abs(expected), atol=1e-9)


def test_places_are_the_same_for_two_networks():
    maps = np.arange(2 * 3 * 3 * 4).reshape(2, 3, 3, 4)
    first, second = sample_vectors(maps, 7), sample_vectors(maps + 100, 7)
    np.testing.assert_array_equal(first + 100, second)
    assert first.shape == (7, 4) and len(np.unique(first[:, 0])) == 7
    assert sample_vectors(maps, 99).shape == (18, 4)


def test_most_varying_channels_come_first():
    maps = np.zeros((1, 2, 2, 3))
    maps[0, 0, 0] = [1, 5, 3]
    assert most_varying(maps, 2) == [1, 2]


def test_maps_share_a_gray_scale_per_channel():
    image = np.zeros((8, 8))
    maps = {"before": np.zeros((2, 2, 3)), "after": np.full((2, 2, 3), 4.0)}
    figure = draw_feature_maps(image, maps, [0, 2])
    assert len(figure.axes) == 6
    assert [axis.get_ylabel() for axis in figure.axes[::3]] == ["before", "after"]
    assert {axis.images[0].get_clim() for axis in figure.axes if axis.get_ylabel() == ""} == {
        (0, 4)
    }
    for maps_, channels in (({}, [0]), (maps, [3])):
        with pytest.raises(ValueError, match="expected at least one network"):
            draw_feature_maps(image, maps_, channels)


def test_scatter_has_a_color_for_each_group():
    groups = {name: np.random.default_rng(1).normal(size=(9, 3)) for name in "abc"}
    axis = draw_components(groups).axes[0]
    assert [t.get_text() for t in axis.get_legend().get_texts()] == list("abc")
    assert len({tuple(c.get_facecolor()[0]) for c in axis.collections}) == 3
    with pytest.raises(ValueError, match="1 to 4 groups, found 0"):
        draw_components({})


def test_features_of_a_run_lead_to_its_logits(tiny, dataset, untraced):
    run = untraced(adapt_statistics, tiny(AdabnPhase, name="features"), dataset)
    networks = load_networks(run)
    images = np.random.default_rng(2).normal(size=(2, 16, 16, 3)).astype(np.float32)
    source, target = (np.asarray(networks.features(r, 13)(images)) for r in ("source", "target"))
    assert source.shape == target.shape == (2, 2, 2, 8) and (source != target).any()
    for role in ROLES:
        expected = networks.paths()[role](images)
        np.testing.assert_allclose(networks.features(role, 33)(images), expected, atol=1e-5)
