"""The settings of `stopcli cutout-sweep`; the defaults are the published ones (ResNet-44, M = 2 … 32 against none)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

from stopcli.configs.auto_seeds import AutoSeedsConfig
from stopcli.configs.base import Count, Option
from stopcli.configs.classifier import CifarResnetConfig
from stopcli.configs.learning_rate import read_by_policies
from stopcli.configs.training import TrainingConfig
from stopcli.errors import ConfigError
from stopcli.quantities import counted

Equal = Literal["epochs", "updates", "compute"]
MOST_COPIES = 1024
# Arms that are to be equal and differ by more than this are warned about.
_MOST_UNEVEN = 0.02


@dataclass(frozen=True, kw_only=True)
class CutoutSweepConfig(CifarResnetConfig, AutoSeedsConfig):
    """M cutout copies of every image in a batch, for several M, against simple augmentation alone.

    What the arms have equal, with E epochs, U updates and a batch of B images for the baseline:

    - `epochs` (as published): E epochs and U updates; a batch has M·B images, so M times as many are seen.
    - `updates` (Fort et al. 2021, arXiv 2105.13343): U updates on B images each, M copies of B/M different ones; so
      E/M epochs, and as many images seen.
    - `compute`: as many images seen, in batches of M·B; so E/M epochs and U/M updates.
    """

    command: ClassVar[str] = "cutout-sweep"
    help: ClassVar[str] = (
        "M takes a list: --m 2 4 8. The published setting is ResNet-44 for 100 epochs with M = 2, 4, 8, 16 and 32; "
        "without a GPU, the quick scale takes depth 8, 12 epochs, 2,000 images and M = 2, 4 and 8. The sweep leaves "
        "the published figure and table with what was measured beside them, error against cost, and a "
        "recommendation as far as the runs give one."
    )
    extra_options: ClassVar[frozenset[str]] = frozenset({"dry_run"})
    quick: ClassVar[dict[str, Any]] = {"m": (2, 4, 8), "depth": 8, "limit": 2000, "epochs": 12}

    not_offered: ClassVar[frozenset[str]] = frozenset({"cutout", "copies"})

    m: Annotated[
        tuple[int, ...],
        Option(
            "Copies of every image in a batch, a list: --m 2 4 8 or --m 2,4,8. Each ≥ 1.",
            "Arms",
            metavar="M …",
            default="2 4 8 16 32; quick: 2 4 8",
            common=True,
        ),
    ] = (2, 4, 8, 16, 32)
    # Not `baseline`, which is a value for the stopping rule.
    baseline_arm: Annotated[
        bool, Option("Also train without copies and cutout.", "Arms", flags=("--baseline/--no-baseline",))
    ] = True
    cutout_size: Annotated[Count, Option("Pixels of a cutout's side, ≥ 1.", "Arms")] = 16
    equal: Annotated[
        Equal,
        Option(
            "What the arms have equal. epochs: as published, M times the images in as many updates; updates: as many "
            "updates on as many images, of which 1/M differ; compute: as many images in batches M times as large.",
            "Arms",
        ),
    ] = "epochs"
    baseline: Annotated[
        float | None,
        Option(
            "Only improvements beyond this value reset the wait (`--baseline` of the other commands).",
            "Stopping",
            ("stopping",),
            used_with="patience",
            default="none",
            flags=("--stop-baseline",),
        ),
    ] = None

    @property
    def is_sweep(self) -> bool:
        return True

    @property
    def cut_out(self) -> tuple[str, int]:
        return "cutout_size", self.cutout_size

    @property
    def arm(self) -> str:
        return "-".join(["cutout", str(self.cutout_size), *(f"m{m}" for m in self.m)])

    def arms(self) -> dict[str, TrainingConfig]:
        """The baseline, where there is one, then every M, in the order in which they were given."""
        base = self._run()
        arms: dict[str, TrainingConfig] = {base.arm: base} if self.baseline_arm else {}
        for m in self.m:
            share = 1 if self.equal == "epochs" else m
            arms[f"m{m}"] = self._run(
                cutout=self.cutout_size,
                copies=m,
                # Rounded, which the table shows as images seen.
                epochs=round(self.epochs / share),
                batch_size=self.batch_size // m if self.equal == "updates" else self.batch_size,
            )
        return arms

    @property
    def reference_arm(self) -> str:
        """The baseline, or where there is none, the fewest copies."""
        return self._run().arm if self.baseline_arm else f"m{min(self.m)}"

    def arm_label(self, arm: str) -> str:
        return f"M = {arm[1:]}" if arm in {f"m{m}" for m in self.m} else super().arm_label(arm)

    def _run(self, **changed: Any) -> CifarResnetConfig:
        shared = {field.name: getattr(self, field.name) for field in fields(CifarResnetConfig)}
        # Of one arm alone no number of seeds follows.
        return CifarResnetConfig(**{**shared, "seeds": self.most_seeds, **changed})

    def check(self) -> None:
        self._check_copies()
        if self.cutout is not None or self.copies != 1:
            name = "cutout" if self.cutout is not None else "copies"
            raise ConfigError(name, getattr(self, name), "nothing: a sweep has m and cutout_size instead")
        super().check()
        self._check_equal()
        for arm in self.arms().values():
            arm.check()

    def late_settings(self) -> list[str]:
        warnings = super().late_settings()
        for name, arm in self.arms().items():
            if arm.epochs < self.epochs:
                warnings += [f"{self.arm_label(name)}: {warning}" for warning in arm.late_settings()]
        return warnings

    def warnings(self) -> list[str]:
        warnings = super().warnings()
        for m in self.m if self.equal != "epochs" else ():
            epochs = round(self.epochs / m)
            share = epochs * m / self.epochs
            if abs(share - 1) > _MOST_UNEVEN:
                of = counted(epochs, "epoch")
                warnings.append(
                    f"M = {m} trains for {of}, {self.epochs} / {m} rounded, and so sees {share:.0%} "
                    f"of the baseline's images; with a multiple of {m} epochs they would be as many"
                )
        return warnings

    def _check_copies(self) -> None:
        if not self.m:
            raise ConfigError("m", list(self.m), "one number of copies or more, such as 2 4 8")
        for m in self.m:
            if m == 0:
                raise ConfigError("m", 0, "1 copy or more", hint="--baseline is the run without copies.")
            if not 1 <= m <= MOST_COPIES:
                raise ConfigError("m", m, f"numbers of copies from 1 to {MOST_COPIES}")
        twice = [m for m in self.m if self.m.count(m) > 1]
        if twice:
            raise ConfigError("m", list(self.m), f"every number of copies once; {twice[0]} is given twice")

    def _check_equal(self) -> None:
        if self.equal == "epochs":
            return
        most = max(self.m)
        if self.epochs < most:
            expected = f"{most} or more with equal {self.equal}, where M = {most} trains for a {most}th of the epochs"
            raise ConfigError("epochs", self.epochs, expected)
        odd = [m for m in self.m if self.batch_size % m]
        if self.equal == "updates" and odd:
            expected = (
                f"a multiple of {odd[0]}, because with equal updates a batch holds M copies of batch_size / M images"
            )
            raise ConfigError("batch_size", self.batch_size, expected)
        if self.lr_drops != "auto" and "lr_drops" in read_by_policies(self.policies):
            expected = f"'auto', because with equal {self.equal} the arms have different numbers of epochs"
            raise ConfigError("lr_drops", self.lr_drops, expected)

    def describe_augmentation(self) -> str:
        several = ", ".join(map(str, self.m))
        base = self._run().describe_augmentation()
        against = f", against {base} alone" if self.baseline_arm else ""
        size = self.cutout_size
        text = f"M copies of every image in a batch, each with its own {base} and cutout of {size} × {size} pixels"
        return f"{text}, M = {several}{against} (equal {self.equal})"


def copies_of(config: CifarResnetConfig) -> int:
    """M of an arm; 0 of the baseline."""
    return config.copies if config.cutout is not None else 0
