"""Landmarks of other tools, for pictures that come in as arrays; runs where these are installed.

    python peer_worker.py mediapipe|mediapipe-video|dlib|dlib-boxes
    python peer_worker.py facemesh-v2 face_landmarks_detector.tflite

Standard input: a picture `(H, W, 3)` uint8 RGB and a box `(4,)` `(x1, y1, x2, y2)` in its pixels,
again and again. Standard output: points `(P, 2)` in the picture's pixels of the face that lies in
the box most, not a number where none was found. Every array is its length in bytes, then .npy.
"""

import io
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np

MOST_FACES = 4
LANDMARKS = "models/shape_predictor_68_face_landmarks.dat"
# FaceMesh V2: points in all and without the irises, outer corners of the eyes, input, margin.
MESH_POINTS, MESH_FACE, MESH_EYES, MESH_PX, MESH_CONTEXT = 478, 468, (33, 263), 256, 1.5
Find = Callable[[np.ndarray, np.ndarray], np.ndarray]


def mediapipe(is_video: bool) -> Find:
    """The 478 points of MediaPipe's mesh with attention, by its own detector."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    mesh = FaceMesh(static_image_mode=not is_video, refine_landmarks=True, max_num_faces=MOST_FACES)

    def find(image: np.ndarray, box: np.ndarray) -> np.ndarray:
        faces = mesh.process(image).multi_face_landmarks or []
        size = np.array(image.shape[1::-1])
        points = [np.array([(p.x, p.y) for p in face.landmark]) * size - 0.5 for face in faces]
        return chosen(points, box, 478)

    return find


class FaceMesh:
    """The 478 points of FaceMesh V2 in the box that is given, by two looks."""

    def __init__(self, file: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._network = Interpreter(file, num_threads=1)
        self._network.allocate_tensors()

    def find(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Points `(478, 2)`; the second look is at a crop turned upright."""
        level = np.eye(2)
        mesh = self._look(image, box, level)
        x, y = mesh[MESH_EYES[1]] - mesh[MESH_EYES[0]]
        level = np.array([[x, y], [-y, x]]) / np.hypot(x, y)
        upright = mesh[:MESH_FACE] @ level.T
        return self._look(image, np.concatenate([upright.min(0), upright.max(0)]), level)

    def _look(self, image: np.ndarray, box: np.ndarray, level: np.ndarray) -> np.ndarray:
        """One look at a box of the picture that is turned by `level` `(2, 2)`."""
        import cv2

        scale = MESH_PX / (MESH_CONTEXT * float((box[2:] - box[:2]).max()))
        shift = (MESH_PX - 1) / 2 - scale * (box[:2] + box[2:]) / 2
        matrix = np.column_stack([scale * level, shift])
        size = (MESH_PX, MESH_PX)
        crop = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        (given,) = self._network.get_input_details()
        self._network.set_tensor(given["index"], crop[None].astype(np.float32) / 255)
        self._network.invoke()
        answers = [self._network.get_tensor(d["index"]) for d in self._network.get_output_details()]
        points = next(a for a in answers if a.size == 3 * MESH_POINTS).reshape(-1, 3)[:, :2]
        return (points - shift) @ level / scale


def dlib_landmarks() -> Find:
    """dlib's 68 points from the box that is given."""
    import dlib

    spec = find_spec("face_recognition_models")
    assert spec is not None
    assert spec.origin is not None
    predict = dlib.shape_predictor(str(Path(spec.origin).parent / LANDMARKS))

    def find(image: np.ndarray, box: np.ndarray) -> np.ndarray:
        shape = predict(image, dlib.rectangle(*(round(float(value)) for value in box)))
        return np.array([(point.x, point.y) for point in shape.parts()])

    return find


def dlib_boxes() -> Find:
    """Two corners of the box by dlib's own detector."""
    import dlib

    detect = dlib.get_frontal_face_detector()

    def find(image: np.ndarray, box: np.ndarray) -> np.ndarray:
        found = detect(image, 1)
        corners = [np.array([(r.left(), r.top()), (r.right(), r.bottom())]) for r in found]
        return chosen(corners, box, 2)

    return find


def chosen(candidates: list[np.ndarray], box: np.ndarray, count: int) -> np.ndarray:
    """The candidate whose middle lies next to the box's, if it lies in the box at all."""
    middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    away = [float(np.abs((c.mean(axis=0) - middle) / size).max()) for c in candidates]
    if not away or min(away) > 0.5:
        return np.full((count, 2), np.nan)
    return candidates[int(np.argmin(away))]


FINDERS: dict[str, Callable[..., Find]] = {
    "mediapipe": lambda: mediapipe(is_video=False),
    "mediapipe-video": lambda: mediapipe(is_video=True),
    "dlib": dlib_landmarks,
    "dlib-boxes": dlib_boxes,
    "facemesh-v2": lambda file: FaceMesh(file).find,
}


def send(stream: BinaryIO, array: np.ndarray) -> None:
    """Write an array."""
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    stream.write(len(data.getvalue()).to_bytes(8, "little") + data.getvalue())
    stream.flush()


def receive(stream: BinaryIO) -> np.ndarray | None:
    """Read an array, None at the end."""
    length = int.from_bytes(stream.read(8), "little")
    return np.load(io.BytesIO(stream.read(length)), allow_pickle=False) if length else None


def main() -> None:
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the tools print must not get between the arrays
    find = FINDERS[sys.argv[1]](*sys.argv[2:])
    while (image := receive(sys.stdin.buffer)) is not None:
        box = receive(sys.stdin.buffer)
        assert box is not None
        send(out, find(image, box).astype(np.float32))


if __name__ == "__main__":
    main()
