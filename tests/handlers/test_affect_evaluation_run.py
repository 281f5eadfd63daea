"""The evaluation of affect from folders and networks to tables, files and pictures."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from handlers.checkpoint import load_checkpoint
from handlers.evaluation.affect.agreement import agreement
from handlers.evaluation.affect.clips import LabelledClip
from handlers.evaluation.affect.evaluate import (
    AffectOptions,
    choose_rows,
    evaluate,
    evaluate_affect,
    units_of,
)
from handlers.evaluation.affect.figures import (
    models_shown,
    write_scatter,
    write_timeline,
    write_timelines,
)
from handlers.evaluation.affect.measuring import AffectReport
from handlers.evaluation.affect.rows import PRINTED, ModelStore, pairs_among, printed
from handlers.evaluation.affect.running import run
from handlers.evaluation.affect.sets import EvaluationSet
from handlers.evaluation.affect.tables import show
from handlers.networks.affect import build
from handlers.networks.variants import VARIANTS, variant
from handlers.store import JOINED
from service.cli import app
from tests.handlers.affect_clips import clip, estimator
from tests.handlers.affect_fakes import save_affect
from tests.handlers.affect_folders import write_faces, write_speech


def material(**changes: object) -> EvaluationSet:
    clips = [clip("one"), clip("other", 3, "22")]
    return EvaluationSet("noise", clips, **changes)  # type: ignore[arg-type]


def measured(names: Sequence[str], given: EvaluationSet, options: AffectOptions) -> AffectReport:
    console = Console(file=io.StringIO(), width=200)
    return evaluate(options, given, names, lambda store, name: estimator(name), console=console)


def text(report: AffectReport) -> str:
    console = Console(file=io.StringIO(), width=220)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_report_holds_what_the_traces_say() -> None:
    given = material()
    report = measured(["vi-de"], given, AffectOptions(Path()))
    (one, other) = run(estimator("vi-de"), given.clips)
    expected = agreement(
        np.concatenate([one.estimates, other.estimates]),
        np.concatenate([one.labels, other.labels]),
    )
    assert report.rows[0].mean.valence.rmse == pytest.approx(expected.valence.rmse)
    assert (report.clips, report.moments) == (2, 7)


def test_several_stores_are_seeds_whose_mean_is_reported() -> None:
    stores = (Path("a"), Path("b"))
    report = evaluate(
        AffectOptions(Path(), stores),
        material(),
        ["vi", "vi-de"],
        lambda store, name: estimator(name, seed=stores.index(store)),
        console=Console(file=io.StringIO()),
    )
    assert report.units == ("seed 1", "seed 2")
    row = report.rows[1]
    rmse = [found.valence.rmse for found in row.units.values()]
    assert rmse[0] != rmse[1]
    assert row.mean.valence.rmse == pytest.approx(np.mean(rmse))
    assert {d.over for d in report.differences} == {"actor"}


def test_folds_have_a_store_each_and_stand_beside_the_published_ones() -> None:
    folds = [[clip(f"fold {index}")] for index in range(5)]
    given = EvaluationSet("noise", [one for fold in folds for one in fold], folds)
    options = AffectOptions(Path(), tuple(Path(str(i)) for i in range(5)), by_fold=True)
    report = measured(["anclaf"], given, options)
    assert report.units == tuple(f"fold {index}" for index in range(1, 6))
    assert "Table B.6 of the thesis" in text(report)
    with pytest.raises(ValueError, match="5 folds need as many"):
        units_of(given, AffectOptions(Path(), (Path("a"),), by_fold=True))


def test_harm_is_done_where_face_and_voice_are_there() -> None:
    given = material(healthy=[clip("healthy")])
    report = measured(["vi-des", "avi-gas"], given, AffectOptions(Path()))
    assert [one.harm for one in report.survivals] == ["face destroyed", "voice destroyed"]
    assert set(report.survivals[0].margin) == {"avi-gas"}
    assert [(one.harm, one.modality) for one in report.moves] == [
        ("blur", "face"),
        ("darkness", "face"),
        ("noise", "face"),
        ("noise", "voice"),
        ("low level", "voice"),
        ("all of these", ""),
    ]
    assert "The gate under harm" in text(report)
    calm = measured(["vi-des", "avi-gas"], given, AffectOptions(Path(), harm=False))
    assert calm.survivals == calm.moves == ()


def test_a_model_that_can_use_nothing_is_left_out_and_said() -> None:
    given = EvaluationSet("silence", [clip("silent", sound=False)])
    report = measured(["vi-de", "au-de"], given, AffectOptions(Path()))
    assert [row.name for row in report.rows] == ["vi-de"]
    assert "Left out: Au-De" in text(report)


def test_the_report_is_written_as_json_csv_and_text(tmp_path: Path) -> None:
    measured(["vi-des"], material(whole=True), AffectOptions(Path(), out=tmp_path))
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["name"] for row in report["rows"]] == ["vi-des"]
    assert report["rows"][0]["mean"]["average"].keys() == {"rmse", "cor", "ccc", "icc"}
    assert report["published"][0]["mark"] == "not comparable"
    lines = (tmp_path / "moments.csv").read_text().splitlines()
    assert len(lines) == 1 + 2
    assert lines[0].endswith("gate,attention_spread")
    assert "Table 7.1 of the thesis" in (tmp_path / "report.txt").read_text()
    assert not list(tmp_path.glob("timeline*"))


def test_a_timeline_is_drawn_with_what_there_is(tmp_path: Path) -> None:
    given = material()
    models = {name: {"all": run(estimator(name), given.clips)} for name in ("vi-de", "avi-gas")}
    write_timelines(models, given, tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["timeline-one.png"]
    drawn = cv2.imread(str(tmp_path / "timeline-one.png"))
    blind = LabelledClip("dark", {}, np.arange(3) / 5, np.zeros((3, 2), np.float32), [None] * 3)
    write_timeline(blind, {"vi-de": run(estimator("vi-de"), [blind])[0]}, tmp_path / "dark.png")
    bare = cv2.imread(str(tmp_path / "dark.png"))
    assert drawn is not None
    assert bare is not None
    assert drawn.std() > 5
    assert bare.shape[0] < drawn.shape[0]


def test_a_scatter_has_a_column_a_model(tmp_path: Path) -> None:
    units = {"all": run(estimator("vi-de"), [clip("one")])}
    write_scatter({"vi-de": units}, tmp_path / "one.png")
    write_scatter({"vi-de": units, "vi": units}, tmp_path / "two.png")
    one, two = (cv2.imread(str(tmp_path / name)) for name in ("one.png", "two.png"))
    assert one is not None
    assert two is not None
    assert two.shape[1] > 1.5 * one.shape[1]


def test_stores_are_asked_for_what_all_of_them_have(tmp_path: Path) -> None:
    for store, names in (("a", ("vi-de", "avi-gas")), ("b", ("vi-de",))):
        for name in names:
            network = build(variant(name, size="tiny"))
            save_affect(network, tmp_path / store / name, {"context": 1.25})
    (tmp_path / "a" / "dfa").mkdir()
    racks = [ModelStore(tmp_path / store).rows() for store in ("a", "b")]
    assert racks[0] == ("vi-de", "avi-gas")
    names, left_out = choose_rows((), racks)
    assert names == ("vi-de",)
    assert "avi-gas" in left_out
    for wanted, said in ((("avi-gas",), "there are vi-de"), (("dfa",), "no row of the tables")):
        with pytest.raises(ValueError, match=said):
            choose_rows(wanted, racks)
    with pytest.raises(ValueError, match="no affect model"):
        choose_rows((), [()])


def test_figures_of_degraded_data_are_not_recorded() -> None:
    with pytest.raises(ValueError, match="as it is"):
        evaluate_affect(AffectOptions(Path(), degraded="blur", record=True))


def test_figures_are_recorded_where_they_were_measured(tmp_path: Path) -> None:
    write_faces(tmp_path / "data", "FER2013Test", 8)
    for seed, store in enumerate(("a", "b")):
        torch.manual_seed(seed)
        network = build(variant("vi-de", size="tiny"))
        save_affect(network, tmp_path / store / "vi-de", {"context": 1.25, "figures": {"old": {}}})
    stores = (tmp_path / "a", tmp_path / "b")
    evaluate_affect(AffectOptions(tmp_path / "data", stores, record=True))
    told = [load_checkpoint(store / "vi-de").config["figures"] for store in stores]
    assert set(told[0]) == {"old", "FER2013Test"}
    rmse = [figures["FER2013Test"]["valence"]["rmse"] for figures in told]
    assert rmse[0] != rmse[1]
    assert told[0]["FER2013Test"]["moments"] == 8


def test_seeds_of_two_stores_are_compared_over_made_clips(tmp_path: Path) -> None:
    write_faces(tmp_path / "data" / "expressions", "FER2013Test", 14)
    write_speech(tmp_path / "data" / "speech" / "ravdess")
    given = ["--data", str(tmp_path / "data"), "--layout", "made", "--limit", "2", "--no-harm"]
    given += ["--plots", "0"]
    for seed, store in enumerate(("a", "b")):
        for name in ("vi-de", "vi-des"):
            torch.manual_seed(seed)
            network = build(variant(name, size="tiny"))
            save_affect(network, tmp_path / store / name, {"context": 1.25})
        given += ["--model-store", str(tmp_path / store)]
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["evaluate", "affect", *given, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "counts as a person of its own" in result.stdout
    report = json.loads((out / "report.json").read_text())
    assert report["units"] == ["seed 1", "seed 2"]
    sides = [row["mean"]["average"]["ccc"] for row in report["rows"]]
    compared = {(one["over"], one["dimension"]): one for one in report["differences"]}
    assert {over for over, _ in compared} == {"person", "actor", "clip"}
    for (over, _), one in compared.items():
        assert one["groups"] == {"actor": 1, "clip": 2}.get(over, one["groups"])
        assert (one["first"], one["second"]) == ("vi-des", "vi-de")
    people = compared["person", "average"]["interval"]
    assert people["difference"] == pytest.approx(sides[1] - sides[0])
    assert people["low"] < people["high"]


def test_every_variant_has_a_row_and_its_pairs() -> None:
    assert set(PRINTED) == {*VARIANTS, *JOINED}
    assert printed("anclaf-sa-16") == "ANCLaF-SA-16"
    assert pairs_among(["anclaf-s-4", "anclaf-sa-4", "anclaf-sa-8"]) == [
        ("anclaf-sa-4", "anclaf-s-4")
    ]
    assert models_shown(["vi-de", "avi-gas", "vi-des"]) == ["vi-des", "avi-gas"]


def test_the_command_says_what_a_store_lacks(tmp_path: Path) -> None:
    given = ["--data", str(tmp_path), "--model-store", str(tmp_path)]
    result = CliRunner().invoke(app, ["evaluate", "affect", *given])
    assert result.exit_code == 1
    assert "no affect model" in result.stderr
