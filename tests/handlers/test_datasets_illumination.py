"""Pictures of one face in two lights are paired by the names that Yale and SOF give them."""

import json
from pathlib import Path

import pytest
from scipy.io import savemat  # type: ignore[import-untyped]

from handlers.training.datasets.records import IlluminationPair
from handlers.training.datasets.sof import read_sof
from handlers.training.datasets.yale import read_extended_yale_b, read_yale


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names(pairs: list[IlluminationPair]) -> list[tuple[str, str, str]]:
    return [(pair.dark_path.name, pair.lit_path.name, pair.subject) for pair in pairs]


def test_yale_pairs_side_light_with_the_centre_light_of_its_subject(tmp_path: Path) -> None:
    put(tmp_path, "subject02.centerlight", "subject02.leftlight", "subject02.rightlight")
    put(tmp_path, "subject02.happy", "subject03.leftlight", "Readme.txt")
    assert names(read_yale(tmp_path)) == [
        ("subject02.leftlight", "subject02.centerlight", "subject02"),
        ("subject02.rightlight", "subject02.centerlight", "subject02"),
    ]


def test_yales_misnamed_first_picture_and_added_suffixes_are_known(tmp_path: Path) -> None:
    put(tmp_path, "subject01.gif", "subject01.leftlight")
    put(tmp_path, "subject04.centerlight.pgm", "subject04.rightlight.pgm")
    assert names(read_yale(tmp_path)) == [
        ("subject01.leftlight", "subject01.gif", "subject01"),
        ("subject04.rightlight.pgm", "subject04.centerlight.pgm", "subject04"),
    ]


def test_extended_yale_b_pairs_every_lamp_with_the_frontal_one_of_its_pose(tmp_path: Path) -> None:
    put(
        tmp_path,
        "yaleB11/yaleB11_P00A+000E+00.pgm",
        "yaleB11/yaleB11_P00A+035E+40.pgm",
        "yaleB11/yaleB11_P00A-110E-20.pgm",
        "yaleB11/yaleB11_P00A+050E-40.pgm.bad",
        "yaleB11/yaleB11_P00_Ambient.pgm",
        "yaleB11/yaleB11_P00.info",
        "yaleB11/yaleB11_P01A+000E+00.pgm",
        "yaleB11/yaleB11_P01A+070E+45.pgm",
        "yaleB12/yaleB12_P02A+070E+45.pgm",
    )
    assert names(read_extended_yale_b(tmp_path)) == [
        ("yaleB11_P00A+035E+40.pgm", "yaleB11_P00A+000E+00.pgm", "yaleB11"),
        ("yaleB11_P00A-110E-20.pgm", "yaleB11_P00A+000E+00.pgm", "yaleB11"),
        ("yaleB11_P01A+070E+45.pgm", "yaleB11_P01A+000E+00.pgm", "yaleB11"),
    ]


SOF_PICTURES = [
    ("AbdA_00001_m_31_i_fr_nc_no_2016_2", 0),
    ("AbdA_00002_m_31_i_nf_nc_no_2016_2", 0),
    ("AbdA_00005_m_31_i_nf_nc_no_2016_2", 1),
    ("AbdA_00006_m_31_i_fr_nc_hp_2016_2", 1),
    ("ZenH_02661_f_25_o_fr_nc_no_2015_1", 1),
]


def put_sof(root: Path, metadata: str) -> None:
    put(root, *(f"original images/{name}_e0_nl_o.jpg" for name, _ in SOF_PICTURES))
    put(root, "whole images/AbdA_00005_m_31_i_nf_nc_no_2016_2_en_Gn_h.jpg")
    (root / "metadata").mkdir()
    records = [
        {"filename": f"{name}_*", "gender": "m", "illumination": grade}
        for name, grade in SOF_PICTURES
    ]
    if metadata == "metadata.mat":
        savemat(root / "metadata" / metadata, {"metadata": records})
    else:
        (root / "metadata" / metadata).write_text(json.dumps(records))


@pytest.mark.parametrize("metadata", ["metadata.json", "metadata.mat"])
def test_sof_pairs_bad_light_with_good_of_the_same_subject_emotion_and_view(
    tmp_path: Path, metadata: str
) -> None:
    put_sof(tmp_path, metadata)
    assert names(read_sof(tmp_path)) == [
        (
            "AbdA_00005_m_31_i_nf_nc_no_2016_2_e0_nl_o.jpg",
            "AbdA_00002_m_31_i_nf_nc_no_2016_2_e0_nl_o.jpg",
            "AbdA",
        )
    ]


def test_folders_without_a_pair_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "subject01.happy", "yaleB01_P00_Ambient.pgm")
    with pytest.raises(ValueError, match=r"subject01\.centerlight"):
        read_yale(tmp_path)
    with pytest.raises(ValueError, match="yaleB01_P00"):
        read_extended_yale_b(tmp_path)
    with pytest.raises(ValueError, match="metadata"):
        read_sof(tmp_path)


def test_sof_metadata_without_the_illumination_field_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps([{"filename": "AbdA_00001_m_31_*"}]))
    with pytest.raises(ValueError, match="illumination"):
        read_sof(tmp_path)
