"""Both engines on every part of stored models: milliseconds a call of two rows, on one thread.

python -m tests.bench.engines [MODEL ...] [--rounds 20]
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from handlers.checkpoint import read_checkpoint
from handlers.engines.base import Array, Engine
from handlers.engines.choice import ONNX, TORCH, choose, load_engine
from handlers.engines.parts import kind_of

STORE = Path(__file__).parents[2] / "model_store"
ROWS, LENGTH = 2, 120


def load(folder: Path, name: str) -> Engine:
    """A model's engine by its name."""
    choose(1, name)
    return load_engine(folder)[0]


def inputs_of(engine: Engine, part: str) -> dict[str, Array]:
    """Noise in the shapes that a part takes."""
    rng = np.random.default_rng(0)
    return {
        name: rng.uniform(0, 1, (ROWS, *(size or LENGTH for size in one.shape))).astype(one.dtype)
        for name, one in engine.inputs(part).items()
    }


def compare(folder: Path, rounds: int) -> None:
    """Print a row a part: the median of each engine, and the ratio, asked in turn."""
    engines = {name: load(folder, name) for name in (ONNX, TORCH)}
    for part in sorted(engines[ONNX].parts):
        inputs = inputs_of(engines[ONNX], part)
        times: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(rounds + 2):
            for name, engine in engines.items():
                started = time.perf_counter()
                engine.run(part, **inputs)
                times[name].append((time.perf_counter() - started) * 1000)
        onnx, torch = (statistics.median(times[name][2:]) for name in (ONNX, TORCH))
        print(f"| {folder.name} | {part} | {onnx:.2f} | {torch:.2f} | {onnx / torch:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    print("| model | part | ONNX Runtime ms | torch ms | ratio |\n| --- | --- | --- | --- | --- |")
    for config in sorted(STORE.glob("*/config.json")):
        asked = not options.models or config.parent.name in options.models
        if asked and kind_of(read_checkpoint(config.parent).config) is not None:
            compare(config.parent, options.rounds)


if __name__ == "__main__":
    main()
