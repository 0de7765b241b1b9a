"""The electrostatic potential of each structure, in one plane above its atoms."""
