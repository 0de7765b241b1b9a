"""From stacks to atoms."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from hydrafm import store
from hydrafm.learn.boxes import Boxes, Found
from hydrafm.learn.data import Stacks, fixed_slices
from hydrafm.learn.network import UNet

BATCH = 16
"""Stacks that go through the network together."""


def predict(network: UNet, stacks: Stacks, boxes: Boxes) -> list[Found]:
    """Find the atoms under each stack, seen at fixed slices and without augmentation.

    Parameters
    ----------
    network : UNet
        A trained network.
    stacks : Stacks
        What it looks at.
    boxes : Boxes
        The cells it fills.

    Returns
    -------
    list of Found
        For each stack all detections, down to a low confidence.
    """
    device = next(network.parameters()).device
    image = torch.from_numpy(stacks.image[:, fixed_slices(stacks.image.shape[1], network.settings.slices)])
    found: list[Found] = []
    network.eval()
    with torch.inference_mode():
        for batch in torch.split(image, BATCH):
            output = network(batch.to(device))
            output[:, :, 0] = output[:, :, 0].sigmoid()
            found += [boxes.decode(one) for one in output.float().cpu().numpy()]
    return found


def write_predictions(found: Sequence[Found], stacks: Stacks, target: Path) -> None:
    """Write atoms as flat arrays: sample, index (of the structure), number, x, y, z (Å) and confidence."""
    position = np.concatenate([one.position for one in found])
    sample = np.repeat(np.arange(len(found)), [len(one.number) for one in found])
    columns = {
        "sample": sample,
        "index": stacks.index[sample],
        "number": np.concatenate([one.number for one in found]),
        "x": position[:, 0],
        "y": position[:, 1],
        "z": position[:, 2],
        "confidence": np.concatenate([one.confidence for one in found]),
    }
    with store.write_whole(target) as part, part.open("wb") as opened:
        np.savez_compressed(opened, allow_pickle=False, **columns)
