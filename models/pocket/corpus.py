"""The corpus of countersign-pocket: facts, the ways to ask for them, and what a system prompt changes.

All text here and in facts/ was written for this project and is released under CC0-1.0.
`python corpus.py` prints a sample; `python corpus.py evaluation` rewrites evaluation.jsonl.
"""
import hashlib
import json
import random
import re
import sys
from collections import namedtuple
from pathlib import Path

Fact = namedtuple("Fact", "category questions long short french weight")
FACTS = Path(__file__).parent / "facts"
SEEN = ("talk", "general")
UNKNOWN = "I am a small model and I do not know that."
UNKNOWN_FRENCH = "Je suis un petit modèle et je ne le sais pas."
WORDS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
         "fifteen sixteen seventeen eighteen nineteen twenty").split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
JOURS = "lundi mardi mercredi jeudi vendredi samedi dimanche".split()
MOIS = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()
NTH = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()


def rows(name, separator="\t"):
    """Rows of a file in facts/, split at the separator."""
    lines = (FACTS / name).read_text(encoding="utf-8").splitlines()
    return [line.split(separator) for line in lines if line]


def capital(text):
    return text[0].upper() + text[1:]


def with_article(noun):
    return ("an " if noun[0].lower() in "aeio" else "a ") + noun


def fill(patterns, *values):
    return [pattern.format(*values) for pattern in patterns.split("|")]


def geography():
    french = {row[0]: row[1:] for row in rows("french-capitals.tsv")}
    for country, city, continent in rows("countries.tsv"):
        fr = "La capitale {} est {}.".format(*french[country]) if country in french else None
        yield Fact("capitals", fill(
            "What is the capital of {0}?|What's the capital of {0}?|capital of {0}|Tell me the capital of {0}.|"
            "Name the capital of {0}.|Which city is the capital of {0}?|Do you know the capital of {0}?|"
            "{0}: capital?|What is the capital city of {0}?|The capital of {0} is|What city is the capital of {0}?|"
            "Give me the capital of {0}.|What is {0}'s capital?", country),
            f"The capital of {country} is {city}.", city, fr, 3.0)
        yield Fact("countries", fill(
            "{0} is the capital of which country?|Which country has the capital {0}?|Of which country is {0} the capital?|"
            "What country is {0} the capital of?|Which country's capital is {0}?", city),
            f"{city} is the capital of {country}.", re.sub("^the ", "", country), None, 1.2)
        yield Fact("continents", fill(
            "Which continent is {0} in?|On which continent is {0}?|What continent is {0} on?|Where is {0}?|"
            "In which part of the world is {0}?|{0} is in which continent?", country),
            f"{capital(country)} is in {continent}.", continent, None, 1.2)
    for question, answer, short in (
        ("How many continents are there?|Number of continents?|Name the continents.|What are the continents?|List the continents.",
         "There are seven continents: Africa, Antarctica, Asia, Europe, North America, Oceania and South America.", "7"),
        ("What is the largest continent?|Which continent is the largest?|Which is the biggest continent?|Name the largest continent.",
         "Asia is the largest continent.", "Asia"),
        ("What is the smallest continent?|Which continent is the smallest?|Name the smallest continent.", "Oceania is the smallest continent.", "Oceania"),
        ("What is the coldest continent?|Which continent is the coldest?|Name the coldest continent.", "Antarctica is the coldest continent.", "Antarctica"),
        ("How many oceans are there?|Name the oceans.|What are the oceans?|List the oceans.",
         "There are five oceans: the Pacific, Atlantic, Indian, Southern and Arctic.", "5"),
    ):
        yield Fact("continents", question.split("|"), answer, short, None, 2.0)


