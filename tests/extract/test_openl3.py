"""OpenL3's embeddings are what the published front end and network make of each second, however they are computed."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
import torch
from msmt.errors import EncoderError, SettingError
from msmt.extract.extractors.contract import Setup
from msmt.extract.extractors.openl3 import Openl3, Openl3Options, windowed, windows_of
from msmt.extract.extractors.openl3_network import MEL_BASIS, REPRESENTATIONS, OpenL3, Pictures, htk_bands
from msmt.extract.extractors.openl3_compiled import Compiled
from msmt.extract.extractors.openl3_quick import QuickOpenL3, best_steps
from msmt.extract.extractors.openl3_tiles import ByMatrices
from msmt.extract.layouts.checkpoints import write_openl3
from msmt.tests.extract.made import speech_like
from msmt.tests.extract.test_mel import loaded, material_of
from safetensors.torch import load_file, save_file

SETUP = Setup(torch.device("cpu"))
RATE = 48_000
TOLERANCE = 1e-4  # of the greatest value


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_openl3(tmp_path_factory.mktemp("openl3"), seed=0, representation="mel128")


def asked(weights, **options) -> Openl3Options:
    return Openl3Options(**{"weights": str(weights), "representation": "mel128"} | options)


def kernels_of(transform: int) -> dict[str, torch.Tensor]:
    """The front end as checkpoints hold it: a Fourier transform under a Hann window, written out."""
    times, numbers = np.arange(transform), np.arange(transform // 2 + 1)[:, None]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * times / transform)
    phases = 2 * np.pi * numbers * times / transform
    return {
        f"speclayer.dft_{part}_kernels": torch.from_numpy(each * window).float()[:, None]
        for part, each in (("real", np.cos(phases)), ("imag", -np.sin(phases)))
    }


def picture(window: np.ndarray, transform: int, basis: np.ndarray | None) -> np.ndarray:
    """One second (48,000) -> decibels (H, W) in float64, a frame at a time, sums written out."""
    real, imaginary = (each[:, 0].double().numpy() for each in kernels_of(transform).values())
    if basis is not None:
        lacking = transform - 48_000 % 242
        window = np.concatenate([np.zeros(lacking // 2), window, np.zeros(lacking - lacking // 2)])
    columns = []
    for start in range(0, len(window) - transform + 1, 242):
        frame = window[start : start + transform]
        power = (real @ frame) ** 2 + (imaginary @ frame) ** 2
        columns.append(np.sqrt(power if basis is None else basis @ power))
    values = 10 * np.log10(np.maximum(np.array(columns).T, 1e-10))
    return np.maximum(values - values.max(), -80)


def embedding(pictured: np.ndarray, tensors: dict, pool: tuple[int, int]) -> np.ndarray:
    """(H, W) -> (d,) by the published names, in float64; convolutions as sums of nine products of matrices."""
    values = pictured[None]
    for number in range(1, 9):
        norm = {key: tensors[f"batch_normalization_{number}.{key}"].double().numpy()[:, None, None] for key in NORM}
        values = (values - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-3) * norm["weight"] + norm["bias"]
        values = values if number == 1 else np.maximum(values, 0)
        if number in (3, 5, 7):
            values = maximum(values, (2, 2))
        name = f"conv2d_{number}" if number < 8 else "audio_embedding_layer"
        kernels = tensors[f"{name}.weight"].double().numpy()
        around = np.pad(values, ((0, 0), (1, 1), (1, 1)))
        height, width = values.shape[1:]
        values = tensors[f"{name}.bias"].double().numpy()[:, None, None] + sum(
            np.tensordot(kernels[:, :, row, column], around[:, row : row + height, column : column + width], 1)
            for row in range(3)
            for column in range(3)
        )
    return maximum(values, pool).transpose(1, 2, 0).reshape(-1)


NORM = ("weight", "bias", "running_mean", "running_var")


def maximum(values: np.ndarray, pool: tuple[int, int]) -> np.ndarray:
    height, width = (size // step for size, step in zip(values.shape[1:], pool, strict=True))
    cut = values[:, : height * pool[0], : width * pool[1]]
    return cut.reshape(-1, height, pool[0], width, pool[1]).max(axis=(2, 4))


def as_if_trained(network: OpenL3) -> OpenL3:
    """With norms that are not zero or one, so that to forget one of them shows."""
    random = torch.Generator().manual_seed(1)
    for norm in network.norms[1:]:
        for values, low, high in ((norm.running_mean, -0.1, 0.1), (norm.running_var, 0.5, 2.0)):
            values.uniform_(low, high, generator=random)
        norm.weight.data.uniform_(0.5, 1.5, generator=random)
        norm.bias.data.uniform_(-0.2, 0.2, generator=random)
    network.norms[0].running_mean.fill_(-40)
    network.norms[0].running_var.fill_(300)
    return network.eval()


def test_the_network_has_as_many_parameters_as_the_published_one():
    for shape in REPRESENTATIONS.values():
        assert sum(values.numel() for values in OpenL3(shape, 512).parameters()) == 4_687_042


@pytest.mark.parametrize(
    ("name", "size", "pools"),
    [
        ("linear", (257, 197), {6144: (8, 8), 512: (32, 24)}),
        ("mel128", (128, 199), {6144: (4, 8), 512: (16, 24)}),
        ("mel256", (256, 199), {6144: (8, 8), 512: (32, 24)}),
    ],
)
def test_pictures_and_pools_have_the_published_sizes(name, size, pools):
    shape = REPRESENTATIONS[name]
    assert shape.size == size and {width: shape.pool_of(width) for width in pools} == pools


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_a_picture_is_that_of_the_definition(name):
    shape = REPRESENTATIONS[name]
    windows = torch.from_numpy(np.stack([speech_like(1.0, RATE), np.resize(speech_like(0.3, RATE, 3), RATE)]))
    basis = htk_bands(shape).double().numpy() if shape.bands else None
    made = Pictures(shape)(windows).numpy()
    for window, one in zip(windows.numpy().astype(np.float64), made, strict=True):
        expected = picture(window, shape.transform, basis)
        assert one.shape == expected.shape and np.abs(one - expected).max() < 0.01
        assert one.max() == 0 and one.min() >= -80


def test_bands_are_triangles_of_equal_area_evenly_spaced_on_the_mel_scale_of_htk():
    shape = REPRESENTATIONS["mel128"]
    hertz = np.arange(1025) * 24_000 / 1024
    ends = 700 * (10 ** (np.arange(130) / 129 * np.log10(1 + 24_000 / 700)) - 1)
    for band in (40, 100, 127):
        low, middle, high = ends[band : band + 3]
        expected = np.clip(np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)), 0, None)
        assert np.allclose(htk_bands(shape)[band], expected * 2 / (high - low), atol=1e-6)


@pytest.mark.parametrize("steps", [Compiled, ByMatrices])
@pytest.mark.parametrize(("name", "width"), [("linear", 6144), ("mel128", 6144), ("mel128", 512), ("mel256", 512)])
def test_the_quick_way_gives_the_values_of_the_network_for_any_number_of_windows(name, width, steps):
    shape = REPRESENTATIONS[name]
    torch.manual_seed(0)
    network = as_if_trained(OpenL3(shape, width))
    count = 3 if name == "mel128" else 1
    pictures = Pictures(shape)
    windows = torch.from_numpy(np.stack([speech_like(1.0, RATE, each) for each in range(count)]))
    with torch.inference_mode():
        expected = network(pictures(windows))
    made = QuickOpenL3(pictures, network, steps())(windows)
    assert made.shape == (count, width)
    assert (made - expected).abs().max() < TOLERANCE * expected.abs().max()


def test_threads_share_the_windows_and_change_no_value():
    shape = REPRESENTATIONS["mel128"]
    quick, windows = QuickOpenL3(Pictures(shape), as_if_trained(OpenL3(shape, 512))), torch.randn(9, RATE)
    before, made = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            made.append(quick(windows))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*made)
    assert torch.equal(made[0][4:8], quick(windows[4:8]))


def test_without_numba_the_steps_are_products_of_matrices(monkeypatch):
    assert isinstance(best_steps(), Compiled)
    monkeypatch.setitem(sys.modules, "msmt.extract.extractors.openl3_compiled", None)
    assert isinstance(best_steps(), ByMatrices)


def test_a_vector_is_the_mean_over_windows_of_the_definition(weights, tmp_path):
    tensors = load_file(weights)
    sound = speech_like(0.65, RATE)
    material = material_of(tmp_path, sound, rate=RATE)
    rows, vector = (
        extractor.encode([loaded(extractor, material)])[0]["x"].numpy()
        for extractor in (Openl3.load("x", asked(weights, pool=pool), SETUP) for pool in ("none", "mean"))
    )
    padded = np.concatenate([np.zeros(24_000), sound, np.zeros(10_000)]).astype(np.float64)
    basis = htk_bands(REPRESENTATIONS["mel128"]).double().numpy()
    starts = (0, 4800, 9600)  # 0.65 s and half a second in front need two hops beyond the first window
    expected = [embedding(picture(padded[at : at + RATE], 2048, basis), tensors, (4, 8)) for at in starts]
    assert rows.shape == (3, 6144) and vector.shape == (1, 6144)
    assert np.abs(rows - expected).max() < TOLERANCE * np.abs(expected).max()
    assert np.allclose(vector[0], rows.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "windows"), [(1, 1), (24_000, 1), (24_001, 2), (28_800, 2), (28_801, 3), (48_000, 6), (480_000, 96)]
)
def test_windows_cover_every_sample_and_the_last_is_filled_with_zeros(samples, windows):
    made = windowed(torch.ones(samples), 4800)
    assert made.shape == (windows, RATE) and windows_of(samples, 4800) == windows
    assert (made[0, :24_000] == 0).all() and made[0, 24_000] == 1
    assert made[-1].sum() > 0 and (windows == 1 or 4800 * (windows - 2) + RATE < samples + 24_000)


def test_the_checkpoints_own_bands_are_taken_and_are_in_its_digest(weights, tmp_path):
    basis = htk_bands(REPRESENTATIONS["mel128"])
    specs = []
    for number, own in enumerate((basis, 2 * basis)):
        save_file(load_file(weights) | kernels_of(2048) | {MEL_BASIS: own}, tmp_path / f"{number}.safetensors")
        options = asked(tmp_path / f"{number}.safetensors")
        extractor = Openl3.load("x", options, SETUP)
        assert torch.equal(extractor.pictures.mel_basis, own)
        specs.append(extractor.spec)
    assert specs[0].weights != specs[1].weights
    assert specs[0].fingerprint == Openl3.load("x", asked(weights), SETUP).spec.fingerprint


def test_a_file_that_torch_wrote_is_the_same_checkpoint(weights, tmp_path):
    path = tmp_path / "torchopenl3_mel128_music_6144.pth.tar"
    torch.save(load_file(weights) | kernels_of(2048), path)
    made = Openl3.load("", asked(path), SETUP)
    assert list(made.specs) == ["openl3"]
    assert made.spec.fingerprint == Openl3.load("", asked(weights), SETUP).spec.fingerprint


def test_a_spec_says_all_that_decides_the_values(weights):
    spec = Openl3.load("x", asked(weights, content="env", pool="none"), SETUP).spec
    assert (spec.kind, spec.unit, spec.width, spec.sample_rate) == ("openl3", "frame", 6144, RATE)
    assert spec.max_rows == 396 and spec.normalisation == "none: samples at the recording's own level"
    said = {"representation": "mel128", "content": "env", "hop": 4800, "pool": "none"}
    assert said.items() <= spec.options.items()
    others = ({"content": "music"}, {"hop": 0.2}, {"width": 512}, {"pool": "mean"}, {"seconds": 20.0})
    for other in others:
        assert (
            Openl3.load("x", asked(weights, **{"content": "env", "pool": "none"} | other), SETUP).spec.fingerprint
            != spec.fingerprint
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate": 8000}, "rate must be 48000 for OpenL3, the only one that it knows, but is 8000"),
        ({"representation": "mel64"}, "representation must be linear, mel128 or mel256, but is 'mel64'"),
        ({"content": "speech"}, "content must be music or env, but is 'speech'"),
        ({"width": 768}, "width must be 6144 or 512, but is 768"),
        ({"pool": "max"}, "pool must be mean or none, but is 'max'"),
        ({"hop": 0.0}, "hop must be at least a sample, 1/48000 s, but is 0.0"),
        ({"hop": float("nan")}, "hop must be"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(SettingError, match=said):
        Openl3Options(**options)


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_a_checkpoint_that_cannot_be_used_says_why_in_one_line(weights, tmp_path, capsys):
    tensors = load_file(weights)

    def refused(path, representation="mel128"):
        with pytest.raises((EncoderError, SettingError)) as caught:
            Openl3.load("x", asked(path, representation=representation), SETUP)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def saved(content):
        torch.save(content, tmp_path / "some.pth.tar")
        return tmp_path / "some.pth.tar"

    assert "weights must name a file: the published ones are torchopenl3's assets" in refused("")
    assert "there is no such file of weights" in refused(tmp_path / "none.pth.tar")
    assert "holds more than tensors" in refused(saved({"conv2d_1.weight": Evil()}))
    assert "run" not in capsys.readouterr().out
    assert "holds no tensors by their names" in refused(saved([1, 2]))
    (tmp_path / "text.pth.tar").write_text("not weights at all")
    assert "is no file of weights" in refused(tmp_path / "text.pth.tar")
    whole = weights.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as safetensors" in refused(tmp_path / "cut.safetensors")
    (tmp_path / "pickled.pth.tar").write_bytes(pickle.dumps(Evil()))
    refused(tmp_path / "pickled.pth.tar")
    assert "run" not in capsys.readouterr().out
    lacking = {name: values for name, values in tensors.items() if "conv2d_3" not in name}
    assert "lacks conv2d_3.bias" in refused(saved(lacking)) or "lacks conv2d_3.weight" in refused(saved(lacking))
    other = tensors | {"conv2d_3.weight": torch.zeros(64, 64, 3, 3)}
    assert "conv2d_3.weight is 64 x 64 x 3 x 3, and a checkpoint of OpenL3 has 128 x 64 x 3 x 3" in refused(
        saved(other)
    )
    holed = tensors | {"conv2d_3.bias": torch.full((128,), float("nan"))}
    assert "conv2d_3.bias holds values that are not finite numbers" in refused(saved(holed))
    linear = saved(tensors | kernels_of(512))
    assert "not that of mel128, and seems to be linear: give representation=linear" in refused(linear)
    slanted = saved(tensors | {name: 2 * each for name, each in kernels_of(512).items()})
    assert "has another transform than OpenL3's" in refused(slanted, "linear")


def test_a_second_of_nothing_but_zeros_within_a_segment_has_values(weights, tmp_path):
    sound = np.concatenate([speech_like(0.2, RATE), np.zeros(2 * RATE, np.float32)])
    extractor = Openl3.load("x", asked(weights, hop=1.0, pool="none"), SETUP)
    (made,) = extractor.encode([loaded(extractor, material_of(tmp_path, sound, rate=RATE))])
    assert made["x"].shape == (3, 6144) and made["x"].isfinite().all()
