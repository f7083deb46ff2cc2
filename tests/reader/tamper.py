#!/usr/bin/env python3
"""Alters each object of a small repository in many places, one at a time, and
sees whether the reader finds it.

usage: tamper.py REPO KEYFILE
"""

import random
import sys

sys.dont_write_bytecode = True

from repository import Directory, Repository  # noqa: E402
from verify import Verifier  # noqa: E402
from wire import Damage, NotAllowed  # noqa: E402

PLACES = 6  # in each object, beside its ends


class Altered(Directory):
    """A repository, read once, with one object that is another."""

    def __init__(self, path):
        super().__init__(path)
        self.objects = {k: Directory.get(self, k)
                        for k in Directory.list(self)}
        self.now = dict(self.objects)

    def list(self, prefix=""):
        return sorted(k for k in self.now
                      if not prefix or k.startswith(prefix + "/"))

    def get(self, key):
        if key not in self.now:
            raise Damage(f"{key}: not there")
        return self.now[key]

    def part(self, key, at, size):
        return self.get(key)[at:at + size]

    def has(self, key):
        return key in self.now


def faults(store, key_file):
    found = []
    try:
        v = Verifier(Repository(store, key_file=key_file), found.append)
        if not v.all():
            found.clear()
    except (Damage, NotAllowed) as e:
        found.append(str(e))
    return found


def main():
    seed = 1
    rng = random.Random(seed)
    store = Altered(sys.argv[1])
    slot = open(sys.argv[2], encoding="ascii").read().split()[1]
    unexpected = faults(store, sys.argv[2])
    if unexpected:
        print("as it is:", *unexpected, sep="\n")
        return 1
    missed = tried = 0
    for key, data in sorted(store.objects.items()):
        if "/wrap/" in key and slot not in key:
            continue  # only its own secret can tell
        places = {0, 4, 5, 6, 8, 12, 16, len(data) - 1}
        places |= {rng.randrange(len(data)) for _ in range(PLACES)}
        variants = [(f"byte {at}", data[:at] + bytes([data[at] ^ 1 <<
                                                      rng.randrange(8)]) +
                     data[at + 1:]) for at in sorted(places)]
        variants += [("one byte more", data + b"\0"),
                     ("one byte less", data[:-1]), ("nothing", b"")]
        other = next(k for k in sorted(store.objects) if k != key)
        variants.append((f"in the place of {other}", store.objects[other]))
        for what, altered in variants:
            if altered == data:
                continue
            tried += 1
            store.now[key] = altered
            if not faults(store, sys.argv[2]):
                missed += 1
                print(f"not found: {key}, {what}")
        store.now[key] = data
    print(f"{tried} alterations, {missed} not found")
    return 1 if missed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