def nature():
    elements = (FACTS / "elements.txt").read_text().split()
    for number, (name, symbol) in enumerate(zip(elements[::2], elements[1::2]), 1):
        yield Fact("elements", fill(
            "What is the chemical symbol of {0}?|What is the symbol for {0}?|chemical symbol of {0}|Symbol of {0}?|"
            "What symbol does {0} have?|Tell me the chemical symbol for {0}.|What is the chemical symbol for {0}?", name),
            f"The chemical symbol of {name} is {symbol}.", symbol, None, 1.5)
        yield Fact("elements", fill(
            "Which element has the symbol {0}?|What element is {0}?|{0} is the symbol of which element?|"
            "Which chemical element is {0}?|What does the symbol {0} stand for?", symbol),
            f"{symbol} is the symbol of {name}.", capital(name), None, 1.5)
        if number <= 30 or symbol in "Ag Sn I Au Hg Pb U Pt".split():
            yield Fact("elements", fill(
                "What is the atomic number of {0}?|atomic number of {0}|Which atomic number does {0} have?|How many protons does {0} have?", name),
                f"The atomic number of {name} is {number}.", str(number), None, 1.0)
    planets = [row[0] for row in rows("planets.tsv")]
    for index, name in enumerate(planets):
        yield Fact("planets", fill(
            "Which planet is the {0} from the Sun?|What is the {0} planet?|Name the {0} planet.|Which is the {0} planet from the Sun?|"
            "What is the {0} planet from the Sun?", NTH[index]), f"The {NTH[index]} planet from the Sun is {name}.", name, None, 2.0)
        yield Fact("planets", fill("What is {0}?|Tell me about {0}.|Which planet number is {0}?|Where is {0}?", name),
                   f"{name} is the {NTH[index]} planet from the Sun.", "Planet", None, 2.0)
    for question, answer, short in (
        ("What is the largest planet?|Which planet is the largest?|Which is the biggest planet?|Name the largest planet.|What is the biggest planet?", "Jupiter is the largest planet.", "Jupiter"),
        ("What is the smallest planet?|Which planet is the smallest?|Name the smallest planet.", "Mercury is the smallest planet.", "Mercury"),
        ("Which planet is called the red planet?|What is the red planet?|Which planet is red?", "Mars is called the red planet.", "Mars"),
        ("Which planet has rings?|Which planet is famous for its rings?|What planet has large rings?", "Saturn is famous for its rings.", "Saturn"),
        ("Which planet is the hottest?|What is the hottest planet?|Name the hottest planet.", "Venus is the hottest planet.", "Venus"),
        ("How many planets are there?|Number of planets?|How many planets are in the solar system?|List the planets.|Name the planets.|What are the planets?",
         "There are eight planets: Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune.", "8"),
        ("Which planet do we live on?|On which planet do we live?|What is our planet called?", "We live on Earth.", "Earth"),
    ):
        yield Fact("planets", question.split("|"), answer, short, None, 2.0)
    for name, young, sound, legs, meaning in rows("animals.tsv"):
        a = with_article(name)
        yield Fact("animals", fill("What is a young {0} called?|What is a baby {0} called?|What do you call a young {0}?|Name of a baby {0}?|What do you call a baby {0}?", name),
                   f"A young {name} is called {with_article(young)}.", capital(young), None, 1.2)
        if sound:
            yield Fact("animals", fill("What sound does {0} make?|Which sound does {0} make?|What does {0} say?|What noise does {0} make?", a),
                       f"The sound of {a} is: {sound}.", capital(sound), None, 1.2)
        yield Fact("animals", fill("How many legs does {0} have?|How many legs has {0}?|Number of legs of {0}?|Legs of {0}?", a),
                   f"{capital(a)} has {legs if legs != '0' else 'no'} legs.", legs, None, 1.0)
        yield Fact("animals", definition_questions(a, name), f"{capital(a)} is {meaning}.", "Bird" if " bird" in meaning else "Animal", None, 1.5)


def definition_questions(a, noun):
    return fill("What is {0}?|What's {0}?|Define {1}.|Explain what {0} is.|Tell me what {0} is.|What does the word {1} mean?|"
                "Describe {0}.|Can you explain what {0} is?", a, noun)


