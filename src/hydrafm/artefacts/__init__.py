"""Imaging artefacts: what a microscope does to a stack, as functions of the stack and a seed."""
