"""Model directories, the configuration, and a server that is watched."""

import json
import os
import subprocess
import threading

import psutil
import pytest

from handlers import align, track
from handlers.torchserve.__main__ import make_parser
from handlers.torchserve.models import (
    CONFIG,
    MODELS,
    SHIM,
    WEIGHTS_FILE,
    Placement,
    build_models,
    model_config,
    servable,
)
from handlers.torchserve.starting import (
    ALL,
    Server,
    StartError,
    count_gpus,
    environment,
    place,
    prepare,
    read_workers,
)
from handlers.torchserve.watching import Pace, keep_running, stop
from service.inference import Question
from service.inference.gathering import most_rows
from tests.serving.servers import lingers
from tests.waiting import MOST_S, wait_until

QUICK = Pace(look_s=0.02, ping_s=0.05, starting_s=0.1, stop_s=5.0, pause_s=0.01)


def test_a_model_is_served_where_all_its_weights_are(tmp_path):
    for folder in MODELS["align"].weights:
        assert servable(tmp_path) == []
        (tmp_path / folder).mkdir()
        (tmp_path / folder / WEIGHTS_FILE).touch()
    assert servable(tmp_path) == ["align"]


def test_the_table_of_weights_is_what_the_handlers_load():
    assert {align.ALIGNER, align.FACE_SHAPE} < set(MODELS["align"].weights)
    assert track.TRACKER in MODELS["track"].weights


def test_a_model_directory_is_what_torchserve_loads_and_is_made_anew(tmp_path):
    (tmp_path / "align").mkdir()
    (tmp_path / "align" / "old").touch()
    build_models(tmp_path, ["align"], Placement(tmp_path / "store", {"align": 3}, threads=2))
    folder = tmp_path / "align"
    assert not (folder / "old").exists()
    manifest = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_text())
    assert (folder / manifest["model"]["handler"]).name == SHIM
    config = json.loads((folder / CONFIG).read_text())
    assert (config["minWorkers"], config["maxWorkers"]) == (3, 3)
    ours = {"model_store": str(tmp_path / "store"), "threads": 2, "workers": 3, "rows": 8}
    ours |= {"on_gpu": False, "cuda_graphs": False}
    assert config["countenance"] == ours


