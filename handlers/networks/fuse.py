"""Fold batch normalisation into the convolution before it: the same numbers, less to compute."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


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
