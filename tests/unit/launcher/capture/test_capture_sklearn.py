"""scikit-learn: the fits and scores that a program calls itself, and nothing of what is inside them."""

from __future__ import annotations

import csv

from tests.capture_kit import Job

DIGITS = """
import warnings
warnings.simplefilter("ignore")
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
X, y = load_digits(return_X_y=True)
X_test, y_test = X[:500], y[:500]
"""


def test_a_fit_gives_class_params_and_training_score(job: Job) -> None:
    reported = job.run(DIGITS + "print(LogisticRegression(C=0.5, max_iter=20).fit(X, y).score(X, y))\n")
    assert reported.complaints == []
    assert reported.params["LogisticRegression/C"] == "0.5"
    assert reported.params["LogisticRegression/solver"] == "lbfgs"
    printed = float(reported.done.stdout)
    assert reported.curve("LogisticRegression/training_score") == [(0, printed)]
    assert reported.curve("LogisticRegression/score_X") == [(0, printed)]
    ((_, seconds),) = reported.curve("LogisticRegression/fit_seconds")
    assert 0 < seconds < 60


def test_scores_carry_the_name_of_the_data_and_go_on(job: Job) -> None:
    reported = job.run(
        DIGITS
        + "model = LogisticRegression(max_iter=5)\n"
        + "for n in (200, 1000):\n    model.fit(X[:n], y[:n])\n    model.score(X_test, y_test)\n"
        + "model.score(X[:100], y[:100])\nmodel.score(\n  X_test,\n  y_test)\n"
    )
    steps = [step for step, _ in reported.curve("LogisticRegression/score_X_test")]
    assert steps == [0, 1]
    assert len(reported.curve("LogisticRegression/score")) == 2
    assert [step for step, _ in reported.curve("LogisticRegression/training_score")] == [0, 1]
    assert not any(key.startswith("fit2/") for key in reported.keys)


def test_a_pipeline_is_one_fit_with_flat_params(job: Job) -> None:
    reported = job.run(
        DIGITS
        + "from sklearn.pipeline import make_pipeline\n"
        + "model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5))\n"
        + "model.fit(X, y).score(X_test, y_test)\n"
    )
    assert {key.split("/")[0] for key in [*reported.params, *reported.keys]} == {"Pipeline"}
    assert reported.params["Pipeline/standardscaler"] == "StandardScaler"
    assert reported.params["Pipeline/logisticregression__max_iter"] == "5"
    assert "Pipeline/steps" not in reported.params
    assert len(reported.curve("Pipeline/score_X_test")) == 1


