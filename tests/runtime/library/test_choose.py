"""Of a repository's models the one that was named is taken, or the best that fits."""

import pytest

from accel.errors import ModelMissing, ModelUnsupported, NetworkError, PlanRefused
from accel.offload.gguf_header import read_header
from accel.runtime.library.choose import BEST_FIRST, format_of, preference
from accel.runtime.library.reference import HubFile, HubModel
from accel.units import Bytes

from .models import REPO, get, gguf, listing, refuse


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Some-Model-7B.Q4_K_M.gguf", "Q4_K_M"),
        ("some-model-q8_0.gguf", "Q8_0"),
        ("Q4_K_M/some-model-Q4_K_M-00001-of-00002.gguf", "Q4_K_M"),
        ("some-IQ4_XS.gguf", "IQ4_XS"),
        ("some-f16.gguf", "F16"),
        ("some.gguf", ""),
    ],
)
def test_a_name_tells_its_format(name, told):
    assert format_of(name) == told


def model(name: str, size: int) -> HubModel:
    return HubModel(REPO, "", (HubFile(name, Bytes(size)),))


def test_four_bits_come_first_and_unknown_formats_last():
    models = [model("x-F16.gguf", 16), model("x-Q8_0.gguf", 8), model("x-Q4_K_M.gguf", 5), model("x-Q2_K.gguf", 3)]
    assert [format_of(each.name) for each in sorted(models, key=preference)] == ["Q4_K_M", "Q8_0", "Q2_K", "F16"]


def test_every_format_of_the_order_is_one_that_names_tell():
    assert [format_of(f"x-{name}.gguf") for name in BEST_FIRST] == list(BEST_FIRST)


def test_without_a_file_the_first_choice_that_fits_is_taken_and_told(hub, library):
    hub.files[REPO] = {
        "x-Q8_0.gguf": gguf(8000),
        "x-Q4_K_M.gguf": gguf(4000),
        "x-Q3_K_M.gguf": gguf(3000),
        "mmproj-x-Q4_K_M.gguf": gguf(100, "projector"),
    }

    def check(path):
        if read_header(path).metadata["note"] == "projector":
            raise ModelUnsupported("no language model", "name another")
        if path.stat().st_size > 15_000:
            raise PlanRefused("too large", "")

    path, said = get(library, "hf:owner/tiny", check=check)
    assert path.name == "x-Q3_K_M.gguf"
    assert "do not fit" in said[0]
    assert not any("Q8_0" in name for name, _ in hub.asked)  # larger than what was refused: not even asked
    library.remove(library.entries()[0])
    path, said = get(library, "hf:owner/tiny")
    assert path.name == "x-Q4_K_M.gguf"
    assert "four bits" in said[0]


def test_a_file_whose_size_the_hub_has_wrong_is_passed_over(hub, library):
    files = {"x-Q4_0.gguf": gguf(100), "x-Q8_0.gguf": gguf(50)}
    hub.files[REPO] = {**files, "x-Q4_0.gguf": files["x-Q4_0.gguf"][:-8]}
    hub.listing = listing(files, 0)
    assert get(library, "hf:owner/tiny")[0].name == "x-Q8_0.gguf"


def test_where_nothing_fits_the_refusal_is_the_answer(hub, library):
    hub.files[REPO] = {"x-Q4_0.gguf": gguf(100)}
    with pytest.raises(PlanRefused):
        get(library, "hf:owner/tiny", check=refuse)


def test_a_file_that_is_not_there_names_the_nearest(hub, library):
    hub.files[REPO] = {"x-Q4_K_M.gguf": gguf(10), "y.gguf": gguf(10)}
    with pytest.raises(ModelMissing, match=r"x-Q4_K_M\.gguf"):
        get(library, "hf:owner/tiny:x-Q4_KM.gguf")


@pytest.mark.parametrize("files", [{}, {"model.safetensors": b"x"}, {"../evil.gguf": b"x"}])
def test_a_repository_without_models_is_said(hub, library, files):
    hub.files[REPO] = files
    with pytest.raises(ModelMissing, match="holds no GGUF"):
        get(library, "hf:owner/tiny")


def test_offline_never_asks_the_hub(hub, library):
    hub.files[REPO] = {"a.gguf": gguf(10)}
    with pytest.raises(NetworkError, match="offline"):
        get(library, "hf:owner/tiny", offline=True)
    assert not hub.asked
