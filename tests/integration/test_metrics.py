#!/usr/bin/env python3
"""Metrics over HTTP and as a file, and the status page: read by Prometheus' own parsers and by a
browser, and compared with what the recorder says of itself."""
import contextlib
import http.client
import http.server
import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading

from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import faults as f  # noqa: E402
import harness as h  # noqa: E402
import source as s  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
NAMES = {
    "daorec_frames_recorded": "counter",
    "daorec_frames_lost": "counter",
    "daorec_bytes_written": "counter",
    "daorec_fifo_backlog_frames": "gauge",
    "daorec_buffer_fill_ratio": "gauge",
    "daorec_frame_latency_seconds": "histogram",
    "daorec_disk_free_bytes": "gauge",
    "daorec_build_info": "gauge",
}


def read(file):
    with open(file, encoding="utf-8") as opened:
        return opened.read()


class Served:
    """A recording with --metrics on a free port."""

    def __init__(self, *arguments, metrics="0"):
        folder = tempfile.mkdtemp(dir=h.output)
        self.said = os.path.join(folder, "said")
        with open(self.said, "wb") as said:
            self.process = subprocess.Popen(
                [h.DAOREC, "record", "--json", "-o", h.output, "--wait=60s", "--metrics", metrics,
                 *map(str, arguments)], stdout=subprocess.PIPE, stderr=said, text=True)
        h._processes.append(self.process)
        h.wait_for(lambda: self.errors().count("\n"), what="a line")
        found = re.search(r"http://(\S+):(\d+)/metrics", self.errors())
        assert found, self.errors()
        self.host, self.port = found[1].strip("[]"), int(found[2])

    def errors(self):
        return read(self.said)

    def ask(self, path, method="GET", body=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text

    def status(self):
        return json.loads(self.ask("/status.json")[1])

    def has_recorded(self, frames):
        def holds():
            streams = self.status()["streams"]
            return all(stream["frames"] + stream["lost"] >= frames for stream in streams)
        h.wait_for(holds, what=f"{frames} frames")

    def is_running(self):
        h.wait_for(lambda: self.status()["condition"] == "running", what="the recording")

    def end(self):
        self.is_running()  # before, a signal would end it without a session
        self.process.terminate()
        return h.finish(self.process, errors=self.errors)


def parse(text):
    """Families, and samples by name and labels; each family is there once, with help and type."""
    families = list(text_string_to_metric_families(text))
    assert len({x.name for x in families}) == len(families), families
    for family in families:
        assert NAMES[family.name] == family.type and family.documentation, family
    return families, {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
                      for family in families for sample in family.samples}


def promtool(text):
    """Prometheus' own judge, which also knows how metrics are to be called."""
    if not shutil.which("promtool"):
        print("not tested: promtool (prometheus) is not here")
        return
    run = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                         text=True)
    assert run.returncode == 0 and not run.stderr, run


def check_histogram(samples, stream):
    buckets = sorted((float(dict(labels)["le"]), value) for (name, labels), value in samples.items()
                     if name.endswith("_bucket") and dict(labels)["stream"] == stream)
    values = [value for _, value in buckets]
    assert values == sorted(values) and buckets[-1][0] == float("inf"), buckets
    count = samples["daorec_frame_latency_seconds_count", (("stream", stream),)]
    total = samples["daorec_frame_latency_seconds_sum", (("stream", stream),)]
    assert count == values[-1] and total > 0, (count, total, buckets)
    return count, total


