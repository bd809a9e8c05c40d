"""Keras, Lightning, Transformers, XGBoost, LightGBM as published: curves and params of plain programs."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from tests.capture_kit import Job

pytestmark = [pytest.mark.framework, pytest.mark.slow]

KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import json, keras, numpy as np
rng = np.random.default_rng(0)
x = rng.normal(size=(256, 4)).astype("float32")
y = (x[:, 0] > 0).astype("int32")
def make():
    model = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss=loss, metrics=["accuracy"])
    return model
model = make()
"""
FIT = "history = model.fit(x, y, epochs=3, batch_size=32, validation_split=0.25, verbose=0)\n"


def test_keras_fit_gives_params_summary_and_a_curve_of_each_metric(heavy: Job) -> None:
    reported = heavy.run(KERAS + FIT + "print(json.dumps(history.history))\n")
    assert reported.complaints == []
    history = json.loads(reported.done.stdout)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for key, values in history.items():
        assert reported.curve(key) == list(enumerate(values))
    assert [step for step, _ in reported.curve("learning_rate")] == [0, 1, 2]
    assert reported.curve("learning_rate")[0][1] == pytest.approx(0.1)
    wanted = {"epochs": "3", "batch_size": "32", "steps": "6", "optimizer": "SGD", "parameters": "58"}
    assert wanted.items() <= reported.params.items()
    assert float(reported.params["learning_rate"]) == pytest.approx(0.1)
    assert float(reported.params["optimizer/momentum"]) == pytest.approx(0.9)
    assert reported.params["loss"] == "sparse_categorical_crossentropy"
    assert "Trainable params: 58 " in (reported.output / "model_summary.txt").read_text()
    assert reported.curve("batch/loss")[0][0] == 0


def test_keras_a_second_fit_goes_on_and_another_model_stands_apart(heavy: Job) -> None:
    reported = heavy.run(
        KERAS
        + FIT
        + "model.fit(x, y, epochs=2, verbose=0)\n"
        + "model.fit(x, y, initial_epoch=5, epochs=6, verbose=0)\n"
        + "model = make()\n"
        + FIT
        + "model.evaluate(x, y, verbose=0)\nmodel.predict(x, verbose=0)\n"
    )
    assert [step for step, _ in reported.curve("loss")] == [0, 1, 2, 3, 4, 5]
    assert [step for step, _ in reported.curve("fit2/val_loss")] == [0, 1, 2]
    steps = [step for step, _ in reported.curve("batch/loss")]
    assert len(steps) == len(set(steps))
    assert (reported.output / "model_summary_2.txt").exists()
    assert not any(key.startswith("fit3/") for key in reported.keys)


def test_keras_traceback_of_a_programs_callback_is_the_same(heavy: Job) -> None:
    program = (
        KERAS
        + "class Bad(keras.callbacks.Callback):\n"
        + "    def on_epoch_end(self, epoch, logs=None):\n"
        + "        raise RuntimeError('mine')\n"
        + "model.fit(x, y, verbose=0, callbacks=[Bad()])\n"
    )
    on = heavy.run(program, check=False)
    off = heavy.run(program, check=False, variables={"NACRE_CAPTURE": "off"})
    assert on.done.returncode == 1
    assert on.done.stderr == off.done.stderr
    assert "mine" in on.done.stderr


def test_keras_leaves_keys_to_a_callback_that_logs_them(heavy: Job) -> None:
    reported = heavy.run(
        KERAS
        + "import nacre\n"
        + "log = lambda epoch, logs: nacre.log_metric('loss', logs['loss'] + 100, step=epoch)\n"
        + "calls = [keras.callbacks.LambdaCallback(on_epoch_end=log)]\n"
        + "model.fit(x, y, epochs=2, verbose=0, callbacks=calls)\n"
        + "print(len(calls))\n"
    )
    assert [step for step, value in reported.curve("loss") if value > 100] == [0, 1]
    assert len(reported.curve("loss")) == len(reported.curve("accuracy")) == 2
    assert reported.done.stdout == "1\n"


def test_keras_that_changed_inside_is_one_line_and_trains_on(heavy: Job) -> None:
    reported = heavy.run(
        KERAS
        + "keras.Model.count_params = lambda self: 1 / 0\n"
        + FIT
        + "model.fit(x, y, verbose=0)\nprint(len(history.history['loss']))\n"
    )
    assert reported.done.stdout == "3\n"
    assert reported.complaints == ["[nacre] capture of keras is off: ZeroDivisionError: division by zero"]