def test_torchserve_sees_of_the_environment_what_it_needs_and_no_secret(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://user:secret@host")
    monkeypatch.setenv("AWS_SESSION", "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    found = environment(threads=3)
    assert (found["CUDA_VISIBLE_DEVICES"], found["OMP_NUM_THREADS"]) == ("1", "3")
    assert "secret" not in " ".join(found.values())


def test_a_request_waits_for_no_other_one(tmp_path):
    assert model_config("track", MODELS["track"], Placement(tmp_path))["batchSize"] == 1


def test_workers_are_made_for_as_many_rows_as_the_service_sends():
    question = Question({}, {})
    assert {name: served.rows for name, served in MODELS.items()} == {
        name: most_rows(name, question) for name in MODELS
    }


@pytest.mark.parametrize(("on_gpu", "device"), [(True, "gpu"), (False, "cpu")])
def test_the_device_is_said_to_torchserve(tmp_path, on_gpu, device):
    config = model_config("track", MODELS["track"], Placement(tmp_path, on_gpu=on_gpu))
    assert config["deviceType"] == device


def test_the_configuration_listens_in_one_place_and_lets_nobody_manage(short):
    run = short / "run"
    run.mkdir(mode=0o755)
    prepare(Server("http://10.0.0.1:8080", run, ("align",), Placement(short), gpus=2))
    lines = (run / "config.properties").read_text().splitlines()
    config = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert config["inference_address"] == "http://10.0.0.1:8080"
    for name in ("management_address", "metrics_address"):
        assert config[name].startswith(f"unix:{run}/")
    assert run.stat().st_mode & 0o077 == 0
    assert config["enable_model_api"] == "false"
    assert config["allowed_urls"] == f"file://{run}/models/.*"
    assert (config["load_models"], config["number_of_gpu"]) == ("align", "2")


def test_metrics_are_where_they_are_asked_for(short):
    metrics = "http://10.0.0.1:8082"
    placement = Placement(short)
    prepare(Server("http://10.0.0.1:8080", short / "run", ("align",), placement, metrics=metrics))
    lines = (short / "run" / "config.properties").read_text().splitlines()
    assert f"metrics_address={metrics}" in lines


@pytest.mark.parametrize("name", ["a" * 100, "with space"])
def test_a_directory_that_torchserve_cannot_use_is_named(short, name):
    with pytest.raises(StartError, match=name):
        prepare(Server("unix:/x", short / name, ("align",), Placement(short)))


@pytest.mark.parametrize(
    ("cores", "workers", "threads"),
    [
        (1, {"align": 2, "track": 1}, 1),
        (2, {"align": 2, "track": 2}, 1),
        (16, {"align": 2, "track": 4}, 2),
    ],
)
def test_without_a_gpu_live_sessions_get_a_worker_a_core(
    tmp_path, monkeypatch, cores, workers, threads
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    placement = place(tmp_path, ["align", "track"], gpus=0)
    assert placement == Placement(tmp_path, workers, threads, on_gpu=False)


@pytest.mark.parametrize(("cores", "a_gpu"), [(2, 1), (16, 4), (64, 6)])
def test_every_gpu_has_a_worker_of_each_model_and_trackers_by_cores(
    tmp_path, monkeypatch, cores, a_gpu
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    placement = place(tmp_path, ["align", "track"], gpus=2)
    assert (placement.workers, placement.on_gpu) == ({"align": 2, "track": 2 * a_gpu}, True)


def test_a_lone_gpu_has_two_workers_for_pictures_so_that_a_large_one_keeps_nobody_waiting(tmp_path):
    assert place(tmp_path, ["align"], gpus=1).workers == {"align": 2}


def test_workers_and_threads_are_as_many_as_asked_for(tmp_path):
    placement = place(tmp_path, ["align", "track"], 2, read_workers("3"), threads=5)
    assert (placement.workers, placement.threads) == ({"align": 6, "track": 6}, 5)
    named = place(tmp_path, ["align", "track"], 1, read_workers("1,track=4"))
    assert named.workers == {"align": 1, "track": 4}


def test_workers_and_device_come_from_the_environment_where_the_command_names_none(monkeypatch):
    for name, given, workers in [("3", [], 3), ("", [], None), ("3", ["--workers", "2"], 2)]:
        monkeypatch.setenv("COUNTENANCE_MODEL_WORKERS", name)
        found = make_parser().parse_args(["serve", *given]).workers
        assert found == (None if workers is None else {ALL: workers})
    monkeypatch.setenv("COUNTENANCE_MODEL_DEVICE", "gpu")
    assert make_parser().parse_args(["serve"]).device == "gpu"
    monkeypatch.setenv("COUNTENANCE_MODEL_DEVICE", "tpu")
    with pytest.raises(SystemExit):
        make_parser().parse_args(["serve"])


def test_cuda_graphs_are_for_gpus_and_for_those_who_ask(monkeypatch, tmp_path):
    for told, given, on in [
        ("", [], False),
        ("on", [], True),
        ("on", ["--cuda-graphs=off"], False),
    ]:
        monkeypatch.setenv("COUNTENANCE_MODEL_CUDA_GRAPHS", told)
        asked = make_parser().parse_args(["serve", *given]).cuda_graphs
        assert asked == on
        for gpus in (0, 1):
            placement = place(tmp_path, ["track"], gpus, cuda_graphs=asked)
            assert placement.cuda_graphs == (on and gpus > 0)
            config = model_config("track", MODELS["track"], placement)
            assert config["countenance"]["cuda_graphs"] == placement.cuda_graphs
    monkeypatch.setenv("COUNTENANCE_MODEL_CUDA_GRAPHS", "1")
    with pytest.raises(SystemExit):
        make_parser().parse_args(["serve"])


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        (None, "there is no nvidia-smi"),
        ("echo no devices were found; exit 9", "no devices were found"),
        ("exit 0", "torch cannot use it"),
    ],
)
def test_a_gpu_that_was_asked_for_and_is_not_there_is_said_with_the_reason(
    tmp_path, monkeypatch, tool, reason
):
    if tool is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{tool}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if tool else str(tmp_path))
    with pytest.raises(StartError, match=reason):
        count_gpus("gpu")
    assert count_gpus("auto") == count_gpus("cpu") == 0


@pytest.mark.parametrize("named", ["GPU-8f1c", "0,MIG-1/2/0"])
def test_gpus_named_in_a_way_that_torchserve_cannot_read_are_refused(monkeypatch, named):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    with pytest.raises(StartError, match="TorchServe reads numbers alone"):
        count_gpus("auto")
    assert count_gpus("cpu") == 0


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "nose=1"])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch, capsys, wrong):
    monkeypatch.setenv("COUNTENANCE_MODEL_WORKERS", wrong)
    with pytest.raises(SystemExit):
        make_parser().parse_args(["serve"])
    assert f"{wrong!r}: a number of at least 1" in capsys.readouterr().err


def test_every_command_is_explained():
    for command in ("build", "serve", "check"):
        assert make_parser().parse_args([command]).run_command.__name__ == command


class Sleepers:
    """Starts processes that sleep, each with a child that does not care for SIGTERM."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []

    def __call__(self) -> "subprocess.Popen[bytes]":
        script = "sh -c 'trap \"\" TERM; sleep 60' & exec sleep 60"
        process = subprocess.Popen(["sh", "-c", script], start_new_session=True)
        self.started.append(process)
        return process


def run_until(true, start, ping) -> None:
    stopping = threading.Event()
    watching = threading.Thread(target=keep_running, args=(start, ping, stopping, QUICK))
    watching.start()
    try:
        wait_until(true)
    finally:
        stopping.set()
        watching.join(MOST_S)
    assert not watching.is_alive()


def test_a_server_that_dies_is_started_again_and_stopped_with_its_children():
    start = Sleepers()

    def true() -> bool:
        if len(start.started) == 1:
            start.started[0].kill()
        return len(start.started) > 1

    run_until(true, start, lambda: True)
    assert len(start.started) >= 2
    assert not any(lingers(process.pid) for process in start.started)


def test_a_server_that_answers_no_ping_is_started_again():
    start = Sleepers()
    run_until(lambda: len(start.started) > 1, start, lambda: False)
    assert len(start.started) > 1
    assert not any(lingers(process.pid) for process in start.started)


def test_a_server_that_is_well_is_left_alone():
    start, pings = Sleepers(), []

    def ping() -> bool:
        pings.append(1)
        return True

    run_until(lambda: len(pings) > 8, start, ping)
    assert len(start.started) == 1


def test_children_that_do_not_listen_are_ended_too():
    process = Sleepers()()
    wait_until(psutil.Process(process.pid).children)
    stop(process, 5.0)
    assert not lingers(process.pid)
