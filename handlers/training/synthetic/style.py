"""Ranges of what happens in made videos, and the drawing of one of them from a generator alone."""

from dataclasses import dataclass

import cv2
import numpy as np
from pydantic import ConfigDict

from handlers.processing.arrays import Doubles, Image
from handlers.processing.degradations import LEVELS
from handlers.training.synthetic.expressions import draw_expression
from handlers.training.synthetic.layers import draw_light
from handlers.training.synthetic.motion import draw_camera, draw_pose, similarity
from handlers.training.synthetic.occluders import Occluder, draw_occluder
from handlers.training.synthetic.scene import Degradation, Scene
from handlers.training.synthetic.stills import Still, Stills, cut_out

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """Families, ranges and probabilities (`covered`, `leaving`, `degraded`, `tight`).

    Of `motions` and `occluders` one is drawn a video; a degradation has one of the thesis's
    levels. `speed` multiplies time, `liveliness` the expressions, `camera` the camera's motion,
    `drift` that of the light; `gain` is the range of the light's strength, `exposure` that of the
    share of a frame's time with an open shutter, `noise` the sensor's in grey levels, `face_px`
    the face's width in the frame, `defocus` the background's blur in shares of its width. `tight`
    cuts the head out of its photograph.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    motions: tuple[str, ...] = ("sway", "sway", "wander", "jerk", "still")
    occluders: tuple[str, ...] = ("box", "strip", "ellipse", "hand", "hand")
    degradations: tuple[str, ...] = ("blur", "downsampling", "noise")
    speed: Range = (0.5, 2.5)
    face_px: Range = (70.0, 200.0)
    liveliness: Range = (0.0, 1.0)
    camera: Range = (0.0, 1.0)
    drift: Range = (0.0, 1.0)
    gain: Range = (0.35, 1.2)
    exposure: Range = (0.0, 0.9)
    noise: Range = (0.0, 8.0)
    defocus: Range = (0.0, 0.06)
    covered: float = 0.4
    leaving: float = 0.0
    degraded: float = 0.2
    tight: float = 0.35
    width: int = 640
    height: int = 480


def draw_scene(rng: np.random.Generator, stills: Stills, style: Style, frames: int) -> Scene:
    """Draw a video of a random face of `stills` before another picture of theirs."""
    still = stills.draw_whole(rng)
    if rng.random() < 0.5:
        still = still.mirrored()
    return make_scene(rng, still, stills.draw(rng), style, frames)


def make_scene(
    rng: np.random.Generator, still: Still, other: Still, style: Style, frames: int
) -> Scene:
    """Make a video of `frames` frames of one face; `other` gives backgrounds and textures."""
    if rng.random() < style.tight:
        still = cut_out(still)
    face_px = float(np.exp(rng.uniform(*np.log(style.face_px))))
    speed = float(np.exp(rng.uniform(*np.log(style.speed))))
    away = (style.width / face_px + 2.0) / 2 if rng.random() < style.leaving else None
    pose = draw_pose(rng, str(rng.choice(style.motions)), frames, speed, away)
    lively = float(rng.uniform(*style.liveliness))
    backdrop = _draw_backdrop(rng, other, style)
    light = draw_light(
        rng,
        frames,
        drift=float(rng.uniform(*style.drift)),
        gain=style.gain,
        noise=float(rng.uniform(*style.noise)) * (rng.random() < 0.5),
    )
    return Scene(
        still=still,
        expression=draw_expression(rng, still.points, still.size, frames, lively, pose),
        pose=pose,
        camera=draw_camera(rng, frames, speed, float(rng.uniform(*style.camera))),
        occluders=_draw_occluders(rng, style, other, pose.values[:, :2], frames),
        light=light,
        backdrop=backdrop,
        backdrop_matrix=_draw_place(rng, len(backdrop), style),
        parallax=float(rng.uniform(0.3, 1.0)),
        exposure=float(rng.uniform(*style.exposure)),
        degradation=_draw_degradation(rng, style),
        face_px=face_px,
        width=style.width,
        height=style.height,
        frames=frames,
        seed=int(rng.integers(2**31)),
    )


def _draw_backdrop(rng: np.random.Generator, other: Still, style: Style) -> Image:
    """Draw another photograph on its side or on its head and out of focus, so that it shows no
    face."""
    turned = np.ascontiguousarray(np.rot90(other.picture[..., :3], int(rng.integers(1, 4))))
    radius = round(float(rng.uniform(*style.defocus)) * len(turned))
    for _ in range(2 if radius else 0):
        turned = np.asarray(cv2.blur(turned, (2 * radius + 1, 2 * radius + 1)), np.uint8)
    return turned


def _draw_occluders(
    rng: np.random.Generator, style: Style, other: Still, places: Doubles, frames: int
) -> tuple[Occluder, ...]:
    if rng.random() >= style.covered:
        return ()
    kind = str(rng.choice(style.occluders))
    count = 1 + int(rng.integers(0, 2)) + frames // 90
    return tuple(draw_occluder(rng, kind, other.picture, places, frames) for _ in range(count))


def _draw_degradation(rng: np.random.Generator, style: Style) -> Degradation | None:
    if rng.random() >= style.degraded:
        return None
    name = str(rng.choice(style.degradations))
    return Degradation(name, float(rng.choice(LEVELS[name])))


def _draw_place(rng: np.random.Generator, size: int, style: Style) -> Doubles:
    """Draw a background's map into the frame: it fills it, or is larger, turned a little."""
    zoom = style.width / size * rng.uniform(0.6, 1.6)
    matrix = similarity(zoom, rng.uniform(-0.3, 0.3))
    middle = np.array([style.width, style.height]) / 2
    matrix[:2, 2] = middle - matrix[:2, :2] @ (rng.uniform(0.3, 0.7, 2) * size)
    return matrix
