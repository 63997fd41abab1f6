"""What is compared: which runs stand together, count, and are left out, and in what they differ."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from written_runs import ENVIRONMENT, falling_curves, write_run, write_sweep

from stopcli.analysis.arms import Arm, RunArm, SeedValues, baseline_of, difference, read_arms
from stopcli.analysis.compare import environments_differ, other_test_rows, seeds_of, settings_of
from stopcli.errors import ConfigError, RequestError, RunFolderError


def arms_in(*paths: Path | str) -> tuple[list[RunArm], str]:
    arms, warnings = read_arms([Path(path) for path in paths])
    return arms, "; ".join(warnings)


def test_runs_that_differ_by_their_seed_alone_stand_together() -> None:
    for seed in (3, 0, 1):
        write_run(f"a{seed}", seed=seed, name="low", patience=5)
    write_run("b", seed=0, name="high", patience=50)
    arms, warnings = arms_in("a3", "a0", "b", "a1")
    assert [arm.label for arm in arms] == ["low", "high"]
    assert [result.seed for result in arms[0].runs] == [0, 1, 3]
    assert warnings == ""


def test_the_arms_of_a_sweep_stand_beside_runs() -> None:
    write_sweep("sweep", {"patience-0": [0.8, 0.81], "patience-200": [0.9, 0.91]})
    write_run("lone", patience=7)
    assert [arm.label for arm in arms_in("sweep")[0]] == ["patience 0", "patience 200"]
    arms, _ = arms_in("lone", "sweep")
    assert [(arm.label, len(arm.runs)) for arm in arms] == [
        ("lone", 1),
        ("patience 0", 2),
        ("patience 200", 2),
    ]


def test_runs_without_a_name_are_called_by_the_settings_that_differ() -> None:
    write_run("20260101T000000Z-moons", patience=None, restore_best=False)
    write_run("20260101T000001Z-moons", patience=200, restore_best=True)
    arms, _ = arms_in("20260101T000000Z-moons", "20260101T000001Z-moons")
    assert [arm.label for arm in arms] == ["no restore best, no patience", "restore best, patience 200"]


@pytest.mark.parametrize("names", [("a/run", "b/run"), ("a/one", "b/two")])
def test_labels_tell_apart_what_has_the_same_name(names: tuple[str, str]) -> None:
    for i, name in enumerate(names):
        write_run(name, name="same", patience=i)
    labels = [arm.label for arm in arms_in(*names)[0]]
    assert len(set(labels)) == 2
    assert all(label.startswith("same (") for label in labels)


def test_a_seed_that_failed_and_was_run_again_is_told() -> None:
    write_run("a", patience=5)
    write_run("again", patience=5, state="failed", accuracy=0.1)
    write_run("b", patience=50)
    arms, warnings = arms_in("a", "again", "b")
    assert [len(arm.runs) for arm in arms] == [1, 1]
    assert "(a, again), of which one has failed, and the one that has finished counts" in warnings


def test_seeds_that_differ_are_told_where_others_have_failed() -> None:
    for name, seed, settings in (
        ("a0", 0, {}),
        ("b0", 0, {"state": "failed"}),
        ("a1", 1, {}),
        ("b1", 1, {"accuracy": 0.2}),
    ):
        write_run(name, seed=seed, patience=5, name="same", **settings)
    write_run("other", patience=50)
    _, warnings = arms_in("a0", "b0", "a1", "b1", "other")
    assert "(such as a1 and b1), but their results differ" in warnings
    assert "; 1 run of one that has finished had failed" in warnings


def test_a_seed_that_is_there_twice_counts_once() -> None:
    write_run("a", patience=5)
    shutil.copytree("a", "copy")
    write_run("b", patience=50)
    arms, warnings = arms_in("a", "copy", "b", "b")
    assert [len(arm.runs) for arm in arms] == [1, 1]
    assert "seed 0 is there more than once (a, copy), identical by design, and counted once" in warnings
    assert "b is named more than once, and counts once" in warnings


def test_a_seed_with_two_results_is_told() -> None:
    write_run("a", patience=5, accuracy=0.9)
    write_run("other", patience=5, accuracy=0.8)
    write_run("b", patience=50)
    arms, warnings = arms_in("a", "other", "b")
    assert arms[0].runs[0].final["test_accuracy"] == 0.9
    assert "but their results differ" in warnings


def test_what_did_not_finish_does_not_count_beside_what_did() -> None:
    write_run("a0", patience=5)
    write_run("a1", seed=1, patience=5, state="running", summary={"final": None})
    write_run("b", patience=50)
    arms, warnings = arms_in("a0", "a1", "b")
    assert [len(arm.runs) for arm in arms] == [1, 1]
    assert [result.seed for result in arms[0].left_out] == [1]
    assert "1 of 2 runs did not finish and does not count (seed 1 died)" in warnings


def test_a_run_that_died_alone_is_shown_by_its_last_epoch() -> None:
    write_run("a", patience=5, name="a")
    columns = falling_curves(30, 0.6)
    columns["val_accuracy"][9] = 0.7
    write_run("b", patience=50, name="b", state="running", summary={"final": None}, columns=columns)
    arms, warnings = arms_in("a", "b")
    assert arms[1].label == "b (died)"
    (result,) = arms[1].runs
    # The rows that validate are the test rows.
    assert result.final["test_accuracy"] == pytest.approx(0.6)
    assert (result.saved["epoch"], result.saved["test_accuracy"]) == (10, pytest.approx(0.7))
    assert result.cost == {"epochs": 30, "updates": 30}
    assert not result.measured
    assert "b has not finished (died at epoch 30): its values so far are shown, those of its last recorded" in warnings


def test_rows_that_only_validate_are_not_taken_for_test_rows() -> None:
    write_run("a", patience=5)
    write_run("b", validation="split", state="running", summary={"final": None})
    columns = {**falling_curves(40, 0.9), "test_accuracy": falling_curves(40, 0.5)["val_accuracy"]}
    write_run("c", validation="holdout", state="running", summary={"final": None}, columns=columns)
    (_, split, held_out), _ = arms_in("a", "b", "c")
    assert "test_accuracy" not in split.runs[0].final
    assert held_out.runs[0].final["test_accuracy"] == pytest.approx(0.5)


def test_what_has_no_epochs_is_left_out_and_told() -> None:
    write_run("a", patience=5)
    write_run("b", patience=50)
    write_run("range", command="lr-range", columns={}, summary={"final": None})
    write_run("begun", patience=7, state="failed", columns={}, summary={"final": None})
    write_run("diverged", patience=8, state="failed", name="diverged", summary={"stop": {"reason": "non_finite"}})
    write_run("lost", patience=9, columns={})
    arms, warnings = arms_in("a", "range", "begun", "diverged", "lost", "b")
    assert [arm.label for arm in arms] == ["a", "diverged (failed)", "lost", "b"]
    assert "range is a range test, which has no epochs to compare" in warnings
    assert "begun (failed) is left out: begun/metrics.csv: cannot be read" in warnings
    assert "lost has no curves: lost/metrics.csv: cannot be read" in warnings


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "a1"], ["a", "range"]])
def test_one_arm_alone_cannot_be_compared(names: list[str]) -> None:
    write_run("a", patience=5)
    write_run("a1", seed=1, patience=5)
    write_run("range", command="lr-range", columns={}, summary={"final": None})
    with pytest.raises(RequestError, match="there is nothing to compare moons a") as caught:
        arms_in(*names)
    assert "Name another run or sweep" in caught.value.hint


def test_what_is_no_run_is_refused() -> None:
    write_run("a")
    Path("empty").mkdir()
    with pytest.raises(RunFolderError, match="not a run folder"):
        arms_in("a", "empty")
    with pytest.raises(RunFolderError, match="no such folder"):
        arms_in("a", "nowhere")


def test_what_holds_no_run_is_passed_over_and_told() -> None:
    write_run("runs/a", patience=5)
    write_run("runs/b", patience=50)
    for name, files in {"study": ("status.json", "summary.json", "report.md"), "begun": ("status.json",)}.items():
        Path("runs", name).mkdir()
        for file in files:
            Path("runs", name, file).write_text("{}")
    arms, warnings = arms_in(*sorted(Path("runs").iterdir()))
    assert [arm.label for arm in arms] == ["a", "b"]
    assert warnings.count("holds no run (an analysis of runs, or one that never started); it is skipped") == 2
    with pytest.raises(RequestError, match=r"there is nothing to compare\. runs/study holds no run"):
        arms_in("runs/study")
    # A run that has lost its settings is none of these.
    Path("runs/b/config.toml").unlink()
    with pytest.raises(RunFolderError, match=r"runs/b: not a run folder \(config.toml missing\)"):
        arms_in("runs/a", "runs/b")


@pytest.mark.parametrize(
    ("summary", "answer"),
    [
        ({"final": "x"}, "final: received 'x'"),
        ({"best": {"epoch": 3, "test": [1]}}, r"best.test: received \[1\]"),
        ({"stop": "patience"}, "stop: received 'patience'"),
        ({"rows": 70}, "rows: received 70"),
    ],
)
def test_a_damaged_summary_is_told(summary: dict[str, object], answer: str) -> None:
    write_run("a", patience=5)
    write_run("b", patience=50, summary=summary)
    with pytest.raises(RunFolderError, match=f"b/summary.json: damaged .{answer}, expected values by name"):
        arms_in("a", "b")


def test_a_seed_that_is_no_number_is_told() -> None:
    write_run("a", patience=5)
    write_run("b", patience=50)
    Path("b/config.toml").write_text('command = "moons"\nseed = "x"\n')
    with pytest.raises(RunFolderError, match=r"b/config\.toml: seed: received 'x', expected a whole number"):
        arms_in("a", "b")


def test_labels_that_would_be_the_same_when_shortened_stay_long() -> None:
    write_sweep("sweep", {"m-2": [0.8, 0.9]})
    write_run("lone", patience=7, name="m 2")
    assert [arm.label for arm in arms_in("sweep", "lone")[0]] == ["moons m-2", "moons m 2"]


def test_a_run_of_a_sweep_that_went_on_under_other_rules_is_told_apart_by_its_own_folder() -> None:
    write_sweep("sweep", {"patience-5": [0.8, 0.9]})
    config = Path("sweep/jobs/patience-5-seed0/config.toml")
    config.write_text(config.read_text() + "patience = 9\n")
    labels = [arm.label for arm in arms_in("sweep")[0]]
    assert labels == ["patience 5 (patience-5-seed0)", "patience 5 (patience-5-seed1)"]


def test_the_others_are_compared_with_the_first_or_the_one_that_is_named() -> None:
    write_sweep("sweep", {"patience-0": [0.8], "patience-200": [0.9]})
    write_run("runs/lone", patience=7, name="Lone")
    arms, _ = arms_in("sweep", "runs/lone")
    assert baseline_of(arms, "") is arms[0]
    assert baseline_of(arms, "lone") is arms[2]
    for name in ("runs/lone", "lo", "last"):
        assert baseline_of(arms, name) is arms[2]
    assert baseline_of(arms, "patience 200") is arms[1]
    with pytest.raises(ConfigError, match="a name that only one of them has: 'patience 0'"):
        baseline_of(arms, "sweep")
    with pytest.raises(ConfigError, match="expected one of the arms: 'patience 0', 'patience 200', 'Lone'"):
        baseline_of(arms, "nothing")


def test_settings_that_differ_are_listed_and_the_others_counted() -> None:
    write_run("a", patience=5, stop=["gl:2"], min_delta=0.0, restore_best=True)
    write_run("b", patience=5, stop=[], min_delta=0, restore_best=False, new_setting=3)
    arms, _ = arms_in("a", "b")
    settings = settings_of(arms)
    assert settings.differ == {"stop": ("gl:2", "–"), "restore_best": ("yes", "no"), "new_setting": ("–", "3")}
    # The command, what moons has, patience and min_delta: 0 and 0.0 are the same number; the precision, float32 where
    # the run is of before that setting.
    assert settings.same == 1 + 6 + 2 + 1


def test_seeds_are_told_in_few_words() -> None:
    for seed in (0, 1, 2, 3):
        write_run(f"a{seed}", seed=seed, patience=5)
    for seed in (1, 7):
        write_run(f"b{seed}", seed=seed, patience=50)
    arms, _ = arms_in("a0", "a1", "a2", "a3", "b1", "b7")
    assert [seeds_of(arm) for arm in arms] == ["0 to 3", "1, 7"]


def test_other_test_rows_are_found_by_the_settings_that_choose_them() -> None:
    write_run("a", patience=5)
    write_run("same", patience=50)
    write_run("data", data_seed=2)
    write_run("held", validation="holdout")
    write_run("images", command="cifar-resnet", dataset="digits", limit=500)
    write_run("fewer", command="cifar-resnet", dataset="digits", limit=200)
    write_run("tests", command="cifar-resnet", dataset="digits", limit=500, test_limit=100)
    a, unchanged, data, held, images, fewer, tests = arms_in("a", "same", "data", "held", "images", "fewer", "tests")[0]
    assert other_test_rows(unchanged, a) == []
    assert other_test_rows(data, a) == ["data_seed 1 and 2"]
    assert other_test_rows(held, a) == ["validation – and holdout"]
    assert other_test_rows(images, a) == ["dataset moons and digits"]
    assert other_test_rows(fewer, images) == []
    assert other_test_rows(tests, images) == ["test_limit – and 100"]


def test_a_share_that_sets_as_many_rows_apart_as_none_is_the_same() -> None:
    rows = {"train": 30, "validation": 35, "test": 35}
    write_run("default", validation="holdout", summary={"rows": rows})
    write_run("asked", validation="holdout", validation_share=0.5, summary={"rows": rows})
    write_run("other", validation="holdout", validation_share=0.4, summary={"rows": {**rows, "test": 42}})
    write_run("died", validation="holdout", validation_share=0.3, state="running", summary={"final": None})
    default, given_name, other, unknown = arms_in("default", "asked", "other", "died")[0]
    assert other_test_rows(given_name, default) == []
    assert other_test_rows(other, default) == ["validation_share – and 0.4"]
    assert other_test_rows(unknown, default) == ["validation_share – and 0.3"]


def test_other_machines_and_versions_are_told() -> None:
    write_run("a", patience=5)
    write_run("same", patience=50)
    write_run("gpu", patience=6, environment={**ENVIRONMENT, "gpus": ["/gpu:0"]})
    write_run("old", patience=7, environment={**ENVIRONMENT, "versions": {"stopcli": "0.0.9", "tensorflow": "2.20.0"}})
    write_run("lost", patience=8, environment={})
    assert environments_differ(arms_in("a", "same")[0]) == []
    (machines,) = environments_differ(arms_in("a", "gpu")[0])
    assert "a on A processor, 2 cores; gpu on A processor, 2 cores, 1 GPU" in machines
    # A job that was pinned to a core, and one that had both.
    for cores in (1, 2):
        threads = {"intra_op": 1, "inter_op": 1}
        write_run(f"{cores}-core", patience=8 + cores, environment={**ENVIRONMENT, "cores": cores, "threads": threads})
    assert environments_differ(arms_in("1-core", "2-core")[0]) == []
    (machines,) = environments_differ(arms_in("a", "1-core")[0])
    assert "a on A processor, 2 cores; 1-core on A processor, 1 thread" in machines
    (versions,) = environments_differ(arms_in("a", "old")[0])
    assert "a with stopcli 0.1.0, tensorflow 2.21.0; old with stopcli 0.0.9, tensorflow 2.20.0" in versions
    assert "lost on an unknown machine" in environments_differ(arms_in("a", "lost")[0])[0]


def test_a_damaged_environment_is_warned_of() -> None:
    write_run("a")
    write_run("b", hidden=3)
    Path("b/environment.json").write_text("[]")
    warnings = environments_differ(arms_in("a", "b")[0])
    assert warnings[0].startswith("b/environment.json: damaged (received [], expected values by name): the machine")


def test_an_arm_sums_up_the_runs_that_have_a_value() -> None:
    arm = Arm("a", (SeedValues(2, {"epochs": 5, "error": 0.5}), SeedValues(0, {"epochs": 3}), SeedValues(1, {})))
    assert (arm.seeds, arm.values("epochs"), arm.by_seed("epochs")) == ([0, 1, 2], [5, 3], {2: 5, 0: 3})
    assert (arm.mean("epochs"), arm.mean("loss"), arm.interval("loss")) == (4, None, None)
    interval = arm.interval("error")
    assert interval is not None
    assert (interval.n, interval.mean, interval.bounds) == (1, 0.5, None)
    other = Arm("b", (SeedValues(2, {"epochs": 4}), SeedValues(3, {"epochs": 9})))
    pairs = difference(arm, other, "epochs")
    assert pairs is not None
    assert (pairs.n, pairs.mean) == (1, 1)
    assert difference(arm, other, "error") is None
