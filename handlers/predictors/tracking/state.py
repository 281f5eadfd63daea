"""A tracking session's memory between two frames <-> a flat dict of named small tensors.

Part of it is that of the One-Euro filter, which calms landmarks that jitter (Casiez, Roussel and
Vogel, CHI 2012).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.tracking.changes import FaceThumbnail, SceneThumbnail

Floats = NDArray[np.float32]
Array = NDArray[Any]
Memory = dict[str, Array]

MIN_INTERVAL_S = 1e-3
# Counts changes in the meaning of the tensors below.
SCHEMA = 5
MEMORY = ("h1", "c1", "h2", "c2", "features")


@dataclass(frozen=True)
class OneEuro:
    """A low-pass filter whose cutoff rises with speed: calm at rest, no lag in motion.

    `min_cutoff_hz` is the cutoff at rest, `beta` what one face diagonal a second adds to it (Hz),
    `speed_cutoff_hz` smooths the speed itself.
    """

    min_cutoff_hz: float = 1.5
    beta: float = 30.0
    speed_cutoff_hz: float = 1.0


@dataclass(frozen=True)
class SmoothingState:
    """The filter's memory: `values` `(2, N, 2)`, the filtered points in pixels and their
    filtered speeds in pixels a second, and the time of the last frame in seconds."""

    values: Floats
    time_s: float


def smooth(
    points: Floats, time_s: float, size_px: float, state: SmoothingState | None, filter: OneEuro
) -> tuple[Floats, SmoothingState]:
    """Filter points `(N, 2)` seen at `time_s` on a face whose box has a diagonal of `size_px`.

    Without a state the points pass as they are. Times that do not rise count as 1 ms.
    """
    if state is None:
        values = np.stack([points, np.zeros_like(points)]).astype(np.float32)
        return values[0], SmoothingState(values, time_s)
    interval_s = max(time_s - state.time_s, MIN_INTERVAL_S)
    before, speed_before = state.values
    speed = (points - before) / interval_s
    speed = _low_pass(speed, speed_before, _share(filter.speed_cutoff_hz, interval_s))
    cutoff_hz = filter.min_cutoff_hz + filter.beta / max(size_px, 1.0) * np.abs(speed)
    smoothed = _low_pass(points, before, _share(np.asarray(cutoff_hz, np.float32), interval_s))
    values = np.stack([smoothed, speed]).astype(np.float32)
    return values[0], SmoothingState(values, time_s)


def _share(cutoff_hz: float | Floats, interval_s: float) -> float | Floats:
    """Compute the share of the new value: alpha of the paper's equations 3 and 4."""
    ratio = 2 * math.pi * cutoff_hz * interval_s
    return ratio / (ratio + 1)


def _low_pass(new: Floats, before: Floats, share: float | Floats) -> Floats:
    return np.asarray(share * new + (1 - share) * before, np.float32)


@dataclass(frozen=True)
class FaceState:
    """One face between two frames.

    `box` is the last valid box b_t, `first_box` b_0. `memory` holds BT's `h1`, `c1`, `h2`, `c2`
    `(hidden,)` and the `features` `(F,)` of the last frame at its final box; None before BT's
    first step. `window` is SeqT, the validated frames since the state was reset; `validated` all
    of them; `lost` the frames without an estimate since the last of them, so redetect of
    Algorithm 2 is `lost > 0`. `lost_probability` is the validator's answer that lost the face,
    NaN where there is none. `view` `(2, 4)` are the windows of `stages.lay`, `landmarks` `(68, 2)`
    are what was made of it, in pixels. By `looks` it is seen where another person takes the face's
    place; `clean` tells that nothing degraded it when it was last seen.
    """

    track_id: int
    box: Floats
    first_box: Floats
    memory: Memory | None = None
    window: int = 0
    validated: int = 0
    lost: int = 0
    lost_probability: float = float("nan")
    smoothing: SmoothingState | None = None
    view: Floats | None = None
    landmarks: Floats | None = None
    looks: FaceThumbnail | None = None
    clean: bool = False


