"""The steps of ``make demo``; run by ``examples/demo.py`` with Nacre on the PATH."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
LEAST_ACCURACY = 0.97
STARTED = time.monotonic()


def say(text: str) -> None:
    print(f"\n\033[1m[{time.monotonic() - STARTED:5.1f} s] {text}\033[0m", flush=True)


def nacre(*words: str, show: bool = True, env: dict[str, str] | None = None) -> None:
    """Run a command as a person would, its output on the terminal."""
    if show:
        print(f"$ nacre {shlex.join(words)}", flush=True)
    subprocess.run(["nacre", *words], check=True, env={**os.environ, **(env or {})})


def ask(*words: str, env: dict[str, str] | None = None) -> Any:
    """The answer of a command as the API's object."""
    done = subprocess.run(
        ["nacre", "--output", "json", *words],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    return json.loads(done.stdout)


def free_ports() -> int:
    """The first of three free ports in a row; Nacre's own (7373) when they are free."""
    for first in (7373, *range(17373, 18373, 10)):
        probes = [socket.socket() for _ in range(3)]
        try:
            for offset, probe in enumerate(probes):
                probe.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        else:
            return first
        finally:
            for probe in probes:
                probe.close()
    raise SystemExit("no three free ports in a row were found")


def fresh_home(folder: Path) -> Path:
    """An empty home, but for environments that an earlier run built."""
    home = folder / "home"
    for path in home.iterdir() if home.is_dir() else ():
        if path.name != "environments":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    home.mkdir(exist_ok=True, mode=0o700)
    return home


def make_data(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits as two folders; returns the test set."""
    digits = load_digits()
    x = (digits.images / 16).astype(np.float32)
    split = train_test_split(x, digits.target, test_size=360, random_state=7, stratify=digits.target)
    x_train, x_test, y_train, y_test = split
    for name, images, labels in (("train", x_train, y_train), ("test", x_test, y_test)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / name / "digits.npz", x=images, y=labels)
    return x_test, y_test


def show_confusion(evaluation: dict[str, Any]) -> None:
    labels = evaluation["labels"]
    print("      " + "".join(f"{label:>5}" for label in labels) + "   ← called")
    for label, row in zip(labels, evaluation["confusion"], strict=True):
        print(f"{label:>5} " + "".join(f"{n or '·':>5}" for n in row))


def predict(url: str, token: str, image: np.ndarray) -> int:
    """One request with nothing but the standard library: Open Inference Protocol v2."""
    body = {
        "inputs": [
            {"name": "x", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": image.reshape(-1).tolist()}
        ]
    }
    request = urllib.request.Request(
        f"{url}/v2/models/digits-cnn/infer",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        scores = json.load(response)["outputs"][0]["data"]
    return int(np.argmax(scores))


def steps(folder: Path) -> None:
    port = free_ports()
    data = folder / "data"
    x_test, y_test = make_data(data)

    say("Start the server")
    nacre("up", "--detach", "--port", str(port))
    nacre("doctor")

    say("1 · Account: the owner invites Grace, who signs up")
    invitation = ask("user", "invite", "--to", "default", "--role", "editor")
    nacre(
        "user",
        "sign-up",
        "--name",
        "grace",
        "--invitation",
        invitation["secret"],
        env={"NACRE_PASSWORD": "rear-admiral"},
    )
    nacre("project", "members")

    say("2, 3 · Instance and environment: a notebook with PyTorch, one cell run through the proxy")
    nacre("instance", "create", "lab", "--type", "cpu.small", "--env", "pytorch")
    nacre(
        "instance",
        "exec",
        "lab",
        "import torch, nacre; nacre.log_metric('hello', 1.0); print('torch', torch.__version__)",
    )
    nacre("instance", "stop", "lab")

    say("4 · Data: push scikit-learn's digits as a train set and a test set")
    nacre("data", "push", str(data / "train"), "--name", "digits")
    nacre("data", "push", str(data / "test"), "--name", "digits-test")

    say("5, 6 · Code and training: a CNN in PyTorch, as a job")
    run = [
        "run",
        "--environment",
        "pytorch",
        "--data",
        "digits",
        "--type",
        "cpu.small",
        "--name",
        "digits-cnn",
    ]
    nacre(*run, "--workdir", str(HERE), "train.py", "--", "--epochs", "15")
    nacre("show", "digits-cnn")

    say("7 · Evaluate: register the model, convert it, measure it on the held-out digits")
    nacre("model", "register", "digits-cnn:model.pt", "--name", "digits-cnn")
    evaluation = ask("evaluate", "digits-cnn", "--data", "digits-test")
    accuracy, f1 = evaluation["accuracy"], evaluation["f1"]
    print(f"test accuracy {accuracy:.4f} on {evaluation['samples']} digits, macro F1 {f1:.4f}")
    show_confusion(evaluation)
    if accuracy < LEAST_ACCURACY:
        sys.exit(f"the test accuracy is under {LEAST_ACCURACY}")

    say("8 · Deploy: an endpoint, asked with a plain HTTP client")
    endpoint = ask("deploy", "digits-cnn", "--name", "digits")
    token = ask("token", "create", "demo-client", "--scope", "endpoints:invoke")["secret"]
    answers = [predict(endpoint["url"], token, image) for image in x_test[:20]]
    right = sum(a == int(b) for a, b in zip(answers, y_test[:20], strict=True))
    print(f"POST {endpoint['url']}/v2/models/digits-cnn/infer")
    print(f"the first held-out digit is a {y_test[0]}, the endpoint says {answers[0]}")
    print(f"{right} of the first 20 are right")
    if answers[0] != int(y_test[0]):
        sys.exit("the endpoint called the held-out digit wrongly")
    nacre("endpoint", "show", "digits")

    say("What it cost")
    nacre("undeploy", "digits", "--yes")
    nacre("cost", "--by", "kind")


def main() -> None:
    folder = Path(sys.argv[1])
    os.environ["NACRE_HOME"] = str(fresh_home(folder))
    try:
        steps(folder)
    except subprocess.CalledProcessError as error:
        sys.exit(f"\nthe demo stopped: {shlex.join(map(str, error.cmd))} ended with {error.returncode}")
    finally:
        say("Stop everything")
        subprocess.run(["nacre", "down", "--all"], check=False)
    say("Done")


if __name__ == "__main__":
    main()
