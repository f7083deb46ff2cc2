#!/usr/bin/env python3
"""The stores of tests/servers start, do what tests rely on and end with those
who use them, and the bad proxy does to a connection what its rules say."""
# timeout: 300

import http.client
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.parse

SRC = os.environ["SRC"]
sys.dont_write_bytecode = True
sys.path.insert(0, SRC + "/tests/servers")
import objects  # noqa: E402
import proxy  # noqa: E402
import store  # noqa: E402

failed = 0
SIZE = 300000
DATA = bytes(i * 7 % 251 for i in range(SIZE))


def need(what, ok):
    global failed
    if not ok:
        failed += 1
        print("FAIL:", what)


def plain(s, bucket):
    """It keeps objects, lists them and tells when one is gone."""
    o = objects.of(s, bucket)
    o.make()
    for i in range(12):
        o.put("a/b%d/x" % i, b"z" * i)
    need("%s: get" % s.kind, o.get("a/b7/x") == b"z" * 7)
    o.delete("a/b7/x")
    try:
        o.get("a/b7/x")
        need("%s: a removed object is there" % s.kind, False)
    except objects.Refused as e:
        need("%s: %s for a removed object" % (s.kind, e), e.args[0] == 404)
    need("%s: list" % s.kind, o.list("a/b1") == {
        "a/b1/x": 1, "a/b10/x": 10, "a/b11/x": 11})
    return o


# --- the proxy -----------------------------------------------------------------------


def through(p, o, method="GET", body=b"", key="k"):
    """What a client sees: its status and the body, or what broke."""
    path = o._path(key)
    o.port = p.port  # it is signed
    headers = o._sign(method, path, {}, body,
                      dict(o.PUT) if method == "PUT" else {})
    c = http.client.HTTPConnection("127.0.0.1", p.port, timeout=10)
    try:
        c.request(method, objects.quote(path), body, headers)
        r = c.getresponse()
        return r.status, r.read(), r
    except http.client.IncompleteRead as e:
        return "short", e.partial, None
    except (OSError, http.client.HTTPException) as e:
        return type(e).__name__, b"", None
    finally:
        c.close()


GONE = ("ConnectionResetError", "RemoteDisconnected", "BrokenPipeError")

