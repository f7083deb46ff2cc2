#!/usr/bin/env python3
"""A store of one kind on a free port of 127.0.0.1, empty, gone with the test.

usage: store.py [OPTIONS] KIND -- COMMAND...    around one command
       store.py [OPTIONS] --for PID KIND        for a shell:
           vars=$(tests/servers/store.py --for $$ minio) || {
                   echo "$vars"; exit 77; }
           eval "$vars"

KIND is minio, versitygw or azurite. The second form prints assignments once
the store answers and stays behind until the process PID ends; `kill
$STORE_PID` ends it sooner. What COMMAND or the shell is given:

  STORE_URL       a repository in it, its bucket or container not made yet
  STORE_ENDPOINT  http(s)://127.0.0.1:PORT (Azurite: with the account)
  STORE_CA        with --tls: the file of the authority that signed for it
  STORE_DIR       where it keeps what it stores (Azurite: nowhere, in memory);
                  its log is STORE_DIR.log
  STORE_PID       who ends it when asked by SIGTERM
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION
  AZURE_STORAGE_ACCOUNT, AZURE_STORAGE_KEY
  STORE_ADMIN     of MinIO: a command that makes users: $STORE_ADMIN user NAME
                  SECRET POLICY-FILE

Exit status 77, with a reason as the last line, when the store was not made
(tests/servers/get.sh).
"""

import argparse
import ctypes
import http.client
import os
import select
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KEY, SECRET = "wherry-test", "wherry-test-secret"
# Azurite's own, as everybody's: it is printed in its manual.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = ("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq"
               "/K1SZFPTOtr/KBHBeksoGMGw==")
TLS = ("good", "expired", "other-host")
WAIT = 60   # seconds for a store to answer


class Missing(Exception):
    """The store is not made here."""


def place(name):
    """The folder of a store that get.sh has made."""
    p = subprocess.run([HERE + "/get.sh", "--have", name], text=True,
                       stdout=subprocess.PIPE, check=False)
    if p.returncode != 0:
        raise Missing(p.stdout.strip() or "get.sh fails")
    return p.stdout.strip()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def certify(where, kind):
    """An authority of its own, and what it signs for a store: files ca.crt,
    public.crt and private.key in the folder where."""
    def openssl(*args):
        subprocess.run(("openssl",) + args, cwd=where, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
               "-nodes")
    os.makedirs(where)
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.crt",
            "-subj", "/CN=authority of a test", "-days", "30")
    openssl("req", *new_key, "-keyout", "private.key", "-out", "server.csr",
            "-subj", "/CN=store of a test")
    with open(where + "/ext", "w", encoding="ascii") as f:
        f.write("[x]\nsubjectAltName=%s\n" % (
            "DNS:store.example" if kind == "other-host" else
            "IP:127.0.0.1,DNS:localhost"))
    with open(where + "/index", "w", encoding="ascii"):
        pass
    with open(where + "/ca.conf", "w", encoding="ascii") as f:
        f.write("[ca]\ndefault_ca=c\n[c]\ndatabase=index\nnew_certs_dir=.\n"
                "rand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\n"
                "commonName=supplied\n")
    day = 86400
    begin, end = (-3 * day, -day) if kind == "expired" else (-day, 30 * day)

    def stamp(seconds):
        return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(
            time.time() + seconds))
    openssl("ca", "-batch", "-config", "ca.conf", "-cert", "ca.crt",
            "-keyfile", "ca.key", "-in", "server.csr", "-out", "public.crt",
            "-notext", "-extfile", "ext", "-extensions", "x",
            "-startdate", stamp(begin), "-enddate", stamp(end))


