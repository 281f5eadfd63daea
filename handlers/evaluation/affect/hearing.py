"""A table of where a voice is heard: in speech, in other sound, and what either does to a face.

    python -m handlers.evaluation.affect.hearing model_store --speech DATA/speech/ravdess \
        DATA/speech/emodb --talking grid/*.mpg --silent no_face.mp4 --face grid/bbaf2n.mpg

Of speech, moments count in which the recording is not silent; of other sound all do.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handlers.evaluation.affect.sets import find_layout
from handlers.evaluation.affect.sounds import SOUNDS
from handlers.evaluation.output import spread
from handlers.evaluation.track.rows import TrackingParts
from handlers.predictors.affect.predictor import AffectPredictor
from handlers.predictors.affect.run import AffectRow, Heard
from handlers.predictors.affect.speech import SpeechDetector, SpeechStream
from handlers.processing.arrays import Bools, Doubles, Image, Pcm
from handlers.processing.mel import RATE_HZ
from handlers.store import FACE_VOICE, load_estimator, load_speech_detector
from handlers.training.datasets.affect.speech import SPOKEN, read_mono, sound_in, to_pcm
from handlers.training.datasets.video import Video, frame_rate_hz

RATE = 25.0  # moments a second
SOUND_S, FACE_S = 10.0, 4.0
GAINS_DB = (0, -20, -40)
# Quieter than the loud parts of a recording by more than this is silence.
SILENCE_DB = 30.0
# Sound of a clip is known this far ahead of its pictures; live it is not.
AHEAD_S = 1.5
# Live with `delay_s`: replies that wait so long know so much more.
WAITING_S = 0.3
NOTHING = np.zeros(0, np.int16)


@dataclass(frozen=True)
class VoicedShare:
    """The share of moments with a voice: in a clip, where sound is known ahead, live, and live
    where replies wait for 0.3 s (`delay_s`).

    `after_s` is for how long, in the median, a recording sounds before it has a voice live, not a
    number where none has.
    """

    name: str
    recordings: int
    moments: int
    clip: float
    live: float
    waiting: float
    after_s: float

    def __str__(self) -> str:
        counts = f"{self.recordings:5} {self.moments:7}"
        shares = f"{self.clip:7.1%} {self.live:7.1%} {self.waiting:7.1%}"
        after = f"{self.after_s:.2f} s" if np.isfinite(self.after_s) else ""
        return f"{self.name:24} {counts}  {shares} {after:>7}"


def share(
    name: str, detector: SpeechDetector, recordings: Iterable[tuple[Pcm, Bools]]
) -> VoicedShare:
    """Listen to recordings, each with the moments `(T,)` that count."""
    ahead, live, waiting, after = [], [], [], []
    for pcm, counted in recordings:
        ahead.append(speaking(detector, pcm, AHEAD_S)[counted])
        live.append(speaking(detector, pcm, 0.0)[counted])
        waiting.append(speaking(detector, pcm, WAITING_S)[counted])
        after += (np.flatnonzero(live[-1])[:1] / RATE).tolist()
    clip, now, late = (float(np.concatenate(one).mean()) for one in (ahead, live, waiting))
    after_s = float(np.median(after)) if after else float("nan")
    return VoicedShare(name, len(ahead), sum(map(len, ahead)), clip, now, late, after_s)


def speaking(detector: SpeechDetector, pcm: Pcm, ahead_s: float) -> Bools:
    """Tell whether a voice is heard at each moment, sound being known so far ahead of it."""
    stream, found = SpeechStream(), []
    for time_s in moments_of(pcm):
        known = pcm[stream.end : round((time_s + ahead_s) * RATE_HZ)]
        stream = detector.hear(stream, known, stream.end).forget_before(time_s)
        found.append(stream.speaks(time_s))
    return np.array(found, bool)


def moments_of(pcm: Pcm) -> list[float]:
    """Return the times of a recording's moments in seconds, each at the end of its sound."""
    return [(number + 1) / RATE for number in range(int(len(pcm) / RATE_HZ * RATE))]


def sounding(pcm: Pcm) -> Bools:
    """Return the moments of a recording that are not silence."""
    count = len(moments_of(pcm))
    parts = pcm[: count * int(RATE_HZ / RATE)].astype(np.float64).reshape(count, -1)
    decibels = 10 * np.log10(np.square(parts).mean(axis=1) + 1e-9)
    return np.asarray(decibels > np.percentile(decibels, 90) - SILENCE_DB)


def everything(pcm: Pcm) -> Bools:
    """Return all moments of a recording."""
    return np.ones(len(moments_of(pcm)), bool)


def made(gain_db: float, seconds: float = SOUND_S) -> Mapping[str, Pcm]:
    """Return all sounds in which nobody speaks, so much louder."""
    factor = 10 ** (gain_db / 20)
    return {
        name: to_pcm((factor * sound(seconds)).astype(np.float32)) for name, sound in SOUNDS.items()
    }


