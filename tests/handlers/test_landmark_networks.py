import pytest
import torch
from torch.testing import assert_close

from handlers.networks.actions import ACTION_MIRROR, ACTIONS
from handlers.networks.inception_resnet import InceptionResNet
from handlers.networks.landmarks import HeatmapHead, LandmarkNetwork
from handlers.networks.layers import fuse
from handlers.networks.senet import SEResNet

HEADS = ("regression", "heatmap", "refined")
NETWORKS = [(b, h) for b in ("senet", "inception_resnet") for h in HEADS]


def tiny(backbone: str, head: str) -> LandmarkNetwork:
    torch.manual_seed(0)
    return LandmarkNetwork(backbone, "tiny", head, head_width=8).eval()


@pytest.mark.parametrize(("backbone", "head"), NETWORKS)
def test_rows_of_a_batch_are_independent(backbone: str, head: str) -> None:
    network = tiny(backbone, head)
    crops = torch.rand(3, 3, 128, 128) * 2 - 1
    with torch.inference_mode():
        together = network(crops)
        alone = [network(crop[None]) for crop in crops]
    assert_close(together.points, torch.cat([one.points for one in alone]), atol=1e-3, rtol=1e-4)
    assert_close(together.spread, torch.cat([one.spread for one in alone]), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("backbone", "head"), NETWORKS)
def test_folding_the_normalisation_changes_nothing(backbone: str, head: str) -> None:
    network = tiny(backbone, head).train()
    with torch.no_grad():
        network(torch.rand(4, 3, 128, 128))  # statistics other than the initial ones
    network.eval()
    crops = torch.rand(2, 3, 128, 128)
    with torch.inference_mode():
        before = network(crops).points
        after = fuse(network)(crops).points
    assert_close(after, before, atol=1e-3, rtol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())


@pytest.mark.parametrize(("cell_x", "cell_y"), [(0, 0), (31, 31), (5, 20)])
def test_a_map_with_one_cell_lit_gives_that_cells_centre_and_no_spread(
    cell_x: int, cell_y: int
) -> None:
    log_map = torch.full((1, 68, 32, 32), -1e4)
    log_map[:, :, cell_y, cell_x] = 0
    located = HeatmapHead.integrate(log_map.exp(), 128)
    expected = torch.tensor([cell_x * 4 + 1.5, cell_y * 4 + 1.5])
    assert_close(located.points[0, 0], expected)
    assert located.spread.max() < 0.01


def test_a_map_spread_over_two_cells_gives_the_point_between() -> None:
    log_map = torch.full((1, 68, 32, 32), -1e4)
    log_map[:, :, 8, 10:12] = torch.tensor(0.5).log()
    located = HeatmapHead.integrate(log_map.exp(), 128)
    assert_close(located.points[0, 0], torch.tensor([43.5, 33.5]))
    assert_close(located.spread[0, 0], torch.tensor(2.0))


def test_a_refined_head_starts_from_the_points_of_its_maps() -> None:
    network = tiny("senet", "refined")
    crops = torch.rand(2, 3, 128, 128)
    with torch.inference_mode():
        maps = network.backbone(crops)
        coarse = HeatmapHead.forward(network.head, maps, 128)
        refined = network(crops)
    assert_close(refined.points, coarse.points[:, :68])
    assert refined.actions is not None
    assert refined.actions.shape == (2, len(ACTIONS))


def test_points_are_as_fine_in_mixed_precision_as_without() -> None:
    log_map = torch.randn(2, 68, 32, 32).mul(4).flatten(2).log_softmax(-1).reshape(2, 68, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = HeatmapHead.integrate(log_map.exp(), 128)
    assert_close(mixed.points, HeatmapHead.integrate(log_map.exp(), 128).points)


def test_the_mirror_of_an_action_is_the_same_on_the_other_side() -> None:
    mirrored = [ACTIONS[index] for index in ACTION_MIRROR]
    assert mirrored[ACTIONS.index("mouthSmileLeft")] == "mouthSmileRight"
    assert mirrored[ACTIONS.index("jawOpen")] == "jawOpen"
    assert [ACTION_MIRROR[index] for index in ACTION_MIRROR] == list(range(len(ACTIONS)))


@pytest.mark.parametrize("backbone", [SEResNet, InceptionResNet])
@pytest.mark.parametrize("size", ["compact", "tiny"])
def test_a_backbone_halves_its_maps_from_a_quarter_of_the_picture(
    backbone: type[SEResNet] | type[InceptionResNet], size: str
) -> None:
    network = backbone(size).eval()
    with torch.inference_mode():
        maps = network(torch.zeros(1, 3, 128, 128))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (channels, side, side)
        for channels, side in zip(network.channels, (32, 16, 8, 4), strict=True)
    ]


def test_at_the_thesis_size_the_backbones_have_the_published_widths() -> None:
    assert InceptionResNet("thesis").channels[-1] == 1792
    assert SEResNet("thesis").channels == (256, 512, 1024, 2048)


def test_an_unknown_head_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'voting'"):
        LandmarkNetwork("senet", "tiny", "voting")
