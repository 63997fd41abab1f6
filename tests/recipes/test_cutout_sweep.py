"""The plan of a cutout sweep, and what follows from its runs' numbers. Needs no TensorFlow."""

from __future__ import annotations

from typing import Any

import pytest
from job_results import cells, job_result, result

from stopcli.analysis.arms import RunArm
from stopcli.analysis.sweep import sweep_arms
from stopcli.configs.base import parse, resolve, settings_of
from stopcli.configs.classifier import ClassifierConfig
from stopcli.configs.cutout_sweep import CutoutSweepConfig
from stopcli.errors import ConfigError, RequestError
from stopcli.recipes import image_checks as memory
from stopcli.recipes.cutout_sweep import CutoutSweep, front_of, recommend
from stopcli.recipes.image_checks import batch_bytes, check_batches_fit
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import JobResult, in_rounds, plan_jobs


def config(**settings: Any) -> CutoutSweepConfig:
    return parse(CutoutSweepConfig, {"dataset": "digits", **settings})


def results(errors: dict[str, list[float]], seconds: dict[str, float], **settings: Any) -> list[JobResult]:
    seeds = max(map(len, errors.values()))
    m = tuple(int(arm[1:]) for arm in errors if arm != "simple")
    jobs = plan_jobs(config(m=m, seeds=seeds, baseline_arm="simple" in errors, **settings))
    return [result(job, errors[job.arm][job.config.seed], seconds[job.arm]) for job in jobs]


def arms(jobs_done: list[JobResult]) -> tuple[list[RunArm], RunArm]:
    """The arms of some results, and the one that the others are compared with."""
    every = sweep_arms(config(m=(2, 4, 8, 16)), jobs_done)
    reference = next(result.job.arm for result in jobs_done if result.job.is_reference)
    return every, next(arm for arm in every if arm.name == reference)


def recommended(errors: dict[str, list[float]]) -> tuple[str, ...]:
    return recommend(*arms(results(errors, SECONDS)))


def test_the_published_plan() -> None:
    jobs = plan_jobs(resolve(CutoutSweepConfig, {"scale": "full"}))
    assert [job.name for job in jobs] == [f"{arm}-seed0" for arm in ("simple", "m2", "m4", "m8", "m16", "m32")]
    base, most = jobs[0].config, jobs[-1].config
    assert (base.copies, base.cutout, base.depth, base.epochs, base.batch_size) == (1, None, 44, 100, 64)
    assert (most.copies, most.cutout, most.epochs, most.batch_size, most.augment) == (32, 16, 100, 64, "simple")
    assert most.lr_policy == "step"
    assert {job.config.command for job in jobs} == {"cifar-resnet"}


def test_the_runs_of_a_plan_do_not_depend_on_who_executes_them() -> None:
    here = plan_jobs(config(m=(2,), seeds=2, threads=1))
    elsewhere = plan_jobs(
        config(m=(2,), seeds=2, threads=1, executor="ray", jobs=5, ray_address="auto", keep_going=False)
    )
    assert here == elsewhere
    assert {job.config.threads for job in here} == {1}
    assert [(job.name, job.config.seed, job.config.seeds) for job in here] == [
        ("simple-seed0", 0, 1),
        ("simple-seed1", 1, 1),
        ("m2-seed0", 0, 1),
        ("m2-seed1", 1, 1),
    ]


@pytest.mark.parametrize(
    ("settings", "reference", "round_of_seed_0"),
    [
        ({"m": (2, 8, 4)}, "simple", ["simple", "m8", "m4", "m2"]),
        ({"m": (8, 2, 4), "baseline_arm": False}, "m2", ["m2", "m8", "m4"]),
    ],
)
def test_a_sweep_runs_seed_by_seed_and_its_baseline_first(
    settings: dict[str, Any], reference: str, round_of_seed_0: list[str]
) -> None:
    jobs = plan_jobs(config(seeds=2, **settings))
    assert {job.arm for job in jobs if job.is_reference} == {reference}
    assert [job.name for job in in_rounds(jobs)] == [f"{arm}-seed{seed}" for seed in (0, 1) for arm in round_of_seed_0]


