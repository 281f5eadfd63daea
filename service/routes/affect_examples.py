"""Replies of affect to show in the interface's description."""

from typing import Any

MODEL = {"name": "affect", "version": "0.1.0", "sha256": "c41e" + 60 * "0"}
FRAME: dict[str, Any] = {
    "time_s": 1.28,
    "valence": 0.41,
    "arousal": 0.22,
    "quadrant": "positive-active",
    "quadrants": {
        "positive-active": 0.62,
        "negative-active": 0.09,
        "negative-passive": 0.07,
        "positive-passive": 0.22,
    },
    "attention": [0.21, 0.3, 0.49],
    "attention_ages_s": [0.12, 0.08, 0.04],
    "gate": 0.58,
    "used": ["face", "voice"],
    "face": {
        "track_id": 1,
        "status": "tracking",
        "box": [212.0, 138.0, 352.0, 290.0],
        "face_probability": 0.9981,
    },
}
STEP: dict[str, Any] = {
    "status": "ok",
    "step": 33,
    "stored": True,
    "milliseconds": 21.4,
    "model": MODEL,
    "variant": "avi-gas",
    "notes": [],
    "timings_ms": {"decode": 1.9, "face": 9.6, "sound": 1.2, "affect": 7.1},
}
AFFECT_REPLY: dict[str, Any] = {"type": "frame", "seq": None, **FRAME, **STEP}
HEARD_REPLY: dict[str, Any] = {"type": "sound", **STEP}
