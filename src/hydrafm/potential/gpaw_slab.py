"""The potential of a structure on its metal, by density functional theory with GPAW."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from jaxtyping import Float

from hydrafm.errors import ConvergenceError, StructureError
from hydrafm.planar import continue_plane, resample
from hydrafm.settings.potential import Gpaw


@dataclass(frozen=True)
class SlabPotential:
    """A potential and how it was reached.

    Attributes
    ----------
    values : (u, v) array, V
        Potential in the plane, seen by a positive unit charge, without its lateral mean.
    iterations : int
        Self-consistency steps of the attempt that converged.
    attempt : int
        Number of that attempt in `escalation`; 0 is the settings as given.
    """

    values: Float[np.ndarray, "u v"]
    iterations: int
    attempt: int


def solve_slab(atoms: Atoms, height: float, shape: tuple[int, int], settings: Gpaw) -> SlabPotential:
    """Calculate the potential of a structure in a plane above it.

    The slab, the water and the ions as neutral atoms (sodium gives its electron to the metal) are
    periodic along x and y only, with a dipole correction along z.

    Parameters
    ----------
    atoms : Atoms
        Structure with the metal's layers tagged 1, 2, ... from the top.
    height : float, Å
        Height of the plane in the structure's frame, outside the electrons.
    shape : (int, int)
        Points along the two cell vectors, odd.

    Raises
    ------
    StructureError
        If the structure has fewer metal layers than the settings ask for.
    ConvergenceError
        If no attempt converges.
    """
    slab, origin = boxed_slab(atoms, layers=settings.layers, vacuum=settings.vacuum)
    reasons = []
    for attempt, parameters in enumerate(escalation(settings)):
        try:
            potential, iterations = converge(slab, parameters)
        except ConvergenceError as error:
            reasons.append(str(error))
            continue
        # Plane waves with a dipole layer are periodic along z; grids end at grounded planes.
        grounded = settings.mode != "pw"
        values = extract_plane(potential, slab, height - origin, shape, grounded=grounded)
        return SlabPotential(values, iterations, attempt)
    raise ConvergenceError(f"GPAW did not converge in {len(reasons)} attempts: {'; '.join(reasons)}")


def boxed_slab(atoms: Atoms, *, layers: int, vacuum: float) -> tuple[Atoms, float]:
    """Put a structure on its upper metal layers into a box with vacuum below and above.

    Returns
    -------
    slab : Atoms
        Atoms in the box, z from its bottom.
    origin : float, Å
        Height of the box's bottom in the structure's frame.

    Raises
    ------
    StructureError
        If there are fewer metal layers than asked for.
    """
    present = int(atoms.get_tags().max())
    if present < layers:
        raise StructureError(
            f"gpaw.layers asks for {layers} metal layers, the structure has {present};"
            " lower it or keep more in md's substrate.layers"
        )
    slab = Atoms(atoms[atoms.get_tags() <= layers], pbc=(True, True, False))
    origin = float(slab.positions[:, 2].min()) - vacuum
    slab.positions[:, 2] -= origin
    cell = slab.cell.array.copy()
    cell[2] = [0.0, 0.0, slab.positions[:, 2].max() + vacuum]
    slab.set_cell(cell)
    return slab, origin


def escalation(settings: Gpaw) -> list[dict[str, Any]]:
    """List GPAW's parameters for each attempt: the settings as given, then ever slower and safer ones."""
    from hydrafm.potential.spherical_xc import BatchedXC

    functional = BatchedXC(settings.xc)  # type: ignore[no-untyped-call]
    modes: dict[str, dict[str, Any]] = {
        "lcao": {"mode": "lcao", "basis": settings.basis, "h": settings.grid_spacing},
        "fd": {"mode": "fd", "h": settings.grid_spacing},
        "pw": {"mode": {"name": "pw", "ecut": settings.plane_wave_cutoff}},
    }
    attempts: list[tuple[dict[str, Any], float, int]] = [
        ({"name": "msr1"}, 1.0, 1),
        ({"name": "pulay", "beta": 0.05, "nmaxold": 5, "weight": 60}, 1.0, 1),
        ({"name": "pulay", "beta": 0.02, "nmaxold": 8, "weight": 100}, 2.0, 2),
    ]
    return [
        {
            **modes[settings.mode],
            "xc": functional,
            "symmetry": "off",
            "poissonsolver": {"dipolelayer": "xy"},
            "convergence": {"density": settings.density_tolerance},
            "mixer": mixer,
            "occupations": {"name": "fermi-dirac", "width": settings.smearing * broadening},
            "maxiter": settings.max_iterations * patience,
        }
        for mixer, broadening, patience in attempts
    ]


def converge(slab: Atoms, parameters: dict[str, Any]) -> tuple[Float[np.ndarray, "x y z"], int]:
    """Iterate to self-consistency.

    Returns
    -------
    potential : (x, y, z) array, V
        Potential seen by a positive unit charge, outside the atoms' augmentation spheres; point
        [i, j, l] lies at the fractions i/x, j/y, l/z of the box.
    iterations : int
        Steps taken.

    Raises
    ------
    ConvergenceError
        If the steps run out or the density diverges.
    """
    import gpaw
    from ase.units import Hartree
    from gpaw.new.calculation import DFT

    try:
        # Through GPAW's ASE calculator everything would be set up twice before the first step (26.7.0, lcao).
        calculation = DFT(slab, txt=None, **parameters)
    except gpaw.ConvergenceError:
        raise ConvergenceError(
            f"{parameters['mixer']['name']}, {parameters['maxiter']} steps were not enough"
        ) from None
    except (np.linalg.LinAlgError, ValueError) as error:
        if isinstance(error, ValueError) and "nan" not in str(error).lower():
            raise
        raise ConvergenceError(f"{parameters['mixer']['name']}, diverged: {error}") from None
    potential = calculation.potential.vHt_x
    if hasattr(potential, "ifft"):
        values = potential.ifft(grid=calculation.pot_calc.fine_grid).data
    else:
        values = potential.to_pbc_grid().data
    # GPAW's is the potential energy of an electron.
    return -Hartree * np.asarray(values, dtype=float), int(calculation.scf_loop.niter)


def extract_plane(
    potential: Float[np.ndarray, "x y z"], slab: Atoms, z: float, shape: tuple[int, int], *, grounded: bool
) -> Float[np.ndarray, "u v"]:
    """Take a potential in one plane of a box, as if the box went on upward.

    The grid's next plane at or above `z` is continued down to it, which is exact for the harmonic
    potential outside the electrons.

    Parameters
    ----------
    potential : (x, y, z) array, V
        Potential in the box.
    z : float, Å
        Height of the plane above the box's bottom.
    shape : (int, int)
        Points along the two cell vectors, odd.
    grounded : bool
        Whether the potential, up to a constant, was forced to vanish at the box's top.
    """
    cell = np.asarray(slab.cell)
    count = potential.shape[2]
    spacing = cell[2, 2] / count
    layer = min(int(np.ceil(z / spacing - 1e-6)), count - 1)
    values = resample(potential[:, :, layer], shape)
    ceiling = cell[2, 2] - layer * spacing if grounded else np.inf
    return continue_plane(values, cell, rise=z - layer * spacing, ceiling=ceiling)
