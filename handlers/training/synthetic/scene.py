"""One made video: where everything is at a time, and what any window on a frame shows.

Nothing is rendered but what is asked for. A window, such as the crop that a tracker takes, is one
composed warp from the still pictures; frames that are never looked at cost nothing.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from handlers.processing.arrays import Doubles, Floats, Image
from handlers.processing.boxes import Crop
from handlers.processing.degradations import degrade
from handlers.training.synthetic.expressions import Expression, Fields
from handlers.training.synthetic.layers import (
    Light,
    blend,
    covered_area,
    fitting,
    lay,
    paint,
    plane_coordinates,
)
from handlers.training.synthetic.motion import Track, camera_matrix, head_matrix, project
from handlers.training.synthetic.occluders import SPRITE_PX, Occluder
from handlers.training.synthetic.stills import Still

PX_A_SUBFRAME = 2.0  # motion blur samples as finely as this, up to
MOST_SUBFRAMES = 12


@dataclass(frozen=True)
class Degradation:
    """A degradation of the whole video, as `processing.degradations` names it; clean is none."""

    name: str
    level: float


class Window(NamedTuple):
    """A part of a frame: the 3 x 3 map from frame pixels to the window's, and its size."""

    matrix: Doubles
    width: int
    height: int


class Truth(NamedTuple):
    """Landmarks float32 `(68, 2)` in frame pixels, and the shares of them that the frame holds
    and that something covers, both in [0, 1]."""

    points: Floats
    inside: float
    covered: float


class FaceLayer(NamedTuple):
    """An RGBA picture of the face and, where it is not warped yet, the fields to warp it by."""

    picture: Image
    fields: Fields | None