@dataclass(frozen=True)
class SessionState:
    """A session after `step` frames: its faces, oldest first.

    `next_id` is the number of the next new face, `since_detection` counts the frames since the
    detector last ran, `detected_s` is that frame's time, -inf where it is not known. By `scene`
    cuts are seen. Frames are looked at turned by `quarters`, and all that is in pixels is of the
    turned frame; `searches` counts those that found nobody.
    """

    step: int = 0
    next_id: int = 1
    since_detection: int = 0
    faces: tuple[FaceState, ...] = ()
    detected_s: float = float("-inf")
    scene: SceneThumbnail | None = None
    quarters: int = 0
    searches: int = 0

    @classmethod
    def at(cls, boxes: Sequence[Floats]) -> "SessionState":
        """Return a session that starts with faces at given landmark boxes b_0, `(4,)` each, in
        pixels."""
        faces = tuple(
            FaceState(number, np.asarray(box, np.float32), np.asarray(box, np.float32))
            for number, box in enumerate(boxes, start=1)
        )
        return cls(next_id=len(faces) + 1, faces=faces)

    def to_tensors(self) -> dict[str, Array]:
        """Return all of the state but `step`, a prefix for each face: at most 24 KiB a face."""
        turning = (self.quarters, self.searches)
        tensors: dict[str, Array] = {
            "session": np.array([self.next_id, self.since_detection, *turning]),
            "detected_s": np.array([self.detected_s], np.float64),
        }
        if self.scene is not None:
            tensors["scene"] = self.scene.picture
            tensors["unrest"] = np.array([self.scene.unrest], np.float64)
        for index, face in enumerate(self.faces):
            named = _face_to_tensors(face).items()
            tensors.update({f"face{index}.{name}": tensor for name, tensor in named})
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Array], step: int) -> "SessionState":
        """Read the state back; raises KeyError or ValueError for tensors of another making."""
        next_id, since_detection, quarters, searches = tensors["session"].tolist()
        faces: list[FaceState] = []
        # Boxes are the one tensor that every face has.
        while f"face{len(faces)}.boxes" in tensors:
            prefix = f"face{len(faces)}."
            named = {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
            faces.append(_face_from_tensors(named))
        scene = None
        if "scene" in tensors:
            scene = SceneThumbnail(tensors["scene"], tensors["unrest"].item())
        detected_s = tensors["detected_s"].item()
        turning = {"quarters": quarters % 4, "searches": searches}
        return cls(step, next_id, since_detection, tuple(faces), detected_s, scene, **turning)


def _face_to_tensors(face: FaceState) -> dict[str, Array]:
    tensors = {
        "boxes": np.stack([face.box, face.first_box]),
        "counts": np.array([face.track_id, face.window, face.validated, face.lost, face.clean]),
        "lost_probability": np.array([face.lost_probability]),
    }
    if face.view is not None and face.landmarks is not None:
        tensors["view"] = face.view
        tensors["landmarks"] = face.landmarks
    if face.looks is not None:
        tensors["looks"] = face.looks.picture
        tensors["looks.counts"] = np.array(
            [face.looks.time_s, face.looks.unrest, face.looks.age], np.float64
        )
    if face.smoothing is not None:
        tensors["smoothing.values"] = face.smoothing.values
        tensors["smoothing.time_s"] = np.array([face.smoothing.time_s])
    return {**tensors, **(face.memory or {})}


def _face_from_tensors(tensors: Mapping[str, Array]) -> FaceState:
    box, first_box = tensors["boxes"]
    track_id, window, validated, lost, clean = tensors["counts"].tolist()
    smoothing = None
    if "smoothing.values" in tensors:
        values, time_s = tensors["smoothing.values"], tensors["smoothing.time_s"].item()
        smoothing = SmoothingState(values, time_s)
    looks = None
    if "looks" in tensors:
        time_s, unrest, age = tensors["looks.counts"].tolist()
        looks = FaceThumbnail(tensors["looks"], time_s, unrest, int(age))
    return FaceState(
        track_id,
        box,
        first_box,
        {name: tensors[name] for name in MEMORY} if "features" in tensors else None,
        window,
        validated,
        lost,
        tensors["lost_probability"].item(),
        smoothing,
        tensors.get("view"),
        tensors.get("landmarks"),
        looks,
        bool(clean),
    )
