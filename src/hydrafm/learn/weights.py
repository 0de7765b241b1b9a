"""Weights as safetensors, with a card in the header that says what they are: no other file is needed to use them."""

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hydrafm import store
from hydrafm.errors import GridError, StoreError
from hydrafm.learn.boxes import Boxes
from hydrafm.learn.data import Stacks
from hydrafm.learn.network import UNet
from hydrafm.settings.base import Settings
from hydrafm.settings.learn import Network


class Card(Settings):
    """What weights are and where they come from."""

    network: Network
    pixels: int
    size: float
    thresholds: dict[str, float]
    systems: tuple[str, ...]
    n_train_used: int
    steps: int
    seed: int
    versions: dict[str, str]


@dataclass(frozen=True)
class Trained:
    """A network ready for use, and its card."""

    network: UNet
    card: Card

    @property
    def boxes(self) -> Boxes:
        """The cells that the network fills."""
        return Boxes.of(self.card.network, self.card.size)

    def check(self, stacks: Stacks) -> None:
        """Refuse stacks of another scan than the network was trained on.

        Raises
        ------
        GridError
            If the pixels or the size of the window differ.
        """
        if (stacks.pixels, stacks.size) != (self.card.pixels, self.card.size):
            raise GridError(
                f"the stacks are {stacks.pixels} pixels over {stacks.size:g} Å, the weights were trained with"
                f" {self.card.pixels} pixels over {self.card.size:g} Å; render or train with the same scan"
            )


def write_weights(state: dict[str, Tensor], card: Card, target: Path) -> None:
    """Write weights and their card, whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with store.write_whole(target) as part:
        part.write_bytes(save(tensors, metadata={"hydrafm": card.model_dump_json()}))


def read_weights(source: Path) -> Trained:
    """Read weights and make the network they belong to.

    Raises
    ------
    StoreError
        If the file is missing or was not written by `write_weights`.
    """
    try:
        with safe_open(source, framework="pt") as opened:
            card = Card.model_validate_json((opened.metadata() or {})["hydrafm"])
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118, it is no dict
        network = UNet(card.network, card.pixels)
        network.load_state_dict(state)
    except FileNotFoundError:
        raise StoreError(f"there are no weights {source}; train them with `hydrafm learn train`") from None
    except (OSError, SafetensorError, KeyError, ValidationError, RuntimeError):
        raise StoreError(f"{source} holds no weights of this version of hydrafm; train them again") from None
    return Trained(network.eval(), card)


def read_initial(source: Path, settings: Network, stacks: Stacks) -> dict[str, Tensor]:
    """Read the weights that a training starts from.

    Raises
    ------
    StoreError
        If they belong to a network with other settings.
    GridError
        If they were trained with another scan.
    """
    trained = read_weights(source)
    before, now = trained.card.network.model_dump(), settings.model_dump()
    differ = [f"{key} {before[key]} there, {now[key]} here" for key in now if before[key] != now[key]]
    if differ:
        raise StoreError(
            f"the initial weights {source} belong to another network ({'; '.join(differ)}); use the same one"
        )
    trained.check(stacks)
    return {name: torch.clone(tensor) for name, tensor in trained.network.state_dict().items()}
