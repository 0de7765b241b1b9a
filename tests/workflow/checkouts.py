"""A copy of the workflow that tests may run and edit."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TINY = "tests/workflow/tiny.yaml"


@dataclass(frozen=True)
class Checkout:
    """A copy of the sources, with results of its own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which the copy's package goes before the installed one."""
        return {**os.environ, "PYTHONPATH": str(self.folder / "src"), "XDG_CACHE_HOME": str(self.folder / ".cache")}

    def command(self, *arguments: str, config: str | None = TINY) -> list[str]:
        """Make the command line of a Snakemake run in the copy."""
        configfile = ["--configfile", config] if config else []
        return ["snakemake", "--cores", "2", *arguments, *configfile]

    def snakemake(self, *arguments: str, config: str | None = TINY) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in the copy and keep what it prints (on both streams, as one)."""
        return subprocess.run(
            self.command(*arguments, config=config),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def plan(self, *arguments: str, config: str | None = TINY) -> dict[str, int]:
        """Count the jobs that a run would start, by rule."""
        result = self.snakemake(*arguments, "--dry-run", "--quiet", "rules", config=config)
        assert result.returncode == 0, result.stdout
        table = re.findall(r"^(\w+) +(\d+)$", result.stdout, flags=re.MULTILINE)
        return {rule: int(count) for rule, count in table if rule != "total"}

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the one occurrence of a text in a file of the copy."""
        text = (self.folder / path).read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        (self.folder / path).write_text(text.replace(old, new))


def check_out(target: Path) -> Checkout:
    """Copy what a run needs."""
    for name in ("Snakefile", "workflow", "config", "src", "profiles", "envs", TINY):
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, destination, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / name, destination)
    (target / "slurm").symlink_to("profiles/slurm")
    return Checkout(target)
