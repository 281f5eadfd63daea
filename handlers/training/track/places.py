"""Places that FV learns to tell apart: landmarks on a face, beside one, or where there is none."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from handlers.processing.arrays import Doubles, Floats, Image
from handlers.processing.landmarks import REGIONS
from handlers.training.synthetic.layers import lay
from handlers.training.synthetic.motion import similarity
from handlers.training.synthetic.occluders import SPRITE_PX, paint_hand
from handlers.training.synthetic.scene import Scene, Truth
from handlers.training.synthetic.stills import Stills

RIGHT, WRONG = 0.085, 0.16  # errors in widths of the face: at most, at least
COVERED = 0.75  # of the landmarks: what hides more is no face, half of it is no matter
MISPLACED = ("shifted", "scaled", "turned", "scrambled", "background", "cut")
KINDS = ("face", *MISPLACED, "covered", "lure")
Paint = Callable[[np.random.Generator, int], Image]
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
LETTERS = list("ABCDEFGHIKLMNOPRSTUVWXYZaeiounrst0123456789 .:!")


def place(
    rng: np.random.Generator, scene: Scene, truth: Truth, stills: Stills
) -> tuple[Floats, str | None]:
    """Return landmarks somewhere in a frame and the kind of that place; None where it is unclear.

    Half of them follow the face with a tracker's errors.
    """
    points = truth.points.astype(np.float64)
    kind = "face" if rng.random() < 0.55 else str(rng.choice(MISPLACED))
    shape = another_shape(rng, points, stills) if rng.random() < 0.7 else points
    if kind == "face":
        found = with_errors(rng, points, shape)
    elif kind == "background":
        found = beside(rng, shape, scene)
    elif kind == "cut":
        found = anywhere(rng, shape)
    else:
        found = misplace(rng, kind, with_errors(rng, points, shape))
    error = float(np.linalg.norm(found - points, axis=1).mean() / scale_of(points))
    if kind == "face" and truth.covered > COVERED:
        kind = "covered"
    unclear = (
        error > RIGHT or truth.inside < 0.9 or 0.5 < truth.covered <= COVERED
        if kind == "face"
        else error < WRONG and kind != "covered"
    )
    return found.astype(np.float32), None if unclear else kind


def with_errors(rng: np.random.Generator, points: Doubles, shape: Doubles) -> Doubles:
    """Return landmarks as BT finds them: a little off in place and size, and drawn to another
    shape."""
    unit = scale_of(points)
    found = points + rng.uniform(0, 0.5) * (shape - points)
    found = transform(
        found, rng.normal(0, 0.03, 2) * unit, np.exp(rng.normal(0, 0.04)), rng.normal(0, 0.05)
    )
    for region in REGIONS.values():
        found[region] += rng.normal(0, 0.012, 2) * unit
    return found + rng.normal(0, 0.006, found.shape) * unit


def misplace(rng: np.random.Generator, kind: str, points: Doubles) -> Doubles:
    """Return landmarks shifted, scaled, turned or scrambled until they are wrong."""
    unit, still = scale_of(points), np.zeros(2)
    if kind == "shifted":
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.18, 1.1) * unit
        return transform(points, length * np.array([np.cos(angle), np.sin(angle)]), 1.0, 0.0)
    if kind == "scaled":
        factor = np.exp(rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.0))
        return transform(points, rng.normal(0, 0.1, 2) * unit, factor, 0.0)
    if kind == "turned":
        return transform(points, still, 1.0, rng.choice([-1.0, 1.0]) * rng.uniform(0.6, np.pi))
    found = points.copy()
    for region in REGIONS.values():
        found[region] += rng.normal(0, rng.uniform(0.1, 0.35), 2) * unit
    return found + rng.normal(0, rng.uniform(0.02, 0.2), found.shape) * unit


def beside(rng: np.random.Generator, shape: Doubles, scene: Scene) -> Doubles:
    """Return a face's shape in another place of the frame, of another size."""
    box = np.concatenate([shape.min(axis=0), shape.max(axis=0)])
    middle, sides = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    angle = rng.uniform(0, 2 * np.pi)
    ray = np.array([np.cos(angle), np.sin(angle)])
    away = ray / np.abs(ray).max() * sides * rng.uniform(1.0, 2.2)
    found = transform(shape, away, np.exp(rng.normal(0, 0.3)), rng.normal(0, 0.2))
    limit = (scene.width, scene.height)
    return np.asarray(found - (middle + away) + np.clip(middle + away, 0, limit))


