"""Shared layers: convolutions that halve a map, encoders of them; batch normalisation folded."""

from collections.abc import Sequence

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SLOPE = 0.2


def fuse(module: nn.Module) -> nn.Module:
    """Fold, in place, every convolution followed by its normalisation inside a `Sequential`.

    The module must be in evaluation mode.
    """
    for child in module.children():
        fuse(child)
    if isinstance(module, nn.Sequential):
        layers = list(module)
        for index, (first, second) in enumerate(zip(layers, layers[1:], strict=False)):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                module[index] = fuse_conv_bn_eval(first, second)
                module[index + 1] = nn.Identity()
    return module


def halving(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    """Return the 4 x 4 convolution of stride 2 of Tables A.1 to A.3: `(B, inputs, 2S, 2S)`
    -> half."""
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)


def halving_encoder(
    inputs: int, channels: Sequence[int], normalised: bool = False
) -> nn.Sequential:
    """Return a halving convolution and LeakyReLU(0.2) for each of `channels` (Tables A.2 and A.3).

    `normalised` puts a batch normalisation between the two, which the thesis does not have.
    """
    layers: list[nn.Module] = []
    for before, after in zip((inputs, *channels), channels, strict=False):
        layers.append(halving(before, after, bias=not normalised))
        if normalised:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.LeakyReLU(SLOPE))
    return nn.Sequential(*layers)
