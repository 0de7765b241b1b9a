r"""Force field: TIP4P/Ice water, Na⁺, and an analytic wall in place of the gold.

Water is rigid TIP4P/Ice: three masses and a charge M on the bisector (a virtual site). Ions mix with
it by the Lorentz-Berthelot rules. Electrostatics is Ewald's sum, on a mesh (PME) or not, periodic
along z too; the cell of an ion is charged, and the sum neutralises it with a uniform background over the
whole cell, vacuum included.

The metal acts through its shape only: there are no image charges, no charge transfer and no
polarisation of the water. The wall has three parts:

.. math::
    U_O &= D \left[\tfrac{2}{3} (z_0/z)^{10} - \tfrac{5}{3} (z_0/z)^4\right]
           - C\, e^{-g (z - z_0)}\, \tfrac{1}{3} \sum_{i=1}^{3} \cos(\mathbf{g}_i \cdot \mathbf{r}) \\
    U_H &= A\, e^{-b (z - 2.23\,Å)} \\
    U_{Na} &= D' \left[\tfrac{2}{3} (z'_0/z)^{10} - \tfrac{5}{3} (z'_0/z)^4\right]

The first is the potential of a plane of Lennard-Jones atoms (10-4; Steele, Surf. Sci. 36, 317, 1973)
with depth D at z₀, and its first harmonic with the sign turned so that atop is the best site, as in
density functional theory; plain Lennard-Jones gold prefers the hollow.

Against the PBE scan (H₂O on 2 × 2 × 2 Au, unrelaxed, no dispersion; O atop; meV):

============  =============  ==============  ===============
pose          z_O (Å)        PBE             this wall
============  =============  ==============  ===============
flat          2.5, 2.8, 3.1  122, −15, −34   107, −95, −111
one OH down   2.9, 3.2, 3.5  251, 23, −39    208, −49, −75
two H down    2.9, 3.3       129, −23        −35, −92
============  =============  ==============  ===============

The wall is deeper by 70-80 meV, meant for dispersion (`OXYGEN_DEPTH`). Beyond that shift the heights and
the order flat < two H down < one OH down at the minima agree (3.0, 3.2, 3.5 Å), and six of eight points
within 45 meV; O is too soft at 2.5 Å (by 60 meV) and two H down at 2.9 Å (by 90 meV). Hydrogen feels no
corrugation, and no scan with dispersion, at other sites or for Na⁺ stands behind these numbers.
"""

from collections.abc import Sequence

import numpy as np
import openmm

from hydrafm.md.surface import reciprocal_vectors
from hydrafm.settings.md import Ion, MolecularDynamics, Substrate
from hydrafm.units import ANGSTROM_PER_NM

# TIP4P/Ice: Abascal, Sanz, García Fernández, Vega, J. Chem. Phys. 122, 234511 (2005).
OH_LENGTH = 0.9572
"""O-H bond of water, Å."""

HOH_ANGLE = 104.52
"""H-O-H angle of water, degrees."""

OM_LENGTH = 0.1577
"""Distance of the negative charge from O along the bisector, Å."""

HYDROGEN_CHARGE = 0.5897
"""Charge of H, e; M carries twice its negative and O none."""

OXYGEN_SIGMA = 3.1668
"""Lennard-Jones σ of O, Å."""

OXYGEN_EPSILON = 106.1 * 8.31446261815324e-3
"""Lennard-Jones ε of O, kJ/mol: ε/k = 106.1 K."""

HYDROGEN_MASS = 3.0
"""Mass of H, u; O carries the rest. Configurations at equilibrium do not depend on masses, and heavier
hydrogens allow steps of 4 fs (Hopkins et al., J. Chem. Theory Comput. 11, 1864, 2015)."""

WATER_MASS = 18.015
"""Mass of a water molecule, u."""

# Joung, Cheatham, J. Phys. Chem. B 112, 9020 (2008), the set for TIP4P-Ew: no set was made for TIP4P/Ice,
# the nearest geometry and charges are taken. Same numbers as in OpenMM's amber14/tip4pew.xml.
ION_SIGMA: dict[Ion, float] = {"Na": 2.1844836568801118}
"""Lennard-Jones σ of ions, Å."""

ION_EPSILON: dict[Ion, float] = {"Na": 0.7047425}
"""Lennard-Jones ε of ions, kJ/mol."""

