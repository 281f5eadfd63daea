"""The measures of affect, and differences between models with their intervals."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.evaluation.affect.agreement import (
    Difference,
    agreement,
    differences,
    mean_agreement,
    scores,
    sums,
    where_both_answer,
)
from handlers.evaluation.affect.clips import Trace, Units, groups_of, over_clip
from tests.handlers.affect_clips import NAN, Floats, pair, trace


def anova_icc(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """ICC(3,1) of two judges by mean squares, as Shrout and Fleiss (1979) define it."""
    table = np.stack([first, second], axis=1)
    count, judges = table.shape
    mean = table.mean()
    between = judges * ((table.mean(axis=1) - mean) ** 2).sum() / (count - 1)
    columns = count * ((table.mean(axis=0) - mean) ** 2).sum()
    total = ((table - mean) ** 2).sum()
    error = (total - columns - between * (count - 1)) / ((count - 1) * (judges - 1))
    return float((between - error) / (between + (judges - 1) * error))


def test_the_measures_equal_those_worked_out_by_hand() -> None:
    # x = 0, .2, .4; y = .1, .2, .6: means .2, .3; variances .08/3, .14/3; covariance .1/3.
    found = pair([0.0, 0.2, 0.4], [0.1, 0.2, 0.6]).valence
    assert found.rmse == pytest.approx(math.sqrt(0.05 / 3), abs=1e-6)
    assert found.cor == pytest.approx(0.1 / math.sqrt(0.08 * 0.14), abs=1e-6)
    assert found.ccc == pytest.approx(0.2 / (0.08 + 0.14 + 3 * 0.01), abs=1e-6)
    assert found.icc == pytest.approx(0.2 / 0.22, abs=1e-6)


def test_icc_is_that_of_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(0, 0.3, 50)
    x = 0.6 * y + rng.normal(0.1, 0.2, 50)
    assert scores(sums(x, y))[0, 3] == pytest.approx(anova_icc(x, y))


def test_a_shift_costs_concordance_and_error_but_neither_correlation_nor_icc() -> None:
    labels = [0.0, 0.2, -0.4, 0.1]
    found = pair([value + 0.3 for value in labels], labels).valence
    assert (found.cor, found.icc) == pytest.approx((1.0, 1.0), abs=1e-5)
    assert found.rmse == pytest.approx(0.3, abs=1e-6)
    assert found.ccc < 0.6


def test_a_constant_estimate_agrees_with_nothing() -> None:
    found = pair([0.3, 0.3, 0.3], [0.1, 0.2, 0.6]).valence
    assert (found.cor, found.ccc, found.icc) == (0, 0, 0)
    assert found.rmse == pytest.approx(math.sqrt(0.14 / 3), abs=1e-6)


def test_a_constant_label_leaves_nothing_to_agree_with() -> None:
    found = pair([0.1, 0.2, 0.3], [0.2, 0.2, 0.2]).valence
    assert all(map(math.isnan, (found.cor, found.ccc, found.icc)))
    assert found.rmse == pytest.approx(math.sqrt(0.02 / 3), abs=1e-6)


def test_one_sample_has_an_error_and_no_agreement_and_none_has_nothing() -> None:
    one = pair([0.1], [0.3])
    assert one.valence.rmse == pytest.approx(0.2, abs=1e-6)
    assert math.isnan(one.valence.ccc)
    nobody = agreement(np.zeros((0, 2)), np.zeros((0, 2)))
    assert nobody.samples == 0
    assert math.isnan(nobody.valence.rmse)
    assert math.isnan(nobody.answered)


def test_moments_without_label_do_not_count_and_those_without_estimate_are_told() -> None:
    found = pair([0.0, NAN, 0.2, 0.4, 0.9], [0.1, 0.5, 0.2, 0.6, NAN])
    assert found.samples == 4
    assert found.answered == pytest.approx(0.75)
    assert found.valence == pair([0.0, 0.2, 0.4], [0.1, 0.2, 0.6]).valence


def test_the_mean_over_folds_is_that_of_the_measures_and_not_of_all_moments() -> None:
    one, other = pair([0.0, 0.2, 0.4], [0.0, 0.2, 0.4]), pair([0.4, 0.2, 0.0], [0.0, 0.2, 0.4])
    mean = mean_agreement([one, other])
    assert mean.samples == 6
    assert mean.valence.cor == pytest.approx(0, abs=1e-6)
    assert mean.valence.rmse == pytest.approx(other.valence.rmse / 2, abs=1e-6)


def test_sums_of_groups_add_up_to_those_of_all() -> None:
    rng = np.random.default_rng(0)
    x, y, groups = rng.normal(size=30), rng.normal(size=30), rng.integers(0, 4, 30)
    assert sums(x, y, groups, 5).sum(axis=0) == pytest.approx(sums(x, y)[0])


def noisy(seed: int, noise: float, labels: Floats, name: str) -> Trace:
    rng = np.random.default_rng(seed)
    estimates = labels + rng.normal(0, noise, len(labels)).astype(np.float32)
    return trace(estimates.tolist(), labels.tolist(), {"actor": f"a{seed % 6}"}, name)


def two_models(units: int = 2) -> tuple[Units, Units]:
    """One model that errs little, another that errs much, over 12 clips of 6 actors."""
    labels = np.linspace(-0.5, 0.5, 40, dtype=np.float32)
    return tuple(  # type: ignore[return-value]
        {
            f"seed {unit}": [noisy(100 * unit + i, noise, labels, f"c{i}") for i in range(12)]
            for unit in range(units)
        }
        for noise in (0.1, 0.5)
    )


def test_the_difference_is_that_of_the_means_and_its_interval_holds_it() -> None:
    better, worse = two_models()
    found = differences(("avi-gas", better), ("avi-cas", worse), draws=300)
    assert [(d.dimension, d.over, d.groups) for d in found] == [
        ("valence", "actor", 6),
        ("arousal", "actor", 6),
        ("average", "actor", 6),
    ]
    means = [
        np.mean([agreement(*joined_of(part)).valence.ccc for part in units.values()])
        for units in (better, worse)
    ]
    interval = found[0].interval
    assert interval.difference == pytest.approx(means[0] - means[1])
    assert 0 < interval.low < interval.difference < interval.high
    assert found[0].verdict == "avi-gas"


def joined_of(part: Sequence[Trace]) -> tuple[Floats, Floats]:
    return np.concatenate([t.estimates for t in part]), np.concatenate([t.labels for t in part])


def test_a_model_is_not_better_than_itself() -> None:
    better, _ = two_models(1)
    for found in differences(("vi", better), ("vi-de", better), draws=50):
        assert (found.interval.difference, found.verdict) == (0, "neither")


def test_drawing_people_is_wider_than_drawing_moments_that_err_together() -> None:
    labels = np.linspace(-0.5, 0.5, 50, dtype=np.float32)
    people = [trace((labels + shift).tolist(), labels.tolist(), {"person": f"p{i}"}, f"c{i}")
              for i, shift in enumerate((-0.6, 0.0, 0.0, 0.6))]  # fmt: skip
    single = [
        trace([float(one.estimates[i, 0])], [float(labels[i])], {"person": f"{k} {i}"}, f"{k} {i}")
        for k, one in enumerate(people)
        for i in range(len(labels))
    ]

    def width(traces: list[Trace]) -> float:
        flat = [trace([0.0] * len(t.labels), t.labels[:, 0].tolist(), t.people, t.clip)
                for t in traces]  # fmt: skip
        found = differences(("vi-de", {"all": traces}), ("vi", {"all": flat}), draws=400)[0]
        return found.interval.high - found.interval.low

    assert width(people) > 1.5 * width(single)


def test_people_who_change_within_clips_are_drawn_by_moment() -> None:
    labels = np.linspace(-0.5, 0.5, 20, dtype=np.float32)
    seen = np.array(["Ada"] * 8 + ["Eva"] * 12)
    rng = np.random.default_rng(5)

    def clips(kind: str, noise: float) -> Units:
        """Two clips with both people in each, or four with one in each."""
        made = []
        for name in "ab":
            estimates = labels + rng.normal(0, noise, 20).astype(np.float32)
            whole = trace(estimates.tolist(), labels.tolist(), {"person": seen}, name)
            parts = [slice(0, 8), slice(8, 20)] if kind == "apart" else [slice(0, 20)]
            for part in parts:
                people = {"person": str(seen[part][0]) if kind == "apart" else seen}
                found = whole.estimates[part, 0].tolist()
                made.append(trace(found, labels[part].tolist(), people, f"{name} {part}"))
        return {"all": made}

    found = {}
    for kind in ("together", "apart"):
        rng = np.random.default_rng(5)
        first, second = clips(kind, 0.1), clips(kind, 0.3)
        found[kind] = differences(("vi-de", first), ("vi", second), draws=200)
    assert [(d.over, d.groups) for d in found["together"]] == [("person", 2)] * 3
    for one, other in zip(found["together"], found["apart"], strict=True):
        assert (one.interval.low, one.interval.high) == pytest.approx(
            (other.interval.low, other.interval.high)
        )


def test_models_are_compared_where_both_answer() -> None:
    one, other = trace([0.1, NAN, 0.3], [0.1, 0.2, 0.3]), trace([0.1, 0.2, NAN], [0.1, 0.2, 0.3])
    first, second = where_both_answer({"all": [one]}, {"all": [other]})
    for units in (first, second):
        assert np.isfinite(units["all"][0].estimates[:, 0]).tolist() == [True, False, False]
    with pytest.raises(ValueError, match="same clips"):
        where_both_answer({"all": [one]}, {"all": []})


def test_a_lower_error_is_the_better_one() -> None:
    better, worse = two_models(1)
    found = differences(("vi-de", better), ("vi", worse), "rmse", draws=100)[0]
    assert found.interval.high < 0
    assert found.verdict == "vi-de"
    assert isinstance(found, Difference)


def test_people_that_no_trace_names_are_clips() -> None:
    parts = [trace([0.1] * 2, [0.1] * 2, clip="one"), trace([0.1], [0.1], clip="two")]
    assert groups_of(parts, "person").tolist() == [0, 0, 1]
    assert groups_of([], "person").tolist() == []


def test_a_clip_names_who_is_seen_at_every_moment() -> None:
    both = trace([0.1] * 3, [0.1] * 3, {"person": np.array(["Eva", "Ada", "Eva"])}, "one")
    one = trace([0.1], [0.1], {"person": "Ada"}, "other")
    assert groups_of([both, one], "person").tolist() == [1, 0, 1, 0]
    assert over_clip(both).people == {}


def test_an_utterance_is_one_moment_of_its_answered_mean() -> None:
    found = over_clip(trace([NAN, 0.2, 0.4], [0.5, 0.5, 0.5], gate=[NAN, 0.2, 0.4]))
    assert found.estimates[0, 0] == pytest.approx(0.3)
    assert found.labels[0, 0] == pytest.approx(0.5)
    assert found.gate[0] == pytest.approx(0.3)
    assert np.isnan(over_clip(trace([NAN, NAN], [0.5, 0.5])).estimates).all()
