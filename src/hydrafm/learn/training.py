"""Training from stacks to weights."""

import csv
import hashlib
import shutil
from pathlib import Path

import torch

from hydrafm import store
from hydrafm.errors import GridError
from hydrafm.learn.boxes import Boxes
from hydrafm.learn.data import Stacks, TrainingBatches, atoms_per_stack, encoded
from hydrafm.learn.evaluation import choose_thresholds
from hydrafm.learn.fitting import fit
from hydrafm.learn.module import AtomFinder
from hydrafm.learn.network import UNet
from hydrafm.learn.prediction import predict
from hydrafm.learn.weights import Card, read_initial, write_weights
from hydrafm.provenance import code_hash, entropy, stamp
from hydrafm.settings.artefacts import Artefacts
from hydrafm.settings.learn import Network, Training


def train(
    stacks: Stacks,
    validation: Stacks,
    *,
    network: Network,
    artefacts: Artefacts,
    training: Training,
    seed: int,
    out: Path,
    history: Path,
    initial: Path | None = None,
    resume: Path | None = None,
) -> Card:
    """Train a network and write its weights and its losses.

    Pre-training, fine-tuning and training from scratch are this one function; fine-tuning has initial weights.

    Parameters
    ----------
    stacks, validation : Stacks
        What is learnt from, and what the validation loss and the confidence thresholds are taken on.
    network, artefacts, training : Network, Artefacts, Training
        Settings.
    seed : int
        Of the first weights and of the batches.
    out, history : Path
        Weights (safetensors) and losses (CSV: step, train_loss, validation_loss) to write.
    initial : Path, optional
        Weights to start from.
    resume : Path, optional
        Folder of the checkpoint, by default ``<out>.resume``; the checkpoint is removed when the training is done.

    Raises
    ------
    GridError, StoreError
        If stacks, network and initial weights do not fit together.
    ConvergenceError
        If the loss is no longer a number.
    """
    for given in (stacks, validation):
        _check_pixels(given, network)
    torch.manual_seed(entropy(seed, "weights"))
    net = UNet(network, stacks.pixels)
    if initial is not None:
        net.load_state_dict(read_initial(initial, network, stacks))
    frequency = atoms_per_stack(stacks, network)
    folder = resume or out.with_name(f"{out.name}.resume")
    checkpoint = folder / f"{_fingerprint(net, stacks, f'{network} {artefacts} {training} {seed}')}.ckpt"
    rows = fit(
        AtomFinder(net, training, torch.from_numpy(frequency)),
        TrainingBatches(stacks, network, artefacts, batch=training.batch, seed=seed),
        encoded(validation, network),
        settings=training,
        checkpoint=checkpoint,
    )
    boxes = Boxes.of(network, stacks.size)
    taught = [species for species, count in zip(network.species, frequency, strict=True) if count]
    card = Card(
        network=network,
        pixels=stacks.pixels,
        size=stacks.size,
        thresholds=choose_thresholds(predict(net, validation, boxes), validation, boxes, taught),
        systems=stacks.systems,
        n_train_used=len(stacks),
        steps=training.steps,
        seed=seed,
        versions=stamp("torch", "pytorch-lightning"),
    )
    with store.write_whole(history) as part, part.open("w", newline="") as opened:
        csv.writer(opened).writerows([("step", "train_loss", "validation_loss"), *rows])
    write_weights(net.state_dict(), card, out)
    checkpoint.unlink(missing_ok=True)
    if resume is None:
        shutil.rmtree(folder, ignore_errors=True)
    return card


def _check_pixels(stacks: Stacks, network: Network) -> None:
    if stacks.pixels % network.cells:
        raise GridError(
            f"the stacks are {stacks.pixels} pixels wide, which is no multiple of the network's {network.cells} cells;"
            " change scan.pixels or learn.network.cells"
        )


def _fingerprint(net: UNet, stacks: Stacks, settings: str) -> str:
    """Name a training by everything that decides its result, so that no other goes on from its checkpoint."""
    digest = hashlib.sha256(f"{settings} {code_hash('hydrafm.learn')}".encode())
    for tensor in net.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    for array in (stacks.number, stacks.position, stacks.image[..., 0]):
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
