"""`stopcli moons`."""

from __future__ import annotations

import typer

from stopcli.cli import options
from stopcli.cli.running import run_from_options
from stopcli.recipes.moons.config import MoonsConfig as Moons


def moons(
    ctx: typer.Context,
    samples: options.Samples = Moons.samples,
    noise: options.Noise = Moons.noise,
    train_size: options.TrainSize = Moons.train_size,
    data_seed: options.DataSeed = Moons.data_seed,
    validation: options.Validation = Moons.validation,
    validation_share: options.ValidationShare = Moons.validation_share,
    hidden: options.Hidden = Moons.hidden,
    epochs: options.Epochs = Moons.epochs,
    batch_size: options.BatchSize = Moons.batch_size,
    optimizer: options.Optimizer = Moons.optimizer,
    learning_rate: options.LearningRate = Moons.learning_rate,
    seed: options.Seed = Moons.seed,
    seeds: options.Seeds = Moons.seeds,
    patience: options.Patience = Moons.patience,
    monitor: options.Monitor = Moons.monitor,
    mode: options.MonitorMode = Moons.mode,
    min_delta: options.MinDelta = Moons.min_delta,
    baseline: options.Baseline = Moons.baseline,
    start_from_epoch: options.StartFromEpoch = Moons.start_from_epoch,
    threshold: options.Threshold = Moons.threshold,
    restore_best: options.RestoreBest = Moons.restore_best,
    checkpoint: options.Checkpoint = Moons.checkpoint,
    checkpoint_monitor: options.CheckpointMonitor = Moons.checkpoint_monitor,
    checkpoint_mode: options.CheckpointMode = Moons.checkpoint_mode,
    checkpoint_every: options.CheckpointEvery = str(Moons.checkpoint_every),
    save_every: options.SaveEvery = Moons.save_every,
    init_from: options.InitFrom = None,
    init_optimizer: options.InitOptimizer = Moons.init_optimizer,
    time_budget: options.TimeBudget = None,
    name: options.Name = Moons.name,
    scale: options.RunScale = Moons.scale,
    runs_dir: options.RunsDir = None,
    run_dir: options.RunDir = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train an overfitting MLP on two moons and learn when it should have stopped.

    Without flags this is the published experiment without early stopping: 30 rows train a layer of 500 units for 4,000
    epochs. `--patience 200` stops it where the test loss has not improved for 200 epochs; the model with the best test
    accuracy is saved in either case, loaded again, and measured.
    """
    run_from_options(ctx, "moons")