# rule, method, which statuses, what of the body
CASES = (
    ("outage", "GET", GONE, None),
    ("lose", "GET", GONE, None),
    ("hang ms=200", "GET", GONE, None),
    ("cut-down bytes=1000", "GET", GONE + ("short",), None),
    ("short", "GET", ("short",), lambda b: b == DATA[:SIZE // 2]),
    ("flip-down", "GET", (200,), lambda b: sum(
        x != y for x, y in zip(b, DATA)) == 1 and len(b) == SIZE),
    ("length add=5", "GET", ("short",), lambda b: b == DATA),
    ("length add=-5", "GET", (200,), lambda b: b == DATA[:-5]),
    ("answer status=503 code=SlowDown retry-after=3", "GET", (503,),
     lambda b: b"<Code>SlowDown</Code>" in b),
    ("answer status=307 code=TemporaryRedirect location=http://x/", "PUT",
     (307,), None),
    ("garbage", "GET", (200,), lambda b: len(b) < 100),
    ("close", "GET", (200,), lambda b: b == DATA),
    ("cut-up bytes=1000", "PUT", GONE, None),
    ("flip-up", "PUT", (400, 403), None),  # its signature covers the body
    ("latency ms=1 path=nowhere", "GET", (200,), lambda b: b == DATA),
)


def bad(s, o):
    o.put("k", DATA)
    with proxy.Proxy(s, root=o._path("")) as p:
        for rule, method, statuses, body in CASES:
            p.rules(rule + " count=1")
            status, got, _ = through(p, o, method, DATA if method == "PUT"
                                     else b"", "k" if method == "GET" else "n")
            need("%s: status %s" % (rule, status), status in statuses)
            need("%s: body" % rule, body is None or body(got))
            need("%s: held" % rule, p.held() == [0 if "nowhere" in rule else 1])
            need("%s: once" % rule, through(p, o)[:2] == (200, DATA))
        p.rules("lose method=PUT")
        through(p, o, "PUT", b"done", "lost")
        p.rules()
        need("lose: it was not done", through(p, o, key="lost")[1] == b"done")
        times(p, o)
        p.reset()
        for _ in range(5):
            through(p, o)
        got = p.stats()
        need("stats: %s" % got, got["requests"] == 5 and
             got["longest_chain"] == 5 and
             got["kinds"]["GET k"]["down"] == 5 * SIZE and
             got["statuses"] == {"200": 5})
        p.rules("answer status=500 code=X p=0.5")
        first = [through(p, o)[0] for _ in range(20)]
        p.rules("answer status=500 code=X p=0.5")
        need("by lot, but the same lots", set(first) == {200, 500} and
             first == [through(p, o)[0] for _ in range(20)])


def times(p, o):
    for rule, least, most in (("latency ms=200", 0.2, 3),
                              ("slow down=%d" % (SIZE * 4), 0.2, 3),
                              ("rate down=%d" % (SIZE * 4), 0.2, 3)):
        p.rules(rule)
        begin = time.monotonic()
        through(p, o)
        took = time.monotonic() - begin
        need("%s: %.2f s" % (rule, took), least <= took <= most)
    p.rules("date seconds=1200", "age seconds=3600")
    head = through(p, o)[2].headers
    now = time.time()

    def off(name):
        return time.mktime(time.strptime(
            head[name], "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone - now
    need("date: %s" % head["Date"], abs(off("Date") - 1200) < 30)
    need("age: %s" % head["Last-Modified"],
         abs(off("Last-Modified") + 3600) < 120)
    p.rules()


# --- the stores ----------------------------------------------------------------------


def policies(s, o):
    """A user who may do all but remove."""
    with open("policy", "w", encoding="utf-8") as f:
        json.dump({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["s3:*"],
             "Resource": ["arn:aws:s3:::*"]},
            {"Effect": "Deny", "Action": ["s3:DeleteObject"],
             "Resource": ["arn:aws:s3:::*"]}]}, f)
    s.user("limited", "limited-secret", "policy")
    limited = objects.S3("127.0.0.1", s.port, "limited", "limited-secret",
                         o.bucket)
    limited.put("q", b"1")
    try:
        limited.delete("q")
        need("a policy is not kept", False)
    except objects.Refused as e:
        need("denied with %s" % e.args[0], e.args[0] == 403)


def tls(kind):
    for how, refused in (("good", None), ("expired", "expired"),
                         ("other-host", "mismatch")):
        with store.Store(kind, how) as s:
            c = http.client.HTTPSConnection(
                "127.0.0.1", s.port, timeout=10,
                context=ssl.create_default_context(cafile=s.env["STORE_CA"]))
            try:
                c.request("GET", "/")
                c.getresponse().read()
                need("%s --tls %s is accepted" % (kind, how), not refused)
            except ssl.SSLError as e:
                need("%s --tls %s: %s" % (kind, how, e),
                     refused and refused in str(e))
            finally:
                c.close()


def endings():
    """The store is gone when its shell is, and when its keeper was killed."""
    for end in ("exit", "kill -9 $STORE_PID", "kill $STORE_PID"):
        p = subprocess.run(
            ["bash", "-c", 'vars=$("$SRC/tests/servers/store.py" --for $$ '
             'versitygw) || exit 1; eval "$vars"; echo $STORE_ENDPOINT; ' +
             end], text=True, stdout=subprocess.PIPE, check=False)
        port = urllib.parse.urlparse(p.stdout.strip()).port
        for _ in range(100):
            try:
                c = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                c.request("GET", "/")
                c.getresponse()
                time.sleep(0.1)
            except OSError:
                break
            finally:
                c.close()
        else:
            need("a store survives '%s'" % end, False)


def main():
    os.environ["TZ"] = "UTC"
    time.tzset()
    for kind in ("minio", "versitygw", "azurite"):
        with store.Store(kind) as s:
            o = plain(s, "bucket")
            if kind == "minio":
                policies(s, o)
            if kind != "azurite":  # it does not look at what is signed
                bad(s, o)
    tls("versitygw")
    endings()
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except store.Missing as why:
        print(why)
        sys.exit(77)
