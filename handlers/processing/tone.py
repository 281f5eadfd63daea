"""Pictures of high dynamic range, coded by PQ or HLG, for what expects ordinary ones.

White of ordinary pictures is 203 cd/m2 (ITU-R BT.2408); what is brighter is rolled off.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PQ, HLG, BT2020 = 16, 18, 9
WHITE = 203.0
KNEE = 0.7  # of white; above it highlights are compressed instead of clipped
# Linear light of BT.2020's primaries into that of BT.709's (ITU-R BT.2087).
TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
SEARCHED_BYTES = 65_536  # the boxes before the pixels are far smaller
PART_PX = 250_000  # are converted at once: light takes 24 bytes each, several times
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A picture's code values as light: transfer and primaries by ITU-T H.273."""

    transfer: int
    primaries: int

    @property
    def note(self) -> str:
        """Return what people should know of the curve."""
        name = {PQ: "PQ", HLG: "HLG"}[self.transfer]
        return f"high dynamic range ({name}) brought to that of ordinary pictures"

    def apply(self, pixels: NDArray[np.uint8]) -> None:
        """Bring pixels `(H, W, 3)` to the curve and the primaries of BT.709, in place."""
        light = self._light(np.arange(256) / 255) / WHITE
        rows = max(PART_PX // pixels.shape[1], 1)
        for top in range(0, len(pixels), rows):
            linear = light[pixels[top : top + rows]]
            if self.primaries == BT2020:
                linear = linear @ TO_BT709.T
            # Colours outside of BT.709 have negative parts.
            codes = encode(roll_off(np.maximum(linear, 0)))
            pixels[top : top + rows] = np.rint(255 * codes)

    def _light(self, codes: Floats) -> Floats:
        return pq_light(codes) if self.transfer == PQ else hlg_light(codes)


def curve_of(data: bytes) -> Curve | None:
    """Read the curve that HEIC or AVIF declares; None for one of ordinary range."""
    at = data.find(b"colrnclx", 0, SEARCHED_BYTES) if data[4:8] == b"ftyp" else -1
    if at < 0:
        return None
    primaries, transfer = (int.from_bytes(data[at + k : at + k + 2], "big") for k in (8, 10))
    return Curve(transfer, primaries) if transfer in (PQ, HLG) else None


def pq_light(codes: Floats) -> Floats:
    """Compute the light in cd/m2 of PQ's codes in [0, 1] (SMPTE ST 2084)."""
    power = codes ** (32 / 2523)
    return 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (
        8192 / 1305
    )


def hlg_light(codes: Floats) -> Floats:
    """Compute light in cd/m2 of HLG's codes in [0, 1], display of 1000 cd/m2 (ITU-R BT.2100)."""
    low, high = codes**2 / 3, (np.exp((codes - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return 1000 * np.where(codes <= 0.5, low, high) ** 1.2


def roll_off(light: Floats) -> Floats:
    """Keep light up to the knee, and bring all above smoothly below 1, which is white."""
    above = np.maximum(light - KNEE, 0)
    return np.minimum(light, KNEE) + (1 - KNEE) * (1 - np.exp(-above / (1 - KNEE)))


def encode(light: Floats) -> Floats:
    """Compute the codes in [0, 1] of light in [0, 1] (sRGB, IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
