"""The parts of every kind of model: what of its networks is served, and with which arrays.

A new function of a network is a line in its kind's list, a new kind of model a row of `KINDS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from handlers.engines.base import MIRRORED, NEXT, Input
from handlers.networks.affect import (
    AffectNetworks,
    ConditionalNetworks,
    Networks,
    VoiceNetwork,
    build,
)
from handlers.networks.box_tracker import BoxTracker, FaceValidator, to_pixels
from handlers.networks.denoiser import AlignmentNetwork, DirectDenoiser
from handlers.networks.expressions import INPUT_PX, ExpressionNetwork, standardise
from handlers.networks.landmarks import RefinedHead
from handlers.networks.latent import LATENT_PX
from handlers.networks.mtcnn import MTCNN
from handlers.networks.speech import WIDTH, SpeechNetwork
from handlers.networks.variants import DESCRIPTORS, SPEECH_CHUNK, SPEECH_CONTEXT, AffectConfig

Config = Mapping[str, Any]
Forward = Callable[..., Sequence[Tensor]]

# A Mel window: bands and columns.
BANDS, COLUMNS = 128, 128
CROPS = {"crops": Input((3, 128, 128))}
# As they are cut out of pictures.
WINDOWS = {"windows": Input((128, 128, 3), "uint8")}
MEMORY = ("h1", "c1", "h2", "c2")


@dataclass(frozen=True)
class Part:
    """A function of a network: tensors in the order of `inputs` to one for each of `outputs`.

    One that `is_whole` joins others, so that nothing between them leaves the device. It computes
    more than they do, which is worth it on a GPU alone; no graph is written of it.
    """

    forward: Forward
    inputs: Mapping[str, Input]
    outputs: tuple[str, ...]
    is_whole: bool = False


Parts = dict[str, Part]


@dataclass(frozen=True)
class Kind:
    """A kind of model: how its configuration becomes a module, and which parts that has."""

    build: Callable[[Config], nn.Module]
    parts: Callable[[Any], Parts]


class TrackingModules(nn.Module):
    """BT and FV under the names that their weights have in a checkpoint; either may be missing."""

    def __init__(self, tracker: BoxTracker | None, validator: FaceValidator | None) -> None:
        super().__init__()
        self.tracker, self.validator = tracker, validator


def detection_parts(_: MTCNN) -> Parts:
    """Return the parts of MTCNN: its three networks."""
    any_size, refined = Input((3, None, None)), ("scores", "offsets")
    return {
        "proposal": Part(lambda n, x: n.proposal(x), {"levels": any_size}, refined),
        "refine": Part(lambda n, x: n.refine(x), {"crops": Input((3, 24, 24))}, refined),
        "output": Part(
            lambda n, x: n.output(x), {"crops": Input((3, 48, 48))}, (*refined, "points")
        ),
    }


def alignment_parts(network: AlignmentNetwork) -> Parts:
    """Return the parts of an alignment network.

    Landmarks; the one denoiser, or the classifier of several and a part for each class; and both
    together, of windows as they are, with or without the windows' mirror images.
    """
    parts, denoiser = {}, network.denoiser
    if network.landmarks is not None:
        located = ("points", "spread", "actions")
        known = located if isinstance(network.landmarks.head, RefinedHead) else located[:2]
        parts["landmarks"] = Part(_locate, CROPS, known)
        if denoiser is not None:
            both = (*known, *(MIRRORED + name for name in known))
            told = () if isinstance(denoiser, DirectDenoiser) else ("probabilities",)
            parts["look"] = Part(_look, WINDOWS, (*told, *known), is_whole=True)
            parts["look_mirrored"] = Part(_look_mirrored, WINDOWS, (*told, *both), is_whole=True)
    if isinstance(denoiser, DirectDenoiser):
        parts["denoise"] = Part(lambda n, x: [n.denoiser.autoencoder(x)], CROPS, ("cleaned",))
    elif denoiser is not None:
        parts["classify"] = Part(
            lambda n, x: [n.denoiser.classifier.classify(x).float().softmax(dim=-1)],
            CROPS,
            ("probabilities",),
        )
        # One part a class: an engine then computes only the denoisers that a batch needs.
        for index, name in enumerate(denoiser.classes):
            parts[f"denoise_{name}"] = Part(_denoiser(index), CROPS, ("cleaned",))
    return parts


def tracking_parts(network: TrackingModules) -> Parts:
    """Return the parts of a tracker: BT's features of a crop and its step, FV's answer."""
    parts = {}
    if (tracker := network.tracker) is not None:
        features, hidden = Input((tracker.feature_width,)), Input((tracker.hidden,))
        parts["features"] = Part(lambda n, x: [n.tracker.features(x)], CROPS, ("features",))
        parts["step"] = Part(
            _track_step,
            {"now": features, "before": features, **dict.fromkeys(MEMORY, hidden)},
            ("points", *(NEXT + name for name in MEMORY)),
        )
    if network.validator is not None:
        parts["validate"] = Part(
            lambda n, x, points: [n.validator.probability(x, points)],
            {**CROPS, "points": Input((68, 2))},
            ("probability",),
        )
    return parts


def speech_parts(_: SpeechNetwork) -> Parts:
    """Return the parts of the speech detector: a chunk's features, and the memory's step."""
    width = Input((WIDTH,))
    return {
        "encode": Part(
            lambda n, x: [n.encode(x)],
            {"samples": Input((SPEECH_CONTEXT + SPEECH_CHUNK,))},
            ("features",),
        ),
        "step": Part(
            lambda n, *x: n.step(*x),
            dict.fromkeys(("features", "h", "c"), width),
            ("speech", f"{NEXT}h", f"{NEXT}c"),
        ),
    }


def affect_parts(network: Networks) -> Parts:
    """Return the parts of an affect model.

    Of chapters 6 and 7: an encoder a modality, what C reads, C's step; of chapter 5: one judgement.
    """
    if isinstance(network, VoiceNetwork):
        windows = {"windows": Input((BANDS, COLUMNS))}
        return {"arousal": Part(lambda n, x: [n(x)], windows, ("arousal",))}
    if isinstance(network, ExpressionNetwork):
        faces = {"faces": Input((1, INPUT_PX, INPUT_PX))}
        return {"impression": Part(lambda n, x: n(standardise(x)), faces, ("logits", "place"))}
    if isinstance(network, ConditionalNetworks):
        heard = {"descriptors": Input((DESCRIPTORS,))} if network.config.conditioned else {}
        return {"judge": Part(_judge, {**CROPS, **heard}, ("estimate",))}
    modalities, config = network.config.modalities, network.config
    parts = {
        f"encode_{name}": Part(_encoder(name), CROPS, ("planes", "quadrants"))
        for name in modalities
    }
    planes = {name: Input((network.planes, LATENT_PX, LATENT_PX)) for name in modalities}
    if len(modalities) > 1:
        planes |= {f"has_{name}": Input((), "bool") for name in modalities}
    fused = ("features", "gate") if config.fusion == "gate" else ("features",)
    parts["features"] = Part(_read_planes, planes, fused)
    memory = {
        name: Input(tuple(one.shape[1:]), str(one.dtype).removeprefix("torch."))
        for name, one in network.initial_memory(1).items()
    }
    told = ("estimate", "weights") if config.states else ("estimate",)
    parts["step"] = Part(
        _affect_step(tuple(memory), told),
        {"features": Input((network.combiner.feature_width,)), **memory},
        (*told, *(NEXT + name for name in memory)),
    )
    return parts


def _build_alignment(config: Config) -> AlignmentNetwork:
    return AlignmentNetwork(config["landmarks"], config["denoiser"])


def _build_tracking(config: Config) -> TrackingModules:
    tracker, validator = config.get("tracker"), config.get("validator")
    return TrackingModules(
        None if tracker is None else BoxTracker(**tracker),
        None if validator is None else FaceValidator(**validator),
    )


# By a key of a checkpoint's configuration that only this kind has.
KINDS: Mapping[str, Kind] = {
    "cascade": Kind(lambda _: MTCNN(), detection_parts),
    "landmarks": Kind(_build_alignment, alignment_parts),
    "denoiser": Kind(_build_alignment, alignment_parts),
    "tracker": Kind(_build_tracking, tracking_parts),
    "validator": Kind(_build_tracking, tracking_parts),
    "speech": Kind(lambda _: SpeechNetwork(), speech_parts),
    "network": Kind(lambda config: build(AffectConfig.read(config["network"])), affect_parts),
}


def kind_of(config: Config) -> Kind | None:
    """Return the kind of a checkpoint's configuration; None where it names no network of ours."""
    return next((kind for key, kind in KINDS.items() if config.get(key) is not None), None)