def metrics_are_what_the_ledger_says():
    paths = [h.segment("wfs"), h.segment("dm")]
    sources = [s.Source(paths[0], depth=16), s.Source(paths[1])]
    served = Served(*paths)
    served.is_running()
    sources[0].publish_many(50)
    h.freeze(served.process)
    for _ in range(100):  # lapped
        sources[0].publish()
    served.process.send_signal(h.signal.SIGCONT)
    for source in sources:
        source.publish_many(30)
    names = [h.stream_name(path) for path in paths]

    def settled():
        streams = served.status()["streams"]
        return [x["frames"] + x["lost"] for x in streams] == [180, 30]
    h.wait_for(settled, what="all frames to be booked")
    answer, text = served.ask("/metrics")
    assert answer.getheader("Content-Type").startswith("text/plain; version=0.0.4"), answer.headers
    promtool(text)
    families, samples = parse(text)
    assert {x.name for x in families} == set(NAMES), families
    session = served.end()
    for path, name in zip(paths, names):
        mine, stream = session.stream(path), (("stream", name),)
        assert samples["daorec_frames_recorded_total", stream] == mine["recorded"], samples
        for reason, lost in mine["lost_by"].items():
            key = "daorec_frames_lost_total", (("reason", reason), ("stream", name))
            assert samples[key] == lost, (key, samples)
        count, total = check_histogram(samples, name)
        assert count == mine["recorded"], (count, mine)
        _, rows = h.load(mine["files"])
        late = float((rows["RTIME"].astype("i8") - rows["ATIME"].astype("i8")).clip(0).sum()) / 1e9
        assert abs(total - late) < 1e-6 + 1e-6 * late, (total, late)
        assert 0 <= samples["daorec_buffer_fill_ratio", stream] <= 1
    assert session.stream(paths[0])["lost"] > 0, "the test wants some"
    assert samples["daorec_disk_free_bytes", ()] > 0


def counters_go_on_from_session_to_session():
    path = h.segment("again")
    source = s.Source(path)
    control = os.path.join(h.segments, "again.ctl")
    served = Served(f"--control={control}", path)
    served.is_running()
    stream = ("stream", h.stream_name(path))

    def ctl(*words):
        run = subprocess.run([h.DAOREC, "ctl", "--socket", control, "--json", *words],
                             capture_output=True, text=True, timeout=90, check=False)
        assert run.returncode == 0, run
        return json.loads(run.stdout)

    def counted():
        text = served.ask("/metrics")[1]
        promtool(text)
        _, samples = parse(text)
        return samples
    total = 0
    for frames in (30, 20):  # the second would not be seen to have begun anew at a later look
        source.publish_many(frames)
        total += sum(mine["recorded"] for mine in ctl("stop")["streams"])
        samples = counted()
        assert samples["daorec_frames_recorded_total", (stream,)] == total, samples
        assert samples["daorec_frame_latency_seconds_count", (stream,)] == total, samples
        assert ("daorec_fifo_backlog_frames", (stream,)) not in samples, samples
        ctl("start")
        assert counted()["daorec_frames_recorded_total", (stream,)] == total
    assert total == 50, total
    served.process.terminate()
    served.process.communicate(timeout=60)
    assert served.process.returncode == 0, served.errors()


def bytes_written_are_those_of_the_files():
    path = h.segment("bytes")
    source, frames = s.Source(path, shape=(64, 64)), 100
    served = Served("--roll-frames", frames, path)
    served.is_running()
    source.publish_many(frames)
    h.wait_for(lambda: served.status()["streams"][0]["files_closed"] == 1, what="a file")
    status = served.status()
    pixels_and_rows = frames * (64 * 64 * 2 + 64)
    assert status["bytes_written"] >= pixels_and_rows, status
    assert status["bytes_written"] < 2 * pixels_and_rows, status  # pages that were flushed twice
    served.end()


def while_a_segment_is_waited_for_that_is_told():
    path = h.segment("late")
    served = Served(path)
    status = served.status()
    assert status["condition"] == "waiting" and status["session"] is None, status
    assert [x["condition"] for x in status["streams"]] == ["waiting"], status
    _, samples = parse(served.ask("/metrics")[1])
    assert [name for name, _ in samples] == ["daorec_build_info"], samples
    s.Source(path).publish_many(5)
    served.is_running()
    served.end()


def only_what_is_there_is_answered_and_nothing_can_be_changed():
    path = h.segment("paths")
    s.Source(path)
    served = Served(path)
    assert served.ask("/nope")[0].status == 404
    for method in ("POST", "PUT", "DELETE"):
        answer, _ = served.ask("/metrics", method, "x" * 100000)
        assert answer.status == 405 and answer.getheader("Allow") == "GET, HEAD", answer.headers
    answer, text = served.ask("/metrics", "HEAD")
    assert answer.status == 200 and text == ""
    answer, text = served.ask("/")
    assert answer.status == 200 and answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert not re.search(r"(src|href)=.https?:|@import|url\(", text), "something from elsewhere"
    assert "default-src 'none'" in answer.getheader("Content-Security-Policy")
    served.end()


