"""Sets annotated over time, in the layouts they are handed out in, to recordings."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from handlers.processing.arrays import Doubles, Floats, Ints
from handlers.training.datasets.affect.records import Recording
from handlers.training.datasets.video import frame_rate_hz

RaterTrace = tuple[Doubles, Doubles]  # times in seconds, values
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg")
SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".m4a")
SEMAINE_NAME = re.compile(r"R(?P<rater>\d+)S(?P<session>\d+)TU\w*D(?P<dimension>[VA])")
SEMAINE_RATE_HZ = 50.0
AFEW_RATE_HZ, AFEW_SCALE = 25.0, 10.0
AFF_WILD2_UNLABELLED = -5.0
AFFECTNET, AFF_WILD2 = "affectnet", "aff-wild2"
FOLDS = 5
Reader = Callable[[Path], list[Recording]]


def read_sewa(root: Path) -> list[Recording]:
    """Read SEWA as the AVEC challenges hand it out (Kossaifi et al. 2019).

    `labels/Train_DE_01.csv` holds name, time in seconds, arousal, valence and liking, ten times a
    second, split by semicolons; `video/Train_DE_01.avi` and `audio/Train_DE_01.wav` lie beside.
    Raises ValueError for a label file without the columns, and where nothing is found.
    """

    def label(path: Path) -> tuple[Doubles, Floats]:
        table = read_table(path, ";")
        times = column(table, "timestamp" if "timestamp" in table else "time", path)
        return times, pair(column(table, "valence", path), column(table, "arousal", path))

    recordings = _beside_videos(root, sorted((root / "labels").glob("*.csv")), label)
    return some(recordings, root, "labels/*.csv with a video of its name in video/")


def read_recola(root: Path) -> list[Recording]:
    """Read RECOLA, and any set laid out like it (Ringeval et al. 2013).

    `valence/P16.csv` and `arousal/P16.csv` hold a time in seconds and a column for every rater,
    split by semicolons or commas; `video/P16.mp4` and `audio/P16.wav` lie beside. Labels are the
    raters' mean at valence's times. Raises ValueError for a table without times or raters, and
    where nobody is found.
    """

    def label(path: Path) -> tuple[Doubles, Floats]:
        traces, others = _raters(path), _raters(root / "arousal" / path.name)
        times = traces[0][0]
        return times, pair(mean_of_raters(traces, times), mean_of_raters(others, times))

    tables = sorted((root / "valence").glob("*.csv"))
    both = [path for path in tables if (root / "arousal" / path.name).is_file()]
    wanted = "valence/*.csv, arousal/*.csv and video/* of one person"
    return some(_beside_videos(root, both, label), root, wanted)


def _beside_videos(
    root: Path, paths: Sequence[Path], label: Callable[[Path], tuple[Doubles, Floats]]
) -> list[Recording]:
    """Return recordings of label files that have a video of their name in `video`; sound is in
    `audio`."""
    recordings = []
    for path in paths:
        video = find_media(root / "video", path.stem, VIDEO_SUFFIXES)
        if video is not None:
            sound = find_media(root / "audio", path.stem, SOUND_SUFFIXES)
            recordings.append(Recording(video, path.stem, *label(path), sound=sound))
    return recordings


def read_semaine(root: Path) -> list[Recording]:
    """Read SEMAINE's sessions with a video of the user and raters of both dimensions (McKeown
    2010).

    A session's folder holds the user's video and sound, and a trace of every rater and dimension:
    `R1S17TUDV.txt` is rater 1, session 17, target user, dimension valence (`DA` arousal), with
    lines of a time in seconds and a value in [-1, 1]. Labels are the raters' mean, fifty times a
    second, where all of them have begun and none has ended. The person is the session's user, as
    `people.csv` (session, user) in `root` names them; without that file every session counts as
    another person, which folds by person cannot trust.

    Raises ValueError where no session is found and for a trace that is no two columns.
    """
    people = _people(root / "people.csv")
    folders = sorted({path.parent for path in root.rglob("R*S*TU*D[VA].txt")})
    sessions = (_session(folder, people) for folder in folders)
    recordings = [session for session in sessions if session is not None]
    return some(recordings, root, "session with a video and traces such as R1S17TUDV.txt")


def read_afew_va(root: Path) -> list[Recording]:
    """Read AFEW-VA's folders of frames (Kossaifi et al. 2017); the set has no sound.

    `001/001.json` beside `001/00000.png`, ... holds the actor and, for every frame, 68 landmarks
    and valence and arousal as whole numbers in [-10, 10]. Raises ValueError where there is no clip,
    and for one without frames.
    """
    clips = (path for path in sorted(root.rglob("*.json")) if path.stem == path.parent.name)
    return some([_afew_clip(path) for path in clips], root, "folder with a json of its own name")


def read_aff_wild2(root: Path, part: str = "Train_Set") -> list[Recording]:
    """Read Aff-Wild2's videos of a part, "Train_Set" or "Validation_Set" (Kollias and Zafeiriou
    2019).

    `VA_Estimation_Challenge/Train_Set/NAME.txt` has a line for each frame under a heading, -5 where
    the frame has no label; `videos/NAME.mp4` is the video. Of a video with two people the names end
    in `_left` and `_right`, and both are found in the one video. Raises ValueError where the part
    has no annotated video.
    """
    recordings = []
    for path in sorted((root / "VA_Estimation_Challenge" / part).glob("*.txt")):
        name = path.stem.removesuffix("_left").removesuffix("_right")
        video = find_media(root / "videos", name, VIDEO_SUFFIXES)
        if video is not None:
            table = read_table(path, ",")
            values = np.stack([column(table, one, path) for one in ("valence", "arousal")])
            labelled = (values != AFF_WILD2_UNLABELLED).all(axis=0)
            times = np.flatnonzero(labelled) / frame_rate_hz(video)
            recordings.append(Recording(video, path.stem, times, pair(*values[:, labelled])))
    return some(recordings, root, f"annotated video of {part!r}")


def some(recordings: list[Recording], root: Path, wanted: str) -> list[Recording]:
    """Return recordings, of which there must be one; raises ValueError naming what is wanted."""
    if not recordings:
        raise ValueError(f"{root}: no {wanted}")
    return recordings


def read_table(path: Path, delimiter: str) -> dict[str, Doubles]:
    """Read the columns of a csv file that hold nothing but numbers, by their names in small
    letters.

    Raises ValueError for rows of another length than the first.
    """
    table = np.genfromtxt(
        path, delimiter=delimiter, names=True, dtype=None, encoding="utf-8-sig",
        case_sensitive="lower", ndmin=1,
    )  # fmt: skip
    names = table.dtype.names or ()
    return {name: table[name].astype(float) for name in names if table[name].dtype.kind in "if"}


def column(table: dict[str, Doubles], name: str, path: Path) -> Doubles:
    """Return a column of a table; raises ValueError where there is none."""
    if name not in table:
        raise ValueError(f"{path}: no column {name!r} of numbers, found {', '.join(table)}")
    return table[name]


def mean_of_raters(traces: Sequence[RaterTrace], times_s: Doubles) -> Floats:
    """Return the mean `(T,)` at given times of raters' traces."""
    rows = [np.interp(times_s, own_times, values) for own_times, values in traces]
    return np.asarray(np.mean(rows, axis=0), np.float32)


