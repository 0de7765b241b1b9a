"""Shape annotations of the package are checked while the tests run."""

from jaxtyping import install_import_hook

SHAPED = ["hydrafm.structure", "hydrafm.md", "hydrafm.potential", "hydrafm.afm", "hydrafm.learn"]

hook = install_import_hook(SHAPED, "beartype.beartype")
