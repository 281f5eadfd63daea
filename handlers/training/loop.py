"""The one training loop: AdamW, averaged weights, a log, and runs that resume where they stopped.

On several GPUs or machines the same call runs under `torchrun`; Lightning Fabric does the rest.
"""

import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

Batch = dict[str, Tensor]
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Schedule:
    """Length and rate of learning.

    The rate warms up linearly, stays for `hold` steps and falls as a cosine to zero.
    """

    steps: int
    batch: int
    rate: float
    seed: int
    weight_decay: float = 0.05
    warmup: int = 300
    average: float = 0.998
    precision: str = "bf16-mixed"
    save_every: int = 250
    hold: int = 0

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        falling = self.warmup + self.hold
        done = (step - falling) / max(self.steps - falling, 1)
        return self.rate * 0.5 * (1 + float(np.cos(np.pi * min(max(done, 0.0), 1.0))))


class Run:
    """A learner, its optimizer and its averaged weights, kept in a folder between stops.

    `learner(batch, progress)` returns the losses of a batch under names; "loss" is what is
    minimised, `progress` is in [0, 1). `times_s` are those of the steps made so far.
    """

    def __init__(self, learner: nn.Module, schedule: Schedule, folder: Path) -> None:
        self.schedule, self.folder = schedule, folder
        self.fabric = make_fabric(schedule.precision)
        self.fabric.launch()
        # Channels last: convolutions of mixed precision are faster so.
        learner = learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        groups = parameter_groups(learner, schedule.weight_decay)
        self.learner, self.optimizer = self.fabric.setup(learner, torch.optim.AdamW(groups))
        self.average = AveragedModel(
            self.learner.module,
            multi_avg_fn=ExponentialAverage(schedule.average),
            use_buffers=True,
        )
        self.step = 0
        self.times_s: list[float] = []

    def fit(self, make_batch: Callable[[np.random.Generator, int], Batch], resume: bool) -> None:
        """Learn until the schedule ends.

        `make_batch(rng, size)` draws a batch; its generator is seeded by run, step and rank alone,
        so a resumed run sees what an unbroken one would.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if resume and (self.folder / "last.safetensors").exists():
            self._load()
        bar = tqdm(
            total=self.schedule.steps,
            initial=self.step,
            desc=self.folder.name,
            mininterval=5,
            disable=not self.fabric.is_global_zero,
        )
        started, first = time.monotonic(), self.step
        while self.step < self.schedule.steps:
            begun = time.monotonic()
            rng = np.random.default_rng([self.schedule.seed, self.step, self.fabric.global_rank])
            losses = self._learn(make_batch(rng, self.schedule.batch))
            self.step += 1
            self.times_s.append(time.monotonic() - begun)
            bar.update()
            last = self.step == self.schedule.steps
            if self.step % 25 == 0 or last:
                rate = (self.step - first) * self.schedule.batch / (time.monotonic() - started)
                values = {name: float(value) for name, value in losses.items()}
                bar.set_postfix({**values, "img/s": round(rate)})
                self._log(values)
            if self.step % self.schedule.save_every == 0 or last:
                self._save()
        bar.close()

    def averaged(self) -> nn.Module:
        """Return the learner with its averaged weights, which are shipped."""
        return self.average.module

    def _learn(self, batch: Batch) -> Losses:
        self.learner.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate_at(self.step)
        losses: Losses = self.learner(self.fabric.to_device(batch), self.step / self.schedule.steps)
        self.optimizer.zero_grad()
        self.fabric.backward(losses["loss"])
        self.fabric.clip_gradients(self.learner, self.optimizer, max_norm=5.0)
        self.optimizer.step()
        self.average.update_parameters(self.learner.module)
        return {name: value.detach() for name, value in losses.items()}

    def _log(self, values: dict[str, float]) -> None:
        if not self.fabric.is_global_zero:
            return
        path = self.folder / "losses.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, ["step", *values])
            if fresh:
                writer.writeheader()
            writer.writerow({"step": self.step, **values})

    def _save(self) -> None:
        if not self.fabric.is_global_zero:
            return
        tensors = {f"learner.{k}": v for k, v in self.learner.module.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.module.state_dict().items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
        # Renamed when whole: a run that is killed while it saves can go on.
        part = self.folder / "part.safetensors"
        save_file({k: v.contiguous() for k, v in tensors.items()}, part, {"step": str(self.step)})
        part.replace(self.folder / "last.safetensors")

    def _load(self) -> None:
        parts: dict[str, dict[str, Any]] = {"learner": {}, "average": {}, "optimizer": {}}
        with safe_open(self.folder / "last.safetensors", framework="pt") as file:
            self.step = int(file.metadata()["step"])
            for key in file.keys():  # noqa: SIM118 (a safetensors file is no dict)
                part, name = key.split(".", 1)
                parts[part][name] = file.get_tensor(key)
        self.learner.module.load_state_dict(parts["learner"])
        self.average.module.load_state_dict(parts["average"])
        self.average.n_averaged.fill_(self.step)
        state = self.optimizer.state_dict()
        for name, value in parts["optimizer"].items():
            index, field = name.split(".")
            state["state"].setdefault(int(index), {})[field] = value
        self.optimizer.load_state_dict(state)


@dataclass(frozen=True)
class Task:
    """A learner and its schedule, what draws its batches, the folder of its run, and what puts it
    into the store."""

    learner: nn.Module
    schedule: Schedule
    make_batch: Callable[[np.random.Generator, int], Batch]
    folder: Path
    export: Callable[[], None]

    def complete(self, resume: bool = True) -> Run:
        """Learn, plot the losses, export; other processes wait for the first, which does that."""
        run = learn(self.learner, self.schedule, self.make_batch, self.folder, resume)
        if run.fabric.is_global_zero:
            plot_losses(self.folder)
            self.export()
        run.fabric.barrier()
        return run


def learn(
    learner: nn.Module,
    schedule: Schedule,
    make_batch: Callable[[np.random.Generator, int], Batch],
    folder: Path,
    resume: bool,
) -> Run:
    """Run a schedule to its end and leave the averaged weights in the learner, on the CPU.

    With `resume` a stopped run goes on from its last checkpoint in `folder`.
    """
    run = Run(learner, schedule, folder)
    run.fit(make_batch, resume)
    learner.cpu().load_state_dict(run.averaged().state_dict())
    return run


def plot_losses(folder: Path) -> None:
    """Draw `losses.csv` of a run as `losses.png`, every loss smoothed over ten entries."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    table = np.genfromtxt(folder / "losses.csv", delimiter=",", names=True)
    figure, axes = pyplot.subplots(figsize=(8, 4))
    width = min(10, len(np.atleast_1d(table)))
    for name in (table.dtype.names or ())[1:]:
        smooth = np.convolve(np.atleast_1d(table[name]), np.ones(width) / width, mode="valid")
        axes.plot(np.atleast_1d(table["step"])[width - 1 :], smooth, label=name)
    axes.set(xlabel="step", yscale="log")
    axes.legend()
    figure.savefig(folder / "losses.png")
    pyplot.close(figure)


