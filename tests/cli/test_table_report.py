"""`stopcli fit TABLE`: what stands in the report, the summary and the terminal beside the network's own values."""

from pathlib import Path

import pytest
from eager_runs import eager_runs, unmeasured_loops
from program import run, summary_of
from quick_runs import quick_runs
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error
from sklearn.preprocessing import StandardScaler

from stopcli.recipes.table_baselines import PENALTIES

pytestmark = pytest.mark.slow

HOW = ["--hidden", "8", "--epochs", "3", "--loop", "steps", "--xla", "no", "--quiet"]


def diabetes():
    frame = datasets.load_diabetes(as_frame=True, scaled=False).frame
    return frame.rename(columns={"target": "progression"}), "progression"


def cancer():
    bunch = datasets.load_breast_cancer(as_frame=True)
    diagnosis = bunch.frame.pop("target").map(dict(enumerate(bunch.target_names)))
    return bunch.frame.assign(diagnosis=diagnosis), "diagnosis"


@pytest.fixture(scope="module")
def runs(tensorflow, tmp_path_factory):
    """A folder with the tables, `sweep` with three seeds on one, and `cancer` with a run on the other."""
    folder = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch, eager_runs(), unmeasured_loops(), quick_runs():
        patch.chdir(folder)
        for read in (diabetes, cancer):
            frame, target = read()
            frame.to_csv(f"{read.__name__}.csv", index=False)
            how = ["--seeds", "3", "--executor", "in-process"] if read is diabetes else []
            name = "sweep" if read is diabetes else "cancer"
            assert run("fit", f"{read.__name__}.csv", "--target", target, "--run-dir", name, *how, *HOW) == 0
    return folder


@pytest.fixture(autouse=True)
def in_folder(runs, monkeypatch):
    monkeypatch.chdir(runs)


def first_run():
    (folder,) = Path("sweep/jobs").glob("*-seed0")
    return folder


def rows_of(name, target, folder):
    """Standardized features, and targets, of the rows that train, validate and test by the run's own record."""
    from stopcli.data.row_hash import row_hashes
    from stopcli.data.table_columns import choose_columns, raw_rows
    from stopcli.data.table_file import read_table
    from stopcli.runs.table_record import read_known_rows

    table = read_table(Path(f"{name}.csv"))
    columns, _ = choose_columns(table, target=target)
    raw, parts = raw_rows(table, columns), read_known_rows(Path(folder)).parts_of(row_hashes(table, columns))
    x = StandardScaler().fit(raw.numbers[parts == 1].astype(float)).transform(raw.numbers.astype(float))
    return [(x[parts == part], raw.target[parts == part]) for part in (1, 2, 4)]


def fitted_by_sklearn(model, name, target, folder, choose, measure):
    """What a linear model of the same rows comes to, with the strength that is best on those that validate."""
    train, validation, test = rows_of(name, target, folder)
    models = [model(strength * len(train[0])).fit(*train) for strength in PENALTIES]
    best = min(models, key=lambda fitted: choose(validation[1], fitted, validation[0]))
    return measure(test[1], best.predict(test[0])), len(test[1])


def test_ridge_regression_of_the_same_rows_stands_beside_a_regression():
    value, rows = fitted_by_sklearn(
        lambda strength: Ridge(alpha=strength), "diabetes", "progression", first_run(),
        lambda y, fitted, x: root_mean_squared_error(y, fitted.predict(x)), root_mean_squared_error,
    )  # fmt: skip
    summary = summary_of(first_run())
    mean, ridge = summary["baselines"]
    assert ridge["test"]["rmse"] == pytest.approx(value, rel=1e-4)
    assert ridge["low"] < value < ridge["high"]
    best = summary["best"]["test"]["rmse"]
    assert ridge["best"]["mean"] == pytest.approx(best - value, rel=1e-3)
    assert mean["best"]["verdict"] in ("better", "worse", "not distinguishable")
    report = Path(first_run(), "report.md").read_text()
    first = report.splitlines()[2]
    assert first.startswith(f"On the {rows} test rows the saved model is {ridge['best']['verdict']}")
    assert f"ridge regression (test RMSE {best:.2f} against {value:.2f}, difference " in first
    assert "## Beside simpler answers" in report
    worst = Path(first_run(), "worst.csv").read_text().splitlines()
    lines = Path("diabetes.csv").read_text().splitlines()
    head, row = worst[0].split(","), worst[1].split(",")
    in_file = dict(zip(lines[0].split(","), lines[int(row[0]) - 1].split(","), strict=True))
    assert float(in_file["progression"]) == float(row[1])
    assert all(float(in_file[name]) == pytest.approx(float(cell)) for name, cell in zip(head[4:], row[4:], strict=True))


def test_logistic_regression_of_the_same_rows_stands_beside_classes():
    value, _ = fitted_by_sklearn(
        lambda strength: LogisticRegression(C=1 / strength, solver="newton-cholesky"), "cancer", "diagnosis", "cancer",
        lambda y, fitted, x: log_loss(y, fitted.predict_proba(x)), accuracy_score,
    )  # fmt: skip
    shares, logistic = summary_of("cancer")["baselines"]
    assert logistic["test"]["accuracy"] == pytest.approx(value)
    assert shares["name"] == "most frequent class"
    assert shares["best"]["low"] <= shares["best"]["mean"] <= shares["best"]["high"]
    report = Path("cancer/report.md").read_text()
    assert "logistic regression (test accuracy" in report.splitlines()[2]
    assert "| benign |" in report
    for file in ("cancer", first_run()):
        assert Path(file, "baselines.csv").read_text().startswith("answer,test ")
        assert Path(file, "parts.csv").read_text().startswith("part,rows")


def test_a_sweep_says_in_how_many_seeds_a_linear_model_is_better():
    summary = summary_of("sweep")
    assert summary["conclusions"][0].startswith("The saved model against ridge regression: test RMSE ")
    assert "of 3 seeds" in summary["conclusions"][0]
    of_seeds = [summary_of(f"sweep/jobs/{job['name']}") for job in summary["jobs"]]
    assert len({one["baselines"][1]["test"]["rmse"] for one in of_seeds}) == 1
    assert "## Beside simpler answers, over seeds" in Path("sweep/report.md").read_text()
