"""Figures and tables of the study, each with the numbers behind it."""
