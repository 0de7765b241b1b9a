import math

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hydrafm.errors import GridError, SettingsError, StoreError
from hydrafm.learn.data import Stacks
from hydrafm.learn.module import AtomFinder
from hydrafm.learn.network import PRIOR, UNet
from hydrafm.learn.weights import Card, read_initial, read_weights, write_weights
from hydrafm.settings.learn import Network, Training

SMALL = Network(slices=3, width=8, levels=2, cells=16, species=("H", "O"))


def card(network: Network = SMALL, pixels: int = 32) -> Card:
    return Card(
        network=network,
        pixels=pixels,
        size=12.0,
        thresholds={"H": 0.4, "O": 0.5},
        systems=("water", "hydrate"),
        n_train_used=7,
        steps=3,
        seed=1,
        versions={"torch_version": "x"},
    )


def stacks(pixels: int = 32, size: float = 12.0) -> Stacks:
    image = np.zeros((1, 3, pixels, pixels), dtype=np.float32)
    return Stacks(image, np.zeros((1, 1), dtype=np.int64), np.zeros((1, 1, 3)), np.zeros(1, dtype=np.int64), size, ())


@pytest.mark.parametrize(("pixels", "cells", "levels", "depth_cells"), [(32, 32, 3, 4), (64, 16, 2, 1), (96, 32, 1, 2)])
def test_any_multiple_of_the_cells_gives_the_cells(pixels, cells, levels, depth_cells):
    settings = Network(slices=5, width=8, cells=cells, levels=levels, depth_cells=depth_cells)
    output = UNet(settings, pixels)(torch.randn(2, 5, pixels, pixels))
    assert output.shape == (2, 3, 4, depth_cells, cells, cells)


def test_an_untrained_network_expects_few_atoms():
    torch.manual_seed(0)
    odds = UNet(SMALL, 32)(torch.randn(4, 3, 32, 32))[:, :, 0]
    assert odds.mean().item() == pytest.approx(math.log(PRIOR / (1 - PRIOR)), abs=0.6)


def test_each_output_layer_belongs_to_its_species_and_field():
    """A bias on one output channel moves exactly one layer of one field of one species."""
    net = UNet(SMALL, 32)
    image = torch.randn(1, 3, 32, 32)
    before = net(image)
    with torch.no_grad():
        net.output.bias[1 * 16 + 2 * 4 + 3] += 5
    moved = (net(image) - before).abs().amax(dim=(0, 4, 5))
    assert moved.argmax().item() == 1 * 16 + 2 * 4 + 3
    assert moved.gt(1).sum() == 1


@pytest.mark.parametrize("weight", [0.5, 1.0, 5.0, 50.0])
def test_the_best_confidence_is_the_true_frequency_whatever_the_positive_weight(weight):
    """Cells filled with probability 0.2 are answered by log-odds log(0.2/0.8)."""
    finder = AtomFinder(UNet(SMALL, 32), Training(positive_weight=weight), torch.ones(2))
    target = torch.zeros(10, 2, 4, 4, 4, 4)
    target[:2, :, 0] = 1
    odds = torch.zeros((), requires_grad=True)
    output = torch.zeros_like(target)
    output[:, :, 0] = 1
    optimizer = torch.optim.LBFGS([odds], line_search_fn="strong_wolfe", max_iter=100, tolerance_change=1e-12)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = finder.loss(output * odds, target)
        loss.backward()
        return loss

    optimizer.step(step)
    assert odds.item() == pytest.approx(math.log(0.2 / 0.8), abs=1e-3)


def test_a_species_that_never_appears_is_left_out_of_the_loss():
    finder = AtomFinder(UNet(SMALL, 32), Training(), torch.tensor([2.0, 0.0]))
    target, output = torch.zeros(1, 2, 4, 4, 16, 16), torch.randn(1, 2, 4, 4, 16, 16)
    other = output.clone()
    other[:, 1] += 3
    assert finder.loss(output, target) == finder.loss(other, target)


def test_offsets_cost_only_where_atoms_are():
    finder = AtomFinder(UNet(SMALL, 32), Training(), torch.ones(2))
    target = torch.zeros(1, 2, 4, 4, 16, 16)
    target[0, 0, 0, 1, 2, 3] = 1
    output = torch.zeros_like(target)
    elsewhere, here = output.clone(), output.clone()
    elsewhere[0, 0, 1:, 0, 0, 0] = 0.5
    here[0, 0, 1:, 1, 2, 3] = 0.5
    assert finder.loss(elsewhere, target) == finder.loss(output, target)
    assert finder.loss(here, target) > finder.loss(output, target)


def test_weights_come_back_with_their_card_and_need_no_pickle(tmp_path):
    torch.manual_seed(0)
    net = UNet(SMALL, 32).eval()
    write_weights(net.state_dict(), card(), tmp_path / "w.safetensors")
    trained = read_weights(tmp_path / "w.safetensors")
    image = torch.randn(2, 3, 32, 32)
    assert trained.card == card()
    assert trained.network(image).equal(net(image))
    assert (tmp_path / "w.safetensors").read_bytes()[8:9] == b"{"  # a JSON header, no pickle
    with safe_open(tmp_path / "w.safetensors", framework="pt") as opened:
        assert "n_train_used" in opened.metadata()["hydrafm"]


def test_missing_and_foreign_weights_are_refused_in_words(tmp_path):
    with pytest.raises(StoreError, match="there are no weights"):
        read_weights(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors here, only text of some length")
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    for name in ("text", "foreign"):
        with pytest.raises(StoreError, match="holds no weights of this version"):
            read_weights(tmp_path / f"{name}.safetensors")


def test_initial_weights_of_another_network_or_scan_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(UNet(SMALL, 32).state_dict(), card(), path)
    assert read_initial(path, SMALL, stacks()).keys() == UNet(SMALL, 32).state_dict().keys()
    wider = SMALL.model_copy(update={"width": 16})
    with pytest.raises(StoreError, match=r"width 8 there, 16 here"):
        read_initial(path, wider, stacks())
    with pytest.raises(GridError, match=r"64 pixels over 12 Å"):
        read_initial(path, SMALL, stacks(pixels=64))
    with pytest.raises(GridError, match=r"32 pixels over 20 Å"):
        read_initial(path, SMALL, stacks(size=20.0))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 12}, "width"),
        ({"cells": 18}, "multiples of 4"),
        ({"species": ["O", "Xx"]}, "chemical symbols"),
        ({"species": ["O", "O"]}, "each once"),
        ({"breadth": 3}, "unknown key"),
    ],
)
def test_impossible_networks_are_refused_by_name(settings, words):
    with pytest.raises(SettingsError, match=words):
        Network.parse(settings)