def who_asks_too_much_disturbs_nobody():
    path = h.segment("many")
    source = s.Source(path)
    served = Served(path)
    served.is_running()
    idle = [socket.create_connection((served.host, served.port)) for _ in range(45)]
    for connection in idle[::2]:
        with contextlib.suppress(OSError):  # it was cut off to make room
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHo")
    source.publish_many(50)
    for path_of_answer in ("/metrics", "/status.json", "/"):
        assert served.ask(path_of_answer)[0].status == 200
    idle[25].settimeout(30)  # only as many were cut off as places were needed
    idle[25].sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert idle[25].recv(15) == b"HTTP/1.1 200 OK"
    served.process.terminate()  # they do not hold up the end
    session = h.finish(served.process, errors=served.errors)
    assert session.stream(path)["recorded"] == 50, session.summary
    for connection in idle:
        connection.close()


def by_default_only_this_machine_is_answered():
    path = h.segment("where")
    s.Source(path)
    for metrics, host, refused in (("0", "127.0.0.1", "127.0.0.2"), ("127.0.0.2:0", "127.0.0.2",
                                                                     "127.0.0.1")):
        served = Served(path, metrics=metrics)
        assert served.host == host
        with h.Raises(ConnectionRefusedError):
            socket.create_connection((refused, served.port), timeout=30)
        served.end()


def refused(*arguments, status, says, **options):
    root = tempfile.mkdtemp(dir=h.output)
    run = subprocess.run([h.DAOREC, "record", "-o", root, *map(str, arguments)],
                         capture_output=True, text=True, timeout=60, **options)
    assert run.returncode == status and run.stderr.count("\n") == 1, run
    assert all(word in run.stderr for word in says), run.stderr
    assert not run.stdout and not os.listdir(root), "something was begun"


def what_cannot_be_had_is_refused_before_anything_begins():
    path = h.segment("refused")
    s.Source(path)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    refused("--metrics", port, path, status=1, says=["--metrics", str(port), "in use; give another port"])
    listening.close()
    refused("--metrics", "here:1", path, status=2, says=["--metrics", "'here:1'", "0.0.0.0:9464"])
    refused("--metrics-file", h.output + "/x.txt", path, status=2, says=["x.txt", ".prom"])
    refused("--metrics-file", h.output + "/no/x.prom", path, status=1, says=["x.prom", "No such"])
    # Who asks over HTTP could take the files of a recording that has 40 in all.
    refused("-q", "--metrics", 0, "-n", 1, path, status=1, says=["open files", "ulimit -n"],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))


def a_metrics_file_is_whole_readable_by_all_and_gone_at_the_end():
    path, folder = h.segment("file"), tempfile.mkdtemp(dir=h.output)
    file = os.path.join(folder, "daorec.prom")
    source = s.Source(path)
    recorder = s.recording("--metrics-file", file, path, umask=0o077)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o644
    text = read(file)
    promtool(text)
    assert "daorec_build_info" in {x.name for x in parse(text)[0]}
    first = os.stat(file).st_ino
    source.publish_many(10)
    h.wait_for(lambda: os.stat(file).st_ino != first, what="the file to be written anew")
    _, samples = parse(read(file))
    stream = (("stream", h.stream_name(path)),)
    assert samples["daorec_frames_recorded_total", stream] == 10, samples
    assert os.listdir(folder) == ["daorec.prom"], os.listdir(folder)
    recorder.terminate()
    h.finish(recorder)
    assert os.listdir(folder) == [], os.listdir(folder)


def of_two_recorders_the_second_is_refused_the_first_s_metrics_file():
    path, folder = h.segment("both"), tempfile.mkdtemp(dir=h.output)
    file = os.path.join(folder, "daorec.prom")
    s.Source(path)
    first = s.recording("--metrics-file", file, path)
    begun = os.stat(file).st_ino

    def is_refused():
        refused("--metrics-file", file, path, status=1,
                says=["--metrics-file", file, "another recorder writes it", "of its own"])
    is_refused()
    h.wait_for(lambda: os.stat(file).st_ino != begun, what="the file to be written anew")
    is_refused()
    assert os.listdir(folder) == ["daorec.prom"], os.listdir(folder)
    first.kill()
    first.communicate(timeout=60)
    assert os.listdir(folder) == ["daorec.prom"]  # who was killed leaves it, and holds up nobody
    second = s.recording("--metrics-file", file, path)
    second.terminate()
    h.finish(second)
    assert os.listdir(folder) == [], os.listdir(folder)


