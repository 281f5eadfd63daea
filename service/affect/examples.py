"""Replies of affect to show in the interface's description."""

from typing import Any

from service.align.examples import TRACKED_FACE

MODEL = {"name": "affect", "version": "0.1.0", "sha256": "c41e" + 60 * "0"}
FRAME: dict[str, Any] = {
    "time_s": 1.28,
    "valence": 0.41,
    "arousal": 0.22,
    "quadrant": "positive-active",
    "quadrants": None,
    "attention": [],
    "attention_ages_s": [],
    "gate": 0.5,
    "used": ["face", "voice"],
    "face": TRACKED_FACE,
    "expressions": {
        "neutral": 0.31,
        "happiness": 0.52,
        "surprise": 0.09,
        "sadness": 0.02,
        "anger": 0.01,
        "disgust": 0.01,
        "fear": 0.01,
        "contempt": 0.03,
    },
    "confidence": 0.83,
    "others": [],
    "voice": None,
}
STEP: dict[str, Any] = {
    "status": "ok",
    "step": 33,
    "stored": True,
    "milliseconds": 21.4,
    "model": MODEL,
    "variant": "face-voice",
    "notes": [],
    "timings_ms": {"decode": 1.9, "face": 9.6, "sound": 1.2, "affect": 7.1},
}
AFFECT_REPLY: dict[str, Any] = {"type": "frame", "sequence": None, **FRAME, **STEP}
HEARD_REPLY: dict[str, Any] = {"type": "sound", **STEP}
CLIP: dict[str, Any] = {
    "format": "mp4",
    "duration_s": 10.0,
    "width": 640,
    "height": 480,
    "rotation_deg": 0,
    "decoded_frames": 250,
    "expected_frames": 250,
    "used_frames": 250,
    "sound": {
        **{"sample_rate_hz": 48000, "channels": 2, "decoded_s": 10.0, "expected_s": 10.0},
        **{"level_dbfs": -23.4, "peak_dbfs": -3.1, "band_hz": 11025.0},
    },
    "complete": True,
}
SUMMARY: dict[str, Any] = {
    "valence": {"mean": 0.31, "std": 0.18, "min": -0.12, "max": 0.66},
    "arousal": {"mean": 0.16, "std": 0.21, "min": -0.35, "max": 0.52},
    "seconds": {
        "positive-active": 6.4,
        "negative-active": 0.7,
        "negative-passive": 0.4,
        "positive-passive": 1.1,
        "neutral": 1.4,
    },
    "share_with_face": 0.98,
    "share_with_voice": 0.71,
    "gate_mean": 0.64,
}
HEAD: dict[str, Any] = {"model": MODEL, "variant": "face-voice", "rate_hz": 25.0}
TAIL: dict[str, Any] = {
    "status": "ok",
    "notes": [],
    "timings_ms": {
        "open": 204.5,
        "read": 412.0,
        "hear": 41.9,
        "track": 6145.6,
        "encode": 804.3,
        "estimate": 167.6,
        "ask": 7508.5,
        "total": 8047.4,
    },
}
MOMENT: dict[str, Any] = {"frame": 33, **FRAME}
CLIP_REPLY: dict[str, Any] = {**HEAD, **TAIL, "clip": CLIP, "frames": [MOMENT], "summary": SUMMARY}
_NOT_YET = {"decoded_frames": None, "used_frames": None, "complete": None}
LINES: list[dict[str, Any]] = [
    {"type": "clip", **HEAD, **CLIP, **_NOT_YET},
    {"type": "frame", **MOMENT},
    {"type": "summary", **SUMMARY, **TAIL, "clip": CLIP},
]
