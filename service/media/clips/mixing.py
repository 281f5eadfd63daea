"""The channels of a sound track into one, at the level of the voice, and its measures (child).

No fixed weights do: a voice may be in the centre of six channels, on the left alone, or the same on
both sides. So the channels are listened to first: how loud each is, and how loud their sum.
"""

import cmath
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

from av.filter import Graph

from service.media.clips.contents import RATE_HZ, SoundMeasures

# FFmpeg mixes 64 channels at most, one of which is the sum.
MOST_CHANNELS = 63
LISTEN_S = 120.0
# A sum that holds less than this share of the loudest channel's power has lost a voice.
LOST = 0.5
# Where the centre is no fainter than this beside the loudest channel (power), the voice is there.
CENTRE_HEARD, BESIDE_CENTRE = 0.25, 0.5
LOW_EFFECTS = ("LFE", "LFE2")
STATS = "lavfi.astats.{}.RMS_level"
Layout = tuple[str, str, int]
FULL_SCALE = 32_768.0
# Every so many samples count for the level, which is the same and costs less.
THINNING = 7
# Lines of the spectrum lie 43 Hz apart then.
WINDOW = 512
EVERY = RATE_HZ // 4
# A minute of sound, at four a second.
MOST_WINDOWS = 240
# Windows fainter than this say nothing of the band.
HEARD_DBFS = -60.0
# What is this much fainter than the strongest tone does not count to the band.
EDGE_DB = 60.0
SMOOTHED = 5
_HANN = [0.5 - 0.5 * math.cos(2 * math.pi * at / WINDOW) for at in range(WINDOW)]


@dataclass(frozen=True)
class Mix:
    """Weights of the channels in their sum, and what people should know of it."""

    weights: tuple[float, ...]
    note: str | None = None


def layout_of(frame: Any) -> Layout:
    """Return the key of a graph: the frame's format, layout and rate."""
    return frame.format.name, frame.layout.name, frame.sample_rate


def even_mix(channels: int) -> Mix:
    """Return the mix of channels that nothing is known of."""
    return Mix((1 / channels,) * channels)


def listen(frames: Iterator[Any]) -> tuple[Layout, Mix] | None:
    """Choose the mix for the layout that a track begins with; None where it is one channel."""
    first = next(frames, None)
    if first is None or first.layout.nb_channels == 1:
        return None
    layout, names = layout_of(first), [channel.name for channel in first.layout.channels]
    parts = [0.0 if name in LOW_EFFECTS else 1.0 for name in names]
    graph, metadata, heard_s = _listening(first, parts), {}, 0.0
    frame: Any = first
    while frame is not None and layout_of(frame) == layout and heard_s < LISTEN_S:
        heard_s += frame.samples / frame.sample_rate
        graph.push(frame)
        for measured in pulled(graph):
            metadata = measured.metadata
        frame = next(frames, None)
    powers = [_power(metadata, number + 1) for number in range(len(parts))]
    return layout, choose_mix(names, parts, powers, _power(metadata, len(parts) + 1))


def choose_mix(
    names: Sequence[str], parts: Sequence[float], powers: Sequence[float], of_sum: float
) -> Mix:
    """Weigh channels of these powers, whose sum, each times its part, has the power `of_sum`.

    A voice that several channels hold alike is not made louder, one that a single channel holds
    not fainter. Where they cancel each other out, the loudest is taken alone.
    """
    heard = [part * power for part, power in zip(parts, powers, strict=True)]
    loudest = max(heard)
    if loudest <= 0 < max(powers):
        return _alone(powers)
    if loudest <= 0:
        return even_mix(len(parts))
    if of_sum < LOST * loudest:
        return _alone(
            heard,
            "the channels of its sound cancel each other out, as with opposite phases: the loudest "
            "one is used alone",
        )
    if "FC" in names and len(names) > 2 and heard[names.index("FC")] >= CENTRE_HEARD * loudest:
        beside = [BESIDE_CENTRE if name != "FC" else 1.0 for name in names]
        weights = [part * less for part, less in zip(parts, beside, strict=True)]
    else:
        weights = list(parts)
    levels = [weight * math.sqrt(power) for weight, power in zip(weights, powers, strict=True)]
    gain: float = 1 / (1 + _likeness(heard, of_sum) * (sum(levels) / max(levels) - 1))
    return Mix(tuple(gain * weight for weight in weights))


def _alone(powers: Sequence[float], note: str | None = None) -> Mix:
    """Return the loudest channel by itself."""
    loudest = powers.index(max(powers))
    return Mix(tuple(float(number == loudest) for number in range(len(powers))), note)


def _likeness(powers: Sequence[float], of_sum: float) -> float:
    """Return the likeness of channels, by the power of their sum: 0 is none, 1 is the same."""
    apart, alike = sum(powers), math.fsum(map(math.sqrt, powers)) ** 2
    if alike - apart < 1e-3 * apart:
        return 0.0
    return min(1.0, max(0.0, (of_sum - apart) / (alike - apart)))


