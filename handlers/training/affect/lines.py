"""Straight lines through a few numbers, learned so that little of their source stays in them."""

import numpy as np

from handlers.processing.arrays import Doubles

# What hardly moves at all counts as moving so much.
STILL = 0.02


def fit_line(features: Doubles, wanted: Doubles, held: float, counts: Doubles) -> list[float]:
    """The weights of features `(N, F)` for `wanted` `(N,)`, and last what is added.

    Weights of features of equal spread are held small, by `held` times that spread, and brought
    back together to the size that the labels ask for. `counts` `(N,)` says how much each row
    counts.
    """
    shares = counts / counts.sum()
    mean, middle = shares @ features, float(shares @ wanted)
    spread = np.sqrt(shares @ np.square(features - mean)) + STILL
    scaled, away = (features - mean) / spread, wanted - middle
    square = scaled.T @ (scaled * shares[:, None]) + held * np.eye(features.shape[1])
    weights = np.linalg.solve(square, scaled.T @ (shares * away))
    told = scaled @ weights
    size = float(shares @ (told * away)) / max(float(shares @ np.square(told)), 1e-12)
    weights = size * weights / spread
    return [*weights.tolist(), middle - float(mean @ weights)]
