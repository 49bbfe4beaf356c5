"""The planes of an overlay: which slices, and which way round."""

import numpy as np

from cmda_tf.data.structures import HEART
from cmda_tf.visualization.palette import paint
from cmda_tf.visualization.segmentation import OPACITY_OF_PLANES, draw_planes


def test_planes_are_those_with_most_foreground_in_radiological_display():
    image = np.zeros((5, 6, 7), np.float32)  # k to the back, j to the feet, i to the left
    image[0, 1, 2] = 1
    label = np.zeros(image.shape, np.uint8)
    label[0, 1, 2:4], label[4, 1, 2] = 1, 2
    figure = draw_planes(image, label, HEART)
    planes = {panel.get_title(): panel for panel in figure.axes[:3]}
    expected = {"coronal": image[0], "axial": image[:, 1], "sagittal": image[:, :, 2].T}
    assert planes.keys() == expected.keys()
    for title, plane in expected.items():
        np.testing.assert_array_equal(planes[title].images[0].get_array(), plane)
    # The sagittal slice: rows head to feet, columns front to back.
    painted = figure.axes[5].images[1].get_array()
    np.testing.assert_allclose(painted, paint(label[:, :, 2].T, HEART, OPACITY_OF_PLANES))
    letters = [[text.get_text() for text in panel.texts] for panel in figure.axes]
    assert letters == [["R"], ["R"], ["A"]] * 2


def test_without_foreground_the_middle_is_shown():
    image = np.arange(4 * 6 * 8, dtype=np.float32).reshape(4, 6, 8)
    figure = draw_planes(image, np.zeros(image.shape, np.uint8), HEART)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), image[2])
