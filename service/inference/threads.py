"""How many threads the models of this process compute with."""

import importlib
import importlib.util


def bound_threads(threads: int) -> None:
    """Bound torch and OpenCV; what is not installed needs no bound.

    Waking a second thread costs the small networks of a live session more than it brings them, and
    the other cores have work: reading clips, encoding beside the tracker, other processes.
    """
    for library, setting in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
        if importlib.util.find_spec(library) is not None:
            getattr(importlib.import_module(library), setting)(threads)
