# SPDX-License-Identifier: Apache-2.0
"""Reads the YAML that people and Heat write as cloud-config. Anchors, tags and several documents are refused.

It runs on MicroPython in the guest, hence neither imports nor features that only CPython has.
"""

NULLS = ("", "~", "null", "Null", "NULL")
TRUE = ("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON")
FALSE = ("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF")
MARKERS = ("---", "...")
ESCAPES = {"0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b"}
ESCAPES.update({" ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029"})
CODES = {"x": 2, "u": 4, "U": 8}


class YamlError(ValueError):
    """A text that is no YAML, or that uses what is not supported."""


class _UnfinishedError(Exception):
    """A value that goes on in the next line."""


def load(text: str) -> object:
    """Return the document as dicts, lists, texts, integers, booleans and None; other numbers stay texts."""
    return _Parser(text).document()


def plain(text: str) -> object:
    """Return what a scalar without quotes means."""
    if text in NULLS:
        return None
    if text in TRUE or text in FALSE:
        return text in TRUE
    digits = text.lstrip("+-") if len(text) - len(text.lstrip("+-")) <= 1 else ""
    if digits.isdigit():
        octal = digits[0] == "0" and len(digits) > 1
        if not octal or not ("8" in digits or "9" in digits):
            return int(digits, 8 if octal else 10) * (-1 if text[0] == "-" else 1)
    return text


def without_comment(text: str) -> str:
    """Return a line of a plain scalar without the comment at its end."""
    if text.startswith("#"):
        return ""
    at = text.find(" #")
    return (text if at < 0 else text[:at]).rstrip()


def folded(lines: list[str]) -> str:
    """Return lines joined by spaces; an empty line between them is a line break."""
    result = lines[0]
    breaks = 0
    for line in lines[1:]:
        if not line:
            breaks += 1
            continue
        result += ("\n" * breaks or " ") + line
        breaks = 0
    return result + "\n" * breaks


def quoted(text: str, at: int) -> tuple[str, int]:
    """Return the scalar whose opening quote is at a position, and the position behind its closing quote."""
    quote = text[at]
    at += 1
    result = ""
    kept = 0  # what an escape wrote is not stripped at the end of a line
    while at < len(text):
        char = text[at]
        if char == quote == "'" and text[at : at + 2] == "''":
            result += "'"
            at += 2
        elif char == quote:
            return result, at + 1
        elif char == "\n":
            result = result[:kept] + result[kept:].rstrip(" \t")
            rest = text[at:].lstrip(" \t\n")
            breaks = text[at : len(text) - len(rest)].count("\n") - 1
            result += "\n" * breaks or " "
            kept = len(result)
            at = len(text) - len(rest)
        elif char == "\\" and quote == '"':
            piece, at = escaped(text, at + 1)
            result += piece
            kept = len(result)
        else:
            result += char
            at += 1
    raise _UnfinishedError


def escaped(text: str, at: int) -> tuple[str, int]:
    """Return what the escape at a position stands for, and the position behind it."""
    char = text[at : at + 1]
    if char in CODES:
        digits = text[at + 1 : at + 1 + CODES[char]]
        return chr(int(digits, 16)), at + 1 + len(digits)
    if char == "\n":
        rest = text[at + 1 :].lstrip(" \t")
        breaks = len(rest) - len(rest.lstrip("\n"))
        rest = rest.lstrip(" \t\n") if breaks else rest
        return "\n" * breaks, len(text) - len(rest)
    if not char:
        raise _UnfinishedError
    if char not in ESCAPES:
        raise YamlError("unknown escape \\" + char)
    return ESCAPES[char], at + 1


