"""PyTorch models become ONNX forms that answer alike, from every kind of file that people save."""

from __future__ import annotations

import json

import pytest
from tests.unit.workloads.conftest import Framework

pytestmark = [pytest.mark.framework, pytest.mark.slow]

SCRIPT = """
import numpy as np, torch
from torch import nn
try:
    import nothing_there
except ImportError:
    nothing_there = None
HIDDEN = 8
device = torch.device("cpu")
def activate(x):
    return torch.relu(x) * SCALE
SCALE = float("2")
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, HIDDEN, 3), nn.Linear(HIDDEN * 36, 10)
    def forward(self, image):
        return self.out(activate(self.conv(image.to(device))).flatten(1))
open("trained", "a").write("once")
torch.manual_seed(0)
net = Net()
x = torch.randn(5, 1, 8, 8)
with torch.no_grad():
    y = net.eval()(x)
"""
EXPECT = "np.savez('expected.npz', in_x=x.numpy(), out_y=y.numpy())\n"


def test_a_pickled_module_finds_its_class_in_the_script_without_training_again(pytorch: Framework) -> None:
    pytorch.script(
        SCRIPT
        + EXPECT
        + "torch.save(net, 'net.pt')\nimport os; os.mkdir('data')\n"
        + "np.savez('data/train.npz', x=np.random.rand(9, 8, 8), y=np.arange(9))\n"
    )
    found = pytorch.convert("pytorch", "--model", "net.pt", "--script", "train.py", "--data", "data")
    assert found.inputs == [("x", "FP32", [-1, 1, 8, 8])]
    found.answers_as(pytorch.folder / "expected.npz")
    assert (pytorch.folder / "trained").read_text() == "once"
    assert "Warning" not in found.log

    # the same model without anything that tells its shape, its class, or its layers
    assert (
        "nothing tells the shape"
        in pytorch.convert("pytorch", "--model", "net.pt", "--script", "train.py").refusal
    )
    assert (
        "needs a class that is not in the run's code"
        in pytorch.convert("pytorch", "--model", "net.pt", "--data", "data").refusal
    )
    wrong = json.dumps([{"name": "x", "datatype": "FP32", "shape": [-1, 5]}])
    said = pytorch.convert(
        "pytorch", "--model", "net.pt", "--script", "train.py", "--inputs", wrong
    ).refusal
    assert "does not take the input that was tried" in said


def test_the_signature_beside_the_model_names_its_inputs(pytorch: Framework) -> None:
    pytorch.script(SCRIPT + EXPECT.replace("in_x", "in_image") + "torch.save(net, 'net.pt')\n")
    beside = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}]}
    sidecar = pytorch.folder / "net.pt.signature.json"
    sidecar.write_text(json.dumps(beside))
    found = pytorch.convert("pytorch", "--model", "net.pt", "--module", "train")
    assert found.inputs == [("image", "FP32", [-1, 1, 8, 8])]
    found.answers_as(pytorch.folder / "expected.npz")
    sidecar.write_text('{"inputs": 3}')
    assert "is not a signature" in pytorch.convert("pytorch", "--model", "net.pt").refusal


def test_torchscript_needs_no_class(pytorch: Framework) -> None:
    pytorch.script(SCRIPT + EXPECT + "torch.jit.save(torch.jit.trace(net, x[:2]), 'net.pt')\n")
    inputs = json.dumps([{"name": "x", "datatype": "FP32", "shape": [-1, 1, 8, 8]}])
    found = pytorch.convert("pytorch", "--model", "net.pt", "--inputs", inputs)
    assert found.inputs == [("x", "FP32", [-1, 1, 8, 8])]
    found.answers_as(pytorch.folder / "expected.npz")


def test_an_exported_program_knows_its_own_shape(pytorch: Framework) -> None:
    pytorch.script(
        SCRIPT + EXPECT + "batch = torch.export.Dim('batch', min=1)\n"
        "program = torch.export.export(net, (x[:2],), dynamic_shapes=({0: batch},))\n"
        "torch.export.save(program, 'net.pt2')\n"
    )
    found = pytorch.convert("pytorch", "--model", "net.pt2")
    assert found.inputs == [("x", "FP32", [-1, 1, 8, 8])]
    found.answers_as(pytorch.folder / "expected.npz")


def test_several_inputs_and_named_outputs(pytorch: Framework) -> None:
    pytorch.script(
        """
        import numpy as np, torch
        class Two(torch.nn.Module):
            def forward(self, a, b):
                return {"sum": a + b, "length": a.norm(dim=1)}
        if __name__ == "__main__":
            a, b = torch.randn(5, 3), torch.randn(5, 3)
            y = Two()(a, b)
            outputs = {f"out_{k}": v.numpy() for k, v in y.items()}
            np.savez("expected.npz", in_a=a.numpy(), in_b=b.numpy(), **outputs)
            torch.save(Two(), "two.pt")
        """
    )
    spec = [{"name": name, "datatype": "FP32", "shape": [-1, 3]} for name in "ab"]
    found = pytorch.convert(
        "pytorch", "--model", "two.pt", "--script", "train.py", "--inputs", json.dumps(spec)
    )
    assert [t["name"] for t in found.signature["outputs"]] == ["sum", "length"]
    found.answers_as(pytorch.folder / "expected.npz")


def test_an_open_dimension_stays_open(pytorch: Framework) -> None:
    pytorch.script(
        """
        import numpy as np, torch
        from torch import nn
        class Words(nn.Module):
            def __init__(self):
                super().__init__()
                self.words, self.out = nn.Embedding(20, 6), nn.Linear(6, 2)
            def forward(self, ids):
                return self.out(self.words(ids).mean(1))
        net, ids = Words().eval(), torch.randint(0, 20, (5, 7))
        np.savez("expected.npz", in_ids=ids.numpy(), out_y=net(ids).detach().numpy())
        torch.save(net, "words.pt")
        """
    )
    spec = json.dumps([{"name": "ids", "datatype": "INT64", "shape": [-1, -1]}])
    found = pytorch.convert("pytorch", "--model", "words.pt", "--script", "train.py", "--inputs", spec)
    assert found.inputs == [("ids", "INT64", [-1, -1])]
    found.answers_as(pytorch.folder / "expected.npz")


def test_what_is_no_module_is_refused_with_a_sentence(pytorch: Framework) -> None:
    pytorch.script(SCRIPT + "torch.save(net.state_dict(), 'weights.pt')\ntorch.save([1], 'list.pt')\n")
    (pytorch.folder / "text.pt").write_text("hello")
    (pytorch.folder / "text.pt2").write_text("hello")
    for name, said in {
        "weights.pt": "holds only weights (a state_dict): save the whole module with nacre.log_model",
        "list.pt": "holds a list, not a torch.nn.Module",
        "text.pt": "is not a PyTorch file",
        "text.pt2": "is not a program of torch.export",
        "gone.pt": "is not among the model's files",
    }.items():
        refusal = pytorch.convert("pytorch", "--model", name).refusal
        assert refusal.startswith(name)
        assert said in refusal
