"""Protocol of one replica: random start, minimise, equilibrate, then frames."""

import json
from dataclasses import dataclass

import numpy as np
import openmm
import xarray as xr
from ase.data import atomic_numbers
from jaxtyping import Float, Int
from openmm import unit
from tqdm import tqdm

from hydrafm.errors import ConvergenceError, SettingsError
from hydrafm.md.force_field import build_system, real_particles
from hydrafm.md.packing import pack
from hydrafm.provenance import entropy, generator, stamp
from hydrafm.settings.md import Composition, Ion, MolecularDynamics, Substrate, misfit
from hydrafm.store import described
from hydrafm.units import KJ_PER_MOL

ATTEMPTS = 5
"""Starts before a replica is given up; random starts of rigid water sometimes fly apart."""

MINIMISATION_TOLERANCE = 10.0
"""Root mean square force at which a minimisation ends, kJ/mol/nm: OpenMM's default, 0.01 eV/Å."""

MINIMISATION_STEPS = 100
"""Most iterations of a minimisation: they take nine tenths of the energy that 300 do (measured)."""

COOLING_STEPS = 24
"""Steps of temperature in a cooling ramp."""

FEW_PARTICLES = 50
"""Up to here OpenMM's Reference platform outruns its CPU one, whose threads wait for each other (measured)."""

LOWEST_ATOM = 1.0
"""An atom below this height has gone through the surface, Å."""


@dataclass(frozen=True)
class Draw:
    """What one replica holds, and how warm it is."""

    ions: tuple[Ion, ...]
    waters: int
    temperature: float


def draw(composition: Composition, dynamics: MolecularDynamics, random: np.random.Generator) -> Draw:
    """Draw counts (bounds included) and a temperature, K."""
    temperature = float(random.uniform(*dynamics.temperature))
    waters = int(random.integers(composition.waters[0], composition.waters[1] + 1))
    ions: list[Ion] = []
    for ion, (low, high) in sorted(composition.ions.items()):
        ions += [ion] * int(random.integers(low, high + 1))
    return Draw(tuple(ions), waters, temperature)


def simulate(
    substrate: Substrate,
    composition: Composition,
    dynamics: MolecularDynamics,
    *,
    frames: int,
    seed: int,
    system: str,
    replica: int,
    platform: str = "auto",
    threads: int = 1,
) -> xr.Dataset:
    """Run one replica and keep frames of it.

    Each frame comes after another `interval` of dynamics at the replica's temperature. With a
    `quench` it branches off: a copy is cooled, then minimised, as the microscope sees frozen water, and
    the warm trajectory goes on from where it was. Without one, frames are as warm as the dynamics.

    Parameters
    ----------
    substrate, composition, dynamics : settings
        What is simulated, and how.
    frames : int
        Frames to keep.
    seed, system, replica : int, str, int
        Fix all randomness together; on the CPU with one thread the result is the same bit for bit.
    platform : str
        OpenMM platform, or ``auto``: CUDA where present, else Reference for few particles, else CPU.
    threads : int
        Threads of the CPU platform.

    Returns
    -------
    Dataset
        ``position`` (frame, atom, axis), Å, ions then O H H of each water, molecules whole;
        ``number`` (atom); ``energy`` (frame), eV.

    Raises
    ------
    SettingsError
        If the settings do not fit together, or there is no such platform.
    ConvergenceError
        If every attempt flies apart.
    """
    reason = misfit(substrate, composition, dynamics)
    if reason:
        raise SettingsError(reason)
    content = draw(composition, dynamics, generator(seed, system, replica))
    chosen, properties = _platform(platform, threads, len(content.ions) + 4 * content.waters)
    for attempt in range(ATTEMPTS):
        names = (system, replica, "attempt", attempt)
        positions = pack(
            content.ions,
            content.waters,
            sides=substrate.sides,
            bilayer=substrate.bilayer,
            random=generator(seed, *names),
        )
        replica_run = _Replica(content, substrate, dynamics, entropy(seed, *names), chosen, properties)
        try:
            kept, energies = replica_run.run(positions, frames)
        except (openmm.OpenMMException, FloatingPointError) as error:
            # OpenMM has one exception for everything; only coordinates gone astray are worth another start.
            if isinstance(error, openmm.OpenMMException) and "NaN" not in str(error):
                raise
            continue
        dataset = _dataset(kept, energies, content)
        dataset.attrs = _attrs(substrate, composition, dynamics, content) | {
            "system": system,
            "replica": replica,
            "seed": seed,
            "attempts": attempt + 1,
            "platform": chosen.getName(),
            "threads": threads,
        }
        return dataset
    raise ConvergenceError(
        f"{system} replica {replica}: {ATTEMPTS} starts of {len(content.ions)} ions and {content.waters} waters"
        f" flew apart at {dynamics.timestep:g} fs; lower md.timestep"
    )


