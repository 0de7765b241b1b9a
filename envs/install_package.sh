#!/usr/bin/env bash
# Snakemake runs this once in the new environment, from the folder that the workflow was started in.
set -euo pipefail
python -m pip install --no-deps --no-build-isolation --editable .
