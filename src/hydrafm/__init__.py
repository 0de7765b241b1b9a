"""From an atomic force microscopy image to the atoms under the tip."""

__version__ = "0.1.0"