def mixing(frame: Any, mix: Mix) -> Graph:
    """Return a graph that brings frames like this one to 16-bit mono at the working rate."""
    terms = "+".join(f"{weight:.6f}*c{number}" for number, weight in enumerate(mix.weights))
    return _graph(
        frame,
        ("aformat", "sample_fmts=fltp"),
        ("pan", f"mono|c0={terms}"),
        ("aresample", str(RATE_HZ)),
        ("aformat", "sample_fmts=s16:channel_layouts=mono"),
    )


def pulled(graph: Graph) -> Iterator[Any]:
    """Yield the frames that a graph has ready."""
    while True:
        try:
            yield graph.pull()
        except (BlockingIOError, EOFError):
            return


def _listening(frame: Any, parts: Sequence[float]) -> Graph:
    """Return a graph that measures each channel, and as one more the sum of them."""
    each = "|".join(f"c{number}=c{number}" for number in range(len(parts)))
    terms = "+".join(f"{part:g}*c{number}" for number, part in enumerate(parts))
    return _graph(
        frame,
        ("aformat", "sample_fmts=fltp"),
        ("pan", f"{len(parts) + 1}C|{each}|c{len(parts)}={terms}"),
        ("astats", "metadata=1:measure_perchannel=RMS_level:measure_overall=none"),
    )


def _graph(frame: Any, *filters: tuple[str, str]) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate,
        format=frame.format.name,
        layout=frame.layout.name,
        time_base=frame.time_base,
    )
    nodes = [source, *(graph.add(name, options) for name, options in filters)]
    graph.link_nodes(*nodes, graph.add("abuffersink")).configure()
    return graph


def _power(metadata: Mapping[str, str], channel: int) -> float:
    level_db: float = float(metadata.get(STATS.format(channel), "-inf"))
    return math.pow(10.0, level_db / 10) if level_db > -200 else 0.0


class Measuring:
    """Takes sound piece by piece."""

    def __init__(self, source_hz: int) -> None:
        self._most_hz = source_hz / 2
        self._squares, self._counted, self._peak = 0, 0, 0
        self._spectrum, self._windows = [0.0] * (WINDOW // 2), 0
        self._to_next = 0

    def add(self, pcm: bytes) -> None:
        """Measure one more piece."""
        samples = array("h", pcm)
        if not samples:
            return
        some = samples[::THINNING]
        self._squares += sum(map(mul, some, some))
        self._counted += len(some)
        self._peak = max(self._peak, max(samples), -min(samples))
        at = self._to_next
        while at + WINDOW <= len(samples):
            self._look(samples[at : at + WINDOW])
            at += EVERY
        self._to_next = max(0, at - len(samples))

    @property
    def result(self) -> SoundMeasures:
        """The measures so far; None for what silence does not tell."""
        level = math.sqrt(self._squares / self._counted) if self._counted else 0.0
        return SoundMeasures(_dbfs(level), _dbfs(self._peak), self._band_hz())

    def _look(self, samples: "array[int]") -> None:
        power = sum(map(mul, samples, samples)) / WINDOW
        if self._windows >= MOST_WINDOWS or (_dbfs(math.sqrt(power)) or -99) < HEARD_DBFS:
            return
        self._windows += 1
        found = _transform(list(map(mul, samples, _HANN)))
        for at in range(WINDOW // 2):
            self._spectrum[at] += abs(found[at]) ** 2

    def _band_hz(self) -> float | None:
        """Return the highest frequency that is heard."""
        if not self._windows:
            return None
        smooth = [
            sum(self._spectrum[max(0, at - SMOOTHED // 2) : at + SMOOTHED // 2 + 1]) / SMOOTHED
            for at in range(len(self._spectrum))
        ]
        least = max(smooth) * 10 ** (-EDGE_DB / 10)
        edge = max(at for at, power in enumerate(smooth) if power >= least)
        # Just above half of the source's rate there are traces of its conversion.
        return round(min((edge + 0.5) * RATE_HZ / WINDOW, self._most_hz), 1)


def _dbfs(value: float) -> float | None:
    return round(20 * math.log10(value / FULL_SCALE), 2) if value > 0 else None


def _transform(values: "list[float] | list[complex]") -> list[complex]:
    """Return the discrete Fourier transform of a power of two of values."""
    count = len(values)
    if count == 1:
        return [complex(values[0])]
    even, odd = _transform(values[::2]), _transform(values[1::2])
    turned = [cmath.exp(-2j * math.pi * at / count) * odd[at] for at in range(count // 2)]
    return [even[at] + turned[at] for at in range(count // 2)] + [
        even[at] - turned[at] for at in range(count // 2)
    ]