class _Flow:
    """Lists and mappings in brackets."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> str:
        """Go to the next thing and return its first character."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "#" and self.text[self.at - 1] in " \n":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif char in " \t\n":
                self.at += 1
            else:
                return char
        raise _UnfinishedError

    def value(self) -> object:
        char = self.skip()
        if char == "[":
            return self.sequence()
        if char == "{":
            return self.mapping()
        return self.scalar()

    def scalar(self) -> object:
        if self.text[self.at] in "'\"":
            value, self.at = quoted(self.text, self.at)
            return value
        if self.text[self.at] in "&*!":
            raise YamlError("anchors, aliases and tags are not supported")
        start = self.at
        while self.at < len(self.text):
            char = self.text[self.at]
            follower = self.text[self.at + 1 : self.at + 2]
            if char in ",[]{}" or (char == ":" and follower in ("", " ", "\n", ",", "]", "}")):
                break
            if char == "#" and self.text[self.at - 1] in " \n":
                break
            self.at += 1
        if self.at == len(self.text):
            raise _UnfinishedError
        return plain(folded([line.strip() for line in self.text[start : self.at].split("\n")]).strip())

    def sequence(self) -> list[object]:
        result: list[object] = []
        self.at += 1
        while self.skip() != "]":
            value = self.value()
            if self.skip() == ":":
                self.at += 1
                value = {value: self.value()}
            result.append(value)
            self.comma("]")
        self.at += 1
        return result

    def mapping(self) -> dict[object, object]:
        result: dict[object, object] = {}
        self.at += 1
        while self.skip() != "}":
            key = self.scalar()
            value: object = None
            if self.skip() == ":":
                self.at += 1
                value = None if self.skip() in ",}" else self.value()
            result[key] = value
            self.comma("}")
        self.at += 1
        return result

    def comma(self, end: str) -> None:
        char = self.skip()
        if char == ",":
            self.at += 1
        elif char != end:
            raise YamlError("a comma or " + end + " is missing")