def anywhere(rng: np.random.Generator, shape: Doubles) -> Doubles:
    """Return the face of the scene before a cut: another shape, about where this one is."""
    away = rng.uniform(-1.5, 1.5, 2) * np.ptp(shape, axis=0)
    return transform(shape, away, np.exp(rng.normal(0, 0.4)), rng.normal(0, 0.3))


def another_shape(rng: np.random.Generator, points: Doubles, stills: Stills) -> Doubles:
    """Return another face's landmarks where these are: same place, size and direction."""
    here, other = points @ (1, 1j), stills.draw(rng).points @ (1, 1j)
    spread = other - other.mean()
    moved = here.mean() + spread * np.vdot(spread, here) / np.vdot(spread, spread)
    return np.stack([moved.real, moved.imag], axis=1)


def transform(points: Doubles, shift: Doubles, scale: float, angle: float) -> Doubles:
    """Return points scaled and turned about their box's middle, then shifted."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turned = (points - middle) @ np.array([[cosine, sine], [-sine, cosine]])
    return np.asarray(turned + middle + shift)


def scale_of(points: Doubles) -> float:
    """Return the width of a face: the root of the area of its landmark box."""
    return float(np.sqrt(np.prod(np.ptp(points, axis=0))))


def without_face(rng: np.random.Generator, scene: Scene) -> Scene:
    """Return the scene with nobody in it, before a painted picture or the one that it has."""
    nobody = replace(scene.still, picture=np.zeros_like(scene.still.picture))
    if rng.random() < 0.2:
        return replace(scene, still=nobody)
    picture = PAINTINGS[int(rng.integers(len(PAINTINGS)))](rng, len(scene.backdrop))
    return replace(scene, still=nobody, backdrop=picture)


def lettering(rng: np.random.Generator, size: int) -> Image:
    """Draw lines of letters."""
    picture = gradient(rng, size)
    height = rng.uniform(0.05, 0.25) * size
    for baseline in np.arange(height, size + height, 1.5 * height):
        text = "".join(rng.choice(LETTERS, int(rng.integers(3, 25))))
        cv2.putText(
            picture,
            text,
            (int(rng.uniform(-0.2, 0.3) * size), int(baseline)),
            int(rng.choice(FONTS)),
            height / 22,
            colour(rng),
            max(1, int(height * rng.uniform(0.05, 0.2))),
            cv2.LINE_AA,
        )
    return picture


def sky(rng: np.random.Generator, size: int) -> Image:
    """Draw clouds before a gradient."""
    clouds = np.clip(noise(rng, size, 6) * rng.uniform(0.3, 1.2), 0, 1)[..., None]
    return np.asarray(gradient(rng, size) * (1 - clouds) + 235 * clouds, np.uint8)


def plants(rng: np.random.Generator, size: int) -> Image:
    """Draw leaves, and the stems between them."""
    picture = gradient(rng, size)
    green = np.array([90, 140, 60]) * rng.uniform(0.4, 1.4) + rng.uniform(-40, 40, 3)
    length = rng.uniform(0.03, 0.15) * size
    for _ in range(int(rng.integers(60, 250))):
        shade = np.clip(green * rng.uniform(0.4, 1.5), 0, 255).tolist()
        x, y = (int(value) for value in rng.uniform(0, size, 2))
        axes = (int(length) + 1, int(length * rng.uniform(0.15, 0.5)) + 1)
        cv2.ellipse(picture, (x, y), axes, rng.uniform(0, 360), 0, 360, shade, cv2.FILLED)
        if rng.random() < 0.2:
            end = (x + int(rng.normal(0, 3) * length), y + int(rng.normal(0, 3) * length))
            cv2.line(picture, (x, y), end, shade, 1 + int(length / 12), cv2.LINE_AA)
    return picture


def cloth(rng: np.random.Generator, size: int) -> Image:
    """Draw folds, with dots, stripes or checks on them."""
    y, x = np.mgrid[:size, :size] / size
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(3, 25)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    bent = noise(rng, size, 3) * rng.uniform(0, 0.08)
    waves = np.sin(2 * np.pi * pitch * (along + bent)), np.sin(2 * np.pi * pitch * (across + bent))
    kind = rng.integers(4)
    pattern = (waves[0] > 0, waves[0] * waves[1] > 0, waves[0] + waves[1] > 1, x < 0)[kind]
    shade = 1 + 0.4 * np.sin(2 * np.pi * rng.uniform(1, 6) * (across + 2 * bent))[..., None]
    colours = np.where(pattern[..., None], colour(rng), colour(rng))
    woven: Image = np.clip(colours * shade, 0, 255).astype(np.uint8)
    return woven


def hands(rng: np.random.Generator, size: int) -> Image:
    """Draw a hand or several, of all sizes."""
    picture = gradient(rng, size)
    for _ in range(int(rng.integers(1, 5))):
        matrix = similarity(rng.uniform(0.4, 1.6) * size / SPRITE_PX, rng.uniform(-np.pi, np.pi))
        middle = matrix[:2, :2] @ np.full(2, SPRITE_PX / 2)
        matrix[:2, 2] = rng.uniform(0.1, 0.9, 2) * size - middle
        lay(picture, paint_hand(rng, picture), matrix)
    return picture


def fur(rng: np.random.Generator, size: int) -> Image:
    """Draw fur, and often two dark eyes and a nose: an animal."""
    hair = rng.normal(0, 1, (size, size)).astype(np.float32)
    length = int(rng.integers(3, 15))
    strands = cv2.filter2D(hair, -1, np.eye(length, dtype=np.float32) / np.sqrt(length))
    patches = noise(rng, size, 4)[..., None] > rng.uniform(-1, 1)
    coat = np.array([150, 110, 70])
    colours = np.where(patches, coat * rng.uniform(0.2, 1.6), coat + rng.uniform(-60, 100, 3))
    picture = np.clip(colours + 25 * strands[..., None], 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        x, y = rng.uniform(0.3, 0.7, 2) * size
        apart, radius = rng.uniform(0.08, 0.2) * size, int(rng.uniform(0.02, 0.05) * size) + 1
        for side in (-1, 1):
            eye = (int(x + side * apart), int(y))
            cv2.circle(picture, eye, radius, colour(rng), cv2.FILLED, cv2.LINE_AA)
            cv2.circle(picture, eye, max(radius // 2, 1), (10, 10, 10), cv2.FILLED, cv2.LINE_AA)
        nose = (int(x), int(y + apart * rng.uniform(0.8, 1.6)))
        cv2.ellipse(picture, nose, (2 * radius, radius), 0, 0, 360, (30, 20, 20), cv2.FILLED)
    return picture


PAINTINGS: tuple[Paint, ...] = (lettering, sky, plants, cloth, hands, fur)


def gradient(rng: np.random.Generator, size: int) -> Image:
    """Return one colour above that becomes another below."""
    share = np.linspace(0, 1, size)[:, None, None]
    picture = np.array(colour(rng)) * share + np.array(colour(rng)) * (1 - share)
    return np.ascontiguousarray(np.broadcast_to(picture, (size, size, 3)), dtype=np.uint8)


def noise(rng: np.random.Generator, size: int, octaves: int) -> Floats:
    """Smooth noise of `octaves` scales, about in [-1, 1]."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        small = rng.normal(0, 1, (2 ** (octave + 1) + 1,) * 2).astype(np.float32)
        total += cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC) / 2**octave
    return np.asarray(total / 2, np.float32)


def colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue
