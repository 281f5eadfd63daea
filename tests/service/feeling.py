"""A model of affect that only counts: its state tells what it was given to see and to hear."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

from service.affect.sounds import to_samples
from service.errors import refusal
from service.inference import Answer, Question, Readiness
from service.media.clips.contents import RATE_HZ
from service.schemas import POINTS
from tests.service.fake_inference import FakeInference

STATE = struct.Struct("<4sIIqd")
MAGIC = b"aff1"
AFFECT = "affect"
NOTHING_HEARD = -(2**40)


class CountingAffect(FakeInference):
    """Its state holds the moments so far, a checksum of all frames and sound in the order that a
    session has them, the end of what was heard, and the last time.

    A photograph's faces all get one estimate, and `photographs` keeps what was asked of them.
    `heard` and `moments` are what all questions held; a step waits for `release`, if there is one,
    once it has begun; from the step `fails_at` on every one fails. While `deaf` it hears nothing.
    """

    def __init__(self, magic: bytes = MAGIC) -> None:
        super().__init__()
        self.magic = magic
        self.models: tuple[str, ...] = ("align", "track", AFFECT)
        self.absent: dict[str, str] = {}
        self.heard: list[tuple[int, bytes]] = []
        self.moments: list[tuple[float, object]] = []
        self.photographs: list[Question] = []
        self.last: Question | None = None
        self.steps = 0
        self.fails_at: int | None = None
        self.deaf = False

    @property
    def heard_samples(self) -> int:
        """How much sound all questions held."""
        return sum(len(pcm) // 2 for _, pcm in self.heard)

    async def readiness(self) -> Readiness:
        reason = None if self.ready else "still loading"
        return Readiness(self.ready, "cpu", self.models, reason, self.absent)

    async def ask(self, model: str, question: Question) -> Answer:
        if model != AFFECT:
            return await super().ask(model, question)
        self.last = question
        self.steps += 1
        self.asked.set()
        if self.release is not None:
            await self.release.wait()
        if self.error is not None:
            raise self.error
        if self.fails_at is not None and self.steps >= self.fails_at:
            raise refusal("overloaded", "the worker has too much to do")
        if "boxes" in question.inputs:
            self.photographs.append(question)
            return photograph(len(question.inputs["boxes"]))
        return self._count(question)

    def _count(self, question: Question) -> Answer:
        empty = STATE.pack(self.magic, 0, 0, NOTHING_HEARD, -1.0)
        magic, count, checksum, end, last_s = STATE.unpack(question.state or empty)
        reset = magic != self.magic
        if reset:
            _, count, checksum, end, last_s = STATE.unpack(empty)
        end, checksum = self._hear(question.inputs["sound"], end, checksum)
        frames = []
        moments = zip(question.inputs["frames"], question.inputs["times_s"], strict=True)
        for frame, time_s in moments:
            if isinstance(frame, bytes) and frame.endswith(b"CUT"):
                raise refusal("truncated-image", "the picture is cut short")
            if time_s <= last_s:
                raise refusal("invalid-time", f"{time_s} came after {last_s}")
            self.moments.append((time_s, frame))
            seen = b"" if frame is None else frame["data"] if isinstance(frame, dict) else frame
            checksum = zlib.crc32(seen + struct.pack("<d", time_s), checksum)
            count, last_s = count + 1, time_s
            frames.append(moment(time_s, count, frame is not None, end, checksum))
        state = STATE.pack(self.magic, count, checksum, end, last_s)
        return Answer(outputs(frames, "reset" if reset else "ok"), state)

    def _hear(self, sound: dict[str, Any] | None, end: int, checksum: int) -> tuple[int, int]:
        if sound is None or self.deaf:
            return end, checksum
        pcm = sound["pcm"]
        assert (pcm["dtype"], pcm["shape"]) == ("int16", [len(pcm["data"]) // 2])
        self.heard.append((sound["start"], pcm["data"]))
        return sound["start"] + len(pcm["data"]) // 2, zlib.crc32(pcm["data"], checksum)


def photograph(faces: int) -> Answer:
    """Return an estimate a face, all the same."""
    estimate = {"valence": 0.5, "arousal": 0.25, "quadrant": "positive-active"}
    told = {"variant": "face-voice", "notes": [], "timings_ms": {}}
    model = {"name": AFFECT, "version": "1", "sha256": 64 * "0"}
    found = [{**estimate, "expressions": None, "confidence": 0.8} for _ in range(faces)]
    return Answer({**told, "model": model, "faces": found}, None)


def moment(time_s: float, count: int, seen: bool, end: int, checksum: int) -> dict[str, Any]:
    """Return a frame's answer: valence is made of the checksum, arousal of what was heard."""
    voice = end > to_samples(time_s) - RATE_HZ
    return {
        "time_s": time_s,
        "valence": (checksum & 0xFFFF) / 0xFFFF if seen or voice else None,
        "arousal": max(-1.0, min(1.0, end / RATE_HZ - time_s)) if voice else None,
        "quadrant": "positive-active",
        "quadrants": {"positive-active": 0.75, "negative-active": 0.25},
        "attention": [1 / min(count, 8)] * min(count, 8),
        "attention_ages_s": [0.04 * (n + 1) for n in reversed(range(min(count, 8)))],
        "gate": 0.5 if seen and voice else 1.0 if seen else 0.0,
        "used": ["face"] * seen + ["voice"] * voice,
        "face": {
            "track_id": 1,
            "status": "tracking",
            "box": [10.0, 8.0, 30.0, 32.0],
            "landmarks": [[20.0, 20.0]] * POINTS,
            "face_probability": 0.5,
        }
        if seen
        else None,
    }


def outputs(frames: Sequence[dict[str, Any]], status: str = "ok") -> dict[str, Any]:
    """Return what the model says of a run of moments."""
    return {
        "model": {"name": AFFECT, "version": "1", "sha256": 64 * "0"},
        "variant": "avi-gas",
        "status": status,
        "notes": [],
        "timings_ms": {"affect": 1.0},
        "frames": list(frames),
    }