def pair(valence: Doubles | Floats, arousal: Doubles | Floats) -> Floats:
    """Return labels `(T, 2)` in [-1, 1]; what rounding or a rater puts beyond is clipped."""
    return np.asarray(np.clip(np.stack([valence, arousal], axis=1), -1, 1), np.float32)


def find_media(folder: Path, stem: str, suffixes: Sequence[str]) -> Path | None:
    """Find the file of a name with one of the suffixes, None where there is none."""
    paths = (folder / f"{stem}{suffix}" for suffix in suffixes)
    return next((path for path in paths if path.is_file()), None)


def _raters(path: Path) -> list[RaterTrace]:
    first = path.read_text(encoding="utf-8-sig").split("\n", 1)[0]
    table = read_table(path, ";" if ";" in first else ",")
    times = column(table, "time", path)
    raters = [(times, values) for name, values in table.items() if name != "time"]
    if not raters:
        raise ValueError(f"{path}: no rater's column beside the time")
    return raters


def _session(folder: Path, people: dict[str, str]) -> Recording | None:
    traces: dict[str, list[RaterTrace]] = {"V": [], "A": []}
    session = ""
    for path in sorted(folder.glob("*.txt")):
        if match := SEMAINE_NAME.fullmatch(path.stem):
            session = match["session"]
            traces[match["dimension"]].append(_trace(path))
    files = sorted(path for path in folder.iterdir() if "user" in path.stem.lower())
    video = next((path for path in files if path.suffix.lower() in VIDEO_SUFFIXES), None)
    if video is None or not traces["V"] or not traces["A"]:
        return None
    everyone = traces["V"] + traces["A"]
    begin = max(times[0] for times, _ in everyone)
    end = min(times[-1] for times, _ in everyone)
    times = np.arange(begin, end, 1 / SEMAINE_RATE_HZ)
    labels = pair(*(mean_of_raters(traces[dimension], times) for dimension in "VA"))
    sound = next((path for path in files if path.suffix.lower() in SOUND_SUFFIXES), None)
    return Recording(video, people.get(session, f"session {session}"), times, labels, sound=sound)


