"""Errors that a user can cause: the command line prints them as one line and returns 1."""


class HydrafmError(Exception):
    """Base of every error a user can cause; says what was asked, what was found, what to do."""


class SettingsError(HydrafmError):
    """A setting is unknown, misspelt or out of its range."""


class StructureError(HydrafmError):
    """A structure cannot be built, or is not physical."""


class GridError(HydrafmError):
    """A grid does not hold what is asked of it."""


class StoreError(HydrafmError):
    """A file is missing, incomplete or not what its name says."""


class ConvergenceError(HydrafmError):
    """A calculation did not converge."""
