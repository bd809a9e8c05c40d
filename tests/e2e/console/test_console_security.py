"""What a page of the console must not do, whatever people put into names, logs and files."""

from __future__ import annotations

from pathlib import Path

import pytest
from console_kit import MakePerson, Person
from playwright.sync_api import Error
from real_server import MakeServer, Server

pytestmark = pytest.mark.timeout(300)

TRY = "<img src=x onerror=\"window.pwned='{0}'\"><script>window.pwned='{0}'</script>"
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" onload="window.pwned=1"><script>window.pwned=1</script></svg>'
)
HTML = "<!doctype html><script>window.pwned=1; document.title='pwned'</script><p>hello</p>"
WORK = """
import json, os, nacre
out = os.environ["NACRE_OUTPUT_DIR"]
print({try_!r}, flush=True)
print("\\033]0;{try_}\\007", flush=True)
nacre.log_param({try_!r}[:200], {try_!r})
nacre.set_tag("note", {try_!r})
nacre.log_metric("loss/<b>x</b>", 1.0)
open(out + "/page.html", "w").write({html!r})
open(out + "/picture.svg", "w").write({svg!r})
open(out + "/table.csv", "w").write("a,b\\n" + {try_!r} + ",1\\n")
open(out + "/<img src=x onerror=window.pwned=1>.txt", "w").write({try_!r})
"""
LOOKED_AT = (
    "/p/default/jobs",
    "/p/default/jobs/tried",
    "/p/default/jobs/tried?tab=log",
    "/p/default/jobs/tried?tab=record",
    "/p/default/runs",
    "/p/default/runs/tried",
    "/p/default/runs/tried?tab=overview",
    "/p/default/runs/tried?tab=artifacts",
    "/p/default/data",
    "/p/default/data/tried",
    "/p/default/models",
    "/p/default/models/tried",
    "/p/default/settings",
    "/p/default/settings?tab=events",
    "/",
)


@pytest.fixture(scope="module")
def tried(make_module_server: MakeServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server in which everything that takes text has tries of script in it."""
    server = make_module_server()
    text = TRY.format("job").replace('"', "")
    code = WORK.format(try_=text, html=HTML, svg=SVG)
    server.submit({"main.py": code}, name="tried", description=TRY.format("d"), tags={"x": TRY.format("t")})
    job = server.wait("tried")
    assert job.state == "succeeded", server.log("tried").decode()
    folder: Path = tmp_path_factory.mktemp("tried")
    (folder / "<img src=x onerror=window.pwned=1>.txt").write_text(TRY.format("file"))
    (folder / "page.html").write_text(HTML)
    (folder / "picture.svg").write_text(SVG)
    (folder / "table.csv").write_text(f"<b>a</b>,b\n{text},1\n")
    server.run("data", "push", folder, "--name", "tried", "--note", TRY.format("note"))
    client = server.client()
    client.models.create("tried", description=TRY.format("model"), tags={"x": TRY.format("m")})
    client.projects.update("default", description=TRY.format("project"))
    return server


def untouched(person: Person) -> None:
    """Nothing of it ran."""
    assert person.page.evaluate("window.pwned") is None
    assert "pwned" not in person.page.title()


def test_text_of_users_is_text(tried: Server, person: MakePerson) -> None:
    ada = person(tried, token=tried.token)
    for path in LOOKED_AT:
        ada.go(path)
        ada.page.wait_for_timeout(300)
        untouched(ada)
        assert ada.page.locator("img[src='x']").count() == 0
    assert ada.complaints == []


@pytest.mark.parametrize("name", ["page.html", "picture.svg"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/projects/default/runs/tried/artifacts/{}",
        "/api/v1/projects/default/data/tried/versions/1/file/{}",
    ],
)
def test_files_of_users_do_nothing_when_they_are_opened(
    tried: Server, person: MakePerson, name: str, path: str
) -> None:
    ada = person(tried, token=tried.token)
    with ada.page.expect_download() as download, pytest.raises(Error, match="Download is starting"):
        ada.page.goto(path.format(name))
    assert download.value.path().read_text() in (HTML, SVG)
    ada.go("/")
    ada.page.evaluate(
        """async (path) => {
            const frame = document.createElement("iframe");
            frame.src = path;
            document.body.append(frame);
            await new Promise((done) => setTimeout(done, 500));
        }""",
        path.format(name),
    )
    untouched(ada)


def test_scripts_cannot_read_the_session_and_pages_elsewhere_cannot_use_it(
    tried: Server, person: MakePerson
) -> None:
    ada = person(tried, token=tried.token)
    ada.go("/")
    assert "nacre_session" not in ada.page.evaluate("document.cookie")
    [cookie] = [c for c in ada.page.context.cookies() if c["name"] == "nacre_session"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"

    # Another port of this host: the browser sends the cookie, the server does not take it.
    ada.page.goto(f"{tried.content_url}/")
    said = ada.page.evaluate(
        """async (url) => {
            const body = JSON.stringify({name: "planted"});
            const posted = {method: "POST", credentials: "include", mode: "no-cors", body};
            const tries = [
                fetch(url + "/api/v1/me", {credentials: "include"}),
                fetch(url + "/api/v1/projects", posted),
            ];
            const read = await Promise.allSettled(tries);
            const socket = new WebSocket(url.replace("http", "ws") + "/api/v1/live");
            const live = await new Promise((done) => {
                socket.onmessage = (event) => done(event.data);
                socket.onclose = () => done("closed");
                setTimeout(() => done("silent"), 5000);
            });
            return [read[0].status === "fulfilled" ? "read" : "refused", live];
        }""",
        tried.url,
    )
    assert said[0] == "refused"
    assert '"ready"' not in said[1]
    assert "planted" not in [project.name for project in tried.client().projects.list()]


def test_the_page_allows_no_inline_script(tried: Server, person: MakePerson) -> None:
    ada = person(tried, token=tried.token)
    ada.go("/")
    ada.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.pwned = 1";
            document.body.append(script);
        }"""
    )
    untouched(ada)
    assert any("Content Security Policy" in text for text in ada.complaints)