class Filed:
    """A recording with --metrics-file whose messages can be read while it runs."""

    def __init__(self, file, path, **options):
        said = tempfile.TemporaryFile("w+", encoding="utf-8", dir=h.output)
        self.file, self.path, self.said = file, path, said
        s.Source(path)
        self.process = subprocess.Popen(
            [h.DAOREC, "record", "--json", "-o", h.output, "--metrics-file", file, path],
            stdout=subprocess.PIPE, stderr=said, text=True, **options)
        h._processes.append(self.process)

    def errors(self):
        with open(f"/proc/self/fd/{self.said.fileno()}", encoding="utf-8") as said:
            return said.read()

    def has_written(self):
        return os.path.exists(self.file) and h.stream_name(self.path) in read(self.file)

    def end(self):
        self.process.terminate()
        h.finish(self.process, errors=self.errors)


def of_a_metrics_file_that_was_removed_the_next_recorder_is_the_writer():
    folder = tempfile.mkdtemp(dir=h.output)
    file = os.path.join(folder, "daorec.prom")
    first = Filed(file, h.segment("former"))
    h.wait_for(lambda: os.path.exists(file), what="a file")
    h.freeze(first.process)  # so that it does not find out before there is a second one
    os.unlink(file)
    second = Filed(file, h.segment("latter"))
    h.wait_for(lambda: os.path.exists(file), what="the file of the second")
    first.process.send_signal(signal.SIGCONT)
    h.wait_for(lambda: "another recorder writes it; it is tried again" in first.errors(),
               what="a warning")
    assert not first.has_written(), read(file)
    h.wait_for(second.has_written, what="the file of the second, anew")
    second.end()
    h.wait_for(first.has_written, what="the file of the first")
    first.end()
    assert os.listdir(folder) == [], os.listdir(folder)


def a_metrics_file_of_which_closing_fails_is_not_put_in_place():
    folder = tempfile.mkdtemp(dir=h.output)
    file = os.path.join(folder, "daorec.prom")
    disk = f.Faults(folder, ops=["close"], error="EDQUOT")
    refused("--metrics-file", file, h.segment("quota"), status=1, env=disk.environment(),
            says=["--metrics-file", file, "cannot be written: Disk quota exceeded"])
    assert os.listdir(folder) == [], os.listdir(folder)
    disk.set()
    recorder = Filed(file, h.segment("quotas"), env=disk.environment())
    h.wait_for(lambda: os.path.exists(file), what="a file")
    begun = os.stat(file).st_ino
    disk.set(ops=["close"], error="EDQUOT")
    h.wait_for(lambda: "Disk quota exceeded; it is tried again" in recorder.errors(),
               what="a warning")
    assert os.stat(file).st_ino == begun and os.listdir(folder) == ["daorec.prom"]
    disk.set()
    recorder.end()


def the_dashboard_asks_for_the_metrics_that_there_are():
    """All of them, and no others, in expressions that Prometheus understands."""
    path = h.segment("board")
    s.Source(path)
    served = Served(path)
    served.is_running()
    families, samples = parse(served.ask("/metrics")[1])
    served.end()
    dashboard = json.loads(read(os.path.join(ROOT, "config", "grafana.json")))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    named = set(re.findall(r"daorec_\w+", " ".join(asked)))
    assert named <= {name for name, _ in samples}, named - {name for name, _ in samples}
    for family in families:
        assert any(name.startswith(family.name) for name in named), family.name
    for label in re.findall(r"(\w+)=~", " ".join(asked)):
        assert label in ("instance", "stream"), label  # Prometheus adds the first
    if not shutil.which("promtool"):
        print("not tested: promtool (prometheus) is not here")
        return
    rules = {"groups": [{"name": "asked", "rules": [
        {"record": f"asked:{i}", "expr": re.sub(r"\$__\w+", "5m", expr)}
        for i, expr in enumerate(asked) if not expr.startswith("label_values")]}]}
    file = os.path.join(tempfile.mkdtemp(dir=h.output), "rules.json")
    with open(file, "w", encoding="utf-8") as opened:
        json.dump(rules, opened)  # JSON is YAML
    run = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)
    assert run.returncode == 0 and f"{len(rules['groups'][0]['rules'])} rules" in run.stdout, run


