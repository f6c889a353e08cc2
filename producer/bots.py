#!/usr/bin/env python3
"""bots.py OUT.c WORDS [WHEEL LICENCE]: the patterns by which programs that read pages are told from browsers, as one automaton in a
C table that takes one step for each byte of a user agent (docs/adr/0017-bots.md).

WORDS is producer/bots.txt; WHEEL the package crawler-user-agents, whose licence is written to LICENCE. The same patterns give the
same bytes."""
import itertools
import json
import pathlib
import re
import sys
import zipfile

FIRST, LAST = 256, 257  # what comes before the first byte and after the last
BYTES = frozenset(range(256))
ESCAPES = {"d": frozenset(b"0123456789"), "s": frozenset(b" \t\n\r\f\v"), "w": frozenset(c for c in range(128) if chr(c).isalnum() or c == 95)}
STATES_MOST, ROOM_MOST = 65535, 1 << 20  # a state is 16 bits


class Parser:
    """A regular expression of the list's kind into pieces of an automaton; what it does not know stops the build."""

    def __init__(self):
        self.moves, self.free = [], []  # of each place: [(symbols, place)], and places that nothing has to come before

    def place(self):
        self.moves.append([])
        self.free.append([])
        return len(self.moves) - 1

    def parse(self, pattern, start, small=False):
        """The place where the pattern ends."""
        self.pattern, self.at, self.small = pattern, 0, small
        end = self.either(start)
        if self.at < len(pattern):
            self.refuse()
        return end

    def refuse(self):
        sys.exit(f"bots.py: pattern {self.pattern!r}: character {self.at + 1} is of a kind that is not known here")

    def peek(self):
        return self.pattern[self.at] if self.at < len(self.pattern) else ""

    def take(self):
        self.at += 1
        return self.pattern[self.at - 1] if self.at <= len(self.pattern) else self.refuse()

    def either(self, start):
        end = self.place()
        while True:
            last = start
            while self.peek() not in ("", "|", ")"):
                last = self.repeated(last)
            self.free[last].append(end)
            if self.peek() != "|":
                return end
            self.take()

    def repeated(self, start):
        before = self.place()
        self.free[start].append(before)
        end = self.atom(before)
        sign = self.peek()
        if not sign or sign not in "*+?{":
            return end
        if sign == "{":
            self.refuse()
        self.take()
        after = self.place()
        self.free[end].append(after)
        if sign in "*?":
            self.free[before].append(after)
        if sign in "*+":
            self.free[end].append(before)
        return after

    def atom(self, start):
        sign = self.take()
        if sign == "(":
            if self.pattern.startswith("?:", self.at):
                self.at += 2
            end = self.either(start)
            if self.take() != ")":
                self.refuse()
            return end
        if sign in "*+?{)":
            self.refuse()
        symbols = {"^": frozenset([FIRST]), "$": frozenset([LAST]), ".": BYTES - {10}}.get(sign)
        if symbols is None:
            symbols = self.set_of() if sign == "[" else self.character(sign)
        end = self.place()
        self.moves[start].append((symbols, end))
        return end

    def character(self, sign):
        if sign == "\\":
            sign = self.take()
            if sign.isalnum():
                kind = ESCAPES.get(sign.lower()) or self.refuse()
                return BYTES - kind if sign.isupper() else kind
        if not " " <= sign <= "~":
            self.refuse()
        return frozenset({ord(sign), ord(sign.swapcase())} if self.small else {ord(sign)})

    def set_of(self):
        symbols, without = frozenset(), self.peek() == "^"
        if without:
            self.take()
        while self.peek() != "]":
            sign = self.take()
            symbol = self.character(sign)
            if self.peek() == "-" and self.pattern[self.at + 1:self.at + 2] != "]":
                self.take()
                symbol = [self.character(chr(each)) for each in range(ord(sign), ord(self.take()) + 1)]
                symbol = frozenset().union(*symbol) or self.refuse()
            symbols |= symbol
        self.take()
        return BYTES - symbols if without else symbols