LIGHTNING = """
import logging, warnings
warnings.simplefilter("ignore")
import torch
import PACKAGE as L
class Module(L.LightningModule):
    def __init__(self, lr=0.1, hidden=8):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(4, 2)
    def training_step(self, batch, index):
        loss = torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1]))
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)
data = torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randint(0, 2, (64,)))
loader = torch.utils.data.DataLoader(data, batch_size=8)
def trainer(logger):
    quiet = dict(enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False)
    return L.Trainer(max_epochs=2, logger=logger, log_every_n_steps=4, accelerator="cpu", **quiet)
"""


def test_lightning_leaves_metrics_to_event_files_that_are_followed(heavy: Job) -> None:
    program = LIGHTNING.replace("PACKAGE", "lightning") + "trainer(True).fit(Module(), loader, loader)\n"
    followed = heavy.run(program)
    assert followed.params["max_epochs"] == "2"
    assert followed.keys == []
    away = "import os, tempfile\nfolder = tempfile.TemporaryDirectory()\nos.chdir(folder.name)\n"
    elsewhere = heavy.run(away + program)
    assert "train_loss" in elsewhere.keys


@pytest.mark.parametrize("package", ["lightning", "pytorch_lightning"])
def test_lightning_without_a_logger_gives_what_loggers_would_get(heavy: Job, package: str) -> None:
    program = LIGHTNING.replace("PACKAGE", package)
    reported = heavy.run(program + "trainer(False).fit(Module(), loader, loader)\n")
    assert reported.complaints == []
    assert [step for step, _ in reported.curve("train_loss")] == [3, 7, 11, 15]
    assert [step for step, _ in reported.curve("val_loss")] == [7, 15]
    wanted = {"max_epochs": "2", "optimizer": "SGD", "learning_rate": "0.1", "hidden": "8"}
    assert wanted.items() <= reported.params.items()


def test_lightning_the_programs_logger_gets_the_same_as_ever(heavy: Job) -> None:
    program = (
        LIGHTNING.replace("PACKAGE", "lightning")
        + "from lightning.pytorch.loggers import CSVLogger\n"
        + "logger = CSVLogger('logs', version=0)\ntorch.manual_seed(0)\n"
        + "trainer(logger).fit(Module(), loader, loader)\n"
        + "print(open('logs/lightning_logs/version_0/metrics.csv').read())\n"
    )
    on = heavy.run(program)
    shutil.rmtree(heavy.folder / "logs")
    off = heavy.run(program, variables={"NACRE_CAPTURE": "off"})
    assert on.done.stdout.splitlines()[0] == off.done.stdout.splitlines()[0]
    assert on.done.stdout.count("\n") == off.done.stdout.count("\n")
    rows = list(csv.DictReader(on.done.stdout.splitlines()))
    logged = [(int(r["step"]), pytest.approx(float(r["train_loss"]))) for r in rows if r.get("train_loss")]
    assert on.curve("train_loss") == logged


TRANSFORMERS = """
import torch
from transformers import Trainer, TrainingArguments
class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 32
    def __getitem__(self, index):
        return {"x": torch.randn(4), "labels": torch.tensor(index % 2)}
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)
    def forward(self, x, labels=None):
        out = self.layer(x)
        return {"loss": torch.nn.functional.cross_entropy(out, labels), "logits": out}
args = TrainingArguments(
    output_dir="out", num_train_epochs=2, per_device_train_batch_size=8, logging_steps=2,
    eval_strategy="epoch", save_strategy="no", use_cpu=True, disable_tqdm=True, report_to="none",
    hub_token="secret",
)
"""


def test_transformers_trainer_gives_its_logs_and_arguments(heavy: Job) -> None:
    reported = heavy.run(
        TRANSFORMERS
        + "trainer = Trainer(Model(), args, train_dataset=Data(), eval_dataset=Data())\n"
        + "trainer.train()\ntrainer.evaluate()\n"
    )
    assert reported.complaints == []
    assert [step for step, _ in reported.curve("loss")] == [2, 4, 6, 8]
    assert [step for step, _ in reported.curve("eval_loss")] == [4, 8, 8]
    wanted = {"num_train_epochs": "2", "per_device_train_batch_size": "8", "learning_rate": "5e-05"}
    assert wanted.items() <= reported.params.items()
    assert "secret" not in reported.params.values()
    assert "output_dir" not in reported.params


def test_transformers_leaves_metrics_to_event_files_that_are_followed(heavy: Job) -> None:
    program = TRANSFORMERS.replace('report_to="none"', 'report_to="tensorboard"')
    reported = heavy.run(
        program + "Trainer(Model(), args, train_dataset=Data(), eval_dataset=Data()).train()\n"
    )
    assert reported.params["num_train_epochs"] == "2"
    assert reported.keys == []


