"""A bad network before a store: tests/tools/badproxy, for tests in Python.

    with store.Store("minio") as s, proxy.Proxy(s) as p:
        p.rules("lose method=PUT count=1")
        ... s.url("bucket", "prefix", port=p.port) ...
        p.stats()["longest_chain"]
"""

import json
import os
import subprocess
import urllib.request


class Proxy:
    """One running proxy; a context manager. root is the path before the keys."""

    def __init__(self, store, root="/", seed=1):
        tool = os.path.join(os.environ["TOOLS"], "badproxy")
        self.process = subprocess.Popen(
            [tool, "-s", str(seed), "-r", root, str(store.port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port, self.control = map(
            int, self.process.stdout.readline().split())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _ask(self, path, data=None):
        # A machine's own proxy has no business here.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open("http://127.0.0.1:%d%s" % (self.control, path),
                         data) as r:
            return r.read().decode()

    def rules(self, *lines):
        """These instead of those before; none: a good network."""
        self._ask("/rules", "\n".join(lines).encode())

    def held(self):
        """For how many requests each rule held, in their order."""
        return [int(x.split(" ", 1)[0])
                for x in self._ask("/rules").splitlines()]

    def reset(self):
        self._ask("/reset", b"")

    def stats(self):
        return json.loads(self._ask("/stats"))