def _locate(n: AlignmentNetwork, crops: Tensor) -> list[Tensor]:
    assert n.landmarks is not None
    return [one for one in n.landmarks(crops) if one is not None]


def _look(n: AlignmentNetwork, windows: Tensor) -> list[Tensor]:
    told, crops = _clean(n, windows)
    return [*told, *_locate(n, crops)]


def _look_mirrored(n: AlignmentNetwork, windows: Tensor) -> list[Tensor]:
    told, crops = _clean(n, windows)
    both = [one.chunk(2) for one in _locate(n, torch.cat([crops, crops.flip(-1)]))]
    return [*told, *(plain for plain, _ in both), *(mirrored for _, mirrored in both)]


def _clean(n: AlignmentNetwork, windows: Tensor) -> tuple[list[Tensor], Tensor]:
    """Turn windows `(B, S, S, 3)` uint8 into what their classifier says, if there is one, and
    crops."""
    assert n.denoiser is not None
    found = n.denoiser(windows.permute(0, 3, 1, 2).float() / 127.5 - 1)
    told = [] if isinstance(n.denoiser, DirectDenoiser) else [found.probabilities]
    return told, found.crops


def _denoiser(index: int) -> Forward:
    return lambda n, crops: [n.denoiser.restore(index, crops)]


def _track_step(n: TrackingModules, now: Tensor, before: Tensor, *memory: Tensor) -> list[Tensor]:
    assert n.tracker is not None
    points, after = n.tracker.step(now, before, dict(zip(MEMORY, memory, strict=True)))
    return [to_pixels(points), *(after[name] for name in MEMORY)]


def _judge(n: ConditionalNetworks, *inputs: Tensor) -> list[Tensor]:
    return [n(*inputs).estimate]


def _encoder(modality: str) -> Forward:
    def encode(n: AffectNetworks, crops: Tensor) -> list[Tensor]:
        planes, logits = n.encode(modality, crops)
        return [planes, logits.float().softmax(dim=-1)]

    return encode


def _read_planes(n: AffectNetworks, *planes: Tensor) -> list[Tensor]:
    if n.fusion is None:
        return [n.features(*planes)]
    fused = n.join(*planes)
    gate = [] if fused.gate is None else [fused.gate]
    return [n.features(fused.planes), *gate]


def _affect_step(names: tuple[str, ...], told: tuple[str, ...]) -> Forward:
    def step(n: AffectNetworks, features: Tensor, *memory: Tensor) -> list[Tensor]:
        answer = n.step(features, dict(zip(names, memory, strict=True)))
        return [getattr(answer, name) for name in told] + [answer.memory[name] for name in names]

    return step
