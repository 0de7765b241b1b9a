"""Commands of the learn stage."""

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Networks that find atoms: training, fine-tuning, accuracy."
)

StacksOption = Annotated[list[Path], typer.Option("--stacks", help="Zarr store(s) of image stacks, in order.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]
Seed = Annotated[int, typer.Option(min=0, help="Of everything random.")]


@app.command(
    "train",
    epilog="Example: hydrafm learn train --stacks train/shard-0.zarr --validation validation/shard-0.zarr"
    " --n-train 100 --training '{\"steps\": 500}' --out weights.safetensors --history history.csv",
)
def train_network(
    stacks: StacksOption,
    validation: Annotated[list[Path], typer.Option(help="Zarr store(s) of validation stacks.")],
    out: Annotated[Path, typer.Option(help="Weights to write (.safetensors).")],
    history: Annotated[Path, typer.Option(help="Losses to write (.csv).")],
    n_train: Annotated[int | None, typer.Option(min=1, help="Train on the first N stacks; all if not given.")] = None,
    network: Annotated[str, typer.Option(help="Network settings, JSON or a path to it.")] = "{}",
    artefacts: Annotated[str, typer.Option(help="Settings of imaging artefacts, JSON or a path to it.")] = "{}",
    training: Annotated[str, typer.Option(help="Training settings, JSON or a path to it.")] = "{}",
    seed: Seed = 0,
    initial: Annotated[Path | None, typer.Option(help="Weights to start from: fine-tuning.")] = None,
    resume_from_dir: Annotated[
        Path | None, typer.Option(help="Folder of the checkpoint; <out>.resume if not given.")
    ] = None,
    threads: Threads = 1,
) -> None:
    """Train a network, from scratch or from other weights; a killed training goes on where it was."""
    from hydrafm.settings.artefacts import Artefacts
    from hydrafm.settings.learn import Network, Training

    settings = Network.parse(network), Artefacts.parse(artefacts), Training.parse(training)
    import torch

    from hydrafm.learn.data import read_stacks
    from hydrafm.learn.training import train

    torch.set_num_threads(threads)
    train(
        read_stacks(stacks, n_train),
        read_stacks(validation),
        network=settings[0],
        artefacts=settings[1],
        training=settings[2],
        seed=seed,
        out=out,
        history=history,
        initial=initial,
        resume=resume_from_dir,
    )


@app.command(
    "evaluate",
    epilog="Example: hydrafm learn evaluate --weights weights.safetensors --stacks test/shard-0.zarr"
    " --system na_hydrate_au111 --strategy transfer --n-train 100 --out metrics.json --predictions predictions.npz",
)
def evaluate_network(
    weights: Annotated[Path, typer.Option(help="Weights of `hydrafm learn train`.")],
    stacks: StacksOption,
    system: Annotated[str, typer.Option(help="Name of the system tested on, for the record.")],
    strategy: Annotated[
        Literal["transfer", "scratch", "pretrain"], typer.Option(help="How it was trained, for the record.")
    ],
    out: Annotated[Path, typer.Option(help="Accuracy to write (.json).")],
    predictions: Annotated[Path, typer.Option(help="Atoms found to write (.npz).")],
    n_train: Annotated[int | None, typer.Option(min=1, help="N asked for, for the record.")] = None,
    seed: Seed = 0,
    threads: Threads = 1,
) -> None:
    """Find the atoms of test stacks and compare them with those that are there."""
    import json

    import torch

    from hydrafm import store
    from hydrafm.learn.data import read_stacks
    from hydrafm.learn.evaluation import accepted, evaluate
    from hydrafm.learn.prediction import predict, write_predictions
    from hydrafm.learn.weights import read_weights
    from hydrafm.provenance import stamp

    torch.set_num_threads(threads)
    trained = read_weights(weights)
    test = read_stacks(stacks)
    trained.check(test)
    card = trained.card
    found = predict(trained.network, test, trained.boxes)
    record = {
        "system": system,
        "strategy": strategy,
        "n_train": card.n_train_used if n_train is None else n_train,
        "n_train_used": card.n_train_used,
        "seed": seed,
        **evaluate(found, test, trained.boxes, card.thresholds),
        "versions": stamp("torch", "scipy"),
    }
    write_predictions(accepted(found, card.thresholds), test, predictions)
    with store.write_whole(out) as part:
        part.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
