"""The trackers of the thesis's tables, by the names they have there, built from the model store.

`DCRT-4` is the variant `dcrt` of `tracking_options` with the BT of window 4: the store's model
`bt-4`, or `dcrt` where that is its window. `DCRT-4 (raw)` is the same without `steady`: every
frame's landmarks are its own; `DCRT-4 (smoothed)` has the One-Euro filter. Rows named CRT and FLE
have FLE as Table 4.1 has it, trained by itself; `DCRT-4 (IID off)` is DFA with its denoiser left
out, which is what the service offers as `crt`. Imports of torch are inside the functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlers.checkpoint import Checkpoint
from handlers.engines.base import Engine
from handlers.engines.choice import load_engine
from handlers.predictors.tracking.networks import TrackingNetworks
from handlers.predictors.tracking.options import VARIANTS, TrackingOptions, TrackingSettings
from handlers.predictors.tracking.predictor import TrackingPredictor
from handlers.predictors.tracking.state import OneEuro
from handlers.store import load_aligner, load_detector
from handlers.training.datasets.affect.watching import Follower

WINDOWS = (2, 4, 8, 16, 32)
WINDOWED = {"DCRT": "dcrt", "CRT": "crt", "CRCT": "crct", "BT": "bt"}
SINGLE = {
    "FLE-Det": "fle-det",
    "FLE-Prev": "fle-prev",
    "DFA-Det": "dfa-det",
    "DFA-Prev": "dfa-prev",
    "FLL_MT": "fll-mt",
    "FLL-T": "fll-t",
    "FADeNN-D-T": "fadenn-d-t",
    "FADeNN-S-T": "fadenn-s-t",
    "FADeNN-M-T": "fadenn-m-t",
}
ROWS = (*(f"{name}-{n}" for name in WINDOWED for n in WINDOWS), *SINGLE)
SERVED = "dcrt"
RAW, SMOOTHED, IID_OFF = " (raw)", " (smoothed)", " (IID off)"
ALONE = {"crt": "fle", "fle-det": "fle", "fle-prev": "fle"}


@dataclass(frozen=True, eq=False, kw_only=True)
class TrackerRow(Follower):
    """One row of the tables: a tracker, its options and its name."""

    name: str


def split_row(name: str) -> tuple[str, int | None]:
    """Return the variant and window of a row's name. Raises ValueError for an unknown one."""
    if name.endswith(IID_OFF):
        return "crt", split_row(name.removesuffix(IID_OFF))[1]
    name = name.removesuffix(RAW).removesuffix(SMOOTHED)
    if name in SINGLE:
        return SINGLE[name], None
    family, _, window = name.partition("-")
    if family in WINDOWED and window.isdecimal():
        return WINDOWED[family], int(window)
    raise ValueError(f"{name!r} is no row of the tables; known are {', '.join(ROWS)}")


def landmark_model(name: str, served: str) -> str:
    """Return the landmark model of a row whose variant is served with another, "" for none."""
    return served if name.endswith(IID_OFF) else ALONE.get(split_row(name)[0], served)


class TrackingParts:
    """The parts of a model store, each read once."""

    def __init__(self, store: Path, device: str = "cpu") -> None:
        self.store, self.device = store, device
        self._checkpoints: dict[str, Checkpoint] = {}
        self._engines: dict[str, Engine] = {}  # by the hash of their weights
        self._aligners: dict[str, Any] = {}
        self._detector: Any = None

    def rows(self) -> tuple[str, ...]:
        """Return the rows of `ROWS` whose parts are all there."""

        def there(name: str) -> bool:
            variant, window = split_row(name)
            aligner = landmark_model(name, VARIANTS[variant][0])
            return self._tracker(window) is not None and (
                not aligner or (self.store / aligner).is_dir()
            )

        served = self._read(SERVED)
        ours = () if served is None else (RAW, SMOOTHED, IID_OFF)
        more = [f"DCRT-{served.config['seq_bt']}{suffix}" for suffix in ours if served]
        return tuple(name for name in (*ROWS, *more) if there(name))

    def follower(self, name: str) -> TrackerRow:
        """Return one row, ready to step. Raises ValueError where the store lacks one of its
        parts."""
        variant, window = split_row(name)
        needed, options = VARIANTS[variant]
        needed = landmark_model(name, needed)
        tracker, validator = self._tracker(window), self._validator()
        if tracker is None or validator is None:
            raise ValueError(f"{self.store}: lacks BT or FV for the row {name}")
        config = {**validator.config, **tracker.config}
        settings = TrackingSettings(
            tracker_context=config["tracker_context"],
            validator_context=config["validator_context"],
            t_b=config.get("t_b", 1.0),
            t_c=config.get("t_c", 0.5),
            seq_bt=config["seq_bt"],
            patience=None,
        )
        contexts = (settings.tracker_context, settings.validator_context)
        engines = self._engines[tracker.sha256], self._engines[validator.sha256]
        networks = TrackingNetworks(*engines, contexts)
        aligner = self._aligner(needed or self._any_aligner())
        predictor = TrackingPredictor(networks, self._find_detector(), aligner, settings)
        calm = OneEuro() if name.endswith(SMOOTHED) else None
        steady = not name.endswith(RAW)
        found = TrackingOptions(options, steady=steady, smoothing=calm)
        return TrackerRow(name=name, predictor=predictor, options=found)

    def weights(self) -> dict[str, str]:
        """Return the SHA-256 of the weights of every part read so far."""
        return {name: checkpoint.sha256 for name, checkpoint in self._checkpoints.items()}

    def _read(self, name: str) -> Checkpoint | None:
        if name not in self._checkpoints and (self.store / name).is_dir():
            engine, checkpoint = load_engine(self.store / name, self.device)
            self._checkpoints[name] = checkpoint
            self._engines[checkpoint.sha256] = engine
        return self._checkpoints.get(name)

    def _tracker(self, window: int | None) -> Checkpoint | None:
        """Return BT of a window; any where none is asked for."""
        windows: Sequence[int] = WINDOWS if window is None else (window,)
        served = self._read(SERVED)
        if served is not None and (window is None or served.config["seq_bt"] == window):
            return served
        found = (self._read(f"bt-{n}") for n in windows)
        return next((checkpoint for checkpoint in found if checkpoint is not None), None)

    def _validator(self) -> Checkpoint | None:
        return self._read(SERVED) or self._read("fv")

    def _any_aligner(self) -> str:
        names = ("dfa", "fle", "fll")
        return next((name for name in names if (self.store / name).is_dir()), names[0])

    def _aligner(self, name: str) -> Any:
        """Load the landmark model as it is served, without the mirror image."""
        if name not in self._aligners:
            stored = load_aligner(self.store, name, self.device, flip=False)
            self._checkpoints[name] = stored.checkpoint
            self._aligners[name] = stored.predictor
        return self._aligners[name]

    def _find_detector(self) -> Any:
        if self._detector is None:
            self._detector = load_detector(self.store, self.device)
        return self._detector