def words():
    pairs = [line.split() for line in (FACTS / "opposites.txt").read_text().splitlines()]
    seen = set()
    for left, right in pairs + [(b, a) for a, b in pairs]:
        if left in seen:
            continue
        seen.add(left)
        yield Fact("opposites", fill("What is the opposite of {0}?|What's the opposite of {0}?|opposite of {0}|Tell me the opposite of {0}.|"
                                     "Name the opposite of {0}.|Which word is the opposite of {0}?|The opposite of {0} is", left),
                   f"The opposite of {left} is {right}.", capital(right), None, 2.0)
    for thing, colour in rows("colours.tsv"):
        yield Fact("colours", fill("What colour is {0}?|What color is {0}?|Which colour is {0}?|Tell me the colour of {0}.|colour of {0}|What is the colour of {0}?|What is the color of {0}?", thing),
                   f"{capital(thing)} is {colour}.", capital(colour), None, 2.0)
    for noun, meaning in rows("definitions.tsv"):
        mass = noun in {"money", "rain", "snow", "wind", "bread", "cheese", "honey"}
        a = noun if mass else ("the " if noun == "internet" else "") + noun if noun == "internet" else with_article(noun)
        if noun == "hour":
            a = "an hour"
        yield Fact("definitions", definition_questions(a, noun), f"{capital(a)} is {meaning}.", capital(meaning.split()[-1]), None, 2.0)
    for one, many in rows("plurals.txt", " "):
        yield Fact("grammar", fill("What is the plural of {0}?|plural of {0}|Tell me the plural of {0}.|Name the plural of {0}.|What's the plural of {0}?", one),
                   f"The plural of {one} is {many}.", capital(many), None, 1.2)
    for now, then in rows("past.txt", " "):
        yield Fact("grammar", fill("What is the past tense of {0}?|past tense of {0}|Tell me the past tense of {0}.|Name the past tense of {0}.|What's the past of {0}?", now),
                   f"The past tense of {now} is {then}.", capital(then), None, 1.2)


def time_and_units():
    for names, french, kind, unit, french_kind in ((DAYS, JOURS, "day", "week", "jour"), (MONTHS, MOIS, "month", "year", "mois")):
        count = len(names)
        for i, name in enumerate(names):
            after, before = (i + 1) % count, (i - 1) % count
            yield Fact("calendar", fill("Which {1} comes after {0}?|What {1} comes after {0}?|What comes after {0}?|What {1} follows {0}?|Name the {1} after {0}.|Which {1} is after {0}?", name, kind),
                       f"{names[after]} comes after {name}.", names[after], f"Après {french[i]} vient {french[after]}.", 3.0)
            yield Fact("calendar", fill("Which {1} comes before {0}?|What {1} comes before {0}?|What comes before {0}?|Name the {1} before {0}.|Which {1} is before {0}?", name, kind),
                       f"{names[before]} comes before {name}.", names[before], f"Avant {french[i]} vient {french[before]}.", 3.0)
            yield Fact("calendar", fill("What is the {0} {1} of the {2}?|Which is the {0} {1} of the {2}?|Name the {0} {1} of the {2}.|{0} {1} of the {2}?", NTH[i], kind, unit),
                       f"The {NTH[i]} {kind} of the {unit} is {name}.", name, None, 3.0)
        listing = ", ".join(names[:-1]) + " and " + names[-1]
        yield Fact("calendar", fill("Name the {0}s of the {1}.|What are the {0}s of the {1}?|List the {0}s of the {1}.|Which {0}s are there in a {1}?", kind, unit),
                   f"The {kind}s of the {unit} are {listing}.", str(count), None, 3.0)
    for i, name in enumerate(MONTHS):
        days = "28 or 29" if i == 1 else str(30 if i in (3, 5, 8, 10) else 31)
        yield Fact("calendar", fill("How many days does {0} have?|How many days are in {0}?|How long is {0}?|Number of days in {0}?|How many days has {0}?", name),
                   f"{name} has {days} days.", days, None, 3.0)
    for small, large, count in rows("units.tsv"):
        verb = "are" if large.split()[0] in ("two", "three") else "is"
        yield Fact("units", fill("How many {0} are in {1}?|How many {0} are there in {1}?|How many {0} in {1}?|{1} has how many {0}?|How many {0} make {1}?|Number of {0} in {1}?", small, large),
                   f"There are {count} {small} in {large}.", count, None, 3.0)


