"""Chromium under test, driven by tests/browser/driver.mjs: pytest gives it JavaScript and gets what it returns."""
import json
import os
import pathlib
import subprocess

from tests.lab.process import ROOT

MODULES = pathlib.Path(os.environ.get("CITYTOTALS_BROWSER_MODULES", ROOT / "tests" / "browser" / "node_modules"))


class Browser:
    def __init__(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        self.log_path = directory / "chromium.err"
        self.log = open(self.log_path, "wb")
        self.popen = subprocess.Popen(["node", str(ROOT / "tests" / "browser" / "driver.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=self.log, env={**os.environ, "CITYTOTALS_BROWSER_MODULES": str(MODULES)}, text=True)

    def run(self, code, options=None, **argument):
        """Runs `code` on the page; with `options` on a new one in a context of its own."""
        print(json.dumps({"code": code, "argument": argument, "options": options}), file=self.popen.stdin, flush=True)
        line = self.popen.stdout.readline()
        assert line, f"the browser's driver ended:\n{self.log_path.read_text()[-3000:]}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def stop(self):
        self.popen.stdin.close()
        try:
            self.popen.wait(30)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self.popen.stdout.close()
        self.log.close()
