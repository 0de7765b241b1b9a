"""Settings of each stage as frozen models: one source for checks, defaults and documentation."""
