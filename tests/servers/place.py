"""Where a test has its repository: a directory, or an object store behind a
proxy, by the variable STORE (minio, versitygw or azurite).

    with place.of("repo") as p:
        wherry -r p.url ...; p.keys(); p.read(key); p.write(key, bytes or None)
"""

import contextlib
import os
import shutil
import time

import objects
import proxy
import store

SILENT = 3600   # seconds: older than what a collector takes for silent


class Directory:
    remote = False

    def __init__(self, path):
        self.url = os.path.abspath(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def sizes(self):
        """All keys with the sizes of their objects."""
        found = {}
        for at, _, names in os.walk(self.url):
            for n in names:
                path = os.path.join(at, n)
                try:
                    found[os.path.relpath(path, self.url)] = \
                        os.path.getsize(path)
                except FileNotFoundError:
                    pass
        return found

    def keys(self):
        return sorted(self.sizes())

    def read(self, key):
        with open(os.path.join(self.url, key), "rb") as f:
            return f.read()

    def write(self, key, data):
        """Put or replace an object; without data, remove it."""
        path = os.path.join(self.url, key)
        if os.path.exists(path):
            os.chmod(path, 0o600)
            os.unlink(path)
        if data is not None:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(data)

    def keep(self):
        """Keep all as it is now, for put_back."""
        shutil.rmtree(self.url + ".kept", ignore_errors=True)
        shutil.copytree(self.url, self.url + ".kept")

    def put_back(self):
        shutil.rmtree(self.url)
        os.rename(self.url + ".kept", self.url)

    @contextlib.contextmanager
    def aged(self):
        """As if all sessions that are silent now had been so for long."""
        then = time.time() - SILENT
        for key in self.keys():
            if key.startswith("sessions/"):
                with contextlib.suppress(FileNotFoundError):
                    os.utime(os.path.join(self.url, key), (then, then))
        yield


class Remote:
    remote = True

    def __init__(self, kind, prefix="repo", seed=1):
        self.prefix = prefix + "/"
        self.kept = {}
        self.store = store.Store(kind)
        try:
            self.objects = objects.of(self.store, "wherry-test")
            self.proxy = proxy.Proxy(
                self.store, self.objects._path(self.prefix), seed)
        except BaseException:
            self.store.close()
            raise
        self.url = self.store.url("wherry-test", prefix, self.proxy.port)
        os.environ.update(self.store.env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proxy.__exit__()
        self.store.close()

    def sizes(self):
        n = len(self.prefix)
        return {k[n:]: v for k, v in self.objects.list(self.prefix).items()}

    def keys(self):
        return sorted(self.sizes())

    def read(self, key):
        return self.objects.get(self.prefix + key)

    def write(self, key, data):
        if data is None:
            self.objects.delete(self.prefix + key)
        else:
            self.objects.put(self.prefix + key, data)

    def keep(self):
        self.kept = {k: self.read(k) for k in self.keys()}

    def put_back(self):
        now = {k: self.read(k) for k in self.keys()}
        for k in now.keys() | self.kept.keys():
            if now.get(k) != self.kept.get(k):
                self.write(k, self.kept.get(k))

    @contextlib.contextmanager
    def aged(self):
        self.proxy.rules("age seconds=%d path=sessions" % SILENT)
        try:
            yield
        finally:
            self.proxy.rules()


def of(path, seed=1):
    kind = os.environ.get("STORE")
    return Remote(kind, seed=seed) if kind else Directory(path)
