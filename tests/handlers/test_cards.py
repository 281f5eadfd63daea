"""A card says what its model's configuration says, and what its graphs take and give."""

from pathlib import Path
from typing import Any

import pytest

from handlers.checkpoint import Checkpoint
from handlers.engines.card import section, write_section
from handlers.evaluation.cards import card

STORE = Path(__file__).parents[2] / "model_store"
WITH_GRAPHS = sorted({path.parent.name for path in STORE.glob("*/*.onnx")})

RECIPE: dict[str, Any] = {
    "sources": [{"folder": "helen/train", "share": 0.6}, {"folder": "own", "share": 0.4}],
    "schedule": {"steps": 12, "batch": 8, "rate": 0.001, "seed": 5},
    "start": ["fle", "iid-m"],
}
FIGURES: dict[str, Any] = {
    "helen/test": {
        "faces": 110,
        "nme": {"truth": {"blur 5": 0.0321}},
        "auc": {"truth": {"blur 5": 0.612}},
        "fr": {"truth": {"blur 5": 0.018}},
    }
}


def written(**config: Any) -> str:
    full = {"about": "A test.", "licence": "research use only", "recipe": RECIPE, **config}
    return card(Checkpoint("dfa", "1", full, {}, "ab" * 32))


def test_a_card_names_weights_terms_data_and_recipe() -> None:
    text = written()
    assert "ab" * 32 in text
    assert "Research use only." in text
    assert "| helen/train | 60% | HELEN" in text
    assert "12 steps of 8 faces from fle, then iid-m, learning rate 0.001, seed 5" in text


def test_a_card_holds_every_measured_figure() -> None:
    assert "| helen/test | 110 | truth | blur 5 | 0.0321 | 0.612 | 1.8% |" in written(
        figures=FIGURES
    )


def test_a_card_tells_how_these_very_weights_came_to_be() -> None:
    assert "half a pixel" in written()
    told = written(recipe={**RECIPE, "notes": "\nThe teacher is another.\n"})
    assert "The teacher is another." in told
    assert "half a pixel" not in told


def test_a_card_without_figures_says_so() -> None:
    assert "Not measured yet" in written()


@pytest.mark.parametrize("name", WITH_GRAPHS)
def test_the_example_of_a_card_runs_the_graphs_that_the_card_describes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = (STORE / name / "README.md").read_text(encoding="utf-8")
    assert told.endswith(section(STORE / name)), "`countenance export` writes it anew"
    monkeypatch.chdir(STORE.parent)
    code = told.rpartition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    assert set(names["answers"]) == set(names["names"])
    for part in STORE.joinpath(name).glob("*.onnx"):
        assert f"| `{part.stem}` | `" in told


def test_the_section_of_a_card_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "README.md").write_text("# odd\n\nAbout.\n\n## As ONNX\n\nOld.\n")
    write_section(folder)
    write_section(folder)
    text = (folder / "README.md").read_text()
    assert text.startswith("# odd\n\nAbout.\n\n## As ONNX\n\nA graph")
    assert text.count("## As ONNX") == 1
    assert "Old." not in text


def test_a_card_names_what_the_landmarks_learned_from_where_the_last_stage_left_them() -> None:
    last = {"sources": [{"folder": "own", "share": 1.0}], "start": ["dfa-long"], "only": "actions"}
    text = written(recipe={**RECIPE, **last})
    assert "| own | 100% |" in text
    assert "all else learnt in `dfa-long`" in text
    assert "| helen/train | 46% | HELEN" in text
