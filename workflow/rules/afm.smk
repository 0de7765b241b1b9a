rule render_stacks:
    """Render the Δf stacks of one shard of structures."""
    input:
        structures="results/md/{system}/structures/{split}.extxyz",
        potential=potential_shard,
    output:
        stacks=directory("results/afm/{system}/{split}/shard-{shard}.zarr"),
    log:
        "logs/afm/render_stacks/{system}/{split}/shard-{shard}.log",
    benchmark:
        "results/cost/render_stacks/{system}/{split}/shard-{shard}.tsv"
    conda:
        "../../envs/afm.yaml"
    threads: 1
    resources:
        mem_mb=grow(2000),
        runtime=grow(60),
        gpu=0,
    params:
        code=code_of("afm"),
        seed=study.seed,
        tip=study.tip.model_dump_json(),
        scan=study.scan.model_dump_json(),
    shell:
        "hydrafm afm stacks --structures {input.structures} --potential {input.potential}"
        " --tip {params.tip:q} --scan {params.scan:q} --seed {params.seed}"
        " --out {output.stacks} > {log} 2>&1"
