"""What a job sees of the host, and what of it may be seen by others."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from launcher_host import UID, Host, wait_for

from nacre.launcher.isolation import detect
from nacre.launcher.sandbox import find


def test_a_job_sees_nothing_of_the_servers_home(boxed: Host) -> None:
    (boxed.root / "nacre.db").write_text("every user")
    (boxed.root / "nacre.db").chmod(0o666)
    here = boxed.root
    script = f"cat {here}/nacre.db; ls {here}; echo x >> {here}/nacre.db; cat /etc/shadow; ls /root /home"
    boxed.run("sh", "-c", script)
    assert (boxed.root / "nacre.db").read_text() == "every user"
    assert "every user" not in boxed.log()
    assert "root:" not in boxed.log()
    assert boxed.log().splitlines()[-1] == "user"


def test_a_job_cannot_write_outside_its_own_folders(boxed: Host) -> None:
    script = """for d in / /etc /usr /usr/lib /dev /opt /run /data /home /proc/sys/kernel; do
    touch $d/x 2>/dev/null && echo wrote $d; done; echo done"""
    boxed.run("sh", "-c", script)
    assert boxed.log() == "done\n"


def test_a_job_sees_only_its_own_processes(boxed: Host) -> None:
    boxed.run("sh", "-c", "ls -d /proc/[0-9]* | wc -l; kill -0 1 && echo may; kill -9 $PPID; echo alive")
    first, *rest = boxed.log().splitlines()
    assert int(first) <= 5
    assert rest[-1] == "alive"


def test_a_job_has_no_powers(boxed: Host) -> None:
    boxed.run(
        "sh",
        "-c",
        "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; id -u; unshare -U : || echo no",
    )
    lines = boxed.log().split()
    assert lines[:4] == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16]
    assert lines[4:8] == ["NoNewPrivs:", "1", "Seccomp:", "2"]
    assert lines[8] == (str(UID) if boxed.mode == "bwrap-root" else "1000")
    assert lines[-1] == "no"


def test_without_network_a_job_reaches_nobody(boxed: Host) -> None:
    port = int(boxed.api.url.rsplit(":", 1)[1])
    code = f"""import socket
try: print(socket.create_connection(('127.0.0.1', {port}), 2))
except OSError: print('no')
"""
    boxed.run("python3", "-c", code)
    assert boxed.log() == "no\n"


def test_with_network_a_job_reaches_the_host(boxed: Host) -> None:
    port = int(boxed.api.url.rsplit(":", 1)[1])
    code = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2); print('reached')"
    boxed.run("python3", "-c", code, network="full")
    assert boxed.log() == "reached\n"


def test_without_network_the_servers_socket_is_the_way_to_it(boxed: Host) -> None:
    folder = boxed.root / "attempts" / "api"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "nacre.sock"))
        os.chmod(folder / "nacre.sock", 0o666)
        listener.listen()
        code = "import os, socket\nsocket.socket(socket.AF_UNIX).connect(os.environ['NACRE_URL'][5:])"
        code += "\nprint('reached')"
        boxed.run("python3", "-c", code, api_socket_folder=str(folder))
    assert boxed.log() == "reached\n"


def test_secrets_arrive_but_are_never_shipped(host: Host) -> None:
    script = "test ${#API_KEY} = 14 && echo right; echo key=$API_KEY"
    script += "; cat $NACRE_SECRETS_DIR/pem; env | grep TOKEN; exit $CODE"
    event = host.run(
        *("sh", "-c", script),
        secrets={"API_KEY": 's3cr3t\'s "val"', "CODE": "3"},
        secret_files={"pem": "-----BEGIN-----\nabcdef\n"},
    )
    text = host.log() + json.dumps(host.api.events()) + json.dumps(event)
    assert "s3cr3t" not in text
    assert "BEGIN" not in text
    assert "secret-token" not in text
    assert text.startswith("right\nkey=**************\n")


def test_the_work_has_its_own_token_and_no_sight_of_the_launchers(boxed: Host) -> None:
    """Whoever has the launcher's could report that the work ended otherwise."""
    code = f"""import glob, os
print(os.environ['NACRE_TOKEN'] == 'token-of-' + 'the-work')
paths = glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline') + ['{boxed.folder}/spec.json']
for root in ('/run', '/work', '/etc', '/tmp', '/home'):
    paths += [os.path.join(base, name) for base, _, names in os.walk(root) for name in names]
read, seen = 0, []
for path in paths:
    try:
        data = open(path, 'rb').read()
    except OSError:
        continue
    read += 1
    if b'secret-' + b'token' in data:
        seen.append(path)
print(read > 5, seen)
"""
    boxed.run("python3", "-c", code)
    assert boxed.log() == "True\nTrue []\n"


