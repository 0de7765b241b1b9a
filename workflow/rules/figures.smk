rule draw_accuracy:
    """Draw accuracy per species against N, and write the numbers behind it."""
    input:
        metrics=sweep_points("metrics.json"),
    output:
        figure=report(
            "results/figures/accuracy_vs_n.svg",
            caption="../report/accuracy_vs_n.rst",
            category="Accuracy",
        ),
        table="results/figures/accuracy_vs_n.csv",
    log:
        "logs/figures/draw_accuracy.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        code=code_of("figures.accuracy"),
    shell:
        "hydrafm figures accuracy {input.metrics} --out {output.figure} --table {output.table} > {log} 2>&1"


rule draw_examples:
    """Draw test images with the true and the predicted atoms."""
    input:
        stacks=stacks_of(sweep.target, "test")[0],
        predictions=f"results/learn/{{strategy}}/n{sweep.n_train[-1]}/seed0/predictions.npz",
    output:
        figure=report(
            "results/figures/examples_{strategy}.svg",
            caption="../report/examples.rst",
            category="Examples",
        ),
        table="results/figures/examples_{strategy}.csv",
    log:
        "logs/figures/draw_examples/{strategy}.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        code=code_of("figures.examples"),
    shell:
        "hydrafm figures examples --stacks {input.stacks} --predictions {input.predictions}"
        " --out {output.figure} --table {output.table} > {log} 2>&1"


rule draw_learning_curves:
    """Draw the loss of every training against its steps."""
    input:
        pretrain=expand(
            "results/learn/pretrain/seed{seed}/history.csv", seed=range(sweep.seeds)
        ),
        sweep=sweep_points("history.csv"),
    output:
        figure=report(
            "results/figures/learning_curves.svg",
            caption="../report/learning_curves.rst",
            category="Training",
        ),
        table="results/figures/learning_curves.csv",
    log:
        "logs/figures/draw_learning_curves.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        code=code_of("figures.curves"),
    shell:
        "hydrafm figures curves {input} --out {output.figure} --table {output.table} > {log} 2>&1"


rule draw_structures:
    """Draw a few structures of each system from above, with the window the microscope sees."""
    input:
        structures="results/md/{system}/structures/test.extxyz",
    output:
        figure=report(
            "results/figures/structures_{system}.svg",
            caption="../report/structures.rst",
            category="Structures",
        ),
    log:
        "logs/figures/draw_structures/{system}.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        code=code_of("figures.structures"),
    shell:
        "hydrafm figures structures {input.structures} --out {output.figure} > {log} 2>&1"


rule tabulate_study:
    """Count structures, failed calculations and what each rule cost."""
    input:
        metrics=sweep_points("metrics.json"),
        pretrained=expand(
            "results/learn/pretrain/seed{seed}/metrics.json", seed=range(sweep.seeds)
        ),
        failed=failed_lists(sweep.source) + failed_lists(sweep.target),
        stacks=expand_stacks(sweep.source) + expand_stacks(sweep.target),
    output:
        counts=report(
            "results/figures/counts.csv",
            caption="../report/counts.rst",
            category="Account",
        ),
        cost=report(
            "results/figures/cost.csv",
            caption="../report/cost.rst",
            category="Account",
        ),
    log:
        "logs/figures/tabulate_study.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        code=code_of("figures.account"),
        stacks=lambda wildcards, input: options("stacks", input),
    shell:
        "hydrafm figures account {input.failed}{params.stacks} --cost results/cost"
        " --counts-out {output.counts} --cost-out {output.cost} > {log} 2>&1"


rule figures:
    """Every figure and table of the study."""
    input:
        rules.draw_accuracy.output,
        expand(rules.draw_examples.output, strategy=sweep.strategies),
        rules.draw_learning_curves.output,
        expand(rules.draw_structures.output, system=study.systems),
        rules.tabulate_study.output,
