"""Entries and content put back into a file system.

All is done by descriptors of directories, so no path is too long and no
symbolic link is followed.
"""

import errno
import fcntl
import os
import stat
import struct

import maps
import pages
from wire import Damage

_TYPES = {pages.FILE: stat.S_IFREG, pages.CHAR: stat.S_IFCHR,
          pages.BLOCK: stat.S_IFBLK, pages.FIFO: stat.S_IFIFO,
          pages.SOCKET: stat.S_IFSOCK}
_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602
_FSGETXATTR, _FSSETXATTR = 0x801c581f, 0x401c5820
# what FS_IOC_SETFLAGS may change; the others describe how data is kept
_SETTABLE = 0x6287c4ff
_LATE = 0x30  # immutable, append only
_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_IGNORED = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM, errno.EINVAL)


class Walker:
    """A descriptor that goes from directory to directory."""

    def __init__(self, top):
        self.path, self.fd = (), os.open(top, _DIR)

    def to(self, path):
        keep = 0
        if path[:len(self.path)] == self.path:
            keep = len(self.path)
        else:
            while self.path[keep:keep + 1] == path[keep:keep + 1]:
                keep += 1
        for _ in range(len(self.path) - keep):
            self._step("..")
        for name in path[keep:]:
            self._step(name)
        self.path = path
        return self.fd

    def _step(self, name):
        fd = os.open(name, _DIR, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = fd


class Restorer:
    def __init__(self, blobs, domain, target, owner):
        """owner: whether owners are set, which only root may"""
        self.blobs, self.domain, self.owner = blobs, domain, owner
        os.makedirs(target, exist_ok=True)
        self.at, self.other = Walker(target), Walker(target)
        self.linked, self.without = {}, []
        self.directories, self.frozen = [], []

    def tree(self, entries, below=()):
        """Make all entries at or below a path, which becomes the target."""
        found = False
        n = len(below)
        for e in entries:
            where = e.path + ((e.name,) if e.name else ())
            if where[:n] != below:
                continue
            found = True
            if len(where) > n:
                e.path = e.path[n:]
            else:
                e.path = ()
                if e.type == pages.DIR:
                    e.name = b""
            self._entry(e)
        # What is inside a directory changes its time, and what is immutable
        # cannot be linked or changed: so these come last.
        for e in reversed(self.directories):
            self._finish(e)
        for e in self.frozen:
            self._attributes(e, _LATE)
        return found

    def _entry(self, e):
        fd = self.at.to(e.path)
        if e.hard is not None:
            if e.hard in self.linked:
                path, name = self.linked[e.hard]
                os.link(name, e.name, src_dir_fd=self.other.to(path),
                        dst_dir_fd=fd, follow_symlinks=False)
                return
            self.linked[e.hard] = e.path, e.name
        if e.bits & pages.UNREADABLE:
            self.without.append(e)
        if e.type == pages.DIR:
            if e.name:
                os.mkdir(e.name, 0o700, dir_fd=fd)
            self.directories.append(e)
            return
        if e.type == pages.LINK:
            if e.target is None:
                return
            os.symlink(e.target, e.name, dir_fd=fd)
        elif e.type == pages.FILE:
            self._file(e, fd)
        elif e.type in (pages.FIFO, pages.SOCKET) or e.device is not None:
            os.mknod(e.name, _TYPES[e.type] | 0o600,
                     os.makedev(*e.device) if e.device else 0, dir_fd=fd)
        else:
            return
        self._finish(e)

    def _file(self, e, fd):
        out = os.open(e.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL |
                      os.O_NOFOLLOW, 0o600, dir_fd=fd)
        try:
            if (e.flags or 0) & 0x800000:  # no copy on write: while empty
                self._flags(out, 0x800000)
            if e.content is not None:
                content(self.blobs, self.domain, e.content, out)
        finally:
            os.close(out)

    def _place(self, e):
        """A descriptor and a name in it."""
        if e.type == pages.DIR:
            return self.at.to(e.path + ((e.name,) if e.name else ())), b"."
        return self.at.to(e.path), e.name

    def _finish(self, e):
        """Owner, xattrs, mode, attributes and times, in the order in which
        none undoes another."""
        fd, name = self._place(e)
        if self.owner:
            os.chown(name, e.uid, e.gid, dir_fd=fd, follow_symlinks=False)
        by_path = b"/proc/self/fd/%d/%s" % (fd, name)
        for key, value in e.xattrs:
            try:
                os.setxattr(by_path, key, value, follow_symlinks=False)
            except PermissionError:
                if self.owner:
                    raise
        if e.type != pages.LINK:
            os.chmod(name, e.mode, dir_fd=fd)
        self._attributes(e, _SETTABLE & ~_LATE)
        mtime = e.mtime[0] * 10 ** 9 + e.mtime[1]
        os.utime(name, ns=(mtime, mtime), dir_fd=fd, follow_symlinks=False)
        if (e.flags or 0) & _LATE:
            self.frozen.append(e)

    def _attributes(self, e, which):
        """The project, and those of the flags."""
        if e.type not in (pages.FILE, pages.DIR) or \
                e.flags is None and e.project is None:
            return
        fd, name = self._place(e)
        try:
            it = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK,
                         dir_fd=fd)
        except PermissionError:
            return
        try:
            if e.project is not None and which != _LATE:
                attr = bytearray(28)
                fcntl.ioctl(it, _FSGETXATTR, attr)
                struct.pack_into("<I", attr, 12, e.project)
                fcntl.ioctl(it, _FSSETXATTR, bytes(attr))
            self._flags(it, (e.flags or 0) & which)
        except OSError as error:
            if error.errno not in _IGNORED:
                raise
        finally:
            os.close(it)

    @staticmethod
    def _flags(fd, wanted):
        """Each flag by itself: one that is not to be had costs no other."""
        now = struct.unpack_from("<I", fcntl.ioctl(fd, _GETFLAGS, bytes(8)))[0]
        for bit in (1 << i for i in range(32)):
            if wanted & bit & ~now:
                try:
                    fcntl.ioctl(fd, _SETFLAGS, struct.pack("<Q", now | bit))
                    now |= bit
                except OSError as error:
                    if error.errno not in _IGNORED:
                        raise


