import numpy as np

from silk_ros.odometry.depth import FIRST_SPREAD, LEAST_SPREAD, ExpectedDepths


def test_new_tracks_get_the_depth_of_their_neighbours_and_first_ones_the_scale() -> None:
    expected = ExpectedDepths()
    mean, variance = expected.at(np.zeros((2, 2)))
    assert mean.tolist() == [1, 1] and np.allclose(variance, FIRST_SPREAD**2)
    rays = np.stack([np.repeat([-0.5, 0.5], 20), np.linspace(-0.1, 0.1, 40)], axis=1)
    depths = np.repeat([0.5, 2.0], 20)  # inverse, of a far and a near wall
    expected.learn(rays, depths, np.full(40, 1e-4))
    mean, variance = expected.at(np.array([[-0.45, 0.0], [0.45, 0.0]]))
    np.testing.assert_allclose(mean, [0.5, 2.0])
    np.testing.assert_allclose(np.sqrt(variance), LEAST_SPREAD * mean)
    expected.forget_neighbours()
    assert expected.at(np.zeros((1, 2)))[0].tolist() == [1.25]  # the median of both walls


def test_uncertain_depths_predict_nothing() -> None:
    expected = ExpectedDepths()
    expected.learn(np.random.default_rng(0).uniform(-1, 1, (40, 2)), np.full(40, 3.0), np.full(40, 1.0))
    assert expected.at(np.zeros((1, 2)))[0].tolist() == [1.0]
