"""The settings of `stopcli clr`; the defaults are the published ones (A. Rosebrock: MiniGoogLeNet, 1e-7 to 1e-2)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, ClassVar, Literal, get_args

from stopcli.configs.auto_seeds import AutoSeedsConfig
from stopcli.configs.base import Option, Positive, settings_with
from stopcli.configs.classifier import ClassifierConfig
from stopcli.configs.learning_rate import CyclicModeName, read_by_policies
from stopcli.configs.user_code import FILLED
from stopcli.errors import ConfigError
from stopcli.schedules.policy import POLICY_NAMES, policies

PolicyName = Literal["triangular", "triangular2", "exp_range", "one-cycle"]
FixedName = Literal["constant", "step", "cosine"]

FixedRate = Annotated[
    Positive | None,
    Option("The learning rate that the arms of --vs start from, > 0.", "Arms", used_with="vs", default="--max-lr"),
]


@dataclass(frozen=True, kw_only=True)
class ClrConfig(ClassifierConfig, AutoSeedsConfig):
    """Cyclical learning rates against each other and against others: an arm for each policy.

    `learning_rate` is that of the arms in `vs`, from which they begin; without it they have the cycles' highest.
    """

    command: ClassVar[str] = "clr"
    help: ClassVar[str] = (
        "--policy and --vs take lists; every policy and every seed is a run of its own. The published setting is "
        "MiniGoogLeNet on CIFAR-10 for 96 epochs, with 8 epochs from the lowest rate to the highest; without a GPU, "
        "the quick scale takes a quarter of its width, 2,000 images and 18 epochs with steps of 3. `stopcli "
        "lr-range` finds the bounds."
    )
    extra_options: ClassVar[frozenset[str]] = frozenset({"dry_run", "from_range"})
    # They are those of the arms.
    not_offered: ClassVar[frozenset[str]] = frozenset({"lr_policy", "clr_mode", "lr_factor", "lr_patience"}) | FILLED

    policy: Annotated[
        tuple[PolicyName, ...],
        Option(
            f"Cyclical policies, a list: {', '.join(get_args(PolicyName))}.",
            "Arms",
            metavar="POLICY …",
            default="triangular triangular2 exp_range",
            common=True,
        ),
    ] = get_args(CyclicModeName)
    vs: Annotated[
        tuple[FixedName, ...],
        Option(
            f"What they are compared with, a list: {', '.join(get_args(FixedName))}; or none.",
            "Arms",
            metavar="POLICY …",
            default="constant",
        ),
    ] = ("constant",)
    learning_rate: FixedRate = None  # type: ignore[assignment]

    @property
    def is_sweep(self) -> bool:
        return True

    @property
    def arm(self) -> str:
        return "-".join([*self.policy, *(["vs", *self.vs] if self.vs else [])])

    @property
    def cyclical(self) -> bool:
        return any(policy in get_args(CyclicModeName) for policy in self.policy)

    @property
    def policies(self) -> tuple[str, ...]:
        return (*(["clr"] if self.cyclical else []), *(p for p in self.policy if p == "one-cycle"), *self.vs)

    @property
    def fixed_rate(self) -> float:
        """What the arms in `vs` begin from."""
        return self.max_lr if self.learning_rate is None else self.learning_rate

    def arms(self) -> dict[str, ClassifierConfig]:
        """The policies, then what they are compared with, each in the order in which they were given."""
        # How the sweep is executed is no business of an arm's, and its learning rate is that of `vs`.
        own = {*settings_with(ClrConfig, "layout"), "keep_going", "learning_rate", "seeds"}
        shared = {f.name: getattr(self, f.name) for f in fields(ClassifierConfig) if f.name not in own}
        # Of one arm alone no number of seeds follows.
        run = ClassifierConfig(seeds=self.most_seeds, **shared)
        arms = {name: _under(run, "clr", clr_mode=name) for name in get_args(CyclicModeName)}
        arms["one-cycle"] = _under(run, "one-cycle")
        arms |= {name: _under(run, name, learning_rate=self.fixed_rate) for name in get_args(FixedName)}
        return {name: arms[name] for name in (*self.policy, *self.vs)}

    @property
    def reference_arm(self) -> str:
        """The first of `vs`, or where nothing is given there, the first policy."""
        return (*self.vs, *self.policy)[0]

    def check(self) -> None:
        self._check_arms()
        single = [name for name in ("lr_policy", "clr_mode") if getattr(self, name) != getattr(ClassifierConfig, name)]
        if single:
            raise ConfigError(single[0], getattr(self, single[0]), "nothing: here policy and vs set it")
        super().check()
        for arm in self.arms().values():
            arm.check()

    def check_learning_rate(self) -> None:
        """Check each arm's own."""
        if self.cyclical:
            policies()["clr"].check(self)
        if self.stop_at == "cycle-end" and not self.cyclical:
            raise ConfigError("stop_at", self.stop_at, "epoch, because none of these policies has cycles that end")

    def _check_arms(self) -> None:
        for name in ("policy", "vs"):
            policies = getattr(self, name)
            twice = [policy for policy in policies if policies.count(policy) > 1]
            if twice:
                raise ConfigError(name, " ".join(policies), f"each of them once; {twice[0]} is given twice")
        if not self.policy:
            raise ConfigError("policy", "", f"one or more of {', '.join(get_args(PolicyName))}")

    def warnings(self) -> list[str]:
        warnings = super().warnings()
        if self.non_default("gamma") and self.cyclical and "exp_range" not in self.policy:
            warnings.append("gamma has no effect without policy exp_range")
        return warnings

    @property
    def _policy_words(self) -> str:
        return f"policy {', '.join((*self.policy, *self.vs))}"

    def describe_learning_rate(self) -> str:
        arms = self.arms()
        parts = [f"{name}: {arm.describe_learning_rate()}" for name, arm in arms.items() if name in self.vs]
        if "one-cycle" in self.policy:
            parts.insert(0, f"one-cycle: {arms['one-cycle'].describe_learning_rate()}")
        modes = [policy for policy in self.policy if policy != "one-cycle"]
        if modes:
            bounds = f"learning rate {self.base_lr:g} to {self.max_lr:g}, {self.describe_step_size()}"
            parts.insert(0, f"{', '.join(modes)}: {bounds}")
        return "; ".join(parts)


def _under(run: ClassifierConfig, policy: str, **settings: Any) -> ClassifierConfig:
    """A run under a policy, with what it does not read at its default, so that its config says nothing of it."""
    unread = list(set(read_by_policies(POLICY_NAMES)) - set(policies()[policy].reads))
    unread += [] if settings.get("clr_mode") == "exp_range" else ["gamma"]
    unread += [] if policy == "clr" else ["stop_at"]
    unread += [] if policies()[policy].moves_momentum else ["cycle_momentum", "min_momentum"]
    defaults = {name: getattr(ClassifierConfig, name) for name in unread}
    return replace(run, **{**defaults, **settings, "lr_policy": policy})
