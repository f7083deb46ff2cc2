# A user races root: while root restores into the user's directory, or backs it
# up, the user replaces directories and files by symbolic links, fifos and
# renamed things.  Root writes nothing outside, and reads nothing that the user
# could not have named; and every run ends.
# goals: check
# timeout 60
import os
import random
import subprocess
import sys
import time

if os.geteuid() != 0:
    print("skip: only root can be raced here")
    sys.exit(77)
TMP = os.environ["TMPDIR"]
WHERRY = os.environ["WHERRY"]
SECONDS = 7
USER = 65534
os.chdir(TMP)
os.chmod(TMP, 0o755)
os.environ.update(WHERRY_REPOSITORY=TMP + "/repo", WHERRY_PASSWORD="correct horse")
SECRET = "what only root may read 5d1c9a"
failed = []


def wherry(*args, may_fail=True):
    try:
        r = subprocess.run([WHERRY, *args], stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=25)
    except subprocess.TimeoutExpired:
        failed.append(f"{args}: does not end")
        return None
    if r.returncode < 0 or b"fault of wherry" in r.stderr or \
       (r.returncode != 0 and not may_fail):
        failed.append(f"{args}: ended with {r.returncode}: {r.stderr[-500:]}")
    return r


def tree(top, text):
    """The user's files: some directories deep, small and large."""
    for i in range(12):
        d = f"{top}/d{i}/sub"
        os.makedirs(d, exist_ok=True)
        for j in range(6):
            for at in (d, f"{top}/d{i}"):
                with open(f"{at}/f{j}", "w") as f:
                    f.write(f"{text} {i} {j}\n" * (20000 if j == 5 else 3))
    for d, _, files in os.walk(top):
        os.chown(d, USER, USER)
        for f in files:
            os.chown(os.path.join(d, f), USER, USER)


def outside():
    """What the user cannot enter, in the likeness of the user's own."""
    os.mkdir("outside")
    for d in ("outside", "outside/sub"):
        os.makedirs(d, exist_ok=True)
        for j in range(6):
            with open(f"{d}/f{j}", "w") as f:
                f.write(SECRET + "\n")
            os.chmod(f"{d}/f{j}", 0o600)
    os.mkdir("outside/name-only-root-knows")
    os.chmod("outside", 0o700)


def picture(top):
    """All that can be seen of a tree but access times."""
    found = {}
    for d, dirs, files in os.walk(top):
        for n in [d] + [os.path.join(d, f) for f in files]:
            st = os.lstat(n)
            data = open(n, "rb").read() if n != d else b""
            found[n] = (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_mtime_ns,
                        st.st_ctime_ns, data)
        found[d] += (tuple(sorted(dirs + files)),)
    return found


def attempt(fn, *args):
    try:
        fn(*args)
        return True
    except OSError:
        return False


def attack(top):
    """As the user, for ever: swap what is there for what leads elsewhere."""
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
    rng = random.Random(os.getpid())
    out = TMP + "/outside"
    while True:
        d = f"{top}/d{rng.randrange(12)}"
        at, to = rng.choice([(d, out), (d + "/sub", out + "/sub"), (d, out),
                             (d + "/f5", out + "/f5"), (d + "/f1", out + "/f1"),
                             (d + "/sub/f5", out + "/f5"), (d + "/sub", "..")])
        way = rng.randrange(5)
        if not attempt(os.rename, at, at + ".moved"):
            attempt(os.unlink, at)
            continue
        if way < 3:
            attempt(os.symlink, to, at)
        elif way == 3:
            attempt(os.mkfifo, at)
        else:
            attempt(os.rename, f"{top}/d{rng.randrange(12)}/sub", at)
        time.sleep(rng.random() * 0.002)
        if not attempt(os.unlink, at):
            attempt(os.rename, at, f"{at}.{rng.randrange(4)}")
        attempt(os.rename, at + ".moved", at)


def raced(top, run):
    """Call run again and again while two users attack."""
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            try:
                attack(top)
            finally:
                os._exit(1)
        pids.append(pid)
    end = time.monotonic() + SECONDS
    n = 0
    while time.monotonic() < end:
        run(n)
        n += 1
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    return n


outside()
before = picture("outside")
tree("one", "first")
tree("two", "another")
wherry("init", may_fail=False)
wherry("backup", "one", "--volume=one", may_fail=False)
wherry("backup", "two", "--volume=two", may_fail=False)

# Restores in place, of two snapshots in turn, so that all is written each time.
os.mkdir("home")
os.chown("home", USER, USER)
wherry("restore", "latest@one", "--target", "home", "--in-place", may_fail=False)


def restore(n):
    more = [[], ["--delete"], ["--verify"]][n % 3]
    wherry("restore", "latest@" + ("one", "two")[n % 2], "--target", "home", "--in-place",
           *more)


runs = raced(TMP + "/home", restore)
print(f"{runs} restores under attack")
if runs < 5:
    failed.append("too few restores to say anything")
now = picture("outside")
for name in sorted(set(before) | set(now)):
    if before.get(name) != now.get(name):
        failed.append(f"outside changed: {name}: {before.get(name)} then {now.get(name)}")

# Undisturbed, the next one makes it right again.
wherry("restore", "latest@two", "--target", "home", "--in-place", "--delete", may_fail=False)
r = subprocess.run(["diff", "-r", "--no-dereference", "home", "two"], capture_output=True)
if r.returncode != 0:
    failed.append(f"what is restored after the attack differs: {r.stdout[:500]}")

# Backups of the same directory.
runs = raced(TMP + "/home", lambda n: wherry("backup", "home", "--volume=home",
             *[[], ["--parent=none"]][n % 2]))
print(f"{runs} backups under attack")
if runs < 5:
    failed.append("too few backups to say anything")
if {k: v[:5] for k, v in before.items()} != {k: v[:5] for k, v in picture("outside").items()}:
    failed.append("a backup changed what is outside")
ids = [line.split()[0] for line in
       wherry("snapshots", "--volume=home").stdout.decode().splitlines()[1:]
       if line[:1] in "0123456789abcdef"] if wherry("snapshots", "--volume=home").returncode == 0 \
    else []
for i in ids or ["latest@home"]:
    r = wherry("dump", i)
    if r is None or not r.stdout:
        failed.append(f"dump {i}: nothing")
    elif SECRET.encode() in r.stdout or b"name-only-root-knows" in r.stdout:
        failed.append(f"snapshot {i} holds what only root may read")
print(f"{len(ids)} snapshots looked at")
for f in failed:
    print("FAIL:", f)
sys.exit(1 if failed else 0)