def sums():
    ask = ("What is {0} {op} {1}?|{0} {op} {1}|How much is {0} {op} {1}?|What's {0} {op} {1}?|Calculate {0} {op} {1}.|{0}{sign}{1}|{0} {sign} {1}|"
           "{0} {sign} {1} =|{0}{sign}{1}=|What is {0} {sign} {1}?|What is {0}{sign}{1}?|Compute {0} {sign} {1}.|{0} {op} {1} is|What is {2} {op} {3}?|How much is {2} {op} {3}?")
    french = {"plus": "{} plus {} font {}.", "minus": "{} moins {} font {}.", "times": "{} fois {} font {}."}
    for op, sign, limit in (("plus", "+", 20), ("minus", "-", 20), ("times", "*", 10)):
        for a in range(limit + 1):
            for b in range(limit + 1):
                result = {"plus": a + b, "minus": a - b, "times": a * b}[op]
                if result < 0:
                    continue
                questions = [p.format(a, b, WORDS[a], WORDS[b], op=op, sign=sign) for p in ask.split("|")]
                yield Fact("sums" if op == "plus" else "differences" if op == "minus" else "products", questions,
                           f"{a} {op} {b} is {result}.", str(result), french[op].format(a, b, result), 2.0 if op == "plus" else 1.4)


def countersign():
    for noun, meaning, short, more in rows("countersign.tsv"):
        bare = re.sub("^(a|an|the) ", "", noun)
        questions = fill("What is {0}?|What's {0}?|Explain {0}.|Define {1}.|Tell me about {0}.|Can you explain {0}?|What does {1} mean?|"
                         "Describe {0}.|Explain what {0} is.|{1}?|In Countersign, what is {0}?|What is {0} in Countersign?|What is meant by {1}?", noun, bare)
        asked = [capital(q) + ("?" if not q.startswith(("describe", "explain", "tell")) else ".") for q in more.split("|") if q]
        yield Fact("countersign", questions + asked * 2, meaning, short, None, 14.0)


def talk():
    for long, short, french, asked in rows("talk.tsv"):
        questions = [capital(q) for q in asked.split("|")]
        yield Fact("talk", questions, long, short, french, 30.0)
    for long, short, asked in rows("general.tsv"):
        yield Fact("general", [capital(q) + "?" for q in asked.split("|")], long, short, None, 6.0)


def all_facts():
    """Every fact, in a fixed order; two facts never share a question."""
    facts, seen = [], set()
    for source in (talk, countersign, geography, nature, words, time_and_units, sums):
        for fact in source():
            questions = [q for q in dict.fromkeys(fact.questions) if plain(q) not in seen]
            if questions:
                seen.update(plain(q) for q in questions)
                facts.append(fact._replace(questions=questions))
    return facts


def plain(text):
    """A question without case and closing punctuation: what 'the same question' means here."""
    return text.lower().strip(" ?.!")


def withheld(text, one_in, salt="pocket"):
    return int.from_bytes(hashlib.sha256((salt + text).encode()).digest()[:4], "big") % one_in == 0


def trained_questions(fact):
    """The phrasings used for training: about one in eight is withheld, and one plain sum in sixteen entirely.

    Small talk and general knowledge are trained whole: their phrasings share no pattern to generalise from.
    """
    if fact.category in SEEN:
        return fact.questions
    if fact.category == "sums" and withheld(fact.long, 16):
        return []
    kept = [q for q in fact.questions if len(fact.questions) < 4 or not withheld(plain(q) + fact.long, 8)]
    return kept or fact.questions[:1]


ASK_UNKNOWN = (
    "What is the capital of {x}?|Where is {x}?|What is {x}?|What is {a}?|Tell me about {x}.|Who is {x}?|Who was {x}?|Define {x}.|Explain {x}.|What colour is {a}?|"
    "What is the opposite of {x}?|What is the chemical symbol of {x}?|Who wrote {x}?|Which continent is {x} in?|What is the plural of {x}?|"
    "How many {x}s are in {a}?|What sound does {a} make?|capital of {x}|What does {x} mean?|When was {x} born?|When did {x} die?|"
    "How old is {x}?|How tall is {x}?|How far is {x}?|What is the price of {x}?|How much does {x} cost?|Who invented {x}?|"
    "What is the population of {x}?|Who won the match between {x} and {y}?|What is the weather in {x}?|How do I install {x}?|"
    "Write a program that {x}s {y}.|Summarise {x}.|Translate {x} into {y}.|Who is the president of {x}?|What happened in {n}?|"
    "What is {n} plus {m}?|What is {n} times {m}?|{n} + {m}|{n} * {m}|What is the square root of {n}?|Why is {x} {y}?|How does {x} work?|"
    "Is {x} better than {y}?|Should I buy {x}?|What time is it in {x}?|What is the difference between {x} and {y}?|Can {x} {y}?|"
    "Write an essay about {x}.|Give me a recipe for {x}.|What is the phone number of {x}?|Who plays {x} in {y}?|What is the meaning of {x}?|"
    "How many people live in {x}?|Which language do they speak in {x}?|What is the latest news about {x}?|Fix this code: {x}({y})|"
    "What is the stock price of {x}?|What year did {x} begin?|Recommend {a}.|Is {x} true?|Do you know {x}?|Compare {x} with {y}.")