def make_fabric(precision: str) -> Fabric:
    """Make one process on the best device at hand, or under `torchrun` its share of all of them.

    Under torchrun every process has a GPU of its own; without GPUs they share the processor.
    """
    kind: dict[str, Any] = {"accelerator": "auto", "precision": at_hand(precision)}
    if not torch.distributed.is_torchelastic_launched():
        fabric = Fabric(devices=1, **kind)
    else:
        count = "auto" if torch.cuda.is_available() else TorchElasticEnvironment().world_size()
        # A denoiser whose class a batch lacks gets no gradient.
        strategy = DDPStrategy(find_unused_parameters=True)
        fabric = Fabric(devices=count, strategy=strategy, **kind)
    keep_inputs(fabric)
    return fabric


def at_hand(precision: str) -> str:
    """Return a precision, or single precision where the processor could only imitate a mixed one,
    which takes more than ten times as long."""
    on_processor = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    imitates = on_processor and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "32-true" if precision == "bf16-mixed" and imitates else precision


def keep_inputs(fabric: Fabric) -> None:
    """Hand batches to the learner as they are: autocast decides what is computed in which type.

    Fabric's mixed precision rounds every input, true landmarks among them, to half a pixel.
    """
    fabric._precision.convert_input = lambda data: data  # type: ignore[method-assign]


class ExponentialAverage:
    """Averages weights over about the last `1 / (1 - decay)` steps, at the start over a tenth of
    all, so that nothing of the random start is left in a short run."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    @torch.no_grad()
    def __call__(
        self, averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int
    ) -> None:
        decay = min(self.decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            # Counters of batch normalisation have no mean.
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return matrices and kernels, which decay, apart from biases and normalisation."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