@pytest.mark.parametrize(
    ("equal", "epochs", "batch_size"),
    [
        ("epochs", [24, 24, 24], [64, 64, 64]),
        ("compute", [24, 12, 3], [64, 64, 64]),
        ("updates", [24, 12, 3], [64, 32, 8]),
    ],
)
def test_what_the_arms_have_equal(equal: str, epochs: list[int], batch_size: list[int]) -> None:
    planned = [job.config for job in plan_jobs(config(m=(2, 8), epochs=24, equal=equal))]
    assert [arm.epochs for arm in planned] == epochs
    assert [arm.batch_size for arm in planned] == batch_size
    rows = 6400
    updates = [arm.epochs * rows / arm.batch_size for arm in planned]
    images = [arm.epochs * rows * arm.copies for arm in planned]
    if equal == "epochs":
        assert updates == [2400] * 3
        assert images == [24 * rows, 48 * rows, 192 * rows]
    else:
        assert images == [24 * rows] * 3
        assert updates == ([2400] * 3 if equal == "updates" else [2400, 1200, 300])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"m": ()}, "m: received"),
        ({"m": (2, 0)}, "m: received 0, expected 1 copy or more"),
        ({"m": (-2,)}, "m: received -2, expected numbers of copies from 1 to 1024"),
        ({"m": (2, 4, 2)}, "every number of copies once; 2 is given twice"),
        ({"m": (2.5,)}, "m: received"),
        ({"cutout": 8}, "cutout: received 8, expected nothing: a sweep has m and cutout_size instead"),
        ({"copies": 2}, "copies: received 2, expected nothing"),
        ({"cutout_size": 0}, "cutout_size: received 0"),
        ({"jobs": 0}, "jobs: received 0"),
        ({"m": (8,), "epochs": 5, "equal": "compute"}, "epochs: received 5, expected 8 or more with equal compute"),
        ({"m": (3,), "equal": "updates"}, "batch_size: received 64, expected a multiple of 3"),
        ({"equal": "compute", "lr_drops": "9:0.1"}, "lr_drops: received '9:0.1', expected 'auto'"),
        ({"m": (8,), "equal": "compute", "epochs": 16, "start_from_epoch": 4}, "start_from_epoch: received 4"),
        ({"depth": 9}, "depth: received 9, expected 6n"),
    ],
)
def test_settings_that_make_no_sweep(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**settings)


def test_arms_that_cannot_be_made_equal_are_warned_about() -> None:
    warned = [w for w in config(m=(2, 8), epochs=12, equal="compute").warnings() if "rounded" in w]
    assert len(warned) == 1
    assert warned[0].startswith("M = 8 trains for 2 epochs, 12 / 8 rounded, and so sees 133% of the baseline's images")
    assert not [w for w in config(m=(2, 8), epochs=24, equal="compute").warnings() if "rounded" in w]


def test_a_config_comes_back_from_its_file() -> None:
    before = config(m=(2, 4), baseline_arm=False, equal="compute", baseline=0.5)
    assert parse(CutoutSweepConfig, settings_of(before)) == before


def test_only_finished_runs_count() -> None:
    jobs_done = results({"simple": [0.5], "m2": [0.4]}, {"simple": 10, "m2": 20})
    broken = job_result(jobs_done[1].job, "failed", "a fault", jobs_done[1].summary)
    simple, m2 = sweep_arms(config(m=(2,)), [jobs_done[0], broken])
    assert simple.values("final_val_error") == [0.5]
    assert (m2.runs, m2.planned) == ((), 1)
    assert recommend([simple, m2], simple) == ("Too few runs have finished to compare anything.",)
    assert CutoutSweep().sweep_results(config(m=(2,)), [jobs_done[0], broken]).tables[0].rows[1][:3] == (
        "M = 2",
        "0 of 1",
        "–",
    )


def test_the_pareto_front_has_nothing_that_is_dearer_and_no_better() -> None:
    errors = {"simple": [0.5], "m2": [0.6], "m4": [0.3], "m8": [0.3], "m16": [0.2]}
    seconds = {"simple": 1.0, "m2": 2.0, "m4": 4.0, "m8": 8.0, "m16": 16.0}
    assert front_of(*arms(results(errors, seconds))).names == ("simple", "m4", "m16")


SECONDS = {"simple": 10.0, "m2": 19.0, "m4": 36.0, "m8": 70.0}


