"""Numbers, strings and lists of FORMAT.md, section 1."""


class Damage(Exception):
    """What is stored is not what FORMAT.md says."""


class NotAllowed(Exception):
    """The secret is wrong, or does not reach so far."""


class Cursor:
    """Reads fields one after the other, and refuses what does not fit."""

    def __init__(self, data, what):
        self.data = data
        self.at = 0
        self.what = what

    def fail(self, why):
        raise Damage(f"{self.what}: {why}")

    def left(self):
        return len(self.data) - self.at

    def raw(self, n):
        """b[n]"""
        if n > len(self.data) - self.at:
            self.fail(f"{n} bytes wanted at {self.at}, "
                      f"{len(self.data) - self.at} left")
        self.at += n
        return bytes(self.data[self.at - n:self.at])

    def u(self, n):
        """Unsigned, little-endian, n bytes."""
        return int.from_bytes(self.raw(n), "little")

    def u8(self):
        return self.u(1)

    def u16(self):
        return self.u(2)

    def u24(self):
        return self.u(3)

    def u32(self):
        return self.u(4)

    def u64(self):
        return self.u(8)

    def i64(self):
        return int.from_bytes(self.raw(8), "little", signed=True)

    def var(self):
        value = shift = 0
        data = self.data
        while True:
            if self.at >= len(data):
                self.fail("a var without end")
            byte = data[self.at]
            self.at += 1
            value |= (byte & 0x7f) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    self.fail(f"a var before {self.at} is not the shortest")
                break
            shift += 7
            if shift > 63:
                self.fail(f"a var before {self.at} has more than 64 bits")
        if value >> 64:
            self.fail(f"a var before {self.at} has more than 64 bits")
        return value

    def var32(self):
        value = self.var()
        if value >> 32:
            self.fail(f"{value} before {self.at} does not fit in 32 bits")
        return value

    def zz(self):
        value = self.var()
        return (value >> 1) ^ -(value & 1)

    def str(self):
        return self.raw(self.var())

    def list(self, item, least=1):
        """item is called for each; it takes at least that many bytes."""
        count = self.var()
        if count * least > self.left():
            self.fail(f"a list of {count} at {self.at}, "
                      f"{self.left()} bytes left")
        return [item() for _ in range(count)]

    def zeros(self, n):
        if any(self.raw(n)):
            self.fail(f"not zeros before {self.at}")

    def end(self):
        if self.left():
            self.fail(f"{self.left()} bytes left over")


def put_var(value):
    """The shortest form of a var."""
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def var_size(value):
    return max(1, (value.bit_length() + 6) // 7)


def text(raw):
    """Bytes for people: what is no UTF-8 or cannot be printed is escaped."""
    shown = raw.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() and c != "\\" else
                   c.encode("unicode_escape").decode() for c in shown)