TREES = """
import warnings
warnings.simplefilter("ignore")
import numpy as np
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 5))
y = (X[:, 0] + rng.normal(size=400) > 0).astype(int)
"""


def test_xgboost_gives_params_and_each_iteration_also_the_one_that_stopped_it(heavy: Job) -> None:
    reported = heavy.run(
        TREES
        + "import xgboost, json\n"
        + "train, test, found = xgboost.DMatrix(X[:200], y[:200]), xgboost.DMatrix(X[200:], y[200:]), {}\n"
        + "xgboost.train({'objective': 'binary:logistic', 'eta': 0.9}, train, 60,\n"
        + "    early_stopping_rounds=3, evals=[(train, 'train'), (test, 'test')],\n"
        + "    evals_result=found, verbose_eval=False)\n"
        + "print(json.dumps(found))\n"
    )
    assert reported.complaints == []
    found = json.loads(reported.done.stdout)
    assert reported.curve("test-logloss") == list(enumerate(found["test"]["logloss"]))
    assert reported.curve("train-logloss") == list(enumerate(found["train"]["logloss"]))
    assert len(found["test"]["logloss"]) < 60
    assert {"eta": "0.9", "num_boost_round": "60"}.items() <= reported.params.items()


def test_lightgbm_gives_params_and_each_iteration(heavy: Job) -> None:
    reported = heavy.run(
        TREES
        + "import lightgbm, json\n"
        + "train, found, callbacks = lightgbm.Dataset(X, y), {}, []\n"
        + "callbacks.append(lightgbm.record_evaluation(found))\n"
        + "test = lightgbm.Dataset(X[200:], y[200:], reference=train)\n"
        + "lightgbm.train({'objective': 'binary', 'verbose': -1}, train, 5, [test], callbacks=callbacks)\n"
        + "lightgbm.cv({'objective': 'binary', 'verbose': -1}, lightgbm.Dataset(X, y), 3, nfold=2)\n"
        + "print(json.dumps(found), len(callbacks))\n"
    )
    assert reported.complaints == []
    words, _, count = reported.done.stdout.rpartition(" ")
    assert int(count) == 1
    values = json.loads(words)["valid_0"]["binary_logloss"]
    assert reported.curve("valid_0-binary_logloss") == list(enumerate(values))
    assert reported.params["objective"] == "binary"
    assert len(reported.curve("fit2/valid-binary_logloss-mean")) == 3


def test_boosted_estimators_inside_a_search_are_the_searchs(heavy: Job) -> None:
    reported = heavy.run(
        TREES
        + "import xgboost, lightgbm\n"
        + "from sklearn.model_selection import GridSearchCV\n"
        + "model = xgboost.XGBClassifier(n_estimators=2)\n"
        + "GridSearchCV(model, {'max_depth': [1, 2]}, cv=2).fit(X, y, eval_set=[(X, y)], verbose=False)\n"
        + "lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(X, y, eval_set=[(X[200:], y[200:])])\n"
    )
    assert reported.complaints == []
    assert "GridSearchCV/mean_test_score" in reported.keys
    assert not any("validation_0" in key or "XGB" in key for key in reported.keys)
    assert len(reported.curve("valid_0-binary_logloss")) == 2
    assert reported.params["LGBMClassifier/n_estimators"] == "2"
    assert "n_estimators" not in reported.params


MLFLOW = """
import mlflow, warnings
warnings.simplefilter("ignore")
"""
STORE = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_TRACKING_URI": "mlruns", "GIT_PYTHON_REFRESH": "quiet"}


def test_mlflows_autologging_of_scikit_learn_has_the_word(heavy: Job) -> None:
    program = (
        MLFLOW
        + "if AUTOLOG:\n    mlflow.sklearn.autolog(log_models=False, silent=True)\n"
        + "from sklearn.linear_model import LinearRegression\n"
        + "LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])\n"
        + "run = mlflow.last_active_run()\nprint(run and run.data.params['positive'])\n"
    )
    autolog = heavy.run(program.replace("AUTOLOG", "True"), variables=STORE)
    assert autolog.done.stdout == "False\n"
    assert autolog.records == []
    assert autolog.complaints == []
    alone = heavy.run(program.replace("AUTOLOG", "False"), variables=STORE)
    assert alone.params["LinearRegression/positive"] == "False"


def test_mlflows_autologging_of_keras_has_the_word(heavy: Job) -> None:
    program = KERAS.replace(
        "import os", f"{MLFLOW}mlflow.autolog(log_models=False, silent=True)\nimport os", 1
    )
    reported = heavy.run(
        program + FIT + "print(mlflow.last_active_run().data.params['epochs'])\n", variables=STORE
    )
    assert reported.done.stdout == "3\n"
    assert reported.records == []
    assert reported.complaints == []
