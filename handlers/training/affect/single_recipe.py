"""Recipes of single-frame affect models: ANCLaF, Vi(-De), Au(-De), Disc, AEG-CD(-SZ)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from handlers.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from handlers.engines.torch_engine import build_network
from handlers.networks.affect import AffectNetworks, ConditionalNetworks, Networks, build
from handlers.networks.variants import FACE, VARIANTS, AffectConfig, variant
from handlers.predictors.affect.estimator import DescriptorScale
from handlers.processing.audio_descriptors import MissingExtra, need_extractor
from handlers.training.affect.descriptions import Hearing, HearingBatches, read_descriptions
from handlers.training.affect.latent import (
    ConditionalLearner,
    ConditionalLossWeights,
    LatentLearner,
    LatentLossWeights,
    PlainLearner,
)
from handlers.training.affect.made.bank import (
    HEARD,
    FaceSource,
    SpeechSource,
    read_face_sets,
    read_voices,
)
from handlers.training.affect.made.faces import BOXES, FaceBatches, FaceJitter, Framing
from handlers.training.affect.made.speech import Microphone, SpeechBatches
from handlers.training.affect.recorded.pieces import RecordedFaceBatches, RecordedVoiceBatches
from handlers.training.affect.recorded.stored import (
    CACHE,
    RecordingSource,
    StoredRecording,
    folder_of,
    read_stored,
)
from handlers.training.faces import Degrading
from handlers.training.loop import Task
from handlers.training.recipe import LearnedRecipe, RecipeError

RANDOM = "random"
Learner = LatentLearner | PlainLearner | ConditionalLearner
Batches = FaceBatches | SpeechBatches | RecordedFaceBatches | RecordedVoiceBatches | HearingBatches


@dataclass(frozen=True, kw_only=True)
class SingleRecipe(LearnedRecipe):
    """Training of networks that know no time on faces, speech or recordings.

    `name` is a variant's. `start` is where the weights begin: "random", or the folder of a model
    of the same networks. Without `degrading` faces stay as they are. `class_power` is the power of
    a class's share that a sample of it weighs, `drawing` that of how many faces have a face's word
    by which it is drawn, see `FaceBatches`; `context` is the served crop's side over that of the
    landmarks' box, and `aligner` the model store whose `dfa` finds the landmarks of photographs.
    """

    faces: tuple[FaceSource, ...] = ()
    speech: tuple[SpeechSource, ...] = ()
    recordings: RecordingSource | None = None
    size: str = "compact"
    norm: str = "batch"
    start: str = RANDOM
    aligner: str = "model_store"
    class_power: float = -0.3
    drawing: float = -0.6
    context: float = 1.15
    moving: FaceJitter = FaceJitter()
    degrading: Degrading | None = None

    def config(self) -> AffectConfig:
        """Describe the variant's networks; raises RecipeError for a name that is no variant's."""
        if self.name not in VARIANTS:
            raise RecipeError(f"recipe {self.name!r} is called like no variant")
        return variant(self.name, self.size, norm=self.norm)

    def face_batches(self, data: Path, runs: Path) -> FaceBatches:
        """Draw from the sets of faces, cut out as they are served."""
        framing = Framing(Path(self.aligner), runs / BOXES, self.context)
        sets = read_face_sets(data, self.faces, framing)
        return FaceBatches(sets, self.moving, self.degrading, self.class_power, self.drawing)

    def recorded_faces(self, stored: Sequence[StoredRecording]) -> RecordedFaceBatches:
        """Draw from the faces of recordings."""
        return RecordedFaceBatches(stored, self.moving, self.degrading, self.class_power)

    def task(
        self, learner: Learner, batches: Batches, runs: Path, store: Path, more: Mapping[str, Any]
    ) -> Task:
        """Join learner and batches; runs of recordings lie in a folder of their set and fold."""
        networks = learner.networks
        if self.start != RANDOM:
            networks.load_state_dict(load_affect(Path(self.start))[0].state_dict())
        config = {"network": asdict(networks.config), "context": self.context, **more}

        def export() -> None:
            self.save(store, config, networks.state_dict())

        folder = folder_of(self.name, self.recordings, runs)
        return Task(learner, self.schedule, batches, folder, export)


@dataclass(frozen=True, kw_only=True)
class LatentRecipe(SingleRecipe):
    """Training of G, D and C of one modality on faces, speech or recordings, one of them.

    The variant says what of the recordings is looked at or listened to. With `recording.degraded` 0
    sound stays as it is, and with that, or without `degrading`, come Au and Vi.
    """

    kind: Literal["single-frame"] = "single-frame"
    weighing: LatentLossWeights = LatentLossWeights()
    recording: Microphone = Microphone()

    def prepare(self, data: Path, runs: Path, store: Path) -> Task:
        torch.manual_seed(self.schedule.seed)
        learner = self.learner()
        return self.task(learner, self.batches(data, runs), runs, store, {})

    def learner(self) -> LatentLearner:
        """Build the networks in their learner."""
        networks = build(self.config())
        if sum(map(bool, (self.faces, self.speech, self.recordings))) != 1:
            raise RecipeError("give [[faces]], [[speech]] or [recordings]")
        if not isinstance(networks, AffectNetworks) or networks.config.recurrent:
            raise RecipeError(f"{self.name!r} is no single-frame variant with a combiner")
        return LatentLearner(networks, self.weighing)

    def batches(self, data: Path, runs: Path) -> Batches:
        """Draw from what the recipe names."""
        if self.speech:
            channels = self.recording.channelled > 0
            voices = read_voices(data, self.speech, runs / HEARD, channels)
            return SpeechBatches(voices, self.recording, self.class_power)
        if self.recordings is None:
            return self.face_batches(data, runs)
        stored = read_stored(data, self.recordings, self.context, runs / CACHE)
        if self.config().modalities == (FACE,):
            return self.recorded_faces(stored)
        return RecordedVoiceBatches(stored, self.recording, self.class_power)


@dataclass(frozen=True, kw_only=True)
class ConditionalRecipe(SingleRecipe):
    """Training of D, alone or against G, to estimate affect itself, on faces or recordings.

    The one that hears learns from `faces` with `speech`: sets of single faces whose sound is an
    utterance of the same word, heard as `hearing` says. `contest` weighs the losses where there is
    a G.
    """

    kind: Literal["conditional"] = "conditional"
    contest: ConditionalLossWeights = ConditionalLossWeights()
    hearing: Hearing = Hearing()

    def prepare(self, data: Path, runs: Path, store: Path) -> Task:
        torch.manual_seed(self.schedule.seed)
        learner = self.learner()
        batches, scale = self.batches(data, runs)
        more: dict[str, Any] = {}
        if scale is not None:
            more["descriptors"] = {"mean": scale.mean.tolist(), "std": scale.std.tolist()}
        return self.task(learner, batches, runs, store, more)

    def learner(self) -> PlainLearner | ConditionalLearner:
        """Build the networks in their learner."""
        networks = build(self.config())
        if not isinstance(networks, ConditionalNetworks):
            raise RecipeError(f"recipe {self.name!r} is called like no variant of chapter 5")
        if bool(self.faces) == (self.recordings is not None):
            raise RecipeError("give [[faces]] or [recordings]")
        if networks.config.conditioned != bool(self.speech):
            raise RecipeError("[[speech]] is for what hears, and only for it")
        if self.speech and self.recordings is not None:
            raise RecipeError("[[speech]] goes with [[faces]], and with no recordings")
        if networks.generator is None:
            return PlainLearner(networks)
        return ConditionalLearner(networks, self.contest)

    def batches(self, data: Path, runs: Path) -> tuple[Batches, DescriptorScale | None]:
        """Draw from what the recipe names; with the scale of the descriptors that are heard.

        Raises RecipeError where opensmile is needed and not installed.
        """
        if self.recordings is not None:
            stored = read_stored(data, self.recordings, self.context, runs / CACHE)
            return self.recorded_faces(stored), None
        if not self.speech:
            return self.face_batches(data, runs), None
        try:
            need_extractor()
        except MissingExtra as error:
            raise RecipeError(str(error)) from error
        faces = self.face_batches(data, runs)
        spoken = read_descriptions(data, self.speech, self.hearing)
        return HearingBatches(faces, spoken, self.hearing.deaf), spoken.scale()


def load_affect(folder: Path) -> tuple[Networks, Checkpoint]:
    """Load the networks of a checkpoint in single precision, to learn on or to measure.

    Raises CheckpointError for a checkpoint that is none of affect.
    """
    checkpoint = load_checkpoint(folder)
    if "network" not in checkpoint.config:
        raise CheckpointError(f"{folder}: no affect model, it names no network")
    networks, _ = build_network(checkpoint)
    assert isinstance(networks, Networks)
    return networks, checkpoint
