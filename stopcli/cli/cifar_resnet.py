"""`stopcli cifar-resnet`."""

from __future__ import annotations

import typer

from stopcli.cli import options
from stopcli.cli.running import run_from_options
from stopcli.recipes.cifar_resnet.config import CifarResnetConfig as Resnet


def cifar_resnet(
    ctx: typer.Context,
    dataset: options.Dataset = Resnet.dataset,
    image_size: options.ImageSize = Resnet.image_size,
    limit: options.Limit = Resnet.limit,
    data_seed: options.ImageDataSeed = Resnet.data_seed,
    validation: options.Validation = Resnet.validation,
    validation_share: options.ImageShare = Resnet.validation_share,
    subtract_mean: options.SubtractMean = Resnet.subtract_mean,
    augment: options.Augment = Resnet.augment,
    erasing: options.Erasing = Resnet.erasing,
    erase_p: options.EraseP = Resnet.erase_p,
    erase_area: options.EraseArea = Resnet.erase_area,
    erase_aspect: options.EraseAspect = Resnet.erase_aspect,
    erase_log_aspect: options.EraseLogAspect = Resnet.erase_log_aspect,
    erase_value: options.EraseValue = Resnet.erase_value,
    erase_pixel_level: options.ErasePixelLevel = Resnet.erase_pixel_level,
    erase_order: options.EraseOrderOption = Resnet.erase_order,
    cutout: options.Cutout = Resnet.cutout,
    copies: options.Copies = Resnet.copies,
    depth: options.Depth = Resnet.depth,
    epochs: options.Epochs = Resnet.epochs,
    batch_size: options.BatchSize = Resnet.batch_size,
    optimizer: options.Optimizer = Resnet.optimizer,
    mixed_precision: options.MixedPrecision = Resnet.mixed_precision,
    seed: options.Seed = Resnet.seed,
    seeds: options.Seeds = Resnet.seeds,
    executor: options.Executor = Resnet.executor,
    jobs: options.Jobs = Resnet.jobs,
    threads: options.Threads = Resnet.threads,
    ray_address: options.RayAddress = Resnet.ray_address,
    keep_going: options.KeepGoing = Resnet.keep_going,
    learning_rate: options.LearningRate = Resnet.learning_rate,
    lr_policy: options.LrPolicy = Resnet.lr_policy,
    lr_drops: options.LrDrops = Resnet.lr_drops,
    lr_min: options.LrMin = Resnet.lr_min,
    lr_warmup: options.LrWarmup = Resnet.lr_warmup,
    lr_factor: options.LrFactor = Resnet.lr_factor,
    lr_patience: options.LrPatience = Resnet.lr_patience,
    base_lr: options.BaseLr = Resnet.base_lr,
    max_lr: options.MaxLr = Resnet.max_lr,
    clr_mode: options.ClrMode = Resnet.clr_mode,
    gamma: options.Gamma = Resnet.gamma,
    step_size: options.StepSize = Resnet.step_size,
    patience: options.Patience = Resnet.patience,
    monitor: options.Monitor = Resnet.monitor,
    mode: options.MonitorMode = Resnet.mode,
    min_delta: options.MinDelta = Resnet.min_delta,
    baseline: options.Baseline = Resnet.baseline,
    start_from_epoch: options.StartFromEpoch = Resnet.start_from_epoch,
    threshold: options.Threshold = Resnet.threshold,
    restore_best: options.RestoreBest = Resnet.restore_best,
    checkpoint: options.Checkpoint = Resnet.checkpoint,
    checkpoint_monitor: options.CheckpointMonitor = Resnet.checkpoint_monitor,
    checkpoint_mode: options.CheckpointMode = Resnet.checkpoint_mode,
    checkpoint_every: options.CheckpointEvery = str(Resnet.checkpoint_every),
    save_every: options.SaveEvery = Resnet.save_every,
    init_from: options.InitFrom = None,
    init_optimizer: options.InitOptimizer = Resnet.init_optimizer,
    time_budget: options.TimeBudget = None,
    name: options.Name = Resnet.name,
    scale: options.RunScale = Resnet.scale,
    runs_dir: options.RunsDir = None,
    run_dir: options.RunDir = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train a ResNet v1 on CIFAR-10 or other images: augmentation, random erasing, learning-rate schedules.

    The published setting is depth 44 for 100 epochs on 50,000 images; without a GPU, the quick scale takes depth 8, 15
    epochs and 5,000 images. Beside the curves, the run leaves a sheet of augmented images, a confusion matrix,
    precision and recall by class, and the images that the model is most wrong about.
    """
    run_from_options(ctx, "cifar-resnet")