def test_a_secret_is_masked_across_the_borders_of_sends(host: Host) -> None:
    code = """import sys, time
w = sys.stdout
w.write('x' * (256 * 1024 - 4) + 'topsecretvalue' + 'y' * 7 + '\\n')
for part in ('tops', 'ecret', 'value', '\\n', 'tops', 'hift\\n', 'topsec'):
    w.write(part); w.flush(); time.sleep(0.1)
"""
    host.run("python3", "-u", "-c", code, secrets={"S": "topsecretvalue"})
    expected = "x" * (256 * 1024 - 4) + "*" * 14 + "y" * 7 + "\n" + "*" * 14 + "\ntopshift\ntopsec"
    assert host.log() == expected


def test_a_secret_is_on_no_command_line(host: Host) -> None:
    host.spec("sh", "-c", "echo up; sleep 30", secrets={"S": "very-secret-value"})
    process = host.start()
    wait_for(lambda: "up" in host.log())
    seen = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    process.terminate()
    assert process.wait(20) == 0
    assert b"very-secret-value" not in seen
    assert b"secret-token" not in seen


def test_a_users_preload_does_not_reach_the_programs_outside(boxed: Host) -> None:
    """LD_PRELOAD in bubblewrap itself would run the user's code as the server's user."""
    event = boxed.run("sh", "-c", "echo $LD_PRELOAD", variables={"LD_PRELOAD": "/work/evil.so"})
    assert event["reason"] == "succeeded"
    assert "/work/evil.so" in boxed.log()
    assert boxed.log().count("cannot be preloaded") <= 1


def test_variables_of_any_content_arrive_as_they_are(host: Host) -> None:
    odd = "a'b\"c$d`e`\n\\ ü €"
    code = "from os import environ as e; print(ascii(e['ODD']), e['m'], e['IFS'], 'foo.bar' in e)"
    host.run("python3", "-c", code, variables={"ODD": odd, "m": "1", "IFS": ":", "foo.bar": "x"})
    assert host.log() == f"{odd!a} 1 : False\n"
    assert any("foo.bar" in e.get("message", "") for e in host.api.events() if e["type"] == "warning")


def test_private_memory_folders_have_their_size(boxed: Host) -> None:
    boxed.run(
        "sh",
        "-c",
        "df -k --output=size /dev/shm | tail -1; ls /tmp | wc -l; touch /tmp/x /dev/shm/y && echo ok",
        limits={"shm_bytes": 64 * 2**20},
    )
    assert boxed.log().split() == ["65536", "0", "ok"]


def test_mounts_appear_where_they_should(boxed: Host) -> None:
    shared = boxed.root / "attempts" / "shared"
    shared.mkdir()
    (shared / "f").write_text("read me\n")
    mounts = [{"source": str(shared), "target": "/mnt/deep/shared", "writable": False}]
    boxed.run("sh", "-c", "cat /mnt/deep/shared/f; touch /mnt/deep/shared/g || echo kept", mounts=mounts)
    assert boxed.log().startswith("read me\n")
    assert boxed.log().endswith("kept\n")


def test_checkpoints_outlive_the_attempt(host: Host) -> None:
    folder = host.root / "attempts" / "checkpoints"
    host.run(
        "sh",
        "-c",
        "echo 5 > $NACRE_CHECKPOINT_DIR/step; test $AIP_CHECKPOINT_DIR = $NACRE_CHECKPOINT_DIR",
        checkpoints=str(folder),
    )
    assert (folder / "step").read_text() == "5\n"


def test_the_environment_and_nacre_come_first(host: Host) -> None:
    env = host.root / "attempts" / "env"
    (env / "bin").mkdir(parents=True)
    (env / "bin" / "tool").write_text("#!/bin/sh\necho from env $VIRTUAL_ENV\n")
    (env / "bin" / "tool").chmod(0o755)
    site = host.root / "attempts" / "site"
    (site / "nacre").mkdir(parents=True)
    (site / "nacre" / "__init__.py").write_text("here = True")
    (site / "other").mkdir()
    script = "tool; python3 -c 'import nacre; print(nacre.here)'; python3 -c 'import other' 2>&1 | tail -1"
    host.run("sh", "-c", script, environment=str(env), nacre_site=str(site))
    assert host.log() == f"from env {env}\nTrue\nModuleNotFoundError: No module named 'other'\n"


def test_what_the_host_gives_is_found_by_trying() -> None:
    found = detect()
    assert found.bubblewrap == find("bwrap")
    assert found.modes[-1] == "none"
    assert found.mode in found.modes
    assert found.bubblewrap_works == (found.mode != "none")
    assert found.sentences
    assert (found.level == "reduced") == (not found.bubblewrap_works)
    assert json.loads(json.dumps(found.to_json()))["level"] == found.level


def test_a_broken_bubblewrap_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    fake.chmod(0o755)
    real = find

    def look(tool: str) -> str | None:
        return str(fake) if tool == "bwrap" else real(tool)

    monkeypatch.setattr("nacre.launcher.sandbox.find", look)
    monkeypatch.setattr("nacre.launcher.isolation.find", look)
    found = detect()
    assert (found.mode, found.level) == ("none", "reduced")
    assert "No permissions" in (found.bubblewrap_reason or "")
    assert any("No permissions" in sentence for sentence in found.sentences)