def test_a_search_gives_its_results_and_no_inner_fit(job: Job) -> None:
    reported = job.run(
        DIGITS
        + "from sklearn.model_selection import GridSearchCV\n"
        + "for jobs in (1, 2):\n"
        + "    model = LogisticRegression(max_iter=3)\n"
        + "    found = GridSearchCV(model, {'C': [0.01, 1, 10]}, cv=2, n_jobs=jobs)\n"
        + "    found.fit(X[:400], y[:400])\n"
        + "print(found.best_score_, found.best_params_['C'], *found.cv_results_['mean_test_score'])\n"
    )
    owners = {key.removeprefix("fit2/").split("/")[0] for key in [*reported.params, *reported.keys]}
    assert owners == {"GridSearchCV"}
    best, c, *scores = map(float, reported.done.stdout.split())
    assert reported.curve("GridSearchCV/mean_test_score") == list(enumerate(scores))
    assert reported.curve("fit2/GridSearchCV/best_score") == [(0, best)]
    assert float(reported.params["GridSearchCV/best/C"]) == c
    assert reported.params["GridSearchCV/estimator"] == "LogisticRegression"
    with (reported.output / "GridSearchCV_results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["params"] for row in rows] == ['{"C": "0.01"}', '{"C": "1"}', '{"C": "10"}']
    assert [float(row["mean_test_score"]) for row in rows] == scores


def test_ensembles_and_threads_inside_a_fit_are_one_fit(job: Job) -> None:
    reported = job.run(
        DIGITS
        + "from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, RandomForestClassifier\n"
        + "import joblib\n"
        + "AdaBoostClassifier(n_estimators=3).fit(X, y)\n"
        + "with joblib.parallel_backend('threading'):\n"
        + "    BaggingClassifier(LogisticRegression(max_iter=2), n_estimators=3, n_jobs=2).fit(X, y)\n"
        + "    RandomForestClassifier(5, n_jobs=2).fit(X, y)\n"
    )
    owners = {key.split("/")[0] for key in [*reported.params, *reported.keys]}
    assert owners == {"AdaBoostClassifier", "BaggingClassifier", "RandomForestClassifier"}


def test_a_cross_validation_gives_each_fold_and_the_mean(job: Job) -> None:
    reported = job.run(
        DIGITS
        + "from sklearn.model_selection import cross_val_score, learning_curve\n"
        + "print(*cross_val_score(LogisticRegression(max_iter=3), X, y, cv=3))\n"
        + "learning_curve(LogisticRegression(max_iter=3), X, y, cv=2, train_sizes=[0.5])\n"
    )
    scores = [float(word) for word in reported.done.stdout.split()]
    assert reported.curve("LogisticRegression/cv_test_score") == list(enumerate(scores))
    assert reported.keys == ["LogisticRegression/cv_test_score", "LogisticRegression/cv_test_score_mean"]


def test_what_only_transforms_is_no_model(job: Job) -> None:
    reported = job.run(
        DIGITS
        + "from sklearn.decomposition import PCA\n"
        + "StandardScaler().fit_transform(X)\nPCA(2).fit(X)\n"
    )
    assert reported.records == []


def test_loss_curves_of_training_are_curves(job: Job) -> None:
    reported = job.run(
        DIGITS
        + "from sklearn.neural_network import MLPClassifier\n"
        + "print(*MLPClassifier((8,), max_iter=4, random_state=0).fit(X, y).loss_curve_)\n"
    )
    losses = [float(word) for word in reported.done.stdout.split()]
    assert reported.curve("MLPClassifier/loss") == list(enumerate(losses))


def test_random_numbers_warnings_and_results_are_those_without_capture(job: Job) -> None:
    program = """
        import numpy as np
        from sklearn.datasets import load_digits
        from sklearn.dummy import DummyClassifier
        from sklearn.linear_model import LogisticRegression
        X, y = load_digits(return_X_y=True)
        np.random.seed(7)
        DummyClassifier(strategy="stratified").fit(X, y)
        model = LogisticRegression(max_iter=3).fit(X, y)
        print(np.random.rand(), model.coef_.sum())
        """
    on = job.run(program)
    off = job.run(program, variables={"NACRE_CAPTURE": "off"})
    assert on.done.stdout == off.done.stdout
    assert on.done.stderr.count("ConvergenceWarning") == off.done.stderr.count("ConvergenceWarning") == 1
    assert "DummyClassifier/training_score" in on.keys
    assert off.records == []


def test_an_estimator_of_the_programs_own_is_captured_but_its_code_not_run(job: Job) -> None:
    reported = job.run(
        DIGITS
        + """
import pickle
from sklearn.base import BaseEstimator, ClassifierMixin
class Mine(ClassifierMixin, BaseEstimator):
    def __init__(self, depth=3): self.depth = depth
    def fit(self, X, y):
        self.inner_ = LogisticRegression(max_iter=2).fit(X, y)
        self.classes_ = self.inner_.classes_
        return self
    def predict(self, X):
        print("predicts")
        return self.inner_.predict(X)
model = pickle.loads(pickle.dumps(Mine())).fit(X, y)
print(model.score(X_test, y_test), Mine.fit.__name__, model.fit.__doc__)
"""
    )
    assert reported.done.stdout.count("predicts") == 1
    assert reported.params["Mine/depth"] == "3"
    assert reported.keys == ["Mine/fit_seconds", "Mine/score_X_test"]


def test_an_exception_of_a_fit_is_untouched(job: Job) -> None:
    program = DIGITS + "LogisticRegression().fit(X, y[:3])\n"
    on = job.run(program, check=False)
    off = job.run(program, check=False, variables={"NACRE_CAPTURE": "off"})
    assert on.done.returncode == off.done.returncode == 1
    assert on.complaints == []
    assert on.records == []
    frames = [line for line in on.done.stderr.splitlines() if line.startswith("  File")]
    theirs = [line for line in off.done.stderr.splitlines() if line.startswith("  File")]
    assert [line for line in frames if "/launcher/capture/" not in line] == theirs
    assert len(frames) == len(theirs) + 1
    assert on.done.stderr.splitlines()[-1] == off.done.stderr.splitlines()[-1]
    after = "try:\n    LogisticRegression().fit(X, y[:3])\nexcept ValueError:\n    pass\n"
    assert (
        "LogisticRegression/C"
        in job.run(DIGITS + after + "LogisticRegression(max_iter=3).fit(X, y)\n").params
    )


def test_many_models_of_one_class_stand_apart_and_end_at_fifty(job: Job) -> None:
    reported = job.run(
        DIGITS
        + "from sklearn.linear_model import Ridge\n"
        + "kept = [Ridge(alpha=a + 1).fit(X, y) for a in range(60)]\n"
    )
    assert reported.params["Ridge/alpha"] == "1"
    assert reported.params["fit50/Ridge/alpha"] == "50"
    assert "fit51/Ridge/alpha" not in reported.params


def test_what_the_program_logs_itself_is_not_captured_again(job: Job) -> None:
    reported = job.run(
        DIGITS
        + "import nacre\n"
        + "nacre.log_metric('LogisticRegression/training_score', 0.5)\n"
        + "nacre.log_param('LogisticRegression/C', 'mine')\n"
        + "LogisticRegression(max_iter=3).fit(X, y)\n"
    )
    assert reported.curve("LogisticRegression/training_score") == [(0, 0.5)]
    assert reported.params["LogisticRegression/C"] == "mine"
    assert reported.params["LogisticRegression/max_iter"] == "3"


def test_a_failure_of_capture_is_one_line_and_the_program_goes_on(job: Job) -> None:
    reported = job.run(
        DIGITS
        + """
class Odd(LogisticRegression):
    def get_params(self, deep=True):
        if deep: raise RuntimeError("no params today")
        return super().get_params(deep)
for _ in range(3):
    print(type(Odd(max_iter=2).fit(X, y)).__name__)
"""
    )
    assert reported.done.stdout.split() == ["Odd"] * 3
    assert reported.complaints == ["[nacre] capture of sklearn is off: RuntimeError: no params today"]


def test_mlflows_autologging_of_scikit_learn_has_the_word(job: Job) -> None:
    program = """
        import mlflow, sys, types
        from mlflow.utils import autologging_utils as auto
        auto.AUTOLOGGING_INTEGRATIONS["sklearn"] = {"disable": DISABLED}
        from sklearn.linear_model import LinearRegression
        LinearRegression().fit([[0], [1]], [0, 1])
        """
    assert job.run(program.replace("DISABLED", "False")).records == []
    assert job.run(program.replace("DISABLED", "True")).params["LinearRegression/fit_intercept"] == "True"


def test_keys_that_mlflows_client_sends_to_the_same_run_are_not_captured_again(job: Job) -> None:
    program = """
        import mlflow, os
        from mlflow.tracking.client import MlflowClient
        sent = []
        class Store:
            def __getattr__(self, name):
                return lambda *args, **kwargs: sent.append(name)
        client = MlflowClient("http://127.0.0.1:1")
        client._tracking_client = Store()
        client.log_metric(RUN, "LinearRegression/fit_seconds", 1.0)
        client.log_batch(RUN, params=[mlflow.entities.Param("LinearRegression/positive", "x")])
        from sklearn.linear_model import LinearRegression
        LinearRegression().fit([[0], [1]], [0, 1])
        print(len(sent))
        """
    ours = job.run(program.replace("RUN", "os.environ['NACRE_RUN_ID']"))
    assert ours.done.stdout == "2\n"
    assert "LinearRegression/fit_seconds" not in ours.keys
    assert "LinearRegression/positive" not in ours.params
    assert "LinearRegression/fit_intercept" in ours.params
    another = job.run(program.replace("RUN", "'another'"))
    assert "LinearRegression/fit_seconds" in another.keys
    assert "LinearRegression/positive" in another.params
