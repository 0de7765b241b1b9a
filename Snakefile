# The entry: `snakemake` here runs the study of config/config.yaml, `--configfile` another size of it.
configfile: "config/config.yaml"


include: "workflow/Snakefile"


# Snakemake takes a default target from the file it is given, not from what that includes.
workflow.default_target = "all"
