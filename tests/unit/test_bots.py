#!/usr/bin/env python3
"""test_bots.py LAB PRODUCER [WHEEL]: who is told to be a program. Every user agent that the public list has of programs is one; browsers
of people (people.txt) are not; and any text is judged as Python's own regular expressions judge it by the same patterns. Without WHEEL,
in a build without the list, our own words only."""
import pathlib
import random
import re
import subprocess
import sys

lab, producer, *wheel = sys.argv[1:]
sys.path.insert(0, producer)
sys.dont_write_bytecode = True
import bots  # noqa: E402

WORDS = pathlib.Path(producer, "bots.txt")
# The list's own examples that are people's: bots.txt says why.
PEOPLE_IN_LIST = ("Build/AP3A.240617.008", "MetaIAB Facebook", " Fluid/0.9.")
OURS = """curl/7.88.1
Wget/1.21.3
Java/17.0.2
Ruby
python-requests/2.31
Python-urllib/3.11
Go-http-client/1.1
WhatsApp/2.23
facebookexternalhit/1.1
GOOGLEBOT/2.1
Mozilla/5.0 (compatible; NobodyKnowsMeBot/0.1; +https://example.org/)
Mozilla/5.0 (compatible; nobody-knows-me-bot)
Mozilla/5.0 (compatible; Newspider/1.0)
Mozilla/5.0 (compatible; coccoc/1.0; +http://help.coccoc.com/)
Mozilla/5.0 (compatible; coccocbot-web/1.0; +http://help.coccoc.com/searchengine)
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36
Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 Chrome/119.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)""".splitlines()


def verdicts(agents):
    text = b"".join(agent.encode("latin-1") + b"\n" for agent in agents)
    done = subprocess.run([lab], input=text, stdout=subprocess.PIPE, check=True)
    return [line == b"1" for line in done.stdout.splitlines()]


def expect(agents, wanted, what):
    wrong = [agent for agent, is_bot in zip(agents, verdicts(agents)) if is_bot != wanted]
    assert not wrong, f"{len(wrong)} {what}:\n" + "\n".join(wrong[:20])


def disturbed(agents, count):
    """Texts between: with a sign changed, cut short, two halves put together, other cases."""
    chance = random.Random(20201030)
    for _ in range(count):
        text, other = chance.choice(agents), chance.choice(agents)
        at = chance.randrange(len(text) + 1)
        yield chance.choice([text[:at], text[at:], text[:at] + chance.choice("xX-/ \x80") + text[at + 1:], text[:at] + other[at:],
                             text.swapcase(), " " + text])


def by_regular_expressions(patterns, own):
    """As bots.txt says it, where no CUBOT is: any of the patterns, of our own words without regard to case."""
    found = [re.compile(pattern.encode(), re.DOTALL) for pattern in patterns]
    found += [re.compile(word.encode(), re.DOTALL | re.IGNORECASE) for word in own]
    return lambda agent: not agent or any(each.search(agent.encode("latin-1")) for each in found)


def main():
    own, persons, instead = bots.read_words(WORDS)
    people = pathlib.Path(__file__).with_name("people.txt").read_text().splitlines()
    assert persons == ["cubot([^a-z]|$)"]
    expect(people, False, "people are taken for programs")
    expect(["", *OURS], True, "programs are taken for people")
    expect(["x" * 100000, "\xff\x80" * 100], False, "texts without a word are taken for programs")
    patterns, listed = [], []
    if wheel:
        _, entries, _ = bots.open_list(wheel[0])
        patterns = bots.patterns_in_use([pattern for pattern, _ in entries], instead, WORDS)
        listed = [agent for _, agents in entries for agent in agents if not any(each in agent for each in PEOPLE_IN_LIST)]
        assert len(listed) > 2000
        expect(listed, True, "programs of the list are taken for people")
    texts = [*people, *listed, *OURS]
    texts += [text for text in disturbed(texts, 3000)]
    texts = [text for text in texts if "cubot" not in text.lower()]
    wanted = by_regular_expressions(patterns, own)
    wrong = [text for text, is_bot in zip(texts, verdicts(texts)) if is_bot != wanted(text)]
    assert not wrong, f"{len(wrong)} of {len(texts)} are judged otherwise by regular expressions:\n" + "\n".join(map(repr, wrong[:20]))
    print(f"{len(texts)} user agents, {len(listed)} of the list; {len(patterns)} patterns of the list and {len(own)} of our own")


if __name__ == "__main__":
    main()
