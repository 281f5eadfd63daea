"""MTCNN's networks and the conversion of their published weights."""

import io
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from handlers.checkpoint import load_checkpoint
from handlers.convert import SOURCES, name_parameters, read_source, to_torch
from handlers.networks.mtcnn import MTCNN, ProposalNet

STORE = Path(__file__).parents[2] / "model_store"


@pytest.fixture(scope="module")
def network() -> MTCNN:
    torch.manual_seed(0)
    return MTCNN().eval().requires_grad_(False)


@pytest.mark.parametrize(("height", "width"), [(12, 12), (13, 30), (41, 24), (64, 47)])
def test_every_score_of_the_proposal_net_is_that_of_its_own_cell(
    network: MTCNN, height: int, width: int
) -> None:
    picture = torch.randn(1, 3, height, width)
    scores, offsets = network.proposal(picture)
    rows, columns = scores.shape[1:]
    for row, column in [(0, 0), (rows - 1, 0), (0, columns - 1), (rows - 1, columns - 1)]:
        cell = picture[:, :, 2 * row : 2 * row + 12, 2 * column : 2 * column + 12]
        if cell.shape[2:] != (12, 12):
            continue  # the last cell of an odd side hangs over the border
        score, offset = network.proposal(cell)
        torch.testing.assert_close(score[0, 0, 0], scores[0, row, column])
        torch.testing.assert_close(offset[0, :, 0, 0], offsets[0, :, row, column])


def test_the_crops_of_a_batch_do_not_know_of_each_other(network: MTCNN) -> None:
    small, large = torch.randn(5, 3, 24, 24), torch.randn(5, 3, 48, 48)
    for net, crops in ((network.refine, small), (network.output, large)):
        together = net(crops)
        for row in range(5):
            alone = net(crops[row : row + 1])
            for joint, single in zip(together, alone, strict=True):
                torch.testing.assert_close(joint[row], single[0])


def test_the_output_net_gives_five_points(network: MTCNN) -> None:
    scores, offsets, points = network.output(torch.randn(2, 3, 48, 48))
    assert scores.shape == (2,)
    assert offsets.shape == (2, 4)
    assert points.shape == (2, 5, 2)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_the_first_linear_layer_reads_the_map_in_the_order_it_was_trained_on() -> None:
    rng = np.random.default_rng(0)
    feature_map = rng.normal(size=(3, 3, 64)).astype(np.float32)  # height, width, channels
    weights = rng.normal(size=(576, 128)).astype(np.float32)
    published = feature_map.transpose(1, 0, 2).reshape(-1) @ weights
    converted = to_torch("embedding.0.weight", weights) @ feature_map.transpose(2, 0, 1).reshape(-1)
    np.testing.assert_allclose(converted, published, rtol=1e-4, atol=1e-4)


def test_published_arrays_take_the_names_and_shapes_of_the_network() -> None:
    shapes = [(3, 3, 3, 10), (10,), (1, 1, 10), (3, 3, 10, 16), (16,), (1, 1, 16)]
    shapes += [(3, 3, 16, 32), (32,), (1, 1, 32), (1, 1, 32, 4), (4,), (1, 1, 32, 2), (2,)]
    arrays = [np.full(shape, i, np.float32) for i, shape in enumerate(shapes)]
    net = ProposalNet()
    net.load_state_dict(name_parameters(SOURCES["proposal"], arrays))
    assert (net.box.weight == 9).all()
    assert (net.face.bias == 12).all()


def test_a_weight_file_that_is_not_the_known_one_is_not_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, ("raise SystemExit('unpickled')",))

    content = io.BytesIO()
    joblib.dump(Trap(), content)
    wheel = tmp_path / "mtcnn-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mtcnn/assets/weights/pnet.lz4", content.getvalue())
    with pytest.raises(ValueError, match="sha256"):
        read_source(wheel, SOURCES["proposal"])


def test_the_store_holds_weights_that_fit_the_network() -> None:
    stored = load_checkpoint(STORE / "mtcnn")
    MTCNN().load_state_dict(stored.tensors)
    assert stored.config["licence"] == "MIT"
    assert "Permission is hereby granted" in (STORE / "mtcnn" / "LICENSE").read_text("utf-8")
