"""C source as lint sees it: text without comments and strings, functions."""

import re


def blank(m):
    """Spaces of the same shape, so that offsets and lines stay."""
    return re.sub(r"[^\n]", " ", m.group(0))


def blank_literal(m):
    """A literal keeps its quotes; a comment leaves nothing."""
    s = m.group(0)
    if s[0] == "/":
        return blank(m)
    return s[0] + re.sub(r"[^\n]", " ", s[1:-1]) + s[-1]


LITERALS = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.M)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")


class Function:
    """A definition or a prototype at the top level of a file."""

    def __init__(self, name, line, end, static, defined):
        self.name = name
        self.line = line
        self.end = end
        self.static = static
        self.defined = defined


class Source:
    """One .c or .h file."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")
        self.code = LITERALS.sub(blank_literal, text)
        self.functions = []
        self.variables = []  # (name, line): visible objects
        self._parse()

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def includes(self):
        for m in INCLUDE.finditer(self.text):
            yield self.line_of(m.start()), m.group(1)

    def calls(self, names):
        """Where one of the names is called: (name, line)."""
        for m in CALL.finditer(self.code):
            if m.group(1) in names:
                before = self.code[:m.start()].rstrip()
                if before.endswith(".") or before.endswith("->"):
                    continue  # a slot of a vtable
                yield m.group(1), self.line_of(m.start())

    def _parse(self):
        """Walk the declarations at the top level."""
        code = ATTRIBUTE.sub(blank, DIRECTIVE.sub(blank, self.code))
        code = re.sub(r'extern\s+"\s*"\s*', blank, code)
        start, i, n = 0, 0, len(code)
        while i < n:
            c = code[i]
            if c == ";":
                self._declaration(code, start, i, i, False)
                start = i + 1
            elif c == "{":
                end = match_brace(code, i)
                head = code[start:i]
                if "=" not in head and re.search(r"\)\s*$", head):
                    self._declaration(code, start, i, end, True)
                    start = end + 1
                i = end
            i += 1

    def _declaration(self, code, start, stop, end, defined):
        head = code[start:stop]
        if not head.strip() or re.match(r"\s*(typedef|_Static_assert|"
                                        r"static_assert)\b", head):
            return
        static = re.search(r"\bstatic\b", head) is not None
        extern = re.search(r"\bextern\b", head) is not None
        first = start + len(head) - len(head.lstrip())
        flat = re.sub(r"\{.*\}", "", head.split("=")[0], flags=re.S)
        m = re.match(r"[^(]*?\b([A-Za-z_]\w*)\s*\((?!\s*\*)", flat, re.S)
        if m and ("=" not in head or defined):
            at = self.line_of(start + head.find(m.group(1)))
            self.functions.append(Function(m.group(1), self.line_of(first)
                                           if defined else at,
                                           self.line_of(end), static, defined))
        elif not static and not extern and not defined:
            m = re.match(r"\s*(?:[\w\s*]|\([^)]*\))*?\b([A-Za-z_]\w*)\s*"
                         r"(?:\[[^\]]*\]\s*)*$", flat)
            if m and not re.match(r"\s*(?:struct|union|enum)\b\s*\w*\s*$", flat):
                self.variables.append((m.group(1), self.line_of(first)))


def match_brace(code, i):
    """The offset of the brace that closes the one at i."""
    depth = 0
    for m in re.finditer(r"[{}]", code[i:]):
        depth += 1 if m.group(0) == "{" else -1
        if depth == 0:
            return i + m.start()
    return len(code) - 1
