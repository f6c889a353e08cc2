"""A cluster, of our own or somebody's, as its users see it: by kubectl, and by HTTP to its Services."""
import http.client
import json
import os
import re
import socket
import subprocess
import tempfile

from tests.lab.process import wait_until


class Refused(AssertionError):
    """kubectl ended with an error; its words are the text."""


class Kubectl:
    def __init__(self, program, kubeconfig, own):
        self.program, self.kubeconfig, self.own = os.fspath(program), os.fspath(kubeconfig), own
        self.forwards = {}

    def command(self, *arguments):
        return [self.program, f"--kubeconfig={self.kubeconfig}", *map(str, arguments)]

    def __call__(self, *arguments, data=None, seconds=120):
        given = data if data is None or isinstance(data, str) else json.dumps(data)
        done = subprocess.run(self.command(*arguments), input=given, capture_output=True, text=True, timeout=seconds)
        if done.returncode:
            raise Refused(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def get(self, *arguments):
        return json.loads(self("get", *arguments, "-o", "json"))

    def add_volume(self, name, size, node=1):
        """Somebody's cluster makes volumes by itself."""

    def kustomize(self, folder):
        return self("kustomize", folder)

    def wait_until(self, what, condition, seconds=120):
        """As wait_until, asking the cluster no more than twice a second."""
        import time

        def asked():
            value = condition()
            if not value:
                time.sleep(0.5)  # between two looks, not in place of an event
            return value
        return wait_until(what, asked, seconds)

    # --- Services ---

    def address(self, namespace, service, port):
        """Where a Service is reached from here: itself in a cluster of our own, else by a forwarded port."""
        if self.own:
            return self.get("service", service, "-n", namespace)["spec"]["clusterIP"], port
        key = (namespace, service, port)
        if key not in self.forwards or self.forwards[key][0].poll() is not None:
            self.forwards[key] = self.forward(*key)
        return "127.0.0.1", self.forwards[key][1]

    def forward(self, namespace, service, port):
        log = tempfile.TemporaryFile()
        process = subprocess.Popen(self.command("port-forward", "-n", namespace, f"service/{service}", f":{port}"),
                                   stdout=subprocess.PIPE, stderr=log, text=True)
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if not found:
            process.kill()
            process.wait()
            raise OSError(f"no way to {namespace}/{service}")
        return process, int(found.group(1))

    def ask(self, namespace, service, method, path, body=None, headers=None, port=80, seconds=15):
        """(status, body). OSError where nobody answers."""
        return self.ask_at(self.address(namespace, service, port), method, path, body, headers, seconds)

    def ask_at(self, address, method, path, body=None, headers=None, seconds=15):
        connection = http.client.HTTPConnection(*address, timeout=seconds)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (http.client.HTTPException, socket.timeout) as failure:
            raise OSError(str(failure)) from failure
        finally:
            connection.close()

    def close(self):
        for process, _ in self.forwards.values():
            process.kill()
            process.wait()
