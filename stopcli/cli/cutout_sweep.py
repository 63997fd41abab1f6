"""`stopcli cutout-sweep`."""

from __future__ import annotations

import typer

from stopcli.cli import options
from stopcli.cli.running import run_from_options
from stopcli.recipes.cutout_sweep.config import CutoutSweepConfig as Sweep


def cutout_sweep(
    ctx: typer.Context,
    m: options.CopiesList = None,
    baseline_arm: options.BaselineArm = Sweep.baseline_arm,
    cutout_size: options.CutoutSize = Sweep.cutout_size,
    equal: options.EqualTo = Sweep.equal,
    dry_run: options.DryRun = False,
    dataset: options.Dataset = Sweep.dataset,
    image_size: options.ImageSize = Sweep.image_size,
    limit: options.Limit = Sweep.limit,
    data_seed: options.ImageDataSeed = Sweep.data_seed,
    validation: options.Validation = Sweep.validation,
    validation_share: options.ImageShare = Sweep.validation_share,
    subtract_mean: options.SubtractMean = Sweep.subtract_mean,
    augment: options.Augment = Sweep.augment,
    erasing: options.Erasing = Sweep.erasing,
    erase_p: options.EraseP = Sweep.erase_p,
    erase_area: options.EraseArea = Sweep.erase_area,
    erase_aspect: options.EraseAspect = Sweep.erase_aspect,
    erase_log_aspect: options.EraseLogAspect = Sweep.erase_log_aspect,
    erase_value: options.EraseValue = Sweep.erase_value,
    erase_pixel_level: options.ErasePixelLevel = Sweep.erase_pixel_level,
    erase_order: options.EraseOrderOption = Sweep.erase_order,
    depth: options.Depth = Sweep.depth,
    epochs: options.Epochs = Sweep.epochs,
    batch_size: options.BatchSize = Sweep.batch_size,
    optimizer: options.Optimizer = Sweep.optimizer,
    mixed_precision: options.MixedPrecision = Sweep.mixed_precision,
    seed: options.Seed = Sweep.seed,
    seeds: options.Seeds = Sweep.seeds,
    executor: options.Executor = Sweep.executor,
    jobs: options.Jobs = Sweep.jobs,
    threads: options.Threads = Sweep.threads,
    ray_address: options.RayAddress = Sweep.ray_address,
    keep_going: options.KeepGoing = Sweep.keep_going,
    learning_rate: options.LearningRate = Sweep.learning_rate,
    lr_policy: options.LrPolicy = Sweep.lr_policy,
    lr_drops: options.LrDrops = Sweep.lr_drops,
    lr_min: options.LrMin = Sweep.lr_min,
    lr_warmup: options.LrWarmup = Sweep.lr_warmup,
    lr_factor: options.LrFactor = Sweep.lr_factor,
    lr_patience: options.LrPatience = Sweep.lr_patience,
    base_lr: options.BaseLr = Sweep.base_lr,
    max_lr: options.MaxLr = Sweep.max_lr,
    clr_mode: options.ClrMode = Sweep.clr_mode,
    gamma: options.Gamma = Sweep.gamma,
    step_size: options.StepSize = Sweep.step_size,
    patience: options.Patience = Sweep.patience,
    monitor: options.Monitor = Sweep.monitor,
    mode: options.MonitorMode = Sweep.mode,
    min_delta: options.MinDelta = Sweep.min_delta,
    baseline: options.StopBaseline = Sweep.baseline,
    start_from_epoch: options.StartFromEpoch = Sweep.start_from_epoch,
    threshold: options.Threshold = Sweep.threshold,
    restore_best: options.RestoreBest = Sweep.restore_best,
    checkpoint: options.Checkpoint = Sweep.checkpoint,
    checkpoint_monitor: options.CheckpointMonitor = Sweep.checkpoint_monitor,
    checkpoint_mode: options.CheckpointMode = Sweep.checkpoint_mode,
    checkpoint_every: options.CheckpointEvery = str(Sweep.checkpoint_every),
    save_every: options.SaveEvery = Sweep.save_every,
    init_from: options.InitFrom = None,
    init_optimizer: options.InitOptimizer = Sweep.init_optimizer,
    time_budget: options.TimeBudget = None,
    name: options.Name = Sweep.name,
    scale: options.RunScale = Sweep.scale,
    runs_dir: options.RunsDir = None,
    run_dir: options.RunDir = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train with M cutout copies of every image in a batch, for several M: what do they buy, at what cost?

    M takes a list: --m 2 4 8. The published setting is ResNet-44 for 100 epochs with M = 2, 4, 8, 16 and 32; without a
    GPU, the quick scale takes depth 8, 12 epochs, 2,000 images and M = 2, 4 and 8. The sweep leaves the published
    figure and table with what was measured beside them, error against cost, and a recommendation as far as the runs
    give one.
    """
    run_from_options(ctx, "cutout-sweep")
