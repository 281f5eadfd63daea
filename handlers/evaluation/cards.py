"""A model's configuration to its card, the README.md beside its weights.

    python -m handlers.evaluation.cards model_store

Writes a card for every alignment model of the store; run it after `countenance evaluate
align --record`, so that a card holds what was measured last.
"""

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from handlers.checkpoint import Checkpoint, load_checkpoint
from handlers.engines.card import write_section

RECIPES = Path(str(files("handlers.training"))) / "recipes"
SETS = {
    "helen/train": "HELEN, iBUG 300-W annotations by hand (research, no commercial use)",
    "afw": "AFW, iBUG 300-W annotations by hand (research, no commercial use)",
    "youtube_faces/train": "frames of YouTube Faces, annotated by a machine (research)",
    "citizen_faces": "grey faces of citizens (collection Apache 2.0, pictures of third parties), "
    "annotated by machines",
}

LIMITS = """The faces are those of photographs and television frames. Heavily covered faces and
profiles beyond some 60 degrees are rare in the data, and errors there are larger than the figures
say. The networks start from random weights; nothing was pre-trained on face recognition.
"""

FIRST_VERSION = """Version 1 learned from landmarks rounded to half a pixel of the crop, an effect
of mixed precision that the training loop no longer has, and the schedules of its first stages were
shortened while they ran: a repeat by the recipes gives other weights.
"""


def card(checkpoint: Checkpoint) -> str:
    """Return the card of a model, in Markdown."""
    config = checkpoint.config
    parts = [
        f"# {checkpoint.name}\n\n{config['about']}\n",
        f"Version {checkpoint.version}, SHA-256 of the weights `{checkpoint.sha256}`.\n",
        f"**Terms.** {config['licence'][:1].upper()}{config['licence'][1:]}.\n",
        "## Data\n\n" + data(config["recipe"]),
        "## Recipe\n\n" + recipe(checkpoint.name, config["recipe"]),
        "## Figures\n\n" + figures(config.get("figures", {})),
        "## What to know\n\n" + LIMITS + "\n" + (config["recipe"].get("notes") or FIRST_VERSION),
    ]
    return "\n".join(parts)


def data(recipe: dict[str, Any]) -> str:
    """Return the sources; where a recipe learns facial actions alone, those of its start too."""
    text = table_of_sources(recipe["sources"])
    for name in recipe["start"] if recipe.get("only") else ():
        before = tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))
        text += f"\nThese for facial actions alone; all else learnt in `{name}`, from\n\n"
        text += table_of_sources(before["sources"])
    return text


def table_of_sources(sources: Sequence[Mapping[str, Any]]) -> str:
    """Return the sources with their share of a batch and their terms."""
    rows = [
        f"| {source['folder']} | {source['share']:.0%} | {SETS.get(source['folder'], '')} |\n"
        for source in sources
    ]
    return "| set | share of a batch | terms |\n| --- | --- | --- |\n" + "".join(rows)


def recipe(name: str, recipe: dict[str, Any]) -> str:
    """Describe the run: its steps, data and start."""
    schedule = recipe["schedule"]
    start = ", then ".join(recipe["start"]) or "random weights"
    return (
        f"`handlers/training/recipes/{name}.toml`, `countenance train {name} --data FOLDER`: "
        f"{schedule['steps']} steps of {schedule['batch']} faces from {start}, "
        f"learning rate {schedule['rate']:g}, seed {schedule['seed']}. "
        "Its losses are in `losses.csv` and `losses.png` of the run's folder.\n"
    )


def figures(measured: dict[str, Any]) -> str:
    """Return the area under the error curve up to 0.08 and failures, by set and condition."""
    if not measured:
        return "Not measured yet.\n"
    lines = [
        "Box-normalised error (Zafeiriou et al. 2018), by `countenance evaluate align "
        "--sweep --record`. Degradations act at a face box of 128 pixels.\n\n",
        "| set | faces | boxes | condition | NME | AUC at 0.08 | failures |\n",
        "| --- | --- | --- | --- | --- | --- | --- |\n",
    ]
    for name, values in measured.items():
        for boxes, aucs in values["auc"].items():
            for condition, auc in aucs.items():
                nme, fr = values["nme"][boxes][condition], values["fr"][boxes][condition]
                lines.append(
                    f"| {name} | {values['faces']} | {boxes} | {condition} "
                    f"| {nme:.4f} | {auc:.3f} | {fr:.1%} |\n"
                )
    return "".join(lines)


def main() -> None:
    """Write the cards of a store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    for path in sorted(parser.parse_args().store.glob("*/config.json")):
        checkpoint = load_checkpoint(path.parent)
        if checkpoint.config.get("landmarks") is not None:
            (path.parent / "README.md").write_text(card(checkpoint), encoding="utf-8")
            write_section(path.parent)
            print(path.parent / "README.md")


if __name__ == "__main__":
    main()
