"""Compiles the system-call filter of the sandbox: ``python -m nacre.launcher.seccomp FILE``.

A program of its own, run once per host and version, so that pyseccomp is not imported at each launch.
Exits 3, writing nothing, where pyseccomp or libseccomp is missing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from importlib import import_module
from typing import Any

_DENIED = """\
ptrace process_vm_readv process_vm_writev kcmp mount umount2 move_mount fsopen fsconfig fsmount fspick
open_tree mount_setattr pivot_root chroot setns unshare bpf perf_event_open userfaultfd keyctl add_key
request_key kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff syslog
acct quotactl settimeofday clock_settime clock_adjtime adjtimex iopl ioperm open_by_handle_at
name_to_handle_at io_uring_setup io_uring_enter io_uring_register personality vhangup sethostname
setdomainname
"""
_NAMESPACES = (
    0x00000080,
    0x00020000,
    0x02000000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
_TERMINAL = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: typing into the terminal of somebody else
_FAMILIES = (17, 38, 40)  # AF_PACKET, AF_ALG, AF_VSOCK


def build(seccomp: Any) -> Any:
    """The filter: everything is allowed but what reaches past the sandbox."""
    denied = seccomp.SyscallFilter(seccomp.ALLOW)
    refuse = seccomp.ERRNO(errno.EPERM)
    for name in _DENIED.split():
        with contextlib.suppress(RuntimeError, ValueError, OSError):  # a call this machine does not have
            denied.add_rule(refuse, name)
    for flag in _NAMESPACES:
        denied.add_rule(refuse, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    # Its flags lie in memory, out of a filter's sight; the C library falls back to clone.
    denied.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for request in _TERMINAL:
        denied.add_rule(refuse, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    for family in _FAMILIES:
        denied.add_rule(refuse, "socket", seccomp.Arg(0, seccomp.MASKED_EQ, 0xFFFFFFFF, family))
    return denied


def main(path: str) -> int:
    """Write the filter to ``path``, whole or not at all."""
    try:
        seccomp = import_module("pyseccomp")
    except (ImportError, OSError, RuntimeError) as error:
        sys.stderr.write(f"no seccomp filter: {error}\n")
        return 3
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "wb") as file:
        build(seccomp).export_bpf(file)
    os.chmod(temporary, 0o444)
    os.rename(temporary, path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