def read_speech(folder: Path, limit: int) -> list[Pcm]:
    """Read at most so many utterances of a set, spread evenly. Raises ValueError for no
    such set."""
    utterances = SPOKEN[find_layout(folder)].read(folder)
    return [to_pcm(read_mono(one.path)) for one in spread(utterances, limit)]


def read_sound(path: Path) -> Pcm:
    """Read the sound of a clip. Raises ValueError where it has none."""
    if (pcm := sound_in(path)) is None:
        raise ValueError(f"{path}: has no sound")
    return pcm


@dataclass(frozen=True)
class Face:
    """The pictures of a clip and their times in seconds."""

    frames: Sequence[Image]
    times_s: Sequence[float]

    @classmethod
    def read(cls, path: Path) -> "Face":
        """Read the first seconds of a clip. Raises ValueError where it cannot be decoded."""
        rate = frame_rate_hz(path)
        shown = Video(path.stem, "", path, {}).stretch(0, round(FACE_S * rate))
        frames = [one.image for one in shown]
        return cls(frames, (np.arange(len(frames)) / rate).tolist())


def estimate(predictor: AffectPredictor, face: Face, pcm: Pcm) -> Doubles:
    """Return the mean of valence and arousal `(2,)` of a face under some sound."""
    row = AffectRow(face.frames, face.times_s, Heard(0, pcm), None, FACE_VOICE)
    frames = predictor.step([row])[0].frames
    told = [(one.valence, one.arousal) for one in frames if one.valence is not None]
    return np.asarray(np.mean(np.array(told, np.float64), axis=0))


def load(store: Path) -> AffectPredictor:
    """Load the face with the voice as they are served. Raises ValueError without a tracker."""
    trackers = TrackingParts(store)
    served = next(name for name in trackers.rows() if name.startswith("DCRT-"))
    follower = trackers.follower(served)
    estimator, _ = load_estimator(store / FACE_VOICE)
    speech = load_speech_detector(store)
    return AffectPredictor({FACE_VOICE: estimator}, follower.predictor, speech)


def report_voices(
    detector: SpeechDetector,
    sets: Mapping[str, Sequence[Pcm]],
    silent: Mapping[str, Pcm],
) -> Iterator[str]:
    """Return lines with the share of moments with a voice: speech, then sound without any."""
    yield "moments with a voice        of moments     clip    live waiting   after"
    for name, recordings in sets.items():
        yield str(share(name, detector, [(pcm, sounding(pcm)) for pcm in recordings]))
    for name, pcm in silent.items():
        yield str(share(name, detector, [(pcm, everything(pcm))]))
    for name in SOUNDS:
        loud = [made(gain_db)[name] for gain_db in GAINS_DB]
        yield str(share(name, detector, [(pcm, everything(pcm)) for pcm in loud]))


def report_faces(
    predictor: AffectPredictor,
    faces: Mapping[str, Face],
    silent: Mapping[str, Pcm],
    spoken: Sequence[Pcm],
) -> Iterator[str]:
    """Return lines with how far sound moves the mean of a clip's face: the furthest of sounds
    without speech, and the mean distance under speech."""
    yield f"{'a face under':40} {'valence':>7} {'arousal':>7}"
    for name, face in faces.items():
        quiet = estimate(predictor, face, NOTHING)

        def away(sounds: Iterable[Pcm], face: Face = face, quiet: Doubles = quiet) -> Doubles:
            return np.abs([estimate(predictor, face, pcm) - quiet for pcm in sounds])

        sounds = away([*made(0, FACE_S).values(), *silent.values()])
        said = f"{name}, {len(sounds)} sounds, at most"
        yield "{:40} {:7.3f} {:7.3f}".format(said, *sounds.max(axis=0))
        if spoken:
            said = f"{name}, {len(spoken)} voices, mean"
            yield "{:40} {:7.3f} {:7.3f}".format(said, *away(spoken).mean(axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model_store", type=Path)
    parser.add_argument("--speech", type=Path, nargs="*", default=[], help="folders of utterances")
    parser.add_argument("--talking", type=Path, nargs="*", default=[], help="clips with speech")
    parser.add_argument("--silent", type=Path, nargs="*", default=[], help="clips without speech")
    parser.add_argument("--face", type=Path, nargs="*", default=[], help="clips of clear faces")
    parser.add_argument("--limit", type=int, default=200, help="utterances of a folder")
    options = parser.parse_args()
    sets = {folder.name: read_speech(folder, options.limit) for folder in options.speech}
    if options.talking:
        sets["talking clips"] = [read_sound(path) for path in options.talking]
    silent = {path.name: read_sound(path) for path in options.silent}
    for line in report_voices(load_speech_detector(options.model_store), sets, silent):
        print(line, flush=True)
    if options.face:
        faces = {path.stem: Face.read(path) for path in options.face}
        spoken = [one for recordings in sets.values() for one in spread(recordings, 8)]
        for line in report_faces(load(options.model_store), faces, silent, spoken):
            print(line, flush=True)


if __name__ == "__main__":
    main()
