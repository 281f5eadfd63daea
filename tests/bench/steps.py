"""Tracking steps of one session on one thread, by the handler of the tree that it is run in.

Reads numbers of steps from its input, a line each, and answers each with the medians of what a step
took in ms: the networks' stages by the tree's own clock, and the processor time of all of it. It
needs nothing of the tree but `TrackHandler`, so that older commits are driven by it, too.
"""

import importlib
import json
import statistics
import sys
import time
from pathlib import Path

import msgpack

from handlers.track import TrackHandler

FRAME_S = 1 / 30


def bind_to_one_thread() -> None:
    """Compute with one thread, whichever libraries this tree has."""
    sys.modules["cv2"].setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    try:
        importlib.import_module("handlers.engines.choice").choose(1)
    except ModuleNotFoundError:
        return


def main() -> None:
    bind_to_one_thread()
    frame, handler = Path(sys.argv[1]).read_bytes(), TrackHandler(Path("model_store"))
    row = {"inputs": {"image": frame, "time_s": 0.0}, "options": {}}
    for line in sys.stdin:
        stages_ms, used_ms = [], []
        for _ in range(int(line)):
            body, before = msgpack.packb(row), time.process_time()
            answer = msgpack.unpackb(handler.handle([body])[0])
            used_ms.append((time.process_time() - before) * 1000)
            times = answer["outputs"]["timings_ms"]
            stages_ms.append(sum(ms for name, ms in times.items() if name != "decode"))
            row["state"] = answer["state"]
            row["inputs"] = {"image": frame, "time_s": row["inputs"]["time_s"] + FRAME_S}
        medians = {
            "step_ms": statistics.median(stages_ms),
            "step_cpu_ms": statistics.median(used_ms),
        }
        print(json.dumps(medians), flush=True)


if __name__ == "__main__":
    main()
