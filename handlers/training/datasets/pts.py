"""iBUG `.pts` text files to landmark arrays and back.

The format of the 300-W re-annotations (Sagonas et al. 2013): a header of `version: 1` and
`n_points: 68`, then one `x y` pair a line between braces, in pixels that count from 1.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FIRST_PIXEL = 1.0  # iBUG annotated in Matlab: its top-left pixel is (1, 1), ours is (0, 0)


def count_points(path: Path) -> int:
    """The number of points that the header of a `.pts` file declares.

    Raises:
        ValueError: the file has no readable `n_points` line.
    """
    return _split(path)[0]


def read_pts(path: Path, n_points: int = 68) -> NDArray[np.float32]:
    """Landmarks of a `.pts` file, float32 `(n_points, 2)` `(x, y)` in pixels counted from 0.

    Raises:
        ValueError: the header or braces are missing, or the file declares or holds another
            number of points than `n_points`, or a line that is no pair of finite numbers.
    """
    declared, lines = _split(path)
    if declared != n_points:
        raise ValueError(f"{path}: declares {declared} points, expected {n_points}")
    if len(lines) != declared:
        raise ValueError(f"{path}: declares {declared} points but holds {len(lines)}")
    points = np.array([_pair(path, line) for line in lines], dtype=np.float64)
    return (points - FIRST_PIXEL).astype(np.float32)


def write_pts(path: Path, landmarks: NDArray[np.floating]) -> None:
    """Write landmarks `(N, 2)` `(x, y)`, pixels counted from 0, as an iBUG `.pts` file.

    Raises:
        ValueError: the array is not `(N, 2)` or holds a number that is not finite.
    """
    if landmarks.ndim != 2 or landmarks.shape[1] != 2:
        raise ValueError(f"{path}: landmarks must be (N, 2), got {landmarks.shape}")
    if not np.isfinite(landmarks).all():
        raise ValueError(f"{path}: landmarks must be finite")
    rows = "".join(f"{x:.6f} {y:.6f}\n" for x, y in landmarks.astype(np.float64) + FIRST_PIXEL)
    path.write_text(f"version: 1\nn_points: {len(landmarks)}\n{{\n{rows}}}\n", encoding="ascii")


def _split(path: Path) -> tuple[int, list[str]]:
    """The declared number of points and the lines between the braces."""
    text = path.read_text(encoding="utf-8", errors="replace")
    header, opening, rest = text.partition("{")
    body, closing, _ = rest.partition("}")
    if not opening or not closing:
        raise ValueError(f"{path}: no points between braces, this is no .pts file")
    return _declared(path, header), [line for line in body.splitlines() if line.strip()]


def _declared(path: Path, header: str) -> int:
    for line in header.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "n_points" and value.strip().isdecimal():
            return int(value)
    raise ValueError(f"{path}: the header has no 'n_points: <number>' line")


def _pair(path: Path, line: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in line.split())
    except ValueError as error:
        raise ValueError(f"{path}: expected 'x y', found {line.strip()!r}") from error
    if not (np.isfinite(x) and np.isfinite(y)):
        raise ValueError(f"{path}: a coordinate is not finite: {line.strip()!r}")
    return x, y