ION_CHARGE: dict[Ion, float] = {"Na": 1.0}
"""Charge of ions, e."""

ION_MASS: dict[Ion, float] = {"Na": 22.98977}
"""Mass of ions, u."""

OXYGEN_HEIGHT = 3.05
"""z₀ of the wall on O, Å: where PBE has its minimum for a flat molecule."""

OXYGEN_DEPTH = 10.0
"""D of the wall on O, kJ/mol (104 meV): a choice. The PBE scan has 34 meV; dispersion, which it lacks,
is expected to add the larger part of physisorption. It is fitted to nothing, and the shallower wall was
not tried."""

CORRUGATION = 1.0
"""C at z₀, kJ/mol: −0.3 times the first harmonic of Lennard-Jones gold with σ 3.05 Å and ε 3.9 kJ/mol;
a bridge is 14 meV and a hollow 16 meV above atop."""

HYDROGEN_REPULSION = 6.0
"""A of the wall on H, kJ/mol at 2.23 Å: fitted with b to the PBE scan."""

HYDROGEN_DECAY = 5.7
"""b of the wall on H, 1/Å."""

HYDROGEN_HEIGHT = 2.23
"""Height where the wall on H is A, Å."""

ION_HEIGHT: dict[Ion, float] = {"Na": 2.5}
"""z₀ of the wall on ions, Å: within 2.3-2.6 Å, the range seen with explicit and with smooth gold."""

ION_DEPTH: dict[Ion, float] = {"Na": 60.0}
"""D of the wall on ions, kJ/mol (0.62 eV): a choice, in place of the missing image charge and fitted to
nothing. With 30 an ion now and then leaves the metal (z up to 4.1 Å); from 60 to 100 its first shell of
4 O at 2.33 Å does not change (measured)."""

BILAYER_HEIGHT = 3.67
"""Thickness of one bilayer of ice Ih, half of its c axis of 7.34 Å (Röttger et al., Acta Cryst. B 50, 644, 1994)."""

EWALD_TOLERANCE = 1e-3
"""Error of the forces from Ewald's sum relative to their root mean square; 5e-4 costs a fifth more (measured)."""

CEILING_STIFFNESS = 40.0
"""Spring of the upper wall, kJ/mol/Å²."""

ROOM_FOR_A_SECOND_LAYER = 1.0
"""Fewest bilayers for which the upper wall leaves room above the first."""


def build_system(
    ions: Sequence[Ion], waters: int, *, substrate: Substrate, dynamics: MolecularDynamics
) -> openmm.System:
    """Build the OpenMM system of ions and waters above a wall.

    An upper wall, harmonic, keeps O and ions within the film: above it they would evaporate into a
    periodic vacuum and come back from below. It stands one bilayer above the film's own thickness.

    Parameters
    ----------
    ions : sequence of str
        Elements of the ions, the first particles of the system.
    waters : int
        Water molecules: particles O, H, H and the virtual site M of each.
    substrate : Substrate
        Sides of the cell and period of the corrugation; an atom of its top plane is at the origin.
    dynamics : MolecularDynamics
        Height of the cell, electrostatics and cut-off; Lennard-Jones is switched off over its last tenth.

    Returns
    -------
    openmm.System
        Particles in OpenMM's units (nm, kJ/mol, e).
    """
    system = openmm.System()
    sides = np.diag([*substrate.sides, dynamics.height]) / ANGSTROM_PER_NM
    system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*side) for side in sides))
    pairs = _pair_force(dynamics)
    for ion in ions:
        system.addParticle(ION_MASS[ion])
        pairs.addParticle(ION_CHARGE[ion], ION_SIGMA[ion] / ANGSTROM_PER_NM, ION_EPSILON[ion])
    for _ in range(waters):
        _add_water(system, pairs)
    system.addForce(pairs)
    ceiling = _ceiling((len(ions) + waters) / substrate.bilayer)
    oxygens = range(len(ions), system.getNumParticles(), 4)
    hydrogens = [oxygen + offset for oxygen in oxygens for offset in (1, 2)]
    system.addForce(
        _external(f"{_plane(OXYGEN_HEIGHT, OXYGEN_DEPTH)} + {_corrugation(substrate)} + {ceiling}", oxygens)
    )
    repulsion = f"{HYDROGEN_REPULSION} * exp(-{HYDROGEN_DECAY} * (10*z - {HYDROGEN_HEIGHT}))"
    system.addForce(_external(repulsion, hydrogens))
    for element in sorted(set(ions)):
        members = [index for index, ion in enumerate(ions) if ion == element]
        system.addForce(_external(f"{_plane(ION_HEIGHT[element], ION_DEPTH[element])} + {ceiling}", members))
    return system


