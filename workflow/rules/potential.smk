rule solve_potential:
    """Make the electrostatic potential of one shard of structures."""
    input:
        structures="results/md/{system}/structures/{split}.extxyz",
    output:
        potential=directory(
            "results/potential/{system}/{method}/{split}/shard-{shard}.zarr"
        ),
        failed="results/potential/{system}/{method}/{split}/shard-{shard}.failed.csv",
    log:
        "logs/potential/solve_potential/{system}/{method}/{split}/shard-{shard}.log",
    benchmark:
        "results/cost/solve_potential/{system}/{method}/{split}/shard-{shard}.tsv"
    conda:
        "../../envs/potential.yaml"
    threads: 1
    resources:
        mem_mb=grow(4000),
        runtime=grow(720),
        gpu=0,
    params:
        code=code_of("potential"),
        first=lambda wildcards: int(wildcards.shard) * system_of(wildcards).shard,
        limit=lambda wildcards: system_of(wildcards).shard,
        settings=potential_settings,
    shell:
        "hydrafm potential solve --structures {input.structures}"
        " --first {params.first} --count {params.limit} --settings {params.settings:q}"
        " --out {output.potential} --failed {output.failed} > {log} 2>&1"