def _trace(path: Path) -> RaterTrace:
    rows = np.loadtxt(path, ndmin=2)
    if rows.shape[1] != 2:
        raise ValueError(f"{path}: needed two columns, time and value, found {rows.shape[1]}")
    return rows[:, 0], rows[:, 1]


def _people(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows = (line.split(",") for line in path.read_text(encoding="utf-8").splitlines() if line)
    return {session.strip(): user.strip() for session, user in rows}


def _afew_clip(path: Path) -> Recording:
    content = json.loads(path.read_text(encoding="utf-8"))
    names = sorted(content["frames"])
    if not names:
        raise ValueError(f"{path}: no frames in it")
    frames = [content["frames"][name] for name in names]
    labels = np.array([[frame["valence"], frame["arousal"]] for frame in frames], np.float64)
    return Recording(
        path.parent,
        str(content.get("actor", path.stem)),
        np.array([int(name) for name in names], np.float64) / AFEW_RATE_HZ,
        pair(*labels.T / AFEW_SCALE),
        np.array([frame["landmarks"] for frame in frames], np.float32),
    )


# Aff-Wild2 comes in parts: what is learnt from is not what is measured on.
RECORDED: Mapping[str, Reader] = {
    "sewa": read_sewa,
    "semaine": read_semaine,
    "afew-va": read_afew_va,
    AFF_WILD2: read_aff_wild2,
    "recola": read_recola,
}

MEASURED: Mapping[str, Reader] = {
    **RECORDED,
    AFF_WILD2: partial(read_aff_wild2, part="Validation_Set"),
}


def subject_folds(people: Sequence[str], count: int = 5, seed: int = 0) -> list[Ints]:
    """Return places of the samples of each fold, every sample in one, nobody in two.

    People are dealt out from those with most samples on, each to the fold with fewest so far;
    `seed` decides among equals. Raises ValueError for fewer people than folds.
    """
    names, owner = np.unique(np.asarray(people, dtype=str), return_inverse=True)
    if len(names) < count:
        raise ValueError(f"{len(names)} people cannot be dealt out to {count} folds")
    sizes = np.bincount(owner)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    fold_of, filled = np.zeros(len(names), np.int64), np.zeros(count, np.int64)
    for person in order:
        fold = int(np.argmin(filled))
        fold_of[person] = fold
        filled[fold] += sizes[person]
    return [np.flatnonzero(fold_of[owner] == fold) for fold in range(count)]


def folds_of(recordings: Sequence[Recording], count: int = FOLDS) -> list[Ints]:
    """Return places of the recordings of each fold, the same for training and evaluation.

    Raises ValueError for fewer people than folds.
    """
    return subject_folds([one.person for one in recordings], count)