def real_particles(ions: int, waters: int) -> list[int]:
    """List the particles of `build_system` that are atoms, not virtual sites."""
    return [index for index in range(ions + 4 * waters) if index < ions or (index - ions) % 4 != 3]


def _pair_force(dynamics: MolecularDynamics) -> openmm.NonbondedForce:
    methods = {"pme": openmm.NonbondedForce.PME, "ewald": openmm.NonbondedForce.Ewald}
    pairs = openmm.NonbondedForce()
    pairs.setNonbondedMethod(methods[dynamics.electrostatics])
    pairs.setCutoffDistance(dynamics.cutoff / ANGSTROM_PER_NM)
    pairs.setEwaldErrorTolerance(EWALD_TOLERANCE)
    pairs.setUseSwitchingFunction(True)
    pairs.setSwitchingDistance(0.9 * dynamics.cutoff / ANGSTROM_PER_NM)
    # The correction assumes a homogeneous liquid, which a film is not.
    pairs.setUseDispersionCorrection(False)
    return pairs


def _add_water(system: openmm.System, pairs: openmm.NonbondedForce) -> None:
    """Add O, H, H and M of one rigid molecule."""
    half = np.radians(HOH_ANGLE / 2)
    masses = (WATER_MASS - 2 * HYDROGEN_MASS, HYDROGEN_MASS, HYDROGEN_MASS, 0.0)
    oxygen, first, second, charge = (system.addParticle(mass) for mass in masses)
    system.addConstraint(oxygen, first, OH_LENGTH / ANGSTROM_PER_NM)
    system.addConstraint(oxygen, second, OH_LENGTH / ANGSTROM_PER_NM)
    system.addConstraint(first, second, 2 * OH_LENGTH * np.sin(half) / ANGSTROM_PER_NM)
    share = OM_LENGTH / (2 * OH_LENGTH * np.cos(half))
    site = openmm.ThreeParticleAverageSite(oxygen, first, second, 1 - 2 * share, share, share)
    system.setVirtualSite(charge, site)
    pairs.addParticle(0.0, OXYGEN_SIGMA / ANGSTROM_PER_NM, OXYGEN_EPSILON)
    pairs.addParticle(HYDROGEN_CHARGE, 0.1, 0.0)
    pairs.addParticle(HYDROGEN_CHARGE, 0.1, 0.0)
    pairs.addParticle(-2 * HYDROGEN_CHARGE, 0.1, 0.0)
    members = (oxygen, first, second, charge)
    for index, one in enumerate(members):
        for other in members[:index]:
            pairs.addException(other, one, 0.0, 0.1, 0.0)


def _external(energy: str, particles: Sequence[int]) -> openmm.CustomExternalForce:
    force = openmm.CustomExternalForce(energy)
    for particle in particles:
        force.addParticle(particle, [])
    return force


def _plane(minimum: float, depth: float) -> str:
    """Write the 10-4 potential with its minimum (Å) and depth (kJ/mol); OpenMM's z is in nm."""
    ratio = f"({minimum / ANGSTROM_PER_NM} / z)"
    return f"{depth} * (2/3 * {ratio}^10 - 5/3 * {ratio}^4)"


def _corrugation(substrate: Substrate) -> str:
    """Write the lateral modulation; it decays as the slowest lateral wave does, with exp(−g z)."""
    vectors = reciprocal_vectors(substrate.lattice_constant)
    decay = float(np.linalg.norm(vectors[0]))
    waves = " + ".join(f"cos({10 * gx} * x + {10 * gy} * y)" for gx, gy in vectors)
    return f"(-{CORRUGATION / 3}) * exp(-{decay} * (10*z - {OXYGEN_HEIGHT})) * ({waves})"


def _ceiling(bilayers: float) -> str:
    """Write the upper wall of a film of so many bilayers."""
    height = OXYGEN_HEIGHT + BILAYER_HEIGHT * max(ROOM_FOR_A_SECOND_LAYER, bilayers)
    return f"{CEILING_STIFFNESS / 2} * max(0, 10*z - {height})^2"
