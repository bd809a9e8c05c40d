"""A job that tries to get out of its sandbox in every way we know, and prints what happened as JSON.

Run by ``test_escapes.py`` as the code of a job; standard library only. ``$TARGETS`` says in JSON what is to
be had: ``files``, ``victim`` (a process number of the host), ``address`` and ``port`` (of the server). Each
attempt is ``"stopped: why"`` or ``"possible"``, with a word on how.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 2**20
_NEW_USER, _NEW_NS = 0x10000000, 0x00020000
_FILL = 640  # MiB to try; the job has less in /tmp
_THREADS = 4400

LET_THROUGH = ("EINVAL", "EFAULT", "ENOEXEC", "EBADF", "EBUSY")

libc = ctypes.CDLL(None, use_errno=True)
targets: dict[str, Any] = json.loads(os.environ["TARGETS"])
found: dict[str, str] = {}


def attempt(name: str, act: Callable[[], Any]) -> None:
    """Note what happens; whatever does not raise was possible."""
    try:
        how = act()
    except OSError as error:
        word = errno.errorcode.get(error.errno or 0, str(error))
        # The kernel looked at what was asked for: who is allowed to ask was not in the way.
        found[name] = f"possible: let through ({word})" if word in LET_THROUGH else f"stopped: {word}"
    except MemoryError:
        found[name] = "stopped: no memory"
    else:
        found[name] = f"possible: {how}" if how is not None else "possible"


def call(result: int) -> None:
    """Raise what a C function left in errno."""
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")


def system_call(number: int, *arguments: Any) -> Callable[[], None]:
    return lambda: call(libc.syscall(ctypes.c_long(number), *arguments))


def in_child(act: Callable[[], None]) -> Callable[[], None]:
    """What would change this program for good, in a child of it."""

    def run() -> None:
        pid = os.fork()
        if pid == 0:
            try:
                act()
            except OSError as error:
                os._exit(error.errno or 1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            raise OSError(code, "refused")

    return run


# What is not ours


def read(path: str) -> str:
    data = Path(path).read_bytes() if not Path(path).is_dir() else str(os.listdir(path)).encode()
    return f"{len(data)} bytes"


for path in targets["files"]:
    attempt(f"read {path}", lambda path=path: read(path))
attempt("read /etc/shadow", lambda: read("/etc/shadow"))


def write_data() -> str:
    """Change, add to, and take away what is in the mounted data set, in any way."""
    root = os.environ["NACRE_INPUT_DIARY"]
    done = []
    name = next(iter(os.listdir(root)))
    ways: dict[str, Callable[[], Any]] = {
        "chmod": lambda: os.chmod(f"{root}/{name}", 0o666),
        "write": lambda: os.close(os.open(f"{root}/{name}", os.O_WRONLY)),
        "add": lambda: os.close(os.open(f"{root}/more", os.O_WRONLY | os.O_CREAT)),
        "remove": lambda: os.rename(f"{root}/{name}", f"{root}/gone"),
        "root": lambda: os.chmod(root, 0o777),
    }
    last: OSError | None = None
    for way, act in ways.items():
        try:
            act()
        except OSError as error:
            last = error
        else:
            done.append(way)
    if not done and last is not None:
        raise last
    return ", ".join(done)


attempt("write data set", write_data)


# Processes of others


def others() -> str:
    known = [name for name in os.listdir("/proc") if name.isdigit()]
    # bubblewrap's init, the shell, this program, and a helper or two
    if len(known) <= 6 and not Path(f"/proc/{targets['victim']}").exists():
        raise OSError(errno.ENOENT, "only its own")
    return f"{len(known)} processes"


victim = int(targets["victim"])
attempt("see processes", others)
attempt("signal another", lambda: os.kill(victim, 0))
attempt("read another's variables", lambda: read(f"/proc/{victim}/environ"))
attempt("read another's files", lambda: read(f"/proc/{victim}/root/etc"))
attempt("ptrace another", in_child(lambda: call(libc.ptrace(0x4206, victim, 0, 0))))  # seize: stops nothing
attempt("ptrace: be traced", in_child(lambda: call(libc.ptrace(0, 0, 0, 0))))
attempt("process_vm_readv", system_call(310, os.getpid(), 0, 0, 0, 0, 0))


# The network


def connect(host: str, port: int) -> Callable[[], None]:
    return lambda: socket.create_connection((host, port), timeout=3).close()


attempt("connect to the host's loopback", connect("127.0.0.1", targets["port"]))
attempt("connect to the host's address", connect(targets["address"], targets["port"]))


def send_outside() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        outside.connect(("192.0.2.1", 53))  # looks for a route, sends nothing


attempt("a route to the outside", send_outside)
for family, label in ((17, "AF_PACKET"), (38, "AF_ALG"), (40, "AF_VSOCK")):
    attempt(f"socket {label}", lambda family=family: socket.socket(family, socket.SOCK_RAW, 0).close())


# Namespaces and mounts


def clone(flags: int) -> Callable[[], None]:
    def run() -> None:
        pid = libc.syscall(ctypes.c_long(56), ctypes.c_ulong(flags | 17), 0, 0, 0, 0)
        call(pid)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    return run


def clone3(flags: int) -> Callable[[], None]:
    def run() -> None:
        arguments = struct.pack("8Q", flags, 0, 0, 0, 17, 0, 0, 0)
        pid = libc.syscall(ctypes.c_long(435), arguments, ctypes.c_size_t(len(arguments)))
        call(pid)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    return run


def mount() -> None:
    os.makedirs("mounted", exist_ok=True)
    call(libc.mount(b"none", b"mounted", b"tmpfs", 0, None))
    call(libc.umount2(b"mounted", 2))


attempt("user namespace by unshare", in_child(lambda: call(libc.unshare(_NEW_USER))))
attempt("mount namespace by unshare", in_child(lambda: call(libc.unshare(_NEW_NS))))
attempt("user namespace by clone", in_child(clone(_NEW_USER)))
attempt("user namespace by clone3", in_child(clone3(_NEW_USER)))
attempt("setns", in_child(lambda: call(libc.setns(os.open("/proc/self/ns/mnt", os.O_RDONLY), 0))))
attempt("mount", in_child(mount))
attempt("fsopen", system_call(430, b"tmpfs", 0))
attempt("open_tree", system_call(428, -100, b"/", 0))
attempt("pivot_root", in_child(system_call(155, b"/tmp", b"/tmp")))
attempt("chroot", in_child(lambda: call(libc.chroot(b"/tmp"))))


def become_root() -> None:
    try:
        os.setuid(0)
    except OSError as error:  # EINVAL: this user namespace has no root
        raise OSError(errno.EPERM, "refused") from error


attempt("become root", in_child(become_root))
attempt("mknod of a disk", lambda: (os.mknod("disk", 0o60666, os.makedev(254, 0)), os.remove("disk"))[0])
for device in ("kvm", "vda", "kmsg", "mem", "fuse", "loop0"):
    attempt(f"open /dev/{device}", lambda device=device: os.close(os.open(f"/dev/{device}", os.O_RDWR)))


def write_first(*paths: str) -> Callable[[], str]:
    """Open for writing, writing nothing: at these paths nothing may be changed even when it can be."""

    def run() -> str:
        last = OSError(errno.ENOENT, "absent")
        for path in paths:
            try:
                os.close(os.open(path, os.O_WRONLY))
            except OSError as error:
                last = error
            else:
                return path
        raise last

    return run


groups = [f"/sys/fs/cgroup/{name}" for name in ("cgroup.procs", "memory/cgroup.procs", "memory/tasks")]
attempt("write /sys/fs/cgroup", write_first(*groups))
attempt("write /proc/sys", write_first("/proc/sys/kernel/hostname", "/proc/sys/vm/swappiness"))
attempt("write /proc/sysrq-trigger", write_first("/proc/sysrq-trigger"))


# System calls that reach past a sandbox

attempt("keyctl", system_call(250, 0, -3, 0))
attempt("add_key", system_call(248, b"user", b"nacre-test", b"x", 1, -1))
attempt("bpf", system_call(321, 0, 0, 0))
attempt("io_uring_setup", system_call(425, 4, b"\0" * 120))
attempt("perf_event_open", system_call(298, b"\0" * 128, 0, -1, -1, 0))
attempt("userfaultfd", system_call(323, 1))
attempt("personality", in_child(system_call(135, 0x0040000)))
attempt("open_by_handle_at", system_call(304, -100, b"\x08\0\0\0\x01\0\0\0" + b"\0" * 8, 0))
attempt("kcmp", system_call(312, os.getpid(), os.getpid(), 0, 0, 0))
attempt("reboot", system_call(169, 0, 0, 0, 0))
attempt("settimeofday", system_call(164, 0, 0))
attempt("init_module", system_call(175, b"", 0, b""))


def _type_into_a_terminal() -> None:
    _, other = os.openpty()
    call(libc.ioctl(other, 0x5412, b"x"))


attempt("TIOCSTI", _type_into_a_terminal)


# Limits


def fill(folder: str, size: int) -> Callable[[], str]:
    def run() -> str:
        path = f"{folder}/nacre-escape-{os.getpid()}"
        try:
            with open(path, "wb", buffering=0) as file:
                for _ in range(size):
                    file.write(b"\1" * MIB)
        finally:
            found[f"bytes in {folder}"] = str(os.stat(path).st_blocks * 512 if os.path.exists(path) else 0)
            Path(path).unlink(missing_ok=True)
        return f"{size} MiB"

    return run


attempt("fill /tmp", fill("/tmp", _FILL))
attempt("fill /dev/shm", fill("/dev/shm", 64))


def many_threads() -> str:
    threading.stack_size(65536)
    over = threading.Event()
    made = []
    try:
        for _ in range(_THREADS):
            thread = threading.Thread(target=over.wait)
            thread.start()
            made.append(thread)
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, str(error)) from error
    finally:
        over.set()
        for thread in made:
            thread.join()
        found["threads"] = str(len(made))
    return f"{len(made)} threads"


attempt("more processes than allowed", many_threads)

status = dict(
    line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
)
found["status"] = " ".join(status[name].strip() for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp"))
found["uid"] = str(os.getuid())
found["gpus"] = repr(os.environ.get("CUDA_VISIBLE_DEVICES"))
found["devices"] = " ".join(sorted(os.listdir("/dev")))
print(json.dumps(found))
