"""The variables by which processes find each other, for each framework; and those of a checkpoint."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from launcher_host import Host, wait_for

from nacre.launcher.distributed import Member, helpers, of_process, of_replica
from nacre.launcher.folder import Folder
from nacre.launcher.prepare import latest_checkpoint
from nacre.launcher.spec import Spec
from nacre.launcher.variables import Places, spawn_plan, variables

MEMBERS = [
    Member("127.0.0.1", [20000, 20001, 20002, 20003, 20004, 20005, 20006]),
    Member("127.0.0.1", [20007, 20008, 20009, 20010, 20011]),
]


def spec_of(
    kind: str = "none", *, rank: int = 1, replicas: int = 2, processes: int = 2, **fields: Any
) -> Spec:
    distribution = {"type": kind, **fields.pop("distribution", {})}
    return Spec(
        {
            "project": "vision",
            "subject_id": "job_1",
            "subject_name": "train",
            "attempt_id": "att_1",
            "folder": "/nowhere",
            "server": "unix:/nowhere",
            "token": "",
            "trees_root": "/nowhere",
            "command": ["true"],
            "sandbox": "none",
            "rank": rank,
            "replicas": replicas,
            "processes": processes,
            "distribution": distribution,
            **fields,
        }
    )


def of(spec: Spec, local: int = 0) -> dict[str, str]:
    return {**of_replica(spec, MEMBERS), **of_process(spec, MEMBERS, local)}


def has(found: dict[str, str], wanted: dict[str, str]) -> None:
    assert {name: found.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("kind", ["none", "pytorch", "tensorflow", "jax", "keras", "mxnet", "mpi"])
def test_torchruns_variables_are_always_there_for_each_process(kind: str) -> None:
    found = of(spec_of(kind, restarts=1, max_restarts=3), 1)
    has(
        found,
        {
            "RANK": "3",
            "LOCAL_RANK": "1",
            "WORLD_SIZE": "4",
            "LOCAL_WORLD_SIZE": "2",
            "GROUP_RANK": "1",
            "GROUP_WORLD_SIZE": "2",
            "ROLE_RANK": "3",
            "ROLE_WORLD_SIZE": "4",
            "NODE_RANK": "1",
            "NNODES": "2",
            "NPROC_PER_NODE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": "20000",
            "TORCHELASTIC_RESTART_COUNT": "1",
            "TORCHELASTIC_MAX_RESTARTS": "3",
            "TORCHELASTIC_RUN_ID": "att_1",
            "GLOO_SOCKET_IFNAME": "lo",
            "NCCL_SOCKET_IFNAME": "lo",
        },
    )
    others = {
        "TF_CONFIG": ("tensorflow", "keras"),
        "SLURM_JOB_ID": ("jax",),
        "JAX_COORDINATOR_ADDRESS": ("jax",),
        "KERAS_DISTRIBUTION_PROCESS_ID": ("keras",),
        "DMLC_ROLE": ("mxnet",),
        "OMPI_COMM_WORLD_RANK": ("mpi",),
    }
    assert {name for name in others if name in found} == {n for n, kinds in others.items() if kind in kinds}


def test_a_command_that_starts_processes_itself_counts_replicas_and_is_told_how_many() -> None:
    found = of(spec_of("pytorch", distribution={"launch": "per-node"}))
    has(found, {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "NPROC_PER_NODE": "2"})
    has(
        found,
        {
            "PET_NNODES": "2",
            "PET_NPROC_PER_NODE": "2",
            "PET_NODE_RANK": "1",
            "PET_MASTER_ADDR": "127.0.0.1",
            "PET_MASTER_PORT": "20000",
            "PET_RDZV_ENDPOINT": "127.0.0.1:20000",
        },
    )


def test_interfaces_are_not_chosen_where_members_are_apart() -> None:
    spread = [Member("10.0.0.1", MEMBERS[0].ports), Member("10.0.0.2", MEMBERS[1].ports)]
    found = of_replica(spec_of("pytorch"), spread)
    assert found["MASTER_ADDR"] == "10.0.0.1"
    assert "GLOO_SOCKET_IFNAME" not in found


def test_tensorflow_has_workers_of_which_the_first_is_chief() -> None:
    found = json.loads(of(spec_of("tensorflow"), 1)["TF_CONFIG"])
    workers = [f"127.0.0.1:{port}" for port in (20003, 20004, 20010, 20011)]
    assert found == {"cluster": {"worker": workers}, "task": {"type": "worker", "index": 3}}


def test_tensorflow_with_parameter_servers_has_a_chief_of_its_own() -> None:
    many: dict[str, Any] = {"distribution": {"parameter_servers": 2}}
    first, last = spec_of("tensorflow", rank=0, **many), spec_of("tensorflow", **many)
    cluster = {
        "chief": ["127.0.0.1:20003"],
        "worker": [f"127.0.0.1:{port}" for port in (20004, 20010, 20011)],
        "ps": ["127.0.0.1:20005", "127.0.0.1:20006"],
    }
    tasks = [json.loads(of(spec, local)["TF_CONFIG"]) for spec in (first, last) for local in range(2)]
    assert all(task["cluster"] == cluster for task in tasks)
    assert [(task["task"]["type"], task["task"]["index"]) for task in tasks] == [
        ("chief", 0),
        ("worker", 0),
        ("worker", 1),
        ("worker", 2),
    ]
    beside = helpers(first, MEMBERS, "python")
    assert [json.loads(one.variables["TF_CONFIG"])["task"] for one in beside] == [
        {"type": "ps", "index": 0},
        {"type": "ps", "index": 1},
    ]
    assert [one.command for one in beside] == [None, None]
    assert helpers(last, MEMBERS, "python") == []


def test_jax_gets_its_own_variables_and_slurms() -> None:
    has(
        of(spec_of("jax"), 1),
        {
            "JAX_COORDINATOR_ADDRESS": "127.0.0.1:20001",
            "JAX_COORDINATOR_PORT": "20001",
            "JAX_COORDINATOR_BIND_ADDRESS": "127.0.0.1:20001",
            "JAX_NUM_PROCESSES": "4",
            "JAX_PROCESS_ID": "3",
            "SLURM_STEP_NODELIST": "127.0.0.1,127.0.0.1",
            "SLURM_STEP_NUM_NODES": "2",
            "SLURM_NTASKS": "4",
            "SLURM_PROCID": "3",
            "SLURM_LOCALID": "1",
        },
    )


@pytest.mark.parametrize(
    ("gpus", "launch", "wanted"),
    [
        ([], "per-process", [None, None]),
        ([4, 5, 6, 7], "per-process", ["0,1", "2,3"]),
        ([4], "per-process", ["0", "0"]),
        ([4, 5], "per-node", ["0,1"]),
    ],
)
def test_jax_shares_the_gpus_out(gpus: list[int], launch: str, wanted: list[str | None]) -> None:
    spec = spec_of("jax", distribution={"launch": launch}, limits={"gpus": gpus})
    found = [of_process(spec, MEMBERS, local).get("JAX_LOCAL_DEVICE_IDS") for local in range(len(wanted))]
    assert found == wanted


def test_keras_has_addresses_of_all_and_tensorflows_only_with_that_backend() -> None:
    found = of(spec_of("keras", variables={"KERAS_BACKEND": "jax"}), 1)
    every = [f"127.0.0.1:{port}" for port in (20003, 20004, 20010, 20011)]
    has(
        found,
        {
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": ",".join(every),
            "KERAS_DISTRIBUTION_NUM_PROCESSES": "4",
            "KERAS_DISTRIBUTION_PROCESS_ID": "3",
        },
    )
    assert "TF_CONFIG" not in found
    assert "TF_CONFIG" in of(spec_of("keras", variables={"KERAS_BACKEND": "tensorflow"}))


def test_mxnet_has_one_server_at_least_and_a_scheduler() -> None:
    spec = spec_of("mxnet", rank=0)
    has(
        of(spec, 1),
        {
            "DMLC_ROLE": "worker",
            "DMLC_WORKER_ID": "1",
            "DMLC_PS_ROOT_URI": "127.0.0.1",
            "DMLC_PS_ROOT_PORT": "20002",
            "DMLC_NUM_SERVER": "1",
            "DMLC_NUM_WORKER": "4",
            "DMLC_NODE_HOST": "127.0.0.1",
        },
    )
    beside = helpers(spec, MEMBERS, "python")
    assert [one.variables["DMLC_ROLE"] for one in beside] == ["scheduler", "server"]
    assert all(one.command == ["python", "-c", "import mxnet"] and one.ends_itself for one in beside)


def test_mpi_is_told_as_open_mpi_does_unless_mpirun_will() -> None:
    names = {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}
    has(
        of(spec_of("mpi"), 1),
        {**names, "HOROVOD_RANK": "3", "HOROVOD_SIZE": "4", "HOROVOD_LOCAL_RANK": "1"},
    )
    found = of(spec_of("mpi", distribution={"launch": "per-node"}))
    assert not [name for name in found if name.startswith(("OMPI_", "HOROVOD_"))]


def test_only_the_first_process_of_all_is_captured(tmp_path: Path) -> None:
    def captured(**fields: Any) -> list[str | None]:
        spec = spec_of(capture=True, **fields)
        common = variables(spec, Places(spec, Folder(str(tmp_path)), {}), members=MEMBERS)
        rows = spawn_plan(spec, MEMBERS)["processes"]
        return [{**common, **row["variables"]}["NACRE_CAPTURE"] for row in rows]

    assert captured(rank=0) == ["on", "off"]
    assert captured(rank=1) == ["off", "off"]


def test_what_the_user_sets_wins_and_threads_are_shared_out(tmp_path: Path) -> None:
    own = {"MASTER_PORT": "1234", "LOCAL_RANK": "7"}
    spec = spec_of("pytorch", variables=own, secrets={"RANK": "9"}, limits={"cpu": 5})
    found = variables(spec, Places(spec, Folder(str(tmp_path)), {}), members=MEMBERS)
    has(found, {**own, "RANK": "9", "OMP_NUM_THREADS": "2", "WORLD_SIZE": "4"})
    for row in spawn_plan(spec, MEMBERS)["processes"]:
        assert not row["variables"].keys() & {"LOCAL_RANK", "RANK"}
        assert "ROLE_RANK" in row["variables"]


def test_a_job_of_one_process_is_told_of_no_others(tmp_path: Path) -> None:
    spec = spec_of(rank=0, replicas=1, processes=1)
    found = variables(spec, Places(spec, Folder(str(tmp_path)), {}))
    has(found, {"NACRE_REPLICA_RANK": "0", "NACRE_NUM_REPLICAS": "1"})
    assert not found.keys() & {"RANK", "WORLD_SIZE", "MASTER_ADDR", "PET_NNODES", "TF_CONFIG"}


# The newest checkpoint


def test_the_newest_whole_checkpoint_is_named(tmp_path: Path) -> None:
    assert latest_checkpoint(str(tmp_path / "none")) is None
    assert latest_checkpoint(None) is None
    assert latest_checkpoint(str(tmp_path)) is None
    for age, name in enumerate(["last.ckpt.tmp", ".hidden", "x.part", "y.incomplete", "step-20", "step-3"]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "latest").symlink_to("step-3")
    assert latest_checkpoint(str(tmp_path)) == "step-20"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "weights").touch()
    os.utime(tmp_path / "folder", (1, 1))
    assert latest_checkpoint(str(tmp_path)) == "folder"  # as new as what is in it


def test_the_work_is_told_its_newest_checkpoint_and_a_lost_folder_is_made_again(host: Host) -> None:
    place = host.root / "attempts" / "checkpoints" / "job_1"
    script = (
        "echo ${NACRE_LATEST_CHECKPOINT-none}; echo $NACRE_CHECKPOINT_DIR; touch $NACRE_CHECKPOINT_DIR/a"
    )
    host.run("sh", "-c", script, checkpoints=str(place))
    assert host.log().startswith("none\n")
    assert (place / "a").exists()
    again = Host(host.root, host.api, host.mode, "att_again", 1)
    host.api.channels.clear()
    event = again.run("sh", "-c", script, checkpoints=str(place))
    assert event["reason"] == "succeeded"
    first, second = again.log().splitlines()
    assert first == f"{second}/a"


def test_a_checkpoint_folder_that_goes_while_the_gang_gathers_is_made_again(gang: list[Host]) -> None:
    place = gang[0].root / "attempts" / "checkpoints" / "job_1"
    for host in gang:
        host.spec("sh", "-c", "touch $NACRE_CHECKPOINT_DIR/$RANK", replicas=2, checkpoints=str(place))
    first = gang[0].start()
    wait_for(lambda: gang[0].api.ready(0))
    place.rmdir()
    second = gang[1].start()
    assert (first.wait(30), second.wait(30)) == (0, 0)
    assert [host.exit_event()["reason"] for host in gang] == ["succeeded", "succeeded"]
    assert sorted(path.name for path in place.iterdir()) == ["0", "1"]


def test_checkpoints_that_replica_0_brings_are_known_to_all(gang: list[Host]) -> None:
    places = gang[0].root / "attempts" / "checkpoints"
    (places / "job_0").mkdir(parents=True)
    (places / "job_0" / "step-7").write_text("weights")
    where = {"checkpoints": str(places / "job_1"), "checkpoints_from": str(places / "job_0")}
    for host in gang:
        host.spec("sh", "-c", "cat $NACRE_LATEST_CHECKPOINT", replicas=2, **where)
    second = gang[1].start()
    wait_for(lambda: gang[0].api.ready(1))  # there was nothing yet when it prepared
    first = gang[0].start()
    assert (first.wait(30), second.wait(30)) == (0, 0)
    assert [host.log() for host in gang] == ["weights", "weights"]
