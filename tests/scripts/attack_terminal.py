# Names that someone else chose (files, link targets, hosts, tags, volumes,
# labels, arguments) reach neither a terminal nor a log as anything but text,
# and leave JSON valid: every verb, its errors and its progress, with and
# without a terminal.
# goals: check check-asan
import json
import os
import pty
import re
import select
import subprocess
import sys

TMP = os.environ["TMPDIR"]
WHERRY = os.environ["WHERRY"].encode()
os.chdir(TMP)
os.environ.update(WHERRY_REPOSITORY=TMP + "/repo", WHERRY_PASSWORD="correct horse",
                  TERM="xterm", HOME=TMP)
EVIL = [
    b"\x1b[2J\x1b]0;title\x07", b"\x1b]52;c;ZXZpbA==\x07", b"new\nline", b"back\b\b\bspace",
    b"cr\rover", b"\x9b31m-eight-bit", b"\xc2\x9b31m-c1", b"\xe2\x80\xaefdp.exe",
    b"\xe2\x80\x8bzero", b"\xff\xfe\x80 raw", b"tab\there", b"\x7fdel", b"back\\slash \\x41",
    b'quote"{"a":1}', b"\xed\xa0\x80surrogate", b"-rf", b"%s%n%d", b" lead and trail ",
    b"\xf3\xa0\x81\x81tag", b"\xe2\x80\xa8separator", b"$(id)`id`;id", b"\x01\x02\x03",
]
# What a program may send to a terminal on its own: colour, and clearing a line.
OWN = re.compile(rb"\x1b\[[0-9;]*m|\x1b\[K|\r")
failed = []


def check(what, data, terminal=False):
    """Only printable text, line ends and, on a terminal, the program's own."""
    if terminal:
        data = OWN.sub(b"", data.replace(b"\r\n", b"\n"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as e:
        failed.append(f"{what}: no UTF-8: {e}")
        return
    for c in text:
        o = ord(c)
        if (o < 32 and c not in "\n") or 0x7f <= o <= 0x9f or o in (0x61c, 0xfeff) or \
           0x200b <= o <= 0x200f or 0x2028 <= o <= 0x202e or 0x2060 <= o <= 0x206f or \
           0xe0000 <= o <= 0xe0fff:
            at = text.index(c)
            failed.append(f"{what}: U+{o:04x} in {text[max(0, at - 60):at + 30]!r}")
            return


def on_pty(argv):
    """Run with a terminal on stdout and stderr; return what came."""
    master, slave = pty.openpty()
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                         start_new_session=True)
    os.close(slave)
    got = b""
    while True:
        if not select.select([master], [], [], 25)[0]:
            p.kill()
            failed.append(f"{argv}: hangs on a terminal")
            break
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        got += piece
    p.wait()
    os.close(master)
    return got


def run(*args, lines=False):
    """One verb: plain, with a terminal, and as JSON."""
    args = [a if isinstance(a, bytes) else a.encode() for a in args]
    what = " ".join(repr(a)[1:] for a in args)
    r = subprocess.run([WHERRY, *args], stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=25)
    check(what + " stdout", r.stdout)
    check(what + " stderr", r.stderr)
    if lines and len(r.stdout.splitlines()) != lines:
        failed.append(f"{what}: {len(r.stdout.splitlines())} lines and not {lines}")
    check(what + " on a terminal", on_pty([WHERRY, *args]), True)
    r = subprocess.run([WHERRY, *args, b"--json"], stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=25)
    check(what + " --json stderr", r.stderr)
    for line in r.stdout.splitlines():
        try:
            if not isinstance(json.loads(line), dict):
                failed.append(f"{what} --json: {line!r}")
        except ValueError as e:
            failed.append(f"{what} --json: {e}: {line[:200]!r}")
    check(what + " --json", r.stdout)
    return r


def make_source():
    os.mkdir("src")
    for i, name in enumerate(EVIL):
        d = b"src/" + name
        os.mkdir(d)
        with open(d + b"/" + name, "wb") as f:
            f.write(b"x" * (i * 3000))
        os.symlink(name, d + b"/link " + name[:200])
        try:
            os.setxattr(d, b"user." + name.replace(b"\0", b""), name)
        except OSError:
            pass


def unreadable():
    """A directory whose children cannot be listed, as its owner nobody."""
    os.mkdir(b"src/\x1b[31mlocked")
    os.chmod(b"src/\x1b[31mlocked", 0)


make_source()
unreadable()
evil = EVIL[0] + EVIL[2] + EVIL[6] + EVIL[9]
run("init")
run("backup", "src", "-v", b"--host=" + evil, b"--tag=" + evil, b"--volume=" + evil)
run("backup", "src", "-vv", b"--tag=" + EVIL[7], b"--exclude=" + evil)
run("snapshots")
ids = [json.loads(x) for x in subprocess.run([WHERRY, "snapshots", "--json"],
       capture_output=True).stdout.splitlines()]
snap = next(o["id"] for o in ids if "id" in o)
os.rename(b"src/" + EVIL[0], b"src/\x1b[5mmoved")
with open(b"src/" + EVIL[2] + b"/" + EVIL[2], "ab") as f:
    f.write(b"more")
last = subprocess.run([WHERRY, "backup", "src", "--json", "--volume=other"],
                      capture_output=True).stdout.splitlines()
snap2 = json.loads(last[-1])["snapshot_id"] if b"snapshot_id" in last[-1] else "latest@other"
run("ls", snap)
run("ls", snap, "-l", "--recursive")
run("ls", snap, b"/" + evil)
run("find", "*")
run("find", evil)
run("diff", snap, snap2)
run("stats")
run("check", "--read-data")
run("key", "list")
run("key", "add", "--read", b"--label=" + evil, b"--key-file=" + TMP.encode() + b"/k" + EVIL[0])
run("key", "list")
run("restore", snap, "--target", "out", "-vv")
run("restore", snap, "--target", "out", "--in-place", "-vv", "--delete")
run("restore", snap, b"--target", b"out2" + evil.replace(b"/", b""))
run("restore", b"latest@" + evil, "--target", "out")
run("restore", evil, "--target", "out")
run("snapshots", b"--repo=" + TMP.encode() + b"/none" + evil)
run(evil)
run("backup", b"none" + evil)
run("dump", snap, evil)
# Foreign names in the repository, and damage that is told by path.
for name in (b"\x1b[2Jx", b"new\nline", b"\xff"):
    open(b"repo/packs/" + name, "w").close()
    os.makedirs(b"repo/snapshots/" + name, exist_ok=True)
for d, _, files in os.walk("repo/packs"):
    for f in files:
        path = os.path.join(d, f)
        if os.path.getsize(path) > 100000:
            with open(path, "r+b") as p:
                p.seek(3000)
                p.write(b"damage" * 2000)
run("check", "--read-data")
run("restore", snap, "--target", "out3", "-v")
run("ls", snap, "--recursive")
for f in failed:
    print("FAIL:", f)
sys.exit(1 if failed else 0)
