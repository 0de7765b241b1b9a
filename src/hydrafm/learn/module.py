"""The one Lightning module for pre-training, fine-tuning and training from scratch."""

import math
from collections.abc import Sequence

import pytorch_lightning as lightning
import torch
from jaxtyping import Float
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional

from hydrafm.learn.network import UNet
from hydrafm.settings.learn import Training

WARM_UP = 0.2
"""Part of the steps in which the learning rate rises."""


class AtomFinder(lightning.LightningModule):
    """Learn confidences and offsets of the cells.

    Parameters
    ----------
    network : UNet
        What is trained.
    settings : Training
        Steps, rates and weights.
    frequency : (species,) tensor
        Atoms of each species in a stack, on average. Each species' loss is taken per atom, so that rare ones
        count as much as common ones; a species that never appears is left out of the loss.
    """

    def __init__(self, network: UNet, settings: Training, frequency: Float[Tensor, " species"]) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.register_buffer("share", _share(frequency), persistent=False)

    def training_step(self, batch: Sequence[Tensor]) -> Tensor:
        """Take the loss of a batch."""
        image, target = batch
        return self.loss(self.network(image), target)

    def validation_step(self, batch: Sequence[Tensor]) -> Tensor:
        """Take the loss of a batch."""
        image, target = batch
        return self.loss(self.network(image), target)

    def loss(
        self, output: Float[Tensor, "batch species 4 layer y x"], target: Float[Tensor, "batch species 4 layer y x"]
    ) -> Float[Tensor, ""]:
        """Weighted cross-entropy of the confidence plus the error of the offsets where atoms are.

        The positive weight w moves the best log-odds by log w; the network's output is the log-odds before
        that move, so that it stays a probability whatever the weight.
        """
        odds, truth = output[:, :, 0], target[:, :, 0]
        weight = torch.tensor(self.settings.positive_weight, device=odds.device)
        entropy = functional.binary_cross_entropy_with_logits(
            odds + math.log(self.settings.positive_weight), truth, pos_weight=weight, reduction="none"
        )
        offset = functional.smooth_l1_loss(output[:, :, 1:], target[:, :, 1:], reduction="none", beta=0.1).sum(dim=2)
        cells = (entropy + self.settings.offset_weight * offset * truth).sum(dim=(0, 2, 3, 4))
        return (cells * self.get_buffer("share")).sum() / len(output)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with one cycle of the learning rate over all steps (Smith and Topin, 2019)."""
        settings = self.settings
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=settings.learning_rate,
            total_steps=settings.steps,
            pct_start=WARM_UP,
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _share(frequency: Float[Tensor, " species"]) -> Float[Tensor, " species"]:
    """Weigh the species so that the loss is the mean over those that appear of the loss per atom."""
    present = frequency > 0
    return torch.where(present, 1 / frequency, 0.0).float() / present.sum().clamp(min=1)
