import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from regforest.spatial import Landmarks
from regforest.vertebrae.dense_labels import (
    BACKGROUND,
    CLASSES,
    body_radius_mm,
    class_of_level,
    label_distribution,
    unlabelled_bodies,
)

LUMBAR = Landmarks({"L1": (0, 0, 0), "L2": (0, 5, -34), "L3": (0, 8, -70)})
point = st.tuples(*[st.floats(-200, 200)] * 3)


def test_a_centre_belongs_to_its_vertebra_and_a_far_point_to_the_background():
    labels = label_distribution([(0, 5, -34), (150, 0, 0)], LUMBAR)
    assert labels[0, class_of_level("L2")] > 0.95
    assert labels[1, BACKGROUND] > 0.999


def test_at_the_rim_of_a_body_a_wide_claim_is_one_over_e():
    labels = label_distribution([(body_radius_mm("L1"), 0, 0)], Landmarks({"L1": (0, 0, 0)}), claim_share=1)
    np.testing.assert_allclose(labels[0, class_of_level("L1")], np.exp(-1), rtol=1e-6)


def test_halfway_between_two_equal_vertebrae_both_have_the_same_part():
    spine = Landmarks({"T12": (0, 0, 34), "L1": (0, 0, 0)})  # both have a diameter of 34 mm
    label = label_distribution([(0, 0, 17)], spine, claim_share=1)[0]
    np.testing.assert_allclose(label[class_of_level("T12")], label[class_of_level("L1")], rtol=1e-6)
    np.testing.assert_allclose(label[class_of_level("L1")], np.exp(-1) / 2, rtol=1e-6)


@given(st.lists(point, min_size=1, max_size=5))
def test_labels_are_distributions_wherever_they_are_asked_for(points):
    labels = label_distribution(points, LUMBAR)
    assert labels.shape == (len(points), len(CLASSES))
    assert (labels >= 0).all()
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)


def test_transitional_vertebrae_share_the_class_of_the_one_above():
    assert class_of_level("L6") == class_of_level("L5")
    assert class_of_level("T13") == class_of_level("T12")


def test_bodies_beyond_both_ends_and_in_gaps_are_guessed():
    guesses = unlabelled_bodies(Landmarks({"T4": (0, 0, 60), "T6": (0, 0, 20), "T7": (0, 0, 0)}))
    np.testing.assert_allclose(sorted(guesses[:, 2]), [-20, 40, 100])


def test_nothing_is_guessed_beyond_the_first_and_the_last_vertebra_of_all():
    whole = Landmarks({"C1": (0, 0, 18), "C2": (0, 0, 0)})
    np.testing.assert_allclose(unlabelled_bodies(whole), [[0, 0, -18]])
    assert len(unlabelled_bodies(Landmarks({"S1": (0, 0, 0), "S2": (0, 0, -29)}))) == 1