def find_browser():
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        print("not tested: there is no chromium")
    return browser


def shown_by(browser, host, port, budget):
    """The page after so many ms of the browser's own time, as HTML, and what the browser said."""
    profile = tempfile.mkdtemp(dir=h.output)
    run = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu",
         f"--user-data-dir={profile}", "--disable-dev-shm-usage",
         f"--virtual-time-budget={budget}", "--dump-dom", f"http://{host}:{port}/"],
        capture_output=True, text=True, timeout=100, env={**os.environ, "HOME": profile})
    return run.stdout, run.stderr


def a_browser_shows_what_is_recorded():
    browser = find_browser()
    if not browser:
        return
    path = h.segment("page")
    source = s.Source(path)
    served = Served(path)
    served.is_running()
    source.publish_many(123)
    served.has_recorded(123)
    for budget in (5000, 20000, 60000):  # ms of the browser's own time, of which it loses track
        page, errors = shown_by(browser, served.host, served.port, budget)
        has_plot = re.search(r'<polyline points="[0-9]', page)  # it has asked more than once
        if has_plot:
            break
    assert has_plot, page + errors
    assert '<h2 class="">' in page or "<h2>" in page, page
    assert h.stream_name(path) in page and ">123<" in page, page
    assert 'class="pill running">running' in page, page
    session = served.end()
    assert session.stream(path)["recorded"] == 123, session.summary


class Once(http.server.BaseHTTPRequestHandler):
    """The page, and to the first look what is in `state`; then nothing any more."""
    page, state = b"", None

    def do_GET(self):
        what = self.page
        if self.path == "/status.json":
            what, type(self).state = self.state, None
        self.send_response(200 if what is not None else 503)
        self.end_headers()
        self.wfile.write(what or b"")

    def log_message(self, *args):
        pass


def before_the_second_look_the_page_shows_what_is_known():
    browser = find_browser()
    if not browser:
        return
    path = h.segment("once")
    source = s.Source(path)
    served = Served(path)
    served.is_running()
    source.publish_many(10)
    served.has_recorded(10)
    Once.page, state = served.ask("/")[1].encode(), served.status()
    served.end()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Once)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # seconds, frames, lost: where the mean's line begins, which goes through all of 300 s or a
    # part of them, and what stands at it
    for seconds, frames, lost, line, labels in (
            (600, 60000, 7, r"0\.0,", ["100 Hz, mean so far", "7 lost so far"]),
            (150, 750, 0, r"150\.0,", ["5.00 Hz, mean so far", "nothing lost"]),
            (2, 0, 0, None, ["waiting for the first values"])):
        state["recording_s"] = seconds
        state["streams"][0].update(frames=frames, lost=lost)
        for budget in (3000, 20000, 60000):
            Once.state = json.dumps(state).encode()
            page, errors = shown_by(browser, *server.server_address, budget)
            if h.stream_name(path) in page:
                break
        assert all(label in page for label in labels), page + errors
        found = re.search(r'<polyline class="mean" points="([^"]*)"', page)[1]
        assert re.match(line + r"[0-9.]+ 300\.0,", found) if line else not found, (seconds, found)
        assert not re.search(r'<polyline points="[0-9]', page), page
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    without = subprocess.run([h.DAOREC, "--version"], capture_output=True, text=True)
    if "built without metrics" in without.stdout:
        print("this daorec was built without libmicrohttpd")
        sys.exit(77)
    h.main([
        f.together(metrics_are_what_the_ledger_says, counters_go_on_from_session_to_session,
                   bytes_written_are_those_of_the_files,
                   while_a_segment_is_waited_for_that_is_told,
                   a_metrics_file_is_whole_readable_by_all_and_gone_at_the_end,
                   of_two_recorders_the_second_is_refused_the_first_s_metrics_file,
                   of_a_metrics_file_that_was_removed_the_next_recorder_is_the_writer,
                   a_metrics_file_of_which_closing_fails_is_not_put_in_place,
                   the_dashboard_asks_for_the_metrics_that_there_are,
                   a_browser_shows_what_is_recorded,
                   before_the_second_look_the_page_shows_what_is_known),
        only_what_is_there_is_answered_and_nothing_can_be_changed,
        who_asks_too_much_disturbs_nobody,
        by_default_only_this_machine_is_answered,
        what_cannot_be_had_is_refused_before_anything_begins,
    ])
