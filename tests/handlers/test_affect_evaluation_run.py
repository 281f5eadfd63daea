"""The evaluation of affect from folders and networks to tables, files and pictures."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor
from typer.testing import CliRunner

from handlers.affect_setup import save_affect, serve
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
from handlers.evaluation.affect.figures import models_shown, write_scatter, write_timeline
from handlers.evaluation.affect.report import AffectReport
from handlers.evaluation.affect.rows import PRINTED, Rack, pairs_among, printed
from handlers.evaluation.affect.running import run, run_all
from handlers.evaluation.affect.sets import Material
from handlers.evaluation.affect.tables import show
from handlers.evaluation.affect.traces import Trace
from handlers.evaluation.affect.writing import write_timelines
from handlers.networks.affect import VARIANTS, Branch, build, variant
from handlers.predictors.affect_estimator import Estimator, Reading
from handlers.predictors.affect_inputs import Moment
from handlers.predictors.affect_latent import LatentEstimator
from handlers.processing.mel import RATE_HZ
from service.cli import app
from tests.handlers.affect_folders import speech, write_faces, write_speech


def estimator(name: str, seed: int = 0) -> Estimator:
    """A variant of tiny, untrained networks."""
    torch.manual_seed(seed)
    return serve(build(variant(name, size="tiny")), {"context": 1.25})


def clip(name: str, moments: int = 4, actor: str = "21", sound: bool = True) -> LabelledClip:
    """Noise to look at and to hear, with labels that change."""
    rng = np.random.default_rng(len(name) + moments)
    faces = [rng.integers(0, 256, (128, 128, 3), dtype=np.uint8) for _ in range(moments)]
    labels = rng.uniform(-0.8, 0.8, (moments, 2)).astype(np.float32)
    times = np.arange(moments) / 5
    pcm = speech(moments / 5) if sound else None
    return LabelledClip(name, {"actor": actor}, times, labels, faces, pcm)


def material(**changes: object) -> Material:
    clips = [clip("one"), clip("other", 3, "22")]
    return Material("noise", clips, **changes)  # type: ignore[arg-type]


def measured(names: Sequence[str], given: Material, options: AffectOptions) -> AffectReport:
    console = Console(file=io.StringIO(), width=200)
    return evaluate(options, given, names, lambda store, name: estimator(name), console=console)


def text(report: AffectReport) -> str:
    console = Console(file=io.StringIO(), width=220)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def equal(one: Trace, other: Trace) -> bool:
    fields = ("estimates", "weights", "gate", "face", "voice")
    return all(
        np.allclose(getattr(one, name), getattr(other, name), atol=1e-5, equal_nan=True)
        for name in fields
    )


@pytest.mark.parametrize("name", ["vi-de", "avi-gas"])
def test_clips_run_together_as_they_run_alone(name: str) -> None:
    clips, model = [clip("one"), clip("other", 3)], estimator(name)
    together = run(model, clips)
    assert all(
        equal(one, run(model, [alone])[0]) for one, alone in zip(together, clips, strict=True)
    )
    assert [trace.clip for trace in together] == ["one", "other"]


def test_models_run_together_as_they_run_alone() -> None:
    clips = [clip("one"), clip("other", 3)]
    still = replace(clips[0], faces=[clips[0].faces[0]] * 3 + [clips[0].faces[1]])
    names = ["vi-de", "vi-des", "au-des", "avi-gas", "disc"]
    together = run_all({name: estimator(name) for name in names}, [still, clips[1]])
    for name in names:
        alone = run(estimator(name), [still, clips[1]])
        assert all(equal(*pair) for pair in zip(together[name], alone, strict=True))


def test_what_models_have_in_common_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"vi-de": estimator("vi-de"), "vi-des": estimator("vi-des"), "vi": estimator("vi", 1)}
    one, other = (cast(LatentEstimator, models[name]).networks for name in ("vi-de", "vi-des"))
    other.branches.load_state_dict(one.branches.state_dict())
    encoded, forward = [], Branch.forward

    def counted(branch: Branch, inputs: Tensor) -> tuple[Tensor, Tensor]:
        encoded.append(len(inputs))
        return forward(branch, inputs)

    monkeypatch.setattr(Branch, "forward", counted)
    still = clip("still", 6, sound=False)
    run_all(models, [replace(still, faces=[still.faces[0].copy() for _ in range(6)])])
    assert encoded == [1, 1]


def test_a_moment_without_anything_to_use_has_no_estimate() -> None:
    silent = clip("silent", 3, sound=False)
    faceless = LabelledClip("x", {}, silent.times_s, silent.labels, [None, silent.faces[1], None])
    (trace,) = run(estimator("avi-gas"), [faceless])
    assert np.isfinite(trace.estimates[:, 0]).tolist() == [False, True, False]
    assert trace.face.tolist() == [False, True, False]
    assert trace.gate[1] == 1
    assert not run(estimator("au-de"), [silent])[0].voice.any()


def test_a_face_that_stays_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    still = clip("still", 6, sound=False)
    still = replace(still, faces=[still.faces[0]] * 4 + [still.faces[1]] * 2)
    model, counts = estimator("vi-des"), []
    expected, read = run(model, [still])[0], model.read

    def counted(moments: Sequence[Moment]) -> list[Reading | None]:
        counts.append(len(moments))
        return read(moments)

    monkeypatch.setattr(model, "read", counted)
    assert equal(run(model, [still])[0], expected)
    assert counts == [2]
    assert not np.allclose(expected.estimates[3], expected.estimates[5])


def test_sound_of_more_than_a_minute_is_heard_to_its_end() -> None:
    pcm = np.zeros(70 * RATE_HZ, np.int16)
    pcm[66 * RATE_HZ :] = speech(4)
    times = np.array([1.0, 30.0, 68.0])
    long = LabelledClip("long", {}, times, np.zeros((3, 2), np.float32), [None] * 3, pcm)
    assert run(estimator("au-de"), [long])[0].voice.tolist() == [False, False, True]


def test_the_report_holds_what_the_traces_say() -> None:
    given = material()
    report = measured(["vi-de"], given, AffectOptions(Path()))
    (one, other) = run(estimator("vi-de"), given.clips)
    expected = agreement(
        np.concatenate([one.estimates, other.estimates]),
        np.concatenate([one.labels, other.labels]),
    )
    assert report.row("vi-de").mean.valence.rmse == pytest.approx(expected.valence.rmse)
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
    row = report.row("vi-de")
    rmse = [found.valence.rmse for found in row.units.values()]
    assert rmse[0] != rmse[1]
    assert row.mean.valence.rmse == pytest.approx(np.mean(rmse))
    assert {d.over for d in report.differences} == {"actor"}


def test_folds_have_a_store_each_and_stand_beside_the_published_ones() -> None:
    folds = [[clip(f"fold {index}")] for index in range(5)]
    given = Material("noise", [one for fold in folds for one in fold], folds)
    options = AffectOptions(Path(), tuple(Path(str(i)) for i in range(5)), by_fold=True)
    report = measured(["anclaf"], given, options)
    assert report.units == tuple(f"fold {index}" for index in range(1, 6))
    assert "As Table B.6" in text(report)
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
    given = Material("silence", [clip("silent", sound=False)])
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
    assert "As Table 7.1" in (tmp_path / "report.txt").read_text()
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
    racks = [Rack(tmp_path / store).rows() for store in ("a", "b")]
    assert racks[0] == ("vi-de", "avi-gas")
    names, left_out = choose_rows((), racks)
    assert names == ("vi-de",)
    assert "avi-gas" in left_out
    for wanted, said in ((("avi-gas",), "there are vi-de"), (("dfa",), "no row of the tables")):
        with pytest.raises(ValueError, match=said):
            choose_rows(wanted, racks)
    with pytest.raises(ValueError, match="no affect model"):
        choose_rows((), [()])


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
    assert set(PRINTED) == set(VARIANTS)
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
