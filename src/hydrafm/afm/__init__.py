"""From a structure and its electrostatic potential to a stack of Δf images (probe-particle model)."""
