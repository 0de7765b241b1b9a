"""The network: a two-dimensional U-Net whose channels are heights at its entry and cells at its exit."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hydrafm.learn.boxes import FIELDS
from hydrafm.settings.learn import Network

CHANNELS_OF_A_GROUP = 8
"""Channels normalised together."""

PRIOR = 0.01
"""Confidence of an untrained network in every cell: the order of atoms per cell."""


class Residual(nn.Module):
    """Two 3 × 3 convolutions beside a short cut, normalised and activated before each (He et al., 2016)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.second = nn.Sequential(_norm(after), nn.SiLU(), nn.Conv2d(after, after, 3, padding=1))
        self.short = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, image: Float[Tensor, "batch before y x"]) -> Float[Tensor, "batch after y x"]:
        """Refine an image."""
        refined: Tensor = self.short(image) + self.second(self.first(image))
        return refined


class UNet(nn.Module):
    """Turn a stack of slices into cells.

    Parameters
    ----------
    settings : Network
        Sizes of the network.
    pixels : int
        Pixels along each side of the slices, a multiple of the cells.
    """

    def __init__(self, settings: Network, pixels: int) -> None:
        super().__init__()
        self.settings = settings
        self.fold = pixels // settings.cells
        widths = [settings.width * 2**level for level in range(settings.levels)]
        self.stem = nn.Conv2d(settings.slices * self.fold**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList([Residual(width, width) for width in widths])
        self.coarsen = nn.ModuleList([nn.Conv2d(width, 2 * width, 2, stride=2) for width in widths[:-1]])
        self.up = nn.ModuleList([Residual(3 * width, width) for width in widths[:-1]])
        outputs = len(settings.species) * FIELDS * settings.depth_cells
        self.final = nn.Sequential(_norm(widths[0]), nn.SiLU())
        self.output = nn.Conv2d(widths[0], outputs, 1)
        self._expect_few_atoms()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Float[Tensor, "batch slice pixel pixel"]) -> Float[Tensor, "batch species 4 layer y x"]:
        """Map normalised slices to the log-odds of the confidence and the offsets of each cell."""
        folded = functional.pixel_unshuffle(image, self.fold)
        features = self.stem(folded.contiguous(memory_format=torch.channels_last))
        passed = []
        for refine, coarsen in zip(self.down[:-1], self.coarsen, strict=True):
            features = refine(features)
            passed.append(features)
            features = coarsen(features)
        features = self.down[-1](features)
        for refine, beside in zip(reversed(self.up), reversed(passed), strict=True):
            finer = functional.interpolate(features, scale_factor=2.0)
            features = refine(torch.cat([finer, beside], dim=1))
        cells: Tensor = self.output(self.final(features))
        batch, _, rows, columns = cells.shape
        return cells.reshape(batch, len(self.settings.species), FIELDS, self.settings.depth_cells, rows, columns)

    @torch.no_grad()
    def _expect_few_atoms(self) -> None:
        """Start from a confidence of `PRIOR`, not 1/2 (Lin et al., Focal loss, ICCV 2017)."""
        bias: Tensor = self.output.get_parameter("bias")
        bias.view(-1, FIELDS, self.settings.depth_cells)[:, 0] = math.log(PRIOR / (1 - PRIOR))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // CHANNELS_OF_A_GROUP, channels)
