"""Molecular dynamics of water and ions on a metal surface, and the structures cut from it."""
