"""The commands of docs/kubernetes.md: taken out of its text, and run as an operator would."""
import os
import re
import subprocess

from tests.kubernetes.deployed import NAMESPACE
from tests.lab.process import ROOT

TEXT = (ROOT / "docs" / "kubernetes.md").read_text()


def section(title):
    return TEXT.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def block(title, containing):
    """The commands of a section that stand apart and have these words."""
    return next(each for each in re.findall(r"^ *```sh\n(.*?)```", section(title), re.S | re.M) if containing in each)


def line(title, containing):
    """A command of a section that stands within a sentence."""
    return next(each for each in re.findall(r"`([^`]*)`", re.sub(r"\n\s*", " ", section(title))) if containing in each)


class Shell:
    """Runs them in the folder that holds k8s/, or below it."""

    def __init__(self, kubectl, folder, state):
        self.kubectl, self.folder, self.state = kubectl, folder, state

    def __call__(self, text, below=".", seconds=300, **environment):
        env = {**os.environ, "KUBECONFIG": self.kubectl.kubeconfig, **environment,
               "PATH": f"{os.path.dirname(self.kubectl.program)}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=self.folder / below, env=env, capture_output=True, text=True,
                              timeout=seconds)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}\n{self.state()}"
        return done.stdout


def ended(kubectl, job, namespace=NAMESPACE, seconds=180):
    """(whether it succeeded, its last log), once a Job is over."""
    def over():
        status = kubectl.get("job", job, "-n", namespace).get("status", {})
        return status.get("succeeded") or any(each["type"] == "Failed" for each in status.get("conditions", []))
    kubectl.wait_until(f"job {job} ends", over, seconds)
    return kubectl.get("job", job, "-n", namespace)["status"].get("succeeded") == 1, kubectl("logs", f"job/{job}", "-n", namespace)


def done(kubectl, job, namespace=NAMESPACE, seconds=180):
    """The log of a Job that succeeds."""
    succeeded, log = ended(kubectl, job, namespace, seconds)
    assert succeeded, log
    return log
