"""The shipped tracker through the embedded models: sessions in one batch are as sessions alone."""

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.inference import Answer, Question
from service.inference.loading import Loaded
from service.inference.local import LocalInference

pytest.importorskip("handlers.track")

from handlers.track import TrackHandler

ROOT = Path(__file__).parents[2]
STORE = ROOT / "model_store"
PORTRAIT = Image.open(ROOT / "tests" / "assets" / "astronaut.jpg").convert("RGB")
SESSIONS, STEPS = 5, 3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.skipif(not (STORE / "dcrt").is_dir(), reason="no weights are shipped yet"),
]


def frame(session: int, step: int) -> bytes:
    """The portrait, elsewhere in each session, and moving a little."""
    left = 8 * session + 2 * step
    data = io.BytesIO()
    PORTRAIT.crop((left, 0, left + 400, 400)).resize((200, 200)).save(data, "JPEG", quality=95)
    return data.getvalue()


async def live(local: LocalInference, session: int) -> list[Answer]:
    """One session from its start."""
    answers: list[Answer] = []
    for number in range(STEPS):
        state = answers[-1].state if answers else None
        inputs = {"image": frame(session, number), "time_s": number / 25}
        answers.append(await local.ask("track", Question(inputs, {}, state)))
    return answers


def face(answer: Answer) -> dict[str, Any]:
    (found,) = answer.outputs["faces"]
    return dict(found)


async def test_sessions_in_one_batch_see_what_they_see_alone():
    local = LocalInference(lambda: Loaded("cpu", {"track": TrackHandler(STORE)}))
    await local.open()
    together = await asyncio.gather(*(live(local, session) for session in range(SESSIONS)))
    alone = [await live(local, session) for session in range(SESSIONS)]
    await local.close()
    assert max(answer.batch.rows for answers in together for answer in answers) > 1
    assert all(answer.batch.rows == 1 for answers in alone for answer in answers)
    boxes = []
    for shared, own in zip(together, alone, strict=True):
        for one, other in zip(shared, own, strict=True):
            assert one.outputs["status"] == other.outputs["status"] == "tracking"
            assert one.outputs["step"] == other.outputs["step"]
            for key in ("box", "landmarks"):
                np.testing.assert_allclose(face(one)[key], face(other)[key], atol=0.1)
        boxes.append(face(shared[-1])["box"])
    assert len({round(box[0]) for box in boxes}) == SESSIONS