def test_one_seed_recommends_nothing() -> None:
    sentences = recommended({"simple": [0.5], "m2": [0.4], "m4": [0.45]})
    assert sentences[0].startswith("Not distinguishable at n = 1: fewer than 3 seeds give no interval.")
    assert (
        "lowest error at the end is that of M = 2, 0.400, against 0.500 of simple at 1.90 times its training"
        in sentences[0]
    )
    assert sentences[1] == (
        "Cost of training against simple: M = 2 takes 1.90 times the time for 2 times the images (95%); "
        "M = 4 takes 3.60 times the time for 4 times the images (90%)."
    )


def test_of_equal_errors_the_cheapest_is_named() -> None:
    sentences = recommended({"m4": [0.9], "simple": [0.9]})
    assert (
        "the lowest error at the end is that of simple, 0.900, and as low that of M = 4, at more training; --seeds 5"
        in sentences[0]
    )


def test_the_cheapest_arm_that_nothing_beats_is_recommended() -> None:
    errors = {
        "simple": [0.50, 0.52, 0.51, 0.53, 0.50],
        "m2": [0.50, 0.53, 0.50, 0.53, 0.51],  # no better than none
        "m4": [0.41, 0.42, 0.40, 0.43, 0.41],
        "m8": [0.41, 0.41, 0.41, 0.43, 0.40],  # no better than m4
    }
    sentences = recommended(errors)
    assert sentences[0].startswith("Recommended: M = 4.")
    assert "it costs 3.60 times the training of simple" in sentences[0]
    assert "not distinguishable at n = 5" in sentences[1]  # m2
    assert "lower in 5 of 5 seeds" in sentences[2]


def test_a_dearer_arm_is_recommended_where_it_is_distinguishably_better() -> None:
    errors = {
        "simple": [0.50, 0.52, 0.51, 0.53, 0.50],
        "m4": [0.45, 0.46, 0.45, 0.47, 0.44],
        "m8": [0.35, 0.36, 0.36, 0.37, 0.34],
    }
    assert recommended(errors)[0].startswith("Recommended: M = 8.")


def test_an_arm_with_too_few_runs_does_not_silence_the_others() -> None:
    jobs_done = results({"simple": [0.5, 0.52, 0.51], "m2": [0.4, 0.41, 0.42], "m4": [0.3, 0.3, 0.3]}, SECONDS)
    thin = [result for result in jobs_done if result.job.arm != "m4" or result.job.config.seed == 0]
    sentences = recommend(*arms(thin))
    assert sentences[0].startswith("Recommended: M = 2.")
    assert "M = 4 has too few finished runs to be judged." in sentences


def test_a_recommendation_says_the_seeds_of_its_own_arm() -> None:
    def with_three_of_m4(errors: dict[str, list[float]]) -> str:
        done = results(errors, SECONDS)
        return recommend(*arms([one for one in done if one.job.arm != "m4" or one.job.config.seed < 3]))[0]

    errors = {
        "simple": [0.50, 0.52, 0.51, 0.50, 0.53],
        "m2": [0.50, 0.51, 0.52, 0.50, 0.53],
        "m4": [0.30, 0.31, 0.32, 0.30, 0.30],
    }
    sentence = with_three_of_m4(errors)
    assert sentence.startswith("Recommended: M = 4.")
    assert "beats at n = 3;" in sentence
    assert with_three_of_m4({**errors, "m4": errors["m2"]}).endswith("as an improvement at n = 3 to 5.")


def test_the_errors_beside_each_other_say_of_which_rows_they_are() -> None:
    errors = {"simple": [0.5, 0.4], "m2": [0.3, 0.2], "m4": [0.3, 0.2], "m8": [0.3, 0.2]}
    for validation, columns in {
        "test": ("error at the end", "best epoch's"),
        "split": ("validation error at the end", "best epoch's test error"),
    }.items():
        done = results(errors, dict.fromkeys(errors, 1.0), validation=validation)
        table = CutoutSweep().sweep_results(config(validation=validation), done).tables[0]
        assert table.columns[2:4] == columns


