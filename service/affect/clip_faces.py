"""A few small faces out of a clip of any length, evenly over what has been seen of it."""

import base64
import io

from PIL import Image

from service.affect.clip import Look
from service.affect.clip_timeline import Face

MOST = 10
FIRST_INTERVAL_S = 0.5
SIDE = 56  # pixels
MARGIN = 0.15  # of the box, on every side


class FaceStrip:
    """Keeps a face an interval; when there are too many, every other one goes."""

    def __init__(self) -> None:
        self.faces: list[Face] = []
        self._interval_s = FIRST_INTERVAL_S
        self._next_s = float("-inf")

    def add(self, look: Look) -> None:
        """Look at one moment; its face is kept where one is due."""
        if look.frame.time_s < self._next_s or "face" not in look.frame.used:
            return
        if (picture := _cut_out(look)) is None:
            return
        self.faces.append(Face(look.frame.time_s, picture))
        if len(self.faces) > MOST:
            self.faces = self.faces[::2]
            self._interval_s *= 2
        self._next_s = self.faces[-1].time_s + self._interval_s


def _cut_out(look: Look) -> str | None:
    """Return the face as a small JPEG's data URL."""
    picture, face = look.picture, look.frame.face
    if picture is None or face is None:
        return None
    x1, y1, x2, y2 = ((at + 0.5) * picture.scale - 0.5 for at in face.box)
    most = max(picture.width, picture.height)
    half = min(max(x2 - x1, y2 - y1) * (0.5 + MARGIN), most)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    whole = Image.frombuffer("RGB", (picture.width, picture.height), picture.rgb)
    box = (round(x - half), round(y - half), round(x + half), round(y + half))
    if box[2] <= box[0]:
        return None
    small = whole.crop(box).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    data = io.BytesIO()
    small.save(data, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
