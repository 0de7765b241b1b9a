"""Lightning runs the steps; here is what it is told: batches by step, losses to keep, checkpoints to go on from."""

import logging
import math
import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from tqdm import tqdm

from hydrafm import store
from hydrafm.errors import ConvergenceError
from hydrafm.learn.module import AtomFinder
from hydrafm.settings.learn import Training

LARGEST_GRADIENT = 5.0
"""Norm to which a step's gradient is cut: a rare bad batch then does not throw the network back."""

Row = tuple[int, float, float]
"""Step, training loss, validation loss."""


def fit(
    module: AtomFinder,
    training: Dataset[tuple[Tensor, Tensor]],
    validation: TensorDataset,
    *,
    settings: Training,
    checkpoint: Path,
) -> list[Row]:
    """Train a module for a number of steps, going on from its checkpoint if there is one.

    Parameters
    ----------
    module : AtomFinder
        What is trained, in place.
    training : Dataset
        The batch of each step.
    validation : TensorDataset
        Images and targets.
    settings : Training
        Steps, batch and validations.
    checkpoint : Path
        File written at each validation; one that cannot be read is not used.

    Returns
    -------
    list of (int, float, float)
        At each validation: step, mean training loss since the one before, validation loss.

    Raises
    ------
    ConvergenceError
        If the loss is no longer a number.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    losses = Losses(settings)
    with warnings.catch_warnings():
        # One process that holds its stacks in memory needs no loader processes.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Lightning's own use of torch, nothing a user can mend.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*deprecated.*")
        trainer = lightning.Trainer(
            max_steps=settings.steps,
            max_epochs=-1,
            devices=1,
            plugins=[LightningEnvironment()],
            reload_dataloaders_every_n_epochs=1,
            gradient_clip_val=LARGEST_GRADIENT,
            num_sanity_val_steps=0,
            callbacks=[losses, Checkpoint(checkpoint)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(
            module,
            datamodule=Batches(training, validation, settings),
            ckpt_path=checkpoint if _is_readable(checkpoint) else None,
            weights_only=True,
        )
    return losses.rows


class Batches(lightning.LightningDataModule):
    """Cut the steps into as many epochs as there are validations."""

    def __init__(self, training: Dataset[tuple[Tensor, Tensor]], validation: TensorDataset, settings: Training) -> None:
        super().__init__()
        self.training = training
        self.validation = validation
        self.settings = settings

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Give the batches of the steps up to the next validation."""
        steps = self.settings.steps
        length = -(-steps // self.settings.validations)
        first = self.trainer.current_epoch * length if self.trainer else 0
        return DataLoader(Subset(self.training, range(first, min(first + length, steps))), batch_size=None)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Give the validation set."""
        return DataLoader(self.validation, batch_size=self.settings.batch)


class Losses(lightning.Callback):
    """Keep the losses, and show them on one line of progress."""

    def __init__(self, settings: Training) -> None:
        self.settings = settings
        self.rows: list[Row] = []
        self.bar = tqdm(total=settings.steps, desc="train", unit="step", mininterval=1.0)
        self._sums = {"train": torch.zeros(()), "validation": torch.zeros(())}
        self._counts = {"train": 0, "validation": 0}

    def on_train_start(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        """Move the line to the step that the training goes on from."""
        self.bar.update(trainer.global_step - self.bar.n)

    def on_train_batch_end(self, *given: Any, **_: Any) -> None:
        """Add the loss of a step."""
        _, _, outputs, batch = given[:4]
        self._add("train", outputs["loss"], batch)
        self.bar.update()

    def on_validation_batch_end(self, *given: Any, **_: Any) -> None:
        """Add the loss of a part of the validation set."""
        _, _, loss, batch = given[:4]
        self._add("validation", loss, batch)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        """Keep the mean losses."""
        train, validation = (float(self._sums[name] / self._counts[name]) for name in ("train", "validation"))
        if not math.isfinite(train + validation):
            raise ConvergenceError(
                f"the loss is not finite at step {trainer.global_step};"
                f" lower learning_rate (found {self.settings.learning_rate:g})"
            )
        self.rows.append((trainer.global_step, train, validation))
        self.bar.set_postfix(train=f"{train:.3f}", validation=f"{validation:.3f}")
        self._sums = dict.fromkeys(self._sums, torch.zeros(()))
        self._counts = dict.fromkeys(self._counts, 0)

    def on_fit_end(self, *_: Any, **__: Any) -> None:
        """Close the line."""
        self.bar.close()

    def state_dict(self) -> dict[str, Any]:
        """Give what a checkpoint keeps."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint kept."""
        self.rows = list(state_dict["rows"])

    def _add(self, name: str, loss: Tensor, batch: Sequence[Tensor]) -> None:
        # The sum stays a tensor: reading a number from a GPU at each step would wait for it.
        self._sums[name] = self._sums[name] + loss.detach() * len(batch[0])
        self._counts[name] += len(batch[0])


class Checkpoint(lightning.Callback):
    """Write everything that a training needs to go on, at each validation."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        """Write the checkpoint, whole or not at all."""
        with store.write_whole(self.target) as part:
            trainer.save_checkpoint(part)


def _is_readable(checkpoint: Path) -> bool:
    """Tell whether a checkpoint can be loaded; it is never unpickled into anything but tensors and numbers."""
    try:
        torch.load(checkpoint, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        return False
    return True
