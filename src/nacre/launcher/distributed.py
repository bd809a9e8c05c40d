"""The variables by which the processes of a gang find each other, for each framework as it expects them.

``RANK``, ``WORLD_SIZE`` and the like have torchrun's meaning: they count processes. When the command starts
the processes itself (``launch: per-node``) it is one process here, and they count replicas.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from nacre.launcher.spec import Spec

STORE, COORDINATOR, SCHEDULER, FIRST = 0, 1, 2, 3
"""Places in a member's ports: of rank 0 PyTorch's store, JAX's coordinator, MXNet's scheduler; of any
its first process, then the others, then its parameter servers."""


class Member(NamedTuple):
    """A replica, as the others reach it: ``nacre.schema.launch.Member``."""

    address: str
    ports: list[int]

    def at(self, place: int) -> str:
        """``host:port``."""
        return f"{self.address}:{self.ports[place]}"


class Helper(NamedTuple):
    """A process beside those of replica 0. ``command``: None for the job's own.

    ``ends_itself``: when the processes that it serves have ended.
    """

    name: str
    variables: dict[str, str]
    command: list[str] | None
    ends_itself: bool


def members_of(raw: list[dict[str, Any]]) -> list[Member]:
    """From ``Member`` as JSON, in the order of ranks."""
    return [Member(item["address"], item["ports"]) for item in sorted(raw, key=lambda item: item["rank"])]


def of_replica(spec: Spec, members: Sequence[Member]) -> dict[str, str]:
    """What all processes of this replica have in common."""
    first = members[0]
    port = str(first.ports[STORE])
    found = {
        "MASTER_ADDR": first.address,
        "MASTER_PORT": port,
        "WORLD_SIZE": str(spec.replicas * spec.starts),
        "LOCAL_WORLD_SIZE": str(spec.starts),
        "GROUP_RANK": str(spec.rank),
        "GROUP_WORLD_SIZE": str(spec.replicas),
        "ROLE_NAME": "default",
        "ROLE_WORLD_SIZE": str(spec.replicas * spec.starts),
        "NODE_RANK": str(spec.rank),
        "NNODES": str(spec.replicas),
        "NPROC_PER_NODE": str(spec.processes),
        "TORCHELASTIC_RESTART_COUNT": str(spec.restarts),
        "TORCHELASTIC_MAX_RESTARTS": str(spec.max_restarts),
        "TORCHELASTIC_RUN_ID": spec.attempt_id,
        # The options of torchrun, for one that is given none.
        "PET_NNODES": str(spec.replicas),
        "PET_NPROC_PER_NODE": str(spec.processes),
        "PET_NODE_RANK": str(spec.rank),
        "PET_MASTER_ADDR": first.address,
        "PET_MASTER_PORT": port,
        "PET_RDZV_ENDPOINT": f"{first.address}:{port}",
        "PET_RDZV_ID": spec.attempt_id,
    }
    if all(member.address.startswith("127.") for member in members):
        # They would look for the interface of the host's name, which this machine or sandbox may not have.
        found["GLOO_SOCKET_IFNAME"] = found["NCCL_SOCKET_IFNAME"] = found["TP_SOCKET_IFNAME"] = "lo"
    kind = spec.distribution.type
    if kind == "jax":
        found.update(_jax(spec, members))
    elif kind == "keras":
        every = ",".join(_processes(spec, members))
        found["KERAS_DISTRIBUTION_JOB_ADDRESSES"] = every
        found["KERAS_DISTRIBUTION_NUM_PROCESSES"] = str(spec.replicas * spec.starts)
    elif kind == "mxnet":
        found.update(_mxnet(spec, members))
    return found


def of_process(spec: Spec, members: Sequence[Member], local: int) -> dict[str, str]:
    """What the process ``local`` of this replica alone has."""
    rank = spec.rank * spec.starts + local
    world = str(spec.replicas * spec.starts)
    found = {"RANK": str(rank), "LOCAL_RANK": str(local), "ROLE_RANK": str(rank)}
    if local > 0:
        found["NACRE_CAPTURE"] = "off"
    kind = spec.distribution.type
    if kind == "tensorflow" or (kind == "keras" and _backend(spec) in ("", "tensorflow")):
        found["TF_CONFIG"] = _tf_config(spec, members, *_tf_task(spec, rank))
    if kind in ("jax", "keras"):
        devices = _devices(spec, local)
        if devices:
            found["JAX_LOCAL_DEVICE_IDS"] = devices
    if kind == "jax":
        found["JAX_PROCESS_ID"] = found["SLURM_PROCID"] = str(rank)
        found["SLURM_LOCALID"] = str(local)
    elif kind == "keras":
        found["KERAS_DISTRIBUTION_PROCESS_ID"] = str(rank)
    elif kind == "mxnet":
        found["DMLC_ROLE"], found["DMLC_WORKER_ID"] = "worker", str(rank)
    elif kind == "mpi" and spec.distribution.launch != "per-node":  # else they are mpirun's to set
        where = {"RANK": str(rank), "SIZE": world, "LOCAL_RANK": str(local), "LOCAL_SIZE": str(spec.starts)}
        for name, value in where.items():
            found[f"OMPI_COMM_WORLD_{name}"] = found[f"HOROVOD_{name}"] = value
        found["OMPI_COMM_WORLD_NODE_RANK"] = str(local)
        found["HOROVOD_CROSS_RANK"], found["HOROVOD_CROSS_SIZE"] = str(spec.rank), str(spec.replicas)
    return found


def helpers(spec: Spec, members: Sequence[Member], python: str) -> list[Helper]:
    """What runs beside the processes of replica 0. ``python``: the environment's."""
    if spec.rank != 0 or spec.servers == 0:
        return []
    plain = {"NACRE_CAPTURE": "off", "CUDA_VISIBLE_DEVICES": ""}
    if spec.distribution.type == "tensorflow":
        tasks = [
            {**plain, "TF_CONFIG": _tf_config(spec, members, "ps", index)} for index in range(spec.servers)
        ]
        return [Helper(f"parameter server {i}", task, None, False) for i, task in enumerate(tasks)]
    program = [python, "-c", "import mxnet"]  # returns when the others have said goodbye
    found = [Helper("the scheduler", {**plain, "DMLC_ROLE": "scheduler"}, program, True)]
    for index in range(spec.servers):
        found.append(Helper(f"parameter server {index}", {**plain, "DMLC_ROLE": "server"}, program, True))
    return found


