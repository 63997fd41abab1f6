"""Every option, declared once and shared by the commands that have it.

Defaults are not here: a command takes them from its config class, where they are the published settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stopcli.cli.console import show_tracebacks
from stopcli.config import ExecutorName, Mode, OptimizerName, Scale, ValidationRows
from stopcli.recipes.cutout_sweep.config import Equal
from stopcli.recipes.images.settings import Augment as AugmentName
from stopcli.recipes.images.settings import CyclicModeName, EraseOrder, LearningRatePolicy

Pair = tuple[float, float]

DATA, AUGMENTATION, TRAINING, RATE = "Data", "Augmentation", "Training", "Learning rate"
ARMS, STOPPING, CHECKPOINTS, SWEEP, OUTPUT = "Arms", "Stopping", "Checkpoints", "Sweep", "Run and output"

Samples = Annotated[int, typer.Option(help="Rows in all, ≥ 2.", rich_help_panel=DATA)]
Noise = Annotated[float, typer.Option(help="Standard deviation of the noise, ≥ 0.", rich_help_panel=DATA)]
TrainSize = Annotated[
    int, typer.Option(help="Rows that train; the others test. 1 … samples − 1.", rich_help_panel=DATA)
]
DataSeed = Annotated[int, typer.Option(help="Seed of the data set, ≥ 0.", rich_help_panel=DATA)]
Validation = Annotated[
    ValidationRows,
    typer.Option(
        help="Rows that rules look at: the test rows (as published), a share split off the training rows, or a share "
        "held out of the test rows, the rest of which choose nothing.",
        rich_help_panel=DATA,
    ),
]
ValidationShare = Annotated[
    float | None,
    typer.Option(
        help="The share that is split off, in (0, 1).",
        show_default="0.2 for split, 0.5 for holdout",
        rich_help_panel=DATA,
    ),
]

Dataset = Annotated[
    str,
    typer.Option(
        metavar="auto|cifar10|digits|PATH",
        help="auto: $STOPCLI_DATASET, else CIFAR-10 from Keras's cache or downloaded, else scikit-learn's digits. "
        "PATH: an official CIFAR-10 folder or archive, or a folder of images, train/CLASS/… and test/CLASS/….",
        rich_help_panel=DATA,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(help="Resize images to N × N, 8 … 1024.", show_default="as they are", rich_help_panel=DATA),
]
Limit = Annotated[
    int | None,
    typer.Option(help="Train on so many images, of every class its share.", show_default="all", rich_help_panel=DATA),
]
ImageDataSeed = Annotated[
    int, typer.Option("--data-seed", help="Seed of --limit and of what is split off, ≥ 0.", rich_help_panel=DATA)
]
ImageShare = Annotated[
    float | None,
    typer.Option(
        "--validation-share", help="The share that is split off, in (0, 1).", show_default="0.1", rich_help_panel=DATA
    ),
]
SubtractMean = Annotated[
    bool,
    typer.Option(
        "--subtract-mean/--no-subtract-mean",
        help="Subtract the training images' mean image, in the model's first layer.",
        rich_help_panel=DATA,
    ),
]

Augment = Annotated[
    AugmentName,
    typer.Option(help="simple: shift up to 4 pixels both ways, and flip half of them.", rich_help_panel=AUGMENTATION),
]
Erasing = Annotated[
    bool,
    typer.Option("--erasing/--no-erasing", help="Random erasing (Zhong et al.).", rich_help_panel=AUGMENTATION),
]
EraseP = Annotated[float, typer.Option(help="Probability of erasing an image, 0 … 1.", rich_help_panel=AUGMENTATION)]
EraseArea = Annotated[
    Pair,
    typer.Option(metavar="LOW HIGH", help="The box's share of the image, in (0, 1].", rich_help_panel=AUGMENTATION),
]
EraseAspect = Annotated[
    Pair, typer.Option(metavar="LOW HIGH", help="The box's height / width, > 0.", rich_help_panel=AUGMENTATION)
]
EraseLogAspect = Annotated[
    bool,
    typer.Option(
        "--erase-log-aspect/--no-erase-log-aspect",
        help="Draw the aspect's logarithm uniformly, as later practice does.",
        rich_help_panel=AUGMENTATION,
    ),
]
EraseValue = Annotated[
    Pair,
    typer.Option(metavar="LOW HIGH", help="What the box is filled with, in [0, 1].", rich_help_panel=AUGMENTATION),
]
ErasePixelLevel = Annotated[
    bool,
    typer.Option(
        "--erase-pixel-level/--no-erase-pixel-level",
        help="Fill every pixel and channel with a value of its own.",
        rich_help_panel=AUGMENTATION,
    ),
]
EraseOrderOption = Annotated[
    EraseOrder,
    typer.Option("--erase-order", help="Erase before or after the augmentation.", rich_help_panel=AUGMENTATION),
]
Cutout = Annotated[
    int | None,
    typer.Option(
        metavar="PX",
        help="Cut a square of PX pixels out of every image.",
        show_default="none",
        rich_help_panel=AUGMENTATION,
    ),
]

Copies = Annotated[
    int,
    typer.Option(
        metavar="M",
        help="Enter every image of a batch M times, each copy augmented anew, for one update.",
        rich_help_panel=AUGMENTATION,
    ),
]

LrPolicy = Annotated[LearningRatePolicy, typer.Option(help="How the learning rate moves.", rich_help_panel=RATE)]
LrDrops = Annotated[
    str,
    typer.Option(
        metavar="auto|EPOCHS:FACTOR,…",
        help="step: after so many epochs the rate is FACTOR times the first; auto: the published drops, scaled.",
        rich_help_panel=RATE,
    ),
]
LrMin = Annotated[float, typer.Option(help="cosine, plateau: the lowest rate, ≥ 0.", rich_help_panel=RATE)]
LrWarmup = Annotated[
    int, typer.Option(help="cosine: epochs over which the rate rises from 0, ≥ 0.", rich_help_panel=RATE)
]
LrFactor = Annotated[
    float, typer.Option(help="plateau: the rate is multiplied by this, in (0, 1).", rich_help_panel=RATE)
]
LrPatience = Annotated[
    int, typer.Option(help="plateau: epochs without an improvement of --monitor, ≥ 1.", rich_help_panel=RATE)
]
BaseLr = Annotated[float, typer.Option(help="clr: the lowest rate, ≥ 0.", rich_help_panel=RATE)]
MaxLr = Annotated[float, typer.Option(help="clr: the highest rate, > --base-lr.", rich_help_panel=RATE)]
ClrMode = Annotated[CyclicModeName, typer.Option(help="clr: what becomes of the cycles' height.", rich_help_panel=RATE)]
Gamma = Annotated[float, typer.Option(help="clr: exp_range's factor of every update, in (0, 1].", rich_help_panel=RATE)]
StepSize = Annotated[float, typer.Option(help="clr: epochs from the lowest to the highest rate.", rich_help_panel=RATE)]

Depth = Annotated[int, typer.Option(help="Layers with weights, 6n + 2: 8, 14, 20, …", rich_help_panel=TRAINING)]
MixedPrecision = Annotated[
    bool,
    typer.Option(
        "--mixed-precision/--no-mixed-precision",
        help="Compute in float16 where it is safe; for GPUs that profit.",
        rich_help_panel=TRAINING,
    ),
]
Hidden = Annotated[int, typer.Option(help="Units of the hidden layer, ≥ 1.", rich_help_panel=TRAINING)]
Epochs = Annotated[int, typer.Option(help="Epochs at most, ≥ 1.", rich_help_panel=TRAINING)]
BatchSize = Annotated[int, typer.Option(help="Rows a step, ≥ 1.", rich_help_panel=TRAINING)]
Optimizer = Annotated[OptimizerName, typer.Option(help="Optimizer, with Keras's defaults.", rich_help_panel=TRAINING)]
LearningRate = Annotated[float, typer.Option(help="Learning rate, > 0.", rich_help_panel=TRAINING)]
Seed = Annotated[int, typer.Option(help="Seed of everything random in training, ≥ 0.", rich_help_panel=TRAINING)]
Seeds = Annotated[
    int,
    typer.Option(help="Runs, with seeds SEED, SEED + 1, …; more than 1 makes a sweep.", rich_help_panel=TRAINING),
]

Patience = Annotated[
    int | None,
    typer.Option(
        help="Stop after so many epochs without an improvement, ≥ 0. Without it, all epochs run.",
        show_default="no stopping",
        rich_help_panel=STOPPING,
    ),
]
Monitor = Annotated[str, typer.Option(help="The metric that stopping watches.", rich_help_panel=STOPPING)]
MonitorMode = Annotated[
    Mode, typer.Option(help="Whether lower or higher is better; auto: by the metric.", rich_help_panel=STOPPING)
]
MinDelta = Annotated[
    float, typer.Option(help="A change of no more than this is no improvement, ≥ 0.", rich_help_panel=STOPPING)
]
Baseline = Annotated[
    float | None,
    typer.Option(
        help="Only improvements beyond this value reset the wait.", show_default="none", rich_help_panel=STOPPING
    ),
]
StopBaseline = Annotated[
    float | None,
    typer.Option(
        "--stop-baseline",
        help="Only improvements beyond this value reset the wait (`--baseline` of the other commands).",
        show_default="none",
        rich_help_panel=STOPPING,
    ),
]
StartFromEpoch = Annotated[
    int, typer.Option(help="Epochs at the beginning that are not watched, ≥ 0.", rich_help_panel=STOPPING)
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Stop at the first epoch whose monitored metric reaches this value.",
        show_default="none",
        rich_help_panel=STOPPING,
    ),
]
RestoreBest = Annotated[
    bool,
    typer.Option(
        "--restore-best/--no-restore-best",
        help="End with the model of the best monitored epoch, not of the last.",
        rich_help_panel=STOPPING,
    ),
]

Checkpoint = Annotated[
    bool, typer.Option("--checkpoint/--no-checkpoint", help="Save models.", rich_help_panel=CHECKPOINTS)
]
CheckpointMonitor = Annotated[
    str, typer.Option(help="The metric by which the best model is saved.", rich_help_panel=CHECKPOINTS)
]
CheckpointMode = Annotated[
    Mode, typer.Option(help="Whether lower or higher is better; auto: by the metric.", rich_help_panel=CHECKPOINTS)
]
CheckpointEvery = Annotated[
    str,
    typer.Option(
        metavar="best|all|N",
        help="Besides the best epoch's model, also keep every epoch's, or every N-th.",
        rich_help_panel=CHECKPOINTS,
    ),
]

SaveEvery = Annotated[
    str,
    typer.Option(
        metavar="auto|N|TIME",
        help="Save the exact state every N epochs, or every so often (30s, 5m); auto: at no more than 2 % of the time.",
        rich_help_panel=CHECKPOINTS,
    ),
]
InitFrom = Annotated[
    Path | None,
    typer.Option(
        help="Begin from the weights of a run's best model, or of a .keras file.",
        show_default="drawn by the seed",
        exists=True,
        resolve_path=True,
        rich_help_panel=CHECKPOINTS,
    ),
]
InitOptimizer = Annotated[
    bool,
    typer.Option(
        "--init-optimizer/--no-init-optimizer",
        help="Take the optimizer's state from there too.",
        rich_help_panel=CHECKPOINTS,
    ),
]

CopiesList = Annotated[
    list[str] | None,
    typer.Option(
        "--m",
        metavar="M …",
        help="Copies of every image in a batch, a list: --m 2 4 8 or --m 2,4,8. Each ≥ 1.",
        show_default="2 4 8 16 32; quick: 2 4 8",
        rich_help_panel=ARMS,
    ),
]
BaselineArm = Annotated[
    bool,
    typer.Option("--baseline/--no-baseline", help="Also train without copies and cutout.", rich_help_panel=ARMS),
]
CutoutSize = Annotated[int, typer.Option(help="Pixels of a cutout's side, ≥ 1.", rich_help_panel=ARMS)]
EqualTo = Annotated[
    Equal,
    typer.Option(
        help="What the arms have equal. epochs: as published, M times the images in as many updates; updates: as many "
        "updates on as many images, of which 1/M differ; compute: as many images in batches M times as large.",
        rich_help_panel=ARMS,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print the plan and how long it will take, measured on a few steps of each arm; train nothing.",
        rich_help_panel=SWEEP,
    ),
]

Executor = Annotated[
    ExecutorName,
    typer.Option(
        help="What executes the runs of a sweep: processes of this machine (auto), this process, or a Ray cluster.",
        rich_help_panel=SWEEP,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        help="Runs of a sweep at a time, ≥ 1.", show_default="one a core; one in all on a GPU", rich_help_panel=SWEEP
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="Threads that each run computes with, ≥ 1. Its numbers depend on it in the last digits.",
        show_default="all cores; in a sweep its share of them",
        rich_help_panel=SWEEP,
    ),
]
RayAddress = Annotated[
    str,
    typer.Option(
        metavar="auto|HOST",
        help="The Ray cluster of a sweep: auto for this machine's, or its head's HOST or HOST:PORT.",
        show_default="one begun on this machine",
        rich_help_panel=SWEEP,
    ),
]
KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going/--fail-fast",
        help="Whether the other runs of a sweep go on where one fails.",
        rich_help_panel=SWEEP,
    ),
]

TimeBudget = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Pause after this time (90s, 45m, 2h30m) with everything saved; `stopcli resume` goes on.",
        show_default="no limit",
        rich_help_panel=OUTPUT,
    ),
]
Name = Annotated[
    str,
    typer.Option(help="A name for the run, a part of its folder's.", show_default=False, rich_help_panel=OUTPUT),
]
RunScale = Annotated[
    Scale,
    typer.Option(
        help="full: the published setting; quick: the same, smaller; auto: full where it takes a minute or a GPU is "
        "there. Every other flag wins over it.",
        rich_help_panel=OUTPUT,
    ),
]
RunsDir = Annotated[
    Path | None,
    typer.Option(help="Folder that holds the runs.", show_default="$STOPCLI_RUNS_DIR or runs", rich_help_panel=OUTPUT),
]
RunDir = Annotated[
    Path | None,
    typer.Option(help="The run's folder itself; must not exist.", show_default="by time", rich_help_panel=OUTPUT),
]
Json = Annotated[bool, typer.Option("--json", help="Print summary.json alone on stdout.", rich_help_panel=OUTPUT)]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No talk: results and errors alone.", rich_help_panel=OUTPUT)
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="More talk, and the traceback of errors.",
        rich_help_panel=OUTPUT,
        callback=show_tracebacks,
    ),
]
