"""Lines through a few numbers find what holds, and keep the size that labels ask for."""

import numpy as np

from handlers.training.affect.lines import fit_line


def told(line: list[float], features: np.ndarray) -> np.ndarray:
    return np.asarray(features @ np.array(line[:-1]) + line[-1])


def test_a_line_finds_what_labels_follow() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(3, [1.0, 5.0], (400, 2))
    wanted = 0.3 * features[:, 0] - 0.1 * features[:, 1] + 0.2
    line = fit_line(features, wanted, 0.0, np.ones(400))
    np.testing.assert_allclose(line, [0.3, -0.1, 0.2], atol=0.02)


def test_weights_that_are_held_small_still_tell_the_size_of_labels() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(0, 1, (400, 3))
    wanted = features @ np.array([0.4, 0.2, 0.0]) + rng.normal(0, 0.1, 400)
    line = fit_line(features, wanted, 5.0, np.ones(400))
    assert abs(np.polyfit(told(line, features), wanted, 1)[0] - 1) < 0.01


def test_rows_that_count_more_are_met_better() -> None:
    features = np.array([[0.0], [0.0], [1.0]])
    wanted = np.array([0.0, 1.0, 1.0])
    line = fit_line(features, wanted, 0.0, np.array([9.0, 1.0, 10.0]))
    assert abs(told(line, features)[0] - 0.1) < 0.02