@dataclass(frozen=True, eq=False)
class Scene:
    """A face, what it does, and the world around it.

    `width`, `height` are the frame's in pixels, `face_px` the face's width in the frame when the
    pose's scale is 1, `exposure` the share of a frame's time that the shutter is open, `backdrop`
    any picture with its 3 x 3 map into the frame; `parallax` is how much of the camera's motion
    it takes part in.
    """

    still: Still
    expression: Expression
    pose: Track
    camera: Track
    occluders: tuple[Occluder, ...]
    light: Light
    backdrop: Image
    backdrop_matrix: Doubles
    parallax: float
    exposure: float
    degradation: Degradation | None
    face_px: float
    width: int
    height: int
    frames: int
    seed: int

    def truth(self, frame: int) -> Truth:
        """Return the landmarks of a frame, at the middle of its exposure."""
        moved = self.expression.move(self.still.points, frame)
        points = project(self._face_matrix(frame), moved)
        inside = ((points >= 0) & (points <= (self.width - 1, self.height - 1))).all(axis=1)
        covered = np.zeros(len(points), bool)
        for occluder in self.occluders:
            matrix = self._occluder_matrix(occluder, frame)
            inverse = np.asarray(np.linalg.inv(matrix), np.float64)
            at = np.rint(project(inverse, points)).astype(np.int64)
            on = ((at >= 0) & (at < SPRITE_PX)).all(axis=1)
            # Those beside the sprite need some place to be read from; `on` leaves them out.
            at = np.clip(at, 0, SPRITE_PX - 1)
            covered |= on & (occluder.sprite[at[:, 1], at[:, 0], 3] > 127)
        return Truth(points.astype(np.float32), float(inside.mean()), float(covered.mean()))

    def frame(self, index: int) -> Image:
        """Return a whole frame, uint8 RGB `(height, width, 3)`."""
        return self.render(index, Window(np.eye(3), self.width, self.height))

    def look(self, index: int, crop: Crop) -> Image:
        """Render a crop of a frame, uint8 RGB `(S, S, 3)`."""
        return self.render(
            index, Window(np.vstack([crop.matrix(), [0, 0, 1]]), crop.size, crop.size)
        )

    def render(self, frame: int, window: Window) -> Image:
        """Render a window on a frame, uint8 RGB."""
        times = self._subframes(frame, window)
        face = self._face_layer(frame, still=len(times) <= 2)
        if len(times) == 1:
            image = self._moment(float(times[0]), face, window)
        else:
            total = np.zeros((window.height, window.width, 3), np.float32)
            for time in times:
                cv2.accumulate(self._moment(float(time), face, window), total)
            # With a half more the conversion rounds; alone it cuts off.
            image = (total / len(times) + 0.5).astype(np.uint8)
        return self._finish(image, frame, window)

    def _subframes(self, frame: int, window: Window) -> Doubles:
        """Return the times `(N,)` that an exposure is the mean of: more, the faster the
        face moves."""
        ends = np.array([-0.5, 0.5]) * self.exposure + frame
        corners = self.still.centre + self.still.unit * np.array([[-0.5, -0.5], [0.5, 0.5]])
        first, last = (
            project(window.matrix @ self._face_matrix(float(end)), corners) for end in ends
        )
        way = float(np.linalg.norm(last - first, axis=1).max())
        count = int(np.clip(np.ceil(way / PX_A_SUBFRAME), 1, MOST_SUBFRAMES))
        return frame + self.exposure * ((np.arange(count) + 0.5) / count - 0.5)

    def _face_layer(self, frame: int, still: bool) -> FaceLayer:
        """Return the face of a frame: its still picture and how to warp it, or the picture warped
        once.

        One composed warp is sharper, warping first is quicker where many subframes follow.
        """
        fields = self.expression.fields(frame)
        if still:
            return FaceLayer(self.still.picture, fields)
        whole = slice(0, self.still.size)
        origin = self.expression.origin(*plane_coordinates(np.eye(3), (whole, whole)), fields)
        return FaceLayer(paint(self.still.picture, origin), None)

    def _moment(self, time: float, face: FaceLayer, window: Window) -> Image:
        """Return a window at one instant, before light and noise."""
        image = self._background(time, window)
        self._lay_face(image, time, face, window)
        for occluder in self.occluders:
            matrix = window.matrix @ self._occluder_matrix(occluder, time)
            lay(image, occluder.sprite, matrix)
        return image

    def _background(self, time: float, window: Window) -> Image:
        camera = self.camera.at(np.array([time]))[0] * self.parallax
        matrix = camera_matrix(camera, self._middle, self.face_px) @ self.backdrop_matrix
        return np.asarray(
            cv2.warpPerspective(
                self.backdrop,
                window.matrix @ matrix,
                (window.width, window.height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            ),
            np.uint8,
        )

    def _lay_face(self, image: Image, time: float, face: FaceLayer, window: Window) -> None:
        matrix = window.matrix @ self._face_matrix(time)
        if face.fields is None:
            lay(image, face.picture, matrix)
            return
        area = covered_area(matrix, len(face.picture), image.shape)
        if area is not None:
            inverse = np.asarray(np.linalg.inv(matrix), np.float64)
            x, y = plane_coordinates(inverse, area)
            origin = self.expression.origin(x, y, face.fields)
            blend(image[area], paint(*fitting(face.picture, matrix, origin)))

    def _finish(self, image: Image, frame: int, window: Window) -> Image:
        """Apply degradation, light and noise."""
        matrix = window.matrix @ self._face_matrix(frame)
        centre, right = project(matrix, self.still.centre + [[0, 0], [self.still.unit, 0]])
        unit = max(float(np.linalg.norm(right - centre)), 1.0)
        # By the frame: it looks the same in whatever order frames are rendered.
        seed = [self.seed, frame]
        if self.degradation is not None:
            rng = np.random.default_rng(seed)
            image = degrade(image, self.degradation.name, self.degradation.level, rng, unit)
        return self.light.shine(image, frame, (float(centre[0]), float(centre[1])), unit, seed)

    @property
    def _middle(self) -> Doubles:
        return np.array([(self.width - 1) / 2, (self.height - 1) / 2])

    def _camera_matrix(self, time: float) -> Doubles:
        return camera_matrix(self.camera.at(np.array([time]))[0], self._middle, self.face_px)

    def _occluder_matrix(self, occluder: Occluder, time: float) -> Doubles:
        matrix = occluder.matrix(time, self._middle, self.face_px)
        return np.asarray(self._camera_matrix(time) @ matrix)

    def _face_matrix(self, time: float) -> Doubles:
        """Return the 3 x 3 map from the still's pixels to the frame's."""
        head = head_matrix(self.pose.at(np.array([time]))[0], self._middle, self.face_px)
        to_widths = np.eye(3) / self.still.unit
        to_widths[:2, 2] = -self.still.centre / self.still.unit
        to_widths[2, 2] = 1.0
        return np.asarray(self._camera_matrix(time) @ head @ to_widths)