class _Parser:
    """Block style: what belongs together has the same indent."""

    def __init__(self, text: str) -> None:
        self.lines = [line.rstrip("\r") for line in text.split("\n")]
        self.at = 0

    def document(self) -> object:
        try:
            line = self.next()
            if line == "---":
                self.at += 1
            value = self.block(0)
            line = self.next()
        except _UnfinishedError:
            raise YamlError("a quote or a bracket is not closed") from None
        except YamlError as error:
            raise YamlError("line " + str(self.at + 1) + ": " + str(error)) from None
        if line not in (None, "..."):
            raise YamlError("line " + str(self.at + 1) + ": " + repr(line) + " was not expected")
        return value

    def next(self) -> "str | None":
        """Go to the next line that says something and return it."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.strip() and not line.strip().startswith("#"):
                return line
            self.at += 1
        return None

    def indent(self) -> int:
        """Return the indent of the next line that says something; -1 at the end."""
        line = self.next()
        if line is None or line in MARKERS:
            return -1
        if line.lstrip(" ").startswith("\t"):
            raise YamlError("a tab can't indent")
        return len(line) - len(line.lstrip(" "))

    def block(self, least: int) -> object:
        """Return the value that starts in the next line, None if that is indented less."""
        indent = self.indent()
        if indent < least:
            return None
        text = self.lines[self.at][indent:]
        if text == "-" or text.startswith("- "):
            return self.sequence(indent)
        if self.key(text):
            return self.mapping(indent)
        return self.value(text, indent - 1)

    def sequence(self, indent: int) -> list[object]:
        result: list[object] = []
        while self.indent() == indent:
            text = self.lines[self.at][indent:]
            if text != "-" and not text.startswith("- "):
                break
            rest = text[1:].lstrip(" ")
            if rest == "-" or rest.startswith("- ") or self.key(rest):
                # The entry is a block of its own that starts behind the dash.
                self.lines[self.at] = " " * (indent + len(text) - len(rest)) + rest
                result.append(self.block(indent + 1))
            else:
                result.append(self.value(rest, indent))
        return result

    def mapping(self, indent: int) -> dict[object, object]:
        result: dict[object, object] = {}
        while self.indent() == indent:
            found = self.key(self.lines[self.at][indent:])
            if not found:
                break
            key, rest = found
            if key in result:
                raise YamlError("the key " + str(key) + " is there twice")
            if without_comment(rest):
                result[key] = self.value(rest, indent)
                continue
            self.at += 1
            follower = self.next() or ""
            # Entries of a list may stand below their key without an indent.
            same = follower[indent:] == "-" or follower[indent:].startswith("- ")
            result[key] = self.block(indent if same and self.indent() == indent else indent + 1)
        return result

    def key(self, text: str) -> "tuple[object, str] | None":
        """Return the key that a line starts with, and what stands behind the colon."""
        if not text or text[0] in "[{#|>%@`":
            return None
        if text[0] in "'\"":
            try:
                value, at = quoted(text, 0)
            except _UnfinishedError:
                return None
            rest = text[at:].lstrip(" ")
            return (value, rest[1:].strip(" ")) if rest == ":" or rest.startswith(": ") else None
        text = without_comment(text) if ": " not in text.split(" #", 1)[0] else text
        at = text.find(": ")
        if at < 0:
            at = len(text) - 1 if text.endswith(":") else -1
        if at <= 0:
            return None
        if text[0] in "&*!?":
            raise YamlError("anchors, aliases, tags and complex keys are not supported")
        return plain(text[:at].rstrip()), text[at + 1 :].strip(" ")

    def value(self, text: str, indent: int) -> object:
        """Return the value that starts with `text` in this line, in a block with this indent."""
        if not text or text.startswith("#"):
            self.at += 1
            return self.block(indent + 1)
        if text[0] in "|>":
            return self.literal(text, indent)
        if text[0] in "&*!":
            raise YamlError("anchors, aliases and tags are not supported")
        if text[0] in "'\"[{":
            return self.enclosed(text)
        self.at += 1
        lines = [without_comment(text)]
        ended = lines[0] != text.rstrip()
        while not ended and self.at < len(self.lines):
            line = self.lines[self.at]
            outside = len(line) - len(line.lstrip(" ")) <= indent or line in MARKERS
            if line.strip() and (outside or line.strip().startswith("#")):
                break
            if self.key(line.strip()):
                raise YamlError("a mapping can't start inside a value")
            lines.append(without_comment(line.strip()))
            ended = lines[-1] != line.strip()
            self.at += 1
        while not lines[-1]:
            lines.pop()
        return plain(lines[0]) if len(lines) == 1 else folded(lines)

    def enclosed(self, text: str) -> object:
        """Return a value in quotes or brackets, which may span lines."""
        while True:
            try:
                if text[0] in "'\"":
                    value: object
                    value, end = quoted(text, 0)
                else:
                    flow = _Flow(text)
                    value, end = flow.value(), flow.at
                break
            except _UnfinishedError:
                self.at += 1
                if self.at >= len(self.lines):
                    raise
                text += "\n" + self.lines[self.at]
        if without_comment(text[end:].strip()):
            raise YamlError(repr(text[end:].strip()) + " was not expected")
        self.at += 1
        return value

    def literal(self, header: str, parent: int) -> str:
        """Return a text whose lines are kept (|) or folded (>)."""
        marks = without_comment(header)[1:]
        keep = marks.replace("-", "").replace("+", "")
        if keep and not (len(keep) == 1 and keep.isdigit()):
            raise YamlError(repr(header) + " was not expected")
        self.at += 1
        lines: list[str] = []
        indent = max(parent, 0) + int(keep) if keep else 0
        while self.at < len(self.lines):
            line = self.lines[self.at]
            margin = len(line) - len(line.lstrip(" "))
            if line.strip(" "):
                indent = indent or max(margin, parent + 1)
                if margin < indent:
                    break
            lines.append(line[indent:] if indent else "")
            self.at += 1
        count = len(lines)
        while lines and not lines[-1]:
            lines.pop()
        ending = "" if "-" in marks or not lines else "\n"
        if "+" in marks:
            ending = "\n" * (count - len(lines) + (1 if lines and self.at < len(self.lines) else 0))
        return (folded_block(lines) if header[0] == ">" else "\n".join(lines)) + ending


def folded_block(lines: list[str]) -> str:
    """Return lines joined as `>` does: those that are indented further keep their breaks."""
    result = ""
    breaks = 0
    previous = None
    for line in lines:
        if not line:
            breaks += 1
            continue
        if previous is not None:
            indented = line[0] in " \t" or previous[0] in " \t"
            result += "\n" * (breaks + 1) if indented else ("\n" * breaks or " ")
        else:
            result += "\n" * breaks
        result += line
        previous = line
        breaks = 0
    return result
