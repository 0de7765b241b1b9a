import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from hydrafm import provenance
from hydrafm.artefacts.chain import degrade
from hydrafm.artefacts.commands import app
from hydrafm.artefacts.gallery import IMAGES, SECTIONS
from hydrafm.errors import StoreError
from hydrafm.settings.artefacts import Artefacts
from hydrafm.settings.base import Settings
from hydrafm.store import write_dataset

ROOT = Path(__file__).parents[2]
SIZE = 8.0
STRONG = IMAGES | SECTIONS
"""Settings of each artefact alone, at a strength that shows."""


def stacks(count: int = 3, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Smooth random images."""
    rough = torch.randn(count, 6, 40, 40, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.avg_pool2d(rough, 5, stride=1, padding=2).to(dtype)


def positions(count: int = 3, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return SIZE * torch.rand(count, 7, 3, generator=torch.Generator().manual_seed(1)).to(dtype)


def run(
    settings: Artefacts, seeds: list[int] | None = None, **given: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    image, atoms = given.get("image", stacks()), given.get("atoms", positions())
    return degrade(image, atoms, settings, size=SIZE, seeds=seeds or list(range(len(image))))


def on(**settings: object) -> Artefacts:
    return Artefacts.off().model_copy(update=settings)


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.numpy().tobytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everything_off_gives_back_the_same_bits(dtype):
    image = stacks(dtype=dtype)
    image[0, 0, 0] = -0.0
    result, moved = run(Artefacts.off(), image=image)
    assert bits(result) == bits(image)
    assert bits(moved) == bits(positions())


@pytest.mark.parametrize("name", STRONG)
def test_each_artefact_changes_the_image_and_only_the_shape_moves_atoms(name):
    image, atoms = stacks(), positions()
    result, moved = run(on(**STRONG[name]), image=image, atoms=atoms)
    assert all(not one.equal(other) for one, other in zip(result, image, strict=True))
    assert result.isfinite().all()
    assert moved.equal(atoms) != (name.startswith(("calibration", "shear")))
    assert bits(image) == bits(stacks())
    assert bits(atoms) == bits(positions())


def test_a_seed_fixes_the_result_and_another_gives_another():
    first, again, other = run(Artefacts(), [5, 6, 7]), run(Artefacts(), [5, 6, 7]), run(Artefacts(), [5, 6, 8])
    for one, same, third in zip(first, again, other, strict=True):
        assert bits(one) == bits(same)
        assert one[:2].equal(third[:2])
        assert not one[2].equal(third[2])


def test_a_stack_is_degraded_the_same_in_any_batch():
    image, atoms = stacks(4), positions(4)
    together = run(Artefacts(), [3, 1, 4, 1], image=image, atoms=atoms)
    order = [2, 0, 3]
    apart = run(Artefacts(), [4, 3, 1], image=image[order], atoms=atoms[order])
    for one, other in zip(together, apart, strict=True):
        assert bits(one[order]) == bits(other)


def test_an_artefact_switched_on_leaves_the_others_as_they_were():
    """Glitches are added to the same noise: where there is none, nothing changes."""
    noise = {"white": (0.2, 0.2), "lines": STRONG["line noise"]["lines"]}
    without, _ = run(on(**noise))
    glitched, _ = run(on(**noise, **STRONG["glitches"]))
    touched = (glitched != without).float().mean()
    assert 0 < touched < 0.6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_number_types_are_kept(dtype):
    result, moved = run(Artefacts(), image=stacks(dtype=dtype), atoms=positions(dtype=torch.float32))
    assert result.dtype is dtype
    assert moved.dtype is torch.float32


def test_single_and_double_precision_agree_to_rounding():
    single, _ = run(Artefacts())
    double, _ = run(Artefacts(), image=stacks().double())
    torch.testing.assert_close(single, double.float(), atol=2e-5, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_gives_the_same_up_to_rounding():
    here = run(Artefacts())
    there = run(Artefacts(), image=stacks().cuda(), atoms=positions().cuda())
    for one, other in zip(here, there, strict=True):
        assert other.device.type == "cuda"
        torch.testing.assert_close(one, other.cpu(), atol=2e-5, rtol=0)


def test_the_contrast_of_a_stack_does_not_matter():
    """Amplitudes are in units of the slice: a stack in other units is degraded alike."""
    image = stacks().double()
    result, _ = run(Artefacts(), image=image)
    scaled, _ = run(Artefacts(), image=30 * image - 7)
    torch.testing.assert_close(scaled, 30 * result - 7)


def test_a_flat_slice_stays_flat():
    result, _ = run(Artefacts(), image=torch.full((3, 6, 40, 40), 2.0))
    torch.testing.assert_close(result, torch.full_like(result, 2.0))


def test_the_documentation_gives_every_setting_and_its_default():
    lines = (ROOT / "docs/artefacts.md").read_text().splitlines()
    for name, value in Artefacts():
        settings = {f"{name}.{part}": inner for part, inner in value} if isinstance(value, Settings) else {name: value}
        for key, default in settings.items():
            shown = " to ".join(f"{limit:g}" for limit in default) if isinstance(default, tuple) else f"{default:g}"
            (row,) = [line for line in lines if line.startswith("|") and f"`{key}`" in line]
            assert f"| {shown} |" in row, key


def test_a_change_of_an_artefact_reruns_trainings(tmp_path, monkeypatch):
    before = provenance.code_hash("hydrafm.learn.training")
    source = tmp_path / "hydrafm"
    shutil.copytree(provenance.SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "SOURCE", source)
    assert provenance.code_hash("hydrafm.learn.training") == before
    (source / "artefacts/events.py").open("a").write("\nMORE = 1\n")
    provenance._digest.cache_clear()
    changed = provenance.code_hash("hydrafm.learn.training")
    assert changed != before
    (source / "artefacts/gallery.py").open("a").write("\nMORE = 1\n")
    provenance._digest.cache_clear()
    assert provenance.code_hash("hydrafm.learn.training") == changed


@pytest.fixture
def store(tmp_path) -> Path:
    centres = (np.arange(40) + 0.5) * SIZE / 40
    dataset = xr.Dataset(
        {"frequency_shift": (("sample", "z", "y", "x"), stacks(2).numpy())},
        coords={"z": 3 + 0.1 * np.arange(6), "y": centres, "x": centres},
    )
    write_dataset(dataset, tmp_path / "stacks.zarr")
    return tmp_path / "stacks.zarr"


def test_the_command_draws_every_artefact(store, tmp_path):
    out = tmp_path / "artefacts.svg"
    done = CliRunner().invoke(
        app, ["draw", "--stacks", str(store), "--sample", "1", "--out", str(out)], catch_exceptions=False
    )
    assert done.exit_code == 0
    shown = {name for settings in STRONG.values() for name in settings}
    assert shown == set(Artefacts.model_fields)
    assert out.read_text().count("<image") == len(STRONG) + 4


def test_a_stack_that_is_not_there_is_named_in_one_line(store, tmp_path):
    out = tmp_path / "artefacts.png"
    result = CliRunner().invoke(app, ["draw", "--stacks", str(store), "--sample", "2", "--out", str(out)])
    assert isinstance(result.exception, StoreError)
    assert str(result.exception) == "stack 2 was asked for, but the store holds 2 stacks, counted from 0"
    assert not out.exists()