def _processes(spec: Spec, members: Sequence[Member]) -> list[str]:
    """``host:port`` of each process of the gang, by rank."""
    return [member.at(FIRST + local) for member in members for local in range(spec.starts)]


def _backend(spec: Spec) -> str:
    return {**spec.variables, **spec.secrets}.get("KERAS_BACKEND", "")


def _tf_cluster(spec: Spec, members: Sequence[Member]) -> dict[str, list[str]]:
    """Workers, of which the first is the chief too. With parameter servers the chief is one by itself: it
    coordinates, and the workers only serve."""
    every = _processes(spec, members)
    if spec.servers == 0:
        return {"worker": every}
    servers = [members[0].at(FIRST + spec.processes + index) for index in range(spec.servers)]
    cluster = {"chief": every[:1], "worker": every[1:], "ps": servers}
    return {name: tasks for name, tasks in cluster.items() if tasks}


def _tf_task(spec: Spec, rank: int) -> tuple[str, int]:
    if spec.servers == 0:
        return "worker", rank
    return ("chief", 0) if rank == 0 else ("worker", rank - 1)


def _tf_config(spec: Spec, members: Sequence[Member], kind: str, index: int) -> str:
    return json.dumps({"cluster": _tf_cluster(spec, members), "task": {"type": kind, "index": index}})


def _jax(spec: Spec, members: Sequence[Member]) -> dict[str, str]:
    """JAX takes the address from its own variables, and the rest from those of Slurm (0.10.2,
    ``jax/_src/clusters/slurm_cluster.py``). Only JAX gets these: other libraries react to them too."""
    first = members[0]
    world = str(spec.replicas * spec.starts)
    return {
        "JAX_COORDINATOR_ADDRESS": first.at(COORDINATOR),
        "JAX_COORDINATOR_PORT": str(first.ports[COORDINATOR]),
        "JAX_COORDINATOR_BIND_ADDRESS": first.at(COORDINATOR),
        "JAX_NUM_PROCESSES": world,
        "SLURM_JOB_ID": str(zlib.crc32(spec.attempt_id.encode())),
        "SLURM_STEP_NODELIST": ",".join(member.address for member in members),
        "SLURM_STEP_NUM_NODES": str(spec.replicas),
        "SLURM_NTASKS": world,
    }


def _devices(spec: Spec, local: int) -> str:
    """The GPUs of a process, by their places among the replica's: a share of them, or one with others."""
    count = len(spec.limits.gpus)
    if count == 0:
        return ""
    share = count // spec.starts
    if share == 0:
        return str(local % count)
    return ",".join(str(index) for index in range(local * share, (local + 1) * share))


def _mxnet(spec: Spec, members: Sequence[Member]) -> dict[str, str]:
    return {
        "DMLC_PS_ROOT_URI": members[0].address,
        "DMLC_PS_ROOT_PORT": str(members[0].ports[SCHEDULER]),
        "DMLC_NUM_SERVER": str(spec.servers),
        "DMLC_NUM_WORKER": str(spec.replicas * spec.starts),
        # It would look for an interface that is not loopback.
        "DMLC_NODE_HOST": members[spec.rank].address,
    }