def test_nothing_is_recommended_where_nothing_is_better() -> None:
    errors = {"simple": [0.50, 0.52, 0.51, 0.49], "m2": [0.51, 0.50, 0.52, 0.50], "m4": [0.60, 0.61, 0.62, 0.60]}
    sentences = recommended(errors)
    assert sentences[0] == "No M is distinguishable from simple as an improvement at n = 4."


def test_without_a_baseline_the_fewest_copies_are_compared_with() -> None:
    sentences = recommended({"m2": [0.5, 0.5, 0.51], "m4": [0.4, 0.39, 0.42]})
    assert sentences[0].startswith("Recommended: M = 4. It is the cheapest arm that is better than M = 2")


def test_the_table_sets_published_beside_measured() -> None:
    runs = results({"simple": [0.5], "m2": [0.4], "m3": [0.3]}, {**SECONDS, "m3": 30.0})
    jobs_done, by_arm = CutoutSweep().sweep_results(config(m=(2, 3)), runs), cells(config(m=(2, 3)), runs)
    assert by_arm["M = 2"]["cost ratio"] == "1.90"
    assert (by_arm["M = 2"]["published hours"], by_arm["M = 2"]["published ratio"]) == ("1.47", "1.20")
    assert by_arm["M = 3"]["published hours"] == "–"
    header, *rows = jobs_done.files["jobs.csv"].splitlines()
    assert header.startswith("job,arm,m,seed,state,reason,epochs,test_accuracy")
    assert rows[1].startswith("m2-seed0,m2,2,0,finished,,100,0.6,")


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: int(8e9))


@pytest.mark.usefixtures("little_memory")
def test_batches_that_do_not_fit_are_refused_with_the_m_that_fits() -> None:
    jobs, two = plan_jobs(config(m=(2, 32), depth=44)), Layout("processes", 2, 1)
    with pytest.raises(
        RequestError, match=r"M = 32 .* trains ResNet-44 on 2,048 images at a time; 2 such runs"
    ) as caught:
        check_batches_fit(jobs, two, 32, 32)
    # What the hint names does fit, and one more does not.
    assert caught.value.hint == "At most M = 11 fits; with --jobs 1, M = 26."
    check_batches_fit(plan_jobs(config(m=(11,), baseline_arm=False, seeds=2, depth=44)), two, 32, 32)
    with pytest.raises(RequestError):
        check_batches_fit(plan_jobs(config(m=(12,), baseline_arm=False, seeds=2, depth=44)), two, 32, 32)
    check_batches_fit(plan_jobs(config(m=(26,), depth=44)), Layout("processes", 1, 2), 32, 32)


@pytest.mark.usefixtures("little_memory")
def test_other_machines_memory_is_not_judged_by_this_one() -> None:
    jobs = plan_jobs(config(m=(512,), depth=44))
    check_batches_fit(jobs, Layout("ray", 0, 1, "auto"), 32, 32)
    with pytest.raises(RequestError, match="M = 512"):
        # A cluster that is begun for the sweep is this machine.
        check_batches_fit(jobs, Layout("ray", 2, 1), 32, 32)
    check_batches_fit(jobs, Layout("processes", 1, 1, gpu=True), 32, 32)


@pytest.mark.parametrize(
    # Peak less that of a process without a batch, as measured: depth, images in a batch, gigabytes.
    ("depth", "copies", "gigabytes"),
    [(8, 8, 0.45), (8, 32, 1.7), (20, 16, 1.9), (44, 1, 0.27), (44, 4, 0.95)],
)
def test_the_estimate_is_near_what_was_measured(depth: int, copies: int, gigabytes: float) -> None:
    arm_config = config(depth=depth, m=(copies,), baseline_arm=False).arms()[f"m{copies}"]
    assert batch_bytes(arm_config, 32, 32) == pytest.approx(gigabytes * 1e9, rel=0.25)


@pytest.mark.parametrize(("width", "images", "gigabytes"), [(1.0, 256, 1.53), (0.25, 512, 0.74)])
def test_the_estimate_for_minigooglenet_is_near_what_was_measured(width: float, images: int, gigabytes: float) -> None:
    arm_config = resolve(ClassifierConfig, {"scale": "full", "width": width, "batch_size": images})
    assert batch_bytes(arm_config, 32, 32) == pytest.approx(gigabytes * 1e9, rel=0.25)
