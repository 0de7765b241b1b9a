"""Physical constants and conversions (CODATA 2018).

Inside the package: Å, eV, e, V, fs, K; sensors in Hz and N/m.
"""

COULOMB = 14.399645478425668
"""e²/(4πε₀), eV Å: two unit charges 1 Å apart; a unit charge makes this many volts at 1 Å."""

EV_PER_A2_IN_N_PER_M = 16.02176634
"""1 eV/Å² in N/m."""

KJ_PER_MOL = 0.010364269656262175
"""1 kJ/mol in eV."""

ANGSTROM_PER_NM = 10.0
"""1 nm in Å."""
