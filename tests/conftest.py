"""Shape annotations of the package are checked while the tests run."""

from jaxtyping import install_import_hook

hook = install_import_hook("hydrafm", "beartype.beartype")
