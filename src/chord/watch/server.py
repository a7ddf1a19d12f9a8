"""The page of a running study, for this machine only: it reads the study's files and answers GET, nothing else."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from chord.analysis.report.assets import assets, template
from chord.errors import UserError
from chord.plan import work
from chord.study import Study
from chord.watch.live_curves import LiveRuns
from chord.watch.progress import progress

HOST = "127.0.0.1"
HERE = Path(__file__).parent
POLICY = "default-src 'none'; connect-src 'self'; img-src data:"


def watch(study: Study, results: Path, port: int, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C. results: the parent of the study's results. port: 0 takes a free one."""
    with make_server(study, results / study.name, port) as server:
        say(f"{study.name}: http://{HOST}:{server.server_port}/  (Ctrl-C ends this page, not the study)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("")


def make_server(study: Study, folder: Path, port: int) -> ThreadingHTTPServer:
    """folder: results/<study>, which may not exist yet."""
    page, one_at_a_time = Page(study, folder), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Another name in Host is that of a web page which was pointed at this machine (DNS rebinding).
            known = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
            if self.headers.get("Host") not in known:
                self.send_error(403)
            elif self.path != "/":
                self.send_error(404)
            else:
                with one_at_a_time:
                    self.send_page(page.text().encode())

        def send_page(self, body: bytes) -> None:
            self.send_response(200)
            headers = {
                "Content-Type": "text/html; charset=utf-8",
                "Content-Length": len(body),
                "Cache-Control": "no-store",
            }
            for name, value in headers.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_) -> None:
            """A terminal that shows the address needs no line for each look."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise UserError(f"--port: {port}: {error.strerror}; expected a free port, or 0 for any") from None


class Page:
    """The page as it is now, whole: without scripts a browser loads it anew, and watch.js takes what has changed."""

    def __init__(self, study: Study, folder: Path):
        self.study, self.folder, self.runs = study, folder, LiveRuns(study, folder)
        self.assets = assets(HERE / "watch.js", POLICY)
        self.template = template(HERE / "watch.html.j2", minutes=minutes_text)

    def text(self) -> str:
        self.runs.look()
        steps, training = {}, {}
        for run in self.runs.runs.values():
            last, total = run.last_step(), work(self.study, run.method).steps
            steps[f"train/{run.name}"] = f"step {last} of {total}"
            if (left := run.minutes_left(total)) is not None:
                training[f"train/{run.name}"] = left
        seen = progress(self.study, self.folder, training)
        return self.template.render(
            study=self.study, folder=self.folder, assets=self.assets, seen=seen, steps=steps, chart=self.runs.chart()
        )


def minutes_text(minutes: float) -> str:
    if minutes < 1:
        return "under 1 min"
    hours, rest = divmod(round(minutes), 60)
    return f"{hours} h {rest:02} min" if hours else f"{rest} min"