def content(blobs, domain, c, out):
    """Write content to an empty file, holes left as such."""
    os.ftruncate(out, c.size)
    if c.kind == pages.INLINE:
        _write(out, c.inline, 0)
    elif c.kind == pages.SLICE:
        data = blobs.get(domain, 1, c.id)
        if len(data) != c.plain:
            raise Damage(f"chunk {c.id.hex()}: {len(data)} bytes and "
                               f"not {c.plain}")
        _write(out, data[c.offset:c.offset + c.size], 0)
    else:
        runs(blobs, domain, maps.content_runs(blobs, domain, c), out)


def runs(blobs, domain, some, out):
    for at, r in some:
        if r.kind == pages.RUN_CHUNK:
            _write(out, maps.chunk(blobs, domain, r), at)
        elif r.kind == pages.RUN_ZEROS:
            os.posix_fallocate(out, at, r.length)


def volume(blobs, domain, root, size, path):
    """A block volume as an image, or onto a device."""
    out = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        device = stat.S_ISBLK(os.fstat(out).st_mode)
        if not device:
            os.ftruncate(out, 0)
            os.ftruncate(out, size)
        some = maps.runs(blobs, domain, root, size)
        if device:
            some = list(some)
            for at, r in some:
                if r.kind != pages.RUN_CHUNK:
                    for piece in range(at, at + r.length, 1 << 20):
                        _write(out, bytes(min(1 << 20, at + r.length - piece)),
                               piece)
        runs(blobs, domain, some, out)
    finally:
        os.close(out)


def _write(fd, data, at):
    view = memoryview(data)
    while view:
        n = os.pwrite(fd, view, at)
        view, at = view[n:], at + n
