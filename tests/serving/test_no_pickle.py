"""What is loaded to serve is data and never a program: no module that serves can unpickle."""

import ast

from tests.sources import IMPORTS, SOURCES, within

UNPICKLERS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
LOADS = ("torch.load(", "np.load(", "numpy.load(")
OFFLINE = ("handlers.convert", "handlers.training", "handlers.evaluation")


def serves(module: str) -> bool:
    return not any(within(module, part) for part in OFFLINE)


def test_nothing_that_serves_imports_what_unpickles() -> None:
    found = [f for f in IMPORTS if serves(f.importer) and f.target.split(".")[0] in UNPICKLERS]
    assert not [str(item) for item in found]


def test_weights_are_read_by_safetensors_alone() -> None:
    calls = {
        (name, ast.unparse(node))
        for name, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    loads = {(name, call) for name, call in calls if call.startswith(LOADS)}
    assert not {name for name, call in loads if not is_safe(name, call)}


def is_safe(name: str, call: str) -> bool:
    """Arrays without objects; and, where training begins with others' weights, tensors alone."""
    return "allow_pickle=False" in call or ("weights_only=True" in call and not serves(name))
