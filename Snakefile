# The entry: `snakemake` here runs the study of config/config.yaml, `--configfile` another size of it.
configfile: "config/config.yaml"


include: "workflow/Snakefile"


workflow.default_target = "all"
