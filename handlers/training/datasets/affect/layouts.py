"""Names of layouts to the readers of annotated recordings, and the folds of who is in them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from handlers.training.datasets.affect.afew_va import read_afew_va
from handlers.training.datasets.affect.aff_wild2 import read_aff_wild2
from handlers.training.datasets.affect.folds import Indices, subject_folds
from handlers.training.datasets.affect.recola import read_recola
from handlers.training.datasets.affect.records import Recording
from handlers.training.datasets.affect.semaine import read_semaine
from handlers.training.datasets.affect.sewa import read_sewa

AFFECTNET, AFF_WILD2 = "affectnet", "aff-wild2"
FOLDS = 5
Reader = Callable[[Path], list[Recording]]

# Aff-Wild2 comes in parts: what is learnt from is not what is measured on.
RECORDED: Mapping[str, Reader] = {
    "sewa": read_sewa,
    "semaine": read_semaine,
    "afew-va": read_afew_va,
    AFF_WILD2: read_aff_wild2,
    "recola": read_recola,
}
MEASURED: Mapping[str, Reader] = {
    **RECORDED,
    AFF_WILD2: partial(read_aff_wild2, part="Validation_Set"),
}


def folds_of(recordings: Sequence[Recording], count: int = FOLDS) -> list[Indices]:
    """Places of the recordings of each fold, the same for training and evaluation.

    Raises ValueError for fewer people than folds.
    """
    return subject_folds([one.person for one in recordings], count)
