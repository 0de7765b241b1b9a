rule simulate_replica:
    """Run one trajectory of water and ions on the surface."""
    output:
        frames=directory("results/md/{system}/replica{replica}/frames.zarr"),
    log:
        "logs/md/simulate_replica/{system}/replica{replica}.log",
    benchmark:
        "results/cost/simulate_replica/{system}/replica{replica}.tsv"
    conda:
        "../../envs/md.yaml"
    threads: 1
    resources:
        mem_mb=grow(1500),
        runtime=grow(60),
        gpu=0,
    params:
        code=code_of("md.simulation"),
        seed=study.seed,
        frames=lambda wildcards: frames_of(wildcards),
        substrate=setting("substrate"),
        composition=setting("composition"),
        dynamics=setting("md"),
    shell:
        "hydrafm md simulate --system {wildcards.system} --replica {wildcards.replica}"
        " --seed {params.seed} --frames {params.frames} --substrate {params.substrate:q}"
        " --composition {params.composition:q} --dynamics {params.dynamics:q}"
        " --out {output.frames} > {log} 2>&1"


rule collect_structures:
    """Put a random window on every frame of a split's replicas."""
    input:
        frames=replica_frames,
    output:
        structures="results/md/{system}/structures/{split}.extxyz",
    log:
        "logs/md/collect_structures/{system}/{split}.log",
    benchmark:
        "results/cost/collect_structures/{system}/{split}.tsv"
    conda:
        "../../envs/md.yaml"
    threads: 1
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
        gpu=0,
    params:
        code=code_of("md.windows"),
        seed=study.seed,
        size=study.scan.size,
        substrate=setting("substrate"),
    shell:
        "hydrafm md collect --system {wildcards.system} --split {wildcards.split}"
        " --seed {params.seed} --window {params.size} --substrate {params.substrate:q}"
        " --out {output.structures} {input.frames} > {log} 2>&1"
