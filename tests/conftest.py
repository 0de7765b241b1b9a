"""Shape annotations of the package are checked while the tests run."""

from jaxtyping import install_import_hook

SHAPED = [
    "hydrafm.structure",
    "hydrafm.planar",
    "hydrafm.md",
    "hydrafm.potential",
    "hydrafm.afm",
    "hydrafm.artefacts",
    "hydrafm.learn",
]

hook = install_import_hook(SHAPED, "beartype.beartype")
