"""Losses of valence and arousal (eq. 5.5-5.8, 6.10-6.14, 7.14-7.18)."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from handlers.processing.arrays import Floats

CLASSES = 10  # of 0.2 each on [-1, 1]
HEAVIEST = 4.0  # times the mean weight: a class of two faces should not rule a batch
EPSILON = 1e-4


class BatchAgreement(NamedTuple):
    """Of every dimension, `(2,)`: root mean square error, correlation, concordance, intra-class."""

    rmse: Tensor
    cor: Tensor
    ccc: Tensor
    icc: Tensor


def agreement(estimates: Tensor, labels: Tensor, weights: Tensor) -> BatchAgreement:
    """Measure the agreement of estimates with labels, all `(N, 2)`, every sample by its weight.

    The minus signs of eq. 6.12 are products of deviations; ICC is as eq. 6.14 writes it.
    """
    shares = weights / weights.sum(dim=0)
    mean_estimate = (shares * estimates).sum(dim=0)
    mean_label = (shares * labels).sum(dim=0)
    off_estimate, off_label = estimates - mean_estimate, labels - mean_label
    covariance = (shares * off_estimate * off_label).sum(dim=0)
    var_estimate = (shares * off_estimate**2).sum(dim=0)
    var_label = (shares * off_label**2).sum(dim=0)
    both = var_estimate + var_label + EPSILON
    return BatchAgreement(
        ((shares * (estimates - labels) ** 2).sum(dim=0) + EPSILON**2).sqrt(),
        covariance / (var_estimate * var_label + EPSILON**2).sqrt(),
        2 * covariance / (both + (mean_estimate - mean_label) ** 2),
        2 * covariance / both,
    )


def affect_loss(estimates: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return RMSE + (1 - COR) + (1 - CCC) + (1 - ICC), the mean over valence and arousal (eq.
    7.14)."""
    found = agreement(estimates.float(), labels.float(), weights.float())
    return (found.rmse + (1 - found.cor) + (1 - found.ccc) + (1 - found.icc)).mean()


def class_weights(labels: Floats, power: float) -> Floats:
    """Return weights `(N, 2)` of mean 1 by how common the class of a label is, in each dimension.

    Labels are sorted into ten classes of 0.2; a sample weighs its class's share to the `power`:
    1 as eq. 6.10 writes it, -1 as its text means it (rare classes count more), 0 all alike.
    """
    classes = np.clip(((labels + 1) / 2 * CLASSES).astype(int), 0, CLASSES - 1)
    weights = np.empty(labels.shape, np.float32)
    for dimension in range(labels.shape[1]):
        counts = np.bincount(classes[:, dimension], minlength=CLASSES)
        share = counts[classes[:, dimension]] / len(labels)
        weight = share**power
        weights[:, dimension] = np.minimum(weight / weight.mean(), HEAVIEST)
    return np.asarray(weights / weights.mean(axis=0), np.float32)


def quadrant_loss(logits: Tensor, quadrants: Tensor) -> Tensor:
    """Return the cross-entropy of quadrant logits `(N, 4)` against soft targets `(N, 4)`."""
    return -(quadrants * torch.log_softmax(logits.float(), dim=-1)).sum(dim=-1).mean()