class _Replica:
    """One trajectory in OpenMM."""

    def __init__(
        self,
        content: Draw,
        substrate: Substrate,
        dynamics: MolecularDynamics,
        seed: int,
        platform: openmm.Platform,
        properties: dict[str, str],
    ) -> None:
        self.content = content
        self.sides = np.array(substrate.sides)
        self.dynamics = dynamics
        self.seed = seed % (2**31 - 2) + 1  # OpenMM takes 32-bit signed seeds, and 0 means random
        self.real = real_particles(len(content.ions), content.waters)
        system = build_system(content.ions, content.waters, substrate=substrate, dynamics=dynamics)
        self.integrator = openmm.LangevinMiddleIntegrator(
            content.temperature, dynamics.friction, dynamics.timestep * unit.femtosecond
        )
        self.integrator.setRandomNumberSeed(self.seed)
        self.integrator.setConstraintTolerance(1e-6)
        self.context = openmm.Context(system, self.integrator, platform, properties)

    def run(
        self, start: Float[np.ndarray, "atom 3"], frames: int
    ) -> tuple[Float[np.ndarray, "frame atom 3"], Float[np.ndarray, " frame"]]:
        """Go from a start to frames: positions, Å, and potential energies, eV."""
        positions = np.zeros((self.context.getSystem().getNumParticles(), 3))
        positions[self.real] = start
        self.context.setPositions(positions * unit.angstrom)
        self.context.computeVirtualSites()
        self._minimise()
        self.context.setVelocitiesToTemperature(self.content.temperature, self.seed)
        self._step(self.dynamics.equilibration)
        kept, energies = [], []
        for _ in tqdm(range(frames), desc="frames", unit="frame"):
            self._step(self.dynamics.interval)
            warm = self.context.getState(positions=True, velocities=True)
            if self.dynamics.quench:
                self._quench()
            position, energy = self._frame()
            kept.append(position)
            energies.append(energy)
            self.context.setState(warm)
            self.integrator.setTemperature(self.content.temperature)
        return np.array(kept), np.array(energies)

    def _quench(self) -> None:
        """Cool in equal steps of temperature, then go down toward the nearest minimum."""
        ramp = np.linspace(self.content.temperature, self.dynamics.quench_temperature, COOLING_STEPS)
        for temperature in ramp:
            self.integrator.setTemperature(float(temperature))
            self._step(self.dynamics.quench / COOLING_STEPS)
        self._minimise()

    def _step(self, duration: float) -> None:
        """Advance by a time in ps."""
        self.integrator.step(round(duration * 1000 / self.dynamics.timestep))

    def _minimise(self) -> None:
        openmm.LocalEnergyMinimizer.minimize(self.context, MINIMISATION_TOLERANCE, MINIMISATION_STEPS)

    def _frame(self) -> tuple[Float[np.ndarray, "atom 3"], float]:
        """Read whole molecules, with O and ions in the cell, Å, and the potential energy, eV."""
        state = self.context.getState(positions=True, energy=True)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)[self.real]
        energy = float(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)) * KJ_PER_MOL
        if not (np.isfinite(positions).all() and np.isfinite(energy)) or positions[:, 2].min() < LOWEST_ATOM:
            raise FloatingPointError
        ions = len(self.content.ions)
        # OpenMM never folds positions here, so a molecule is whole and moves as one.
        heads = np.concatenate([np.arange(ions), np.repeat(np.arange(ions, len(positions), 3), 3)])
        positions[:, :2] -= self.sides * np.floor(positions[heads, :2] / self.sides)
        return positions, energy


def _platform(name: str, threads: int, particles: int) -> tuple[openmm.Platform, dict[str, str]]:
    """Find a platform and the properties that make it deterministic."""
    present = [openmm.Platform.getPlatform(index).getName() for index in range(openmm.Platform.getNumPlatforms())]
    if name == "auto":
        name = "CUDA" if "CUDA" in present else "Reference" if particles <= FEW_PARTICLES else "CPU"
    if name not in present:
        raise SettingsError(f"OpenMM has no platform {name!r} here; present: {', '.join(present)}")
    properties = {
        "CPU": {"Threads": str(threads), "DeterministicForces": "true"},
        "CUDA": {"Precision": "mixed", "DeterministicForces": "true"},
    }
    return openmm.Platform.getPlatformByName(name), properties.get(name, {})


def _dataset(
    positions: Float[np.ndarray, "frame atom 3"], energies: Float[np.ndarray, " frame"], content: Draw
) -> xr.Dataset:
    elements = [*content.ions, *(["O", "H", "H"] * content.waters)]
    numbers: Int[np.ndarray, " atom"] = np.array([atomic_numbers[element] for element in elements])
    return xr.Dataset(
        {
            "position": described(
                ("frame", "atom", "axis"),
                positions.astype(np.float32),
                "Å",
                "positions along x, y, z above the surface",
            ),
            "number": described(("atom",), numbers, "1", "atomic number"),
            "energy": described(("frame",), energies, "eV", "potential energy"),
        }
    )


def _attrs(
    substrate: Substrate, composition: Composition, dynamics: MolecularDynamics, content: Draw
) -> dict[str, object]:
    """Say with what settings and versions frames were made, and what was drawn."""
    settings = {"substrate": substrate, "composition": composition, "dynamics": dynamics}
    return {
        **stamp("openmm"),
        "settings": json.dumps({name: part.model_dump(mode="json") for name, part in settings.items()}),
        "temperature": content.temperature,
        "cell": [*substrate.sides, dynamics.height],
        "composition": json.dumps({"waters": content.waters, "ions": list(content.ions)}),
    }
