import pytest
import torch
from torch.testing import assert_close

from handlers.networks.denoiser import (
    AlignmentNetwork,
    DenoisingAutoEncoder,
    NoiseClassifier,
    SelectiveDenoiser,
    build_denoiser,
)

KINDS = ("blur", "illumination")


def crops(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1


def selective() -> SelectiveDenoiser:
    torch.manual_seed(0)
    return SelectiveDenoiser("tiny", KINDS, "mtc").eval()


@torch.inference_mode()
def test_a_crop_of_the_clean_class_passes_untouched() -> None:
    given = crops(3)
    cleaned = selective().clean(given, torch.zeros(3, dtype=torch.long))
    assert torch.equal(cleaned, given)


@torch.inference_mode()
def test_every_crop_goes_through_the_denoiser_of_its_class() -> None:
    denoiser, given = selective(), crops(4)
    cleaned = denoiser.clean(given, torch.tensor([2, 0, 1, 2]))
    assert_close(cleaned[0], denoiser.denoisers[1](given[:1])[0], atol=1e-5, rtol=1e-4)
    assert_close(cleaned[2], denoiser.denoisers[0](given[2:3])[0], atol=1e-5, rtol=1e-4)
    assert torch.equal(cleaned[1], given[1])


@torch.inference_mode()
def test_rows_of_a_batch_are_independent() -> None:
    denoiser, given = selective(), crops(4)
    together = denoiser(given)
    for row in range(4):
        alone = denoiser(given[row : row + 1])
        assert_close(alone.crops[0], together.crops[row], atol=1e-5, rtol=1e-4)
        assert_close(alone.probabilities[0], together.probabilities[row], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_probabilities_sum_to_one_and_the_likeliest_class_is_chosen() -> None:
    cleaned = selective()(crops(4))
    assert_close(cleaned.probabilities.sum(dim=1), torch.ones(4))
    assert torch.equal(cleaned.chosen, cleaned.probabilities.argmax(dim=1))


@torch.inference_mode()
def test_an_auto_encoder_answers_in_the_range_of_pictures() -> None:
    cleaned = DenoisingAutoEncoder("tiny")(crops(2) * 5)
    assert cleaned.shape == (2, 3, 128, 128)
    assert cleaned.abs().max() <= 1


@torch.inference_mode()
def test_only_the_multi_task_classifier_reconstructs() -> None:
    given = crops(1)
    single, multi = (NoiseClassifier("tiny", 3, reconstructs).eval() for reconstructs in (0, 1))
    assert single(given).reconstruction is None
    assert multi(given).reconstruction.shape == given.shape
    assert_close(multi.classify(given), multi(given).logits)


def test_a_direct_denoiser_treats_every_crop_alike() -> None:
    denoiser = build_denoiser("direct", "tiny").eval()
    with torch.inference_mode():
        cleaned = denoiser(crops(2))
    assert cleaned.crops.shape == (2, 3, 128, 128)
    assert denoiser.classes == ()


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'median'"):
        build_denoiser("median", "tiny")


def test_a_network_has_the_parts_of_its_configuration() -> None:
    alone = AlignmentNetwork(landmarks={"backbone": "senet", "size": "tiny", "head": "heatmap"})
    assert alone.landmarks is not None
    assert alone.denoiser is None


@torch.inference_mode()
def test_a_class_of_half_strength_keeps_half_of_its_crop() -> None:
    whole, given = selective(), crops(2)
    half = SelectiveDenoiser("tiny", KINDS, "mtc", {"blur": 0.5}).eval()
    half.load_state_dict(whole.state_dict())
    chosen = torch.tensor([1, 2])
    strong, weak = whole.clean(given, chosen), half.clean(given, chosen)
    assert_close(weak[0], (given[0] + strong[0]) / 2)
    assert torch.equal(weak[1], strong[1])


def test_a_strength_of_no_class_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'fog'"):
        SelectiveDenoiser("tiny", KINDS, "mtc", {"fog": 0.5})
