"""How hearing is measured: shares of moments with a voice, and a face under sound."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from handlers.evaluation.affect.hearing import (
    NOTHING,
    Face,
    estimate,
    everything,
    load,
    made,
    share,
    sounding,
)
from handlers.processing.mel import RATE_HZ
from handlers.store import load_speech_detector
from tests.spoken import speech

ROOT = Path(__file__).parents[2]
STORE = ROOT / "model_store"
PICTURES = 10


def test_the_share_with_a_voice_is_of_the_moments_that_sound() -> None:
    detector = load_speech_detector(STORE)
    late = np.concatenate([np.zeros(6 * RATE_HZ, np.int16), speech(3.0)])
    talk = share("talk", detector, [(late, sounding(late))])
    still = share("tone", detector, [(sound := made(0, 3.0)["tone"], everything(sound))])
    assert talk.clip > 0.95
    assert 35 < talk.moments < 80
    assert 0 < talk.after_s < 2
    assert talk.live < talk.waiting <= talk.clip
    assert (still.moments, still.clip, still.live, still.waiting) == (75, 0, 0, 0)


@pytest.mark.slow
def test_a_face_is_moved_by_a_voice_and_by_no_other_sound() -> None:
    picture = cv2.imread(str(ROOT / "tests" / "assets" / "astronaut.jpg"))[:, :, ::-1]
    frames = [np.ascontiguousarray(picture[:320, at : at + 320]) for at in range(PICTURES)]
    face, predictor = Face(frames, (np.arange(PICTURES) / 25).tolist()), load(STORE)
    quiet = estimate(predictor, face, NOTHING)
    for name in ("pink noise", "music 1", "applause"):
        loud = estimate(predictor, face, made(0, 2.0)[name])
        np.testing.assert_allclose(loud, quiet, atol=0.05, err_msg=name)
    valence, arousal = np.abs(estimate(predictor, face, speech(2.0)) - quiet)
    assert valence < 0.05
    assert arousal > 0.01
