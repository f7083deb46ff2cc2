#!/usr/bin/env python3
"""Reads a Wherry repository in a local directory, by FORMAT.md alone.

The secret: --key-file FILE, or a passphrase in WHERRY_PASSWORD or the first
line of --password-file FILE.  SNAPSHOT is an id, the start of one, or latest;
:PATH behind it restores what is at and below a path.  mend writes the pack of
that name (32 hex) to a file as it was before it was damaged, by its parity.
"""

import argparse
import datetime
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import maps  # noqa: E402
import objects  # noqa: E402
import packs  # noqa: E402
import pages  # noqa: E402
import parity  # noqa: E402
import restore  # noqa: E402
from repository import Directory, Repository  # noqa: E402
from segments import Index  # noqa: E402
from verify import Verifier  # noqa: E402
from wire import Damage, NotAllowed, text  # noqa: E402


def open_repository(args):
    passphrase = None
    if args.password_file:
        with open(args.password_file, "rb") as f:
            passphrase = f.readline().rstrip(b"\r\n")
    elif not args.key_file:
        passphrase = os.environb.get(b"WHERRY_PASSWORD")
    return Repository(Directory(args.repo), passphrase, args.key_file)


def pick(repo, wanted):
    """A snapshot and a path in it."""
    name, _, path = wanted.partition(":")
    found = [s for s in repo.snapshots()[0] if s.s1.type == 1]
    if name == "latest":
        found = found[-1:]
    else:
        found = [s for s in found if s.id.startswith(name)]
    if len(found) != 1:
        raise NotAllowed(f"{name}: {len(found)} snapshots")
    return found[0], tuple(c for c in os.fsencode(path).split(b"/") if c)


def when(ns):
    return datetime.datetime.fromtimestamp(
        ns // 10 ** 9, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def list_snapshots(args):
    """id, start, kind, size, entries, volume, paths"""
    found, doubts = open_repository(args).snapshots()
    for s in found:
        kind = ("tree", "volume")[s.s1.content - 1]
        if s.s1.type == 2:
            kind += " checkpoint"
        elif s.s1.flags & 1:
            kind += " incomplete"
        more = ""
        if s.s2:
            more = " ".join([text(s.s2.volume_name), *map(text, s.s2.paths)])
        print(s.id, when(s.s1.start), kind, s.s1.size, s.s1.entries, more,
              sep="  ")
    for text_ in doubts:
        print(f"not believed: {text_}", file=sys.stderr)
    return 1 if doubts else 0


def restore_snapshot(args):
    repo = open_repository(args)
    s, below = pick(repo, args.snapshot)
    if s.s2 is None:
        raise NotAllowed("this credential may not read")
    domain = repo.domain(s.s1.domain, s.epoch)
    blobs = packs.Blobs(repo, Index(repo))
    if s.s1.content == 2:
        restore.volume(blobs, domain, s.s1.root, s.s1.size, args.target)
        return 0
    r = restore.Restorer(blobs, domain, args.target, os.geteuid() == 0)
    if not r.tree(maps.entries(blobs, domain, s.s2.catalog), below):
        raise Damage(f"{args.snapshot}: nothing is there")
    for e in r.without:
        print("not read by the backup: " +
              text(b"/".join(e.path + (e.name,))), file=sys.stderr)
    return 0


def verify(args):
    v = Verifier(open_repository(args), print)
    faults = v.all()
    print(", ".join(f"{n} {what}" for what, n in v.seen.items()))
    if faults:
        print(f"{faults} faults")
    return 1 if faults else 0


def mend(args):
    repo = open_repository(args)
    key = f"parity/{args.pack[:2]}/{args.pack}"
    name = key.replace("parity/", "packs/", 1)
    p = objects.parity(key, repo.store.get(key))
    data = parity.mend(key, p, repo.store.get(name) if repo.store.has(name)
                       else b"")
    packs.read_pack(repo, name, data)
    with open(args.file, "wb") as f:
        f.write(data)
    return 0


def dump_page(args):
    repo = open_repository(args)
    blobs = packs.Blobs(repo, Index(repo))
    domain = repo.domain(repo.grant.domain, repo.config.epoch)
    blob_id = bytes.fromhex(args.id)
    for kind in (packs.CATALOG, packs.STATE):
        try:
            plain = blobs.get(domain, kind, blob_id)
            break
        except Damage as e:
            failure = e
    else:
        raise failure
    p = pages.Page(plain, domain, plain[0], f"page {args.id}")
    print(f"type {p.type:#x}, level {p.level}, {len(p.entries)} entries, "
          f"{len(plain)} bytes")
    for e in p.entries:
        print(" ".join(f"{k}={show(v)}" for k, v in vars(e).items()
                       if v is not None and k != "own"))
    return 0


def show(value):
    if isinstance(value, bytes):
        return value.hex() if len(value) in (16, 32) else text(value)
    if hasattr(value, "__dict__"):
        return "(" + " ".join(f"{k}={show(v)}" for k, v in vars(value).items()
                              if v is not None) + ")"
    return str(value)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--password-file", metavar="FILE")
    parser.add_argument("--key-file", metavar="FILE")
    verbs = parser.add_subparsers(required=True)
    for verb, does, *more in (
            ("list", list_snapshots), ("verify", verify),
            ("restore", restore_snapshot, "snapshot", "target"),
            ("mend", mend, "pack", "file"),
            ("dump-page", dump_page, "id")):
        p = verbs.add_parser(verb)
        p.set_defaults(does=does)
        for name in ("repo", *more):
            p.add_argument(name)
    args = parser.parse_args()
    try:
        return args.does(args)
    except (Damage, NotAllowed, OSError) as e:
        print(f"reader: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