class Store:
    """One running store; a context manager. env is what its users need."""

    def __init__(self, kind, tls=None, place_in=None):
        self.kind, self.tls = kind, tls
        self.made = place(kind)
        self.dir = tempfile.mkdtemp(prefix="store-", dir=place_in)
        self.data = self.dir + "/data"
        os.mkdir(self.data)
        if tls:
            certify(self.dir + "/tls", tls)
        self.process = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        self.env = self._env()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- how each is started ---

    def _argv(self):
        at = "127.0.0.1:%d" % self.port
        crt, key = self.dir + "/tls/public.crt", self.dir + "/tls/private.key"
        if self.kind == "minio":
            return [self.made + "/minio", "server", "--quiet", "--address", at,
                    "--certs-dir", self.dir + "/tls", self.data]
        if self.kind == "versitygw":
            return [self.made + "/versitygw", "--port", at, "--access", KEY,
                    "--secret", SECRET, "--quiet"] + (
                ["--cert", crt, "--key", key] if self.tls else []) + [
                "posix", self.data]
        return [self.made + "/node/node", "--max-old-space-size=400",
                self.made + "/node_modules/azurite/dist/src/blob/main.js",
                "--blobHost", "127.0.0.1", "--blobPort", str(self.port),
                "--inMemoryPersistence",
                "--extentMemoryLimit", "2048", "--disableTelemetry",
                "--skipApiVersionCheck", "--silent"] + (
            ["--cert", crt, "--key", key] if self.tls else [])

    def _process_env(self):
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"),
               "HOME": self.dir, "TMPDIR": self.dir}
        if self.kind == "minio":
            env.update(MINIO_ROOT_USER=KEY, MINIO_ROOT_PASSWORD=SECRET,
                       MINIO_BROWSER="off", MINIO_UPDATE="off",
                       MINIO_CALLHOME_ENABLE="off", GOGC="50")
        return env

    def _start(self):
        for left in (3, 2, 1):
            # Between here and the store's own look, another may take it.
            self.port = free_port()
            with open(self.data + ".log", "wb") as log:
                self.process = subprocess.Popen(
                    self._argv(), env=self._process_env(), cwd=self.dir,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    preexec_fn=die_with_parent)
            end = time.monotonic() + WAIT
            while time.monotonic() < end:
                if self._answers():
                    return
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
            self.stop()
            if left == 1:
                with open(self.data + ".log", errors="replace") as f:
                    raise RuntimeError("%s does not start:\n%s" % (
                        self.kind, f.read()[-2000:]))

    def _answers(self):
        # MinIO says that it is ready before it knows its users and buckets.
        return self._status("/") not in (0, 503) and (
            self.kind != "minio" or
            self._status("/minio/health/ready") == 200)

    def _status(self, path):
        """The status of a GET without a signature; 0 when there is none."""
        try:
            if self.tls:
                c = http.client.HTTPSConnection(
                    "127.0.0.1", self.port, timeout=5,
                    context=ssl._create_unverified_context())
            else:
                c = http.client.HTTPConnection("127.0.0.1", self.port,
                                               timeout=5)
            c.request("GET", path)
            r = c.getresponse()
            r.read()
            c.close()
            return r.status
        except (OSError, http.client.HTTPException):
            return 0

    # --- what its users need ---

    def _env(self):
        base = "%s://127.0.0.1:%d" % ("https" if self.tls else "http",
                                      self.port)
        env = {"STORE_DIR": self.data}
        if self.kind == "azurite":
            env.update(
                STORE_ENDPOINT="%s/%s" % (base, ACCOUNT),
                AZURE_STORAGE_ACCOUNT=ACCOUNT, AZURE_STORAGE_KEY=ACCOUNT_KEY)
        else:
            env.update(
                STORE_ENDPOINT=base, AWS_ACCESS_KEY_ID=KEY,
                AWS_SECRET_ACCESS_KEY=SECRET, AWS_REGION="us-east-1")
        env["STORE_URL"] = self.url("wherry-test")
        if self.tls:
            env["STORE_CA"] = self.dir + "/tls/ca.crt"
        if self.kind == "minio":
            env["STORE_ADMIN"] = " ".join(
                (self.made + "/minio-admin", "127.0.0.1:%d" % self.port, KEY,
                 SECRET))
        return env

    def url(self, bucket, prefix="", port=None):
        """The URL of a repository; by another port, a proxy's perhaps."""
        base = "%s://127.0.0.1:%d" % ("https" if self.tls else "http",
                                      port or self.port)
        path = bucket + ("/" + prefix if prefix else "")
        if self.kind == "azurite":
            return "azure://%s/%s?endpoint=%s/%s" % (ACCOUNT, path, base,
                                                     ACCOUNT)
        return "s3://%s?endpoint=%s&region=us-east-1" % (path, base)

    def user(self, name, secret, policy):
        """A user of MinIO who may do what policy, a file, says."""
        subprocess.run(self.env["STORE_ADMIN"].split() + [
            "user", name, secret, policy], check=True)

    # --- its end ---

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def keep(store, pid, watched):
    """Stay behind until pid or the store ends, or SIGTERM comes."""
    def end(*_):
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    try:
        while store.process.poll() is None and not poll.poll(1000):
            pass
    finally:
        store.close()


def around(store, command):
    env = dict(os.environ, **store.env, STORE_PID=str(os.getpid()))
    p = subprocess.Popen(command, env=env, preexec_fn=die_with_parent)

    def end(sig, _):
        p.send_signal(sig)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells both
    code = p.wait()
    return 128 - code if code < 0 else code


def main():
    parser = argparse.ArgumentParser(
        usage="store.py [--tls good|expired|other-host] [--for PID] KIND "
        "[-- COMMAND...]")
    parser.add_argument("--tls", choices=TLS)
    parser.add_argument("--for", type=int, dest="pid")
    parser.add_argument("kind", choices=("minio", "versitygw", "azurite"))
    parser.add_argument("command", nargs="*")
    args = parser.parse_args()
    if bool(args.pid) == bool(args.command):
        parser.error("either --for or a command")
    try:
        if args.command:
            with Store(args.kind, args.tls) as store:
                return around(store, args.command)
        watched = os.pidfd_open(args.pid)
        # The one who stays is the parent of the store, so it starts it.
        r, w = os.pipe()
        if os.fork() > 0:
            os.close(w)
            with os.fdopen(r) as f:
                text = f.read()
            code, _, text = text.partition("\n")
            sys.stdout.write(text)
            return int(code or 1)
        os.close(r)
        out = os.fdopen(w, "w")
        try:
            store = Store(args.kind, args.tls)
        except BaseException as why:
            print("%d\n%s" % (77 if isinstance(why, Missing) else 1, why),
                  file=out)
            return 1
        print(0, file=out)
        for name, value in dict(store.env, STORE_PID=os.getpid()).items():
            print("export %s=%s" % (name, shlex.quote(str(value))), file=out)
        out.close()
        keep(store, args.pid, watched)
    except Missing as why:
        print(why)
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
