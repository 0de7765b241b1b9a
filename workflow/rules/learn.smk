rule pretrain:
    """Train a network on the source system, from random weights."""
    input:
        stacks=stacks_of(sweep.source, "train"),
        validation=stacks_of(sweep.source, "validation"),
    output:
        weights="results/learn/pretrain/seed{seed}/weights.safetensors",
        history="results/learn/pretrain/seed{seed}/history.csv",
    log:
        "logs/learn/pretrain/seed{seed}.log",
    benchmark:
        "results/cost/pretrain/seed{seed}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: 1
    resources:
        mem_mb=grow(8000),
        runtime=grow(720),
        gpu=0,
    params:
        code=code_of("learn.training"),
        data=lambda wildcards, input: options("stacks", input)
        + options("validation", input),
        network=study.learn.network.model_dump_json(),
        artefacts=study.learn.artefacts.model_dump_json(),
        training=study.learn.pretrain.model_dump_json(),
    shell:
        "hydrafm learn train{params.data}"
        " --network {params.network:q} --artefacts {params.artefacts:q} --training {params.training:q}"
        " --seed {wildcards.seed} --threads {threads}"
        " --out {output.weights} --history {output.history} > {log} 2>&1"


rule train:
    """Train on the first N structures of the target system, from pre-trained or random weights."""
    input:
        stacks=lambda wildcards: stacks_of(
            sweep.target, "train", int(wildcards.n_train)
        ),
        validation=stacks_of(sweep.target, "validation"),
        initial=initial_weights,
    output:
        weights="results/learn/{strategy}/n{n_train}/seed{seed}/weights.safetensors",
        history="results/learn/{strategy}/n{n_train}/seed{seed}/history.csv",
    log:
        "logs/learn/train/{strategy}/n{n_train}/seed{seed}.log",
    benchmark:
        "results/cost/train/{strategy}/n{n_train}/seed{seed}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: 1
    resources:
        mem_mb=grow(8000),
        runtime=grow(360),
        gpu=0,
    params:
        code=code_of("learn.training"),
        data=lambda wildcards, input: options("stacks", input)
        + options("validation", input),
        network=study.learn.network.model_dump_json(),
        artefacts=study.learn.artefacts.model_dump_json(),
        training=study.learn.finetune.model_dump_json(),
        initial=lambda wildcards, input: options("initial", input),
    shell:
        "hydrafm learn train{params.data}"
        " --n-train {wildcards.n_train}{params.initial}"
        " --network {params.network:q} --artefacts {params.artefacts:q} --training {params.training:q}"
        " --seed {wildcards.seed} --threads {threads}"
        " --out {output.weights} --history {output.history} > {log} 2>&1"


rule evaluate_pretrained:
    """Measure a pre-trained network on unseen structures of its own system."""
    input:
        weights="results/learn/pretrain/seed{seed}/weights.safetensors",
        stacks=stacks_of(sweep.source, "test"),
    output:
        metrics="results/learn/pretrain/seed{seed}/metrics.json",
        predictions="results/learn/pretrain/seed{seed}/predictions.npz",
    log:
        "logs/learn/evaluate_pretrained/seed{seed}.log",
    benchmark:
        "results/cost/evaluate_pretrained/seed{seed}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: 1
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
        gpu=0,
    params:
        code=code_of("learn.evaluation", "learn.prediction"),
        data=lambda wildcards, input: options("stacks", input),
        system=sweep.source,
        n_train=study.systems[sweep.source].splits.train.structures,
    shell:
        "hydrafm learn evaluate --weights {input.weights}{params.data}"
        " --system {params.system} --strategy pretrain --n-train {params.n_train} --seed {wildcards.seed}"
        " --out {output.metrics} --predictions {output.predictions} > {log} 2>&1"


rule evaluate:
    """Measure a network on the unseen test structures of the target system."""
    input:
        weights="results/learn/{strategy}/n{n_train}/seed{seed}/weights.safetensors",
        stacks=stacks_of(sweep.target, "test"),
    output:
        metrics="results/learn/{strategy}/n{n_train}/seed{seed}/metrics.json",
        predictions="results/learn/{strategy}/n{n_train}/seed{seed}/predictions.npz",
    log:
        "logs/learn/evaluate/{strategy}/n{n_train}/seed{seed}.log",
    benchmark:
        "results/cost/evaluate/{strategy}/n{n_train}/seed{seed}.tsv"
    conda:
        "../../envs/learn.yaml"
    threads: 1
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
        gpu=0,
    params:
        code=code_of("learn.evaluation", "learn.prediction"),
        data=lambda wildcards, input: options("stacks", input),
        system=sweep.target,
    shell:
        "hydrafm learn evaluate --weights {input.weights}{params.data}"
        " --system {params.system} --strategy {wildcards.strategy}"
        " --n-train {wildcards.n_train} --seed {wildcards.seed}"
        " --out {output.metrics} --predictions {output.predictions} > {log} 2>&1"