class Machine:
    """All patterns at once: wherever one begins in the text, until one ends."""

    def __init__(self, patterns, people):
        parser = Parser()
        start = parser.place()
        ends = {parser.parse(pattern, start, small) for pattern, small in patterns}
        self.people = {parser.parse(pattern, start, True) for pattern in people}
        self.reached = [self.reach(parser, place) for place in range(len(parser.moves))]
        self.ends = ends
        alphabet = {}  # bytes that every place takes alike are one symbol
        kinds = sorted({symbols for moves in parser.moves for symbols, _ in moves}, key=sorted)
        for byte in [*range(256), FIRST, LAST]:
            alphabet.setdefault(tuple(byte in kind for kind in kinds), []).append(byte)
        self.symbols = list(alphabet.values())
        self.symbol_of = {byte: at for at, members in enumerate(self.symbols) for byte in members}
        self.steps = []
        for moves in parser.moves:
            step = {}
            for symbols, place in moves:
                for symbol in {self.symbol_of[byte] for byte in symbols}:
                    step.setdefault(symbol, set()).update(self.reached[place])
            self.steps.append(step)
        self.start = self.reached[start]

    @staticmethod
    def reach(parser, place):
        """The places that are the same as this one, as nothing has to come between; those that only lead on are left out."""
        found, todo = {place}, [place]
        while todo:
            for other in parser.free[todo.pop()]:
                if other not in found:
                    found.add(other)
                    todo.append(other)
        return frozenset(each for each in found if parser.moves[each] or not parser.free[each])

    def after(self, places, symbol):
        return frozenset().union(*(self.steps[place].get(symbol, ()) for place in places))

    def build(self):
        """The state that each symbol leads to where nothing has begun, and for each state what is otherwise as {symbol: state}. State 0
        is the first, state 1 says that it is a program."""
        ends, people = ({place for end in each for place in self.reached[end]} for each in (self.ends, self.people))
        states, numbers, todo = [{}, {}], {frozenset(): 0}, [frozenset()]

        def number(places):
            if places & ends and not places & people:
                return 1
            places = places - ends - people
            if places not in numbers:
                numbers[places] = len(states)
                states.append(None)
                todo.append(places)
            return numbers[places]
        row = [self.after(self.start, symbol) for symbol in range(len(self.symbols))]
        usual = [number(each) for each in row]
        room = 0
        while todo:
            places = todo.pop()
            others = {}
            for symbol in sorted({symbol for place in places for symbol in self.steps[place]}):
                to = number(row[symbol] | self.after(places, symbol))
                if to != usual[symbol]:
                    others[symbol] = to
            states[numbers[places]] = others
            room += len(others)
            if len(states) > STATES_MOST or room > ROOM_MOST:
                sys.exit("bots.py: the table would be too large; a pattern with [\\s\\S]* needs a line `not` in producer/bots.txt")
        return usual, states


def read_words(path):
    """Our own words, those of people, and {pattern of the list: what is looked for instead}."""
    own, people, instead = [], [], {}
    for at, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        kind, _, rest = line.partition(" ")
        if kind == "own" and rest:
            own.append(rest)
        elif kind == "person" and rest:
            people.append(rest)
        elif kind == "not" and rest:
            pattern, _, other = rest.partition(" => ")
            instead[pattern] = other
        elif line and not line.startswith("#"):
            sys.exit(f"bots.py: {path}: line {at}: {line!r} is no own, person or not")
    return own, people, instead


def open_list(wheel):
    """The package's version, its entries, its licence."""
    try:
        with zipfile.ZipFile(wheel) as files:
            [metadata] = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
            [licence] = [name for name in files.namelist() if name.endswith("/LICENSE")]
            version = re.search(r"^Version: (\S+)$", files.read(metadata).decode(), re.MULTILINE)[1]
            entries = json.loads(files.read("crawleruseragents/crawler-user-agents.json"))
            return version, [(entry["pattern"], entry["instances"]) for entry in entries], files.read(licence).decode()
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        sys.exit(f"bots.py: {wheel} is not the package crawler-user-agents: {error}")


def patterns_in_use(listed, instead, path):
    gone = set(instead) - set(listed)
    if gone:
        sys.exit(f"bots.py: {path}: the list has no pattern {' or '.join(sorted(gone))} any more")
    return [instead.get(pattern, pattern) for pattern in listed if instead.get(pattern, pattern)]


def array(kind, name, values):
    lines = [",".join(map(str, values[at:at + 64])) for at in range(0, len(values), 64)]
    return f"const {kind} {name}[] = {{\n" + ",\n".join(lines) + "\n};\n"


def write(path, machine, name, count):
    usual, states = machine.build()
    others = [each for state in states for each in sorted(state.items())]
    firsts = [0, *itertools.accumulate(map(len, states))]
    pathlib.Path(path).write_text(
        '/* Made by producer/bots.py. */\n#include "producer/bots_table.h"\n'
        + f'const char bots_list[] = "{name}";\nconst unsigned bots_patterns = {count};\n'
        + array("uint8_t", "bots_symbols", [machine.symbol_of[symbol] for symbol in (*range(256), FIRST, LAST)])
        + array("uint16_t", "bots_usual", usual) + array("uint32_t", "bots_firsts", firsts)
        + array("uint8_t", "bots_other_symbols", [symbol for symbol, _ in others])
        + array("uint16_t", "bots_other_states", [state for _, state in others]))


def main():
    out, words, *package = sys.argv[1:]
    own, people, instead = read_words(words)
    patterns, name = [], ""
    if package:
        wheel, licence_path = package
        version, entries, licence = open_list(wheel)
        patterns = patterns_in_use([pattern for pattern, _ in entries], instead, words)
        pathlib.Path(licence_path).write_text(licence)
        name = f"crawler-user-agents {version}"
    write(out, Machine([(each, False) for each in patterns] + [(each, True) for each in own], people), name, len(patterns) + len(own))


if __name__ == "__main__":
    main()
