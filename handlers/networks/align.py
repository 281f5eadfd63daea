"""A landmark network and the denoiser in front of it: FADeNN (eq. 3.1) and DFA (eq. 4.8)."""

from typing import Any

from torch import nn

from handlers.networks.denoiser import DirectDenoiser, SelectiveDenoiser
from handlers.networks.landmarks import LandmarkNetwork


def build_denoiser(
    kind: str, size: str, classes: tuple[str, ...] | list[str] = ()
) -> DirectDenoiser | SelectiveDenoiser:
    """The denoiser of a configuration: `kind` "direct" (-D), "stc" (-S) or "mtc" (-M and DFA)."""
    if kind == "direct":
        return DirectDenoiser(size)
    if kind in ("stc", "mtc"):
        return SelectiveDenoiser(size, tuple(classes), kind)
    raise ValueError(f"unknown denoiser {kind!r}: direct, stc or mtc")


class AlignmentNetwork(nn.Module):
    """Either part may be missing: a landmark network alone is FLL or FLE, a denoiser alone IID."""

    def __init__(
        self, landmarks: dict[str, Any] | None = None, denoiser: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.landmarks = None if landmarks is None else LandmarkNetwork(**landmarks)
        self.denoiser = None if denoiser is None else build_denoiser(**denoiser)