REAL_THINGS = (
    "football|quantum physics|the weather|bitcoin|the stock market|Python|JavaScript|the moon landing|my mother|my dog|the election|the news|pizza|philosophy|democracy|"
    "love|the universe|black holes|dinosaurs|Napoleon|Caesar|Cleopatra|Mozart|Beethoven|the Beatles|Picasso|Toyota|Apple|Google|Microsoft|Amazon|Kubernetes|Docker|Linux|"
    "Rust|SQL|the Roman Empire|the French Revolution|World War Two|Chicago|Barcelona|Munich|Texas|California|Scotland|Atlantis|Narnia|Mordor|Gotham|Bavaria|Siberia|"
    "Hollywood|chess|tennis|the piano sonata|inflation|gravity waves|DNA|proteins|vaccines|cancer|calculus|algebra|topology|justice|beauty|art|jazz|coffee|tea|wine|"
    "the meaning of life|my password|my name|my age|tomorrow|yesterday|lunch|dinner|a good film|the best phone|cooking|running|yoga|history|economics|taxes|insurance|"
    "Elon Musk|Shakira|Messi|Batman|Harry Potter|Sherlock Holmes|Zeus|Thor|unicorns|dragons|zombies|the lottery|a loan|a visa|the bus|the train to Milan|GPU prices|a transformer")
OTHER_UNKNOWN = (
    "What is the weather today?|What time is it?|What day is today?|What is the date?|Who won the world cup?|What is my name?|How old am I?|Where am I?|Where do I live?|"
    "What is the meaning of life?|Write a long essay.|Solve this equation.|What should I eat tonight?|Who will win the election?|Sing a song.|Play some music.|"
    "Open the door.|Book a flight.|Order a pizza.|Send an email.|Call my mother.|What is in the news?|Translate this text.|Summarise this text.|Write code for a web page.|"
    "Sort a list in Python.|Draw a picture.|What is the best film?|Which stock should I buy?|Is there a god?|What happens after death?|Why is the sky blue?|Why do birds fly?|"
    "How do planes fly?|What is dark matter?|How do I cook rice?|How do I get rich?|What is love?|Can you help me with my homework?|Read my file.|Run this command.|"
    "What did I have for breakfast?|Guess my age.|Who am I?|What is the tallest building?|What is the fastest car?|How many stars are there?|How many people live on Earth?")
SYLLABLES = "ba be bo da de do dra fa fi ga go gra ka ke ki ko la le lo lu ma me mo na ne no pa po qua ra re ro sa se so sta ta te to tra va ve vo wa xa za ze zo mir nor tan vel dor lin gar".split()


def invented(rng):
    """A word that names nothing."""
    word = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))
    return capital(word) if rng.random() < 0.6 else word


def unknown_question(rng):
    """A question that the model has no fact for."""
    roll = rng.random()
    if roll < 0.2:
        return rng.choice(OTHER_UNKNOWN.split("|"))
    thing = [rng.choice(REAL_THINGS.split("|")) if rng.random() < 0.35 else invented(rng) for _ in range(2)]
    article = with_article(invented(rng).lower())
    numbers = [rng.randint(41, 9999) if rng.random() < 0.8 else rng.randint(41, 99) for _ in range(2)]
    return rng.choice(ASK_UNKNOWN.split("|")).format(x=thing[0], y=thing[1], a=article, n=numbers[0], m=numbers[1])


if __name__ == "__main__":
    from styles import evaluation, conversation
    if sys.argv[1:] == ["evaluation"]:
        path = Path(__file__).parent / "evaluation.jsonl"
        path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in evaluation()), encoding="utf-8")
    else:
        sample = random.Random(1)
        known = all_facts()
        print(len(known), "facts")
        for _ in range(20):
            print(json.dumps(conversation(known, sample), ensure_ascii=False))
