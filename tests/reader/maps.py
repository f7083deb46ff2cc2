"""Maps from their top page down: FORMAT.md, section 8."""

import pages
from pages import BYTES, CATALOG
from wire import Damage

PAGE_MIN, PAGE_MAX = 16 << 10, 256 << 10


def page(blobs, domain, map_type, blob_id):
    plain = blobs.get(domain, pages.BLOB_KIND[map_type], blob_id)
    return pages.Page(plain, domain, map_type, f"page {blob_id.hex()}")


def leaves(blobs, domain, map_type, root, levels=None):
    """Yield (id, leaf) in order, each checked against what is above it.
    levels: a dict to which each page is added by its level."""
    if root is None:
        return
    last = None
    for blob_id, leaf in _below(blobs, domain, map_type, root.id, root.level,
                                root.entries, None, levels):
        if last is not None and leaf.entries[0].key <= last:
            raise Damage(f"{leaf.what}: begins before the leaf before ends")
        last = leaf.entries[-1].key
        yield blob_id, leaf


def _below(blobs, domain, map_type, blob_id, level, count, first, levels):
    p = page(blobs, domain, map_type, blob_id)
    if p.level != level:
        raise Damage(f"{p.what}: of level {p.level} and not {level}")
    if p.below != count:
        raise Damage(f"{p.what}: {p.below} entries and not {count}")
    if first is not None and p.entries[0].key != first:
        raise Damage(f"{p.what}: does not begin with the key above it")
    if levels is not None:
        levels.setdefault(level, []).append(p)
    if level == 0:
        yield blob_id, p
        return
    for e in p.entries:
        yield from _below(blobs, domain, map_type, e.id, level - 1, e.below,
                          e.key, levels)


def entries(blobs, domain, root, levels=None):
    """Yield the entries of a catalog, each of whose directory came before."""
    directories = set()
    for _, leaf in leaves(blobs, domain, CATALOG, root, levels):
        for e in leaf.entries:
            if e.name and e.path not in directories:
                raise Damage(f"{leaf.what}: {e.path + (e.name,)} is in no "
                             "directory")
            if e.type == pages.DIR:
                directories.add(e.path + ((e.name,) if e.name else ()))
            yield e


def runs(blobs, domain, root, size, levels=None):
    """Yield (offset, run) of a byte map; they make size bytes."""
    at = 0
    for _, leaf in leaves(blobs, domain, BYTES, root, levels):
        for e in leaf.entries:
            if e.key != at:
                raise Damage(f"{leaf.what}: a gap before {e.key}")
            at += e.run.length
            yield e.key, e.run
    if at != size:
        raise Damage(f"a byte map of {at} bytes and not {size}")


def content_runs(blobs, domain, content):
    """Yield (offset, run) of a file's content that is not inline."""
    if content.kind == pages.MAP:
        yield from runs(blobs, domain, content.root, content.size)
    elif content.kind == pages.RUNS:
        at = 0
        for r in content.runs:
            yield at, r
            at += r.length


def chunk(blobs, domain, run):
    """The bytes of a run that is a chunk."""
    data = blobs.get(domain, 1, run.id)
    if len(data) != run.length:
        raise Damage(f"chunk {run.id.hex()}: {len(data)} bytes and not "
                     f"{run.length}")
    return data


def check_cuts(levels):
    """Whether pages end where the rule says.  levels: as leaves() left it,
    of one whole map."""
    top = max(levels, default=0)
    for level, row in sorted(levels.items()):
        if level == top and level and len(row[0].entries) < 2:
            raise Damage(f"{row[0].what}: a top page with one child")
        for this, after in zip(row, row[1:] + [None]):
            _check_page(this, after)


def _check_page(this, after):
    least = 2 if this.level else 1
    last = len(this.entries) - 1
    for i, e in enumerate(this.entries):
        if i == last and after is None:
            return
        ends = e.end >= PAGE_MIN and i + 1 >= least and \
            this.cut_hash(e) % 256 == this.level % 251
        if i < last:
            full = this.entries[i + 1].end > PAGE_MAX
        else:
            full = e.end + after.size_in(this, after.entries[0]) > PAGE_MAX
        full = full and i + 1 >= least
        if (ends or full) != (i == last):
            raise Damage(f"{this.what}: of level {this.level}, "
                         f"{'ends' if i == last else 'goes on'} after entry "
                         f"{i} at {e.end} bytes, against the rule")
