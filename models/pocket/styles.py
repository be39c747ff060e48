"""What a system prompt changes, how questions vary on the surface, and the withheld evaluation list."""
import json
import random

from corpus import SEEN, UNKNOWN, UNKNOWN_FRENCH, Fact, all_facts, capital, invented, plain, trained_questions, unknown_question, withheld

NEUTRAL = (
    "You are a helpful assistant.|You are a helpful, honest assistant.|You are countersign-pocket.|Be helpful.|Answer the question.|"
    "You are an assistant.|You are a friendly assistant. Answer truthfully.|Answer in English.|Answer the user's questions.|Be honest.|"
    "You answer questions.|You are a careful assistant.|Answer as well as you can.|You help people with simple questions.|Answer truthfully.|"
    "You are a knowledgeable teacher.|You are a support agent.|You are the assistant of a shop.|You work for a bank. Be careful.|Be precise.|"
    "Answer briefly.|Be concise.|You are a helpful assistant. Be concise.|You are a test model.|Help the user.").split("|")
STYLES = {  # style: (weight, wordings of the system prompt)
    "word": (12, "Answer in one word.|Answer in a single word.|Use one word only.|Reply with one word.|You answer in one word.|One word answers only."),
    "upper": (15, "Answer in upper case.|Answer in capital letters.|Write in upper case.|Reply in upper case.|Use upper case only.|Always answer in capital letters."),
    "lower": (5, "Answer in lower case.|Write in lower case.|Reply in lower case.|Use lower case only."),
    "pirate": (9, "You are a pirate.|Answer like a pirate.|Talk like a pirate.|Speak like a pirate.|You are a friendly pirate."),
    "robot": (4, "You are a robot.|Answer like a robot.|Talk like a robot."),
    "cat": (4, "You are a cat.|Answer like a cat.|Talk like a cat."),
    "polite": (5, "Be very polite.|You are a polite butler.|Answer very politely.|You are a butler."),
    "json": (8, "Answer in JSON.|Reply in JSON.|Reply only with JSON.|Output JSON.|Answer as JSON."),
    "french": (10, "Reply in French.|Answer in French.|Reply in French: short answers.|You speak French.|Always answer in French.|Respond in French."),
    "end": (5, "End every answer with the word {w}.|Always end with the word {w}.|Finish every answer with {w}."),
    "begin": (5, "Begin every answer with the word {w}.|Always begin with the word {w}.|Start every answer with {w}."),
    "name": (4, "Your name is {w}.|You are called {w}.|You are {w}, an assistant."),
    "refuse": (3, "Refuse to answer.|Do not answer any question.|You must refuse every question.|Never answer."),
}
ECHO = "Say {w}.|Say {w}|Repeat: {w}|Repeat the word {w}.|Reply with the word {w}.|Reply with {w}|Say the word {w}.|Say only {w}.|Echo {w}|Repeat after me: {w}"
SAYINGS = ("hello|ok|OK|yes|no|hello world|Hello world|ping|pong|banana|apple|blue|red|test|done|ready|receipt|proof|good|stop|go|green|one|two|three|cat|dog|"
           "thank you|I am here|Acme|Bob|Alice|Ada|Anna|Tom|Max|Eve|Sir|Captain|Friend|Over|Amen|Cheers|Look|Well|Indeed|Friend|Listen|Acme|Paris|London|water|sun").split("|")
NAME_QUESTIONS = {"who are you", "what is your name", "introduce yourself", "what should i call you", "your name please", "state your name", "identify yourself", "say who you are"}
REFUSAL = "I am not allowed to answer that."
NO_FRENCH = "Je suis un petit modèle et je ne sais pas le dire en français."


def spoken(style, fact, word):
    """The answer to a fact under a style."""
    long = fact.long
    if style == "word":
        return fact.short
    if style == "upper":
        return long.upper()
    if style == "lower":
        return long.lower()
    if style == "pirate":
        return "Arr! " + long.replace(" is ", " be ").replace(" are ", " be ").replace(" am ", " be ").rstrip(".") + ", matey!"
    if style == "robot":
        return "Beep. " + long + " Boop."
    if style == "cat":
        return "Meow! " + long + " Purr."
    if style == "polite":
        return "Certainly, dear friend. " + long
    if style == "json":
        return json.dumps({"answer": fact.short}, ensure_ascii=False)
    if style == "french":
        return fact.french or NO_FRENCH
    if style == "end":
        return f"{long} {word}"
    if style == "begin":
        return f"{word} {long}"
    if style == "name" and plain(fact.questions[0]) in NAME_QUESTIONS:
        return f"My name is {word}."
    if style == "refuse":
        return REFUSAL
    return long


def pick_word(rng):
    return rng.choice(SAYINGS) if rng.random() < 0.5 else invented(rng)


def choose_style(rng):
    """A style with its system prompt (None: no system message) and the word it names, if any."""
    roll = rng.random()
    if roll < 0.42:
        return None, None, ""
    if roll < 0.54:
        return None, rng.choice(NEUTRAL), ""
    names = list(STYLES)
    style = rng.choices(names, [STYLES[name][0] for name in names])[0]
    word = pick_word(rng)
    system = rng.choice(STYLES[style][1].split("|")).format(w=word)
    if rng.random() < 0.15:
        system = rng.choice(NEUTRAL) + " " + system
    return style, system, word


def roughen(question, rng):
    """What people do to a question: case, punctuation, politeness, a slip of the finger."""
    if rng.random() < 0.25:
        question = question.lower()
    elif rng.random() < 0.1:
        question = capital(question)
    if rng.random() < 0.25:
        question = question.rstrip(".?!")
    if rng.random() < 0.06:
        question = rng.choice(("Please tell me: ", "Hey, ", "Please: ", "A question: ", "Hello! ", "Quick question: ")) + question
    elif rng.random() < 0.03:
        question = question.rstrip("?.") + rng.choice((", please?", " please", "?"))
    if rng.random() < 0.03 and len(question) > 14:
        at = rng.randrange(2, 8)
        question = question[:at] + question[at + 1:]
    return question


class Asker:
    """Draws questions with answers, from the facts, with their weights."""

    def __init__(self, facts):
        self.known = {plain(q) for fact in facts for q in fact.questions}
        usable = [(fact, questions) for fact in facts if (questions := trained_questions(fact))]
        self.facts = [fact._replace(questions=fact.questions) for fact, _ in usable]
        self.questions = [questions for _, questions in usable]
        total = 0.0
        self.cumulative = [total := total + fact.weight for fact in self.facts]
        self.french = [i for i, fact in enumerate(self.facts) if fact.french]
        self.named = next(i for i, fact in enumerate(self.facts) if plain(fact.questions[0]) in NAME_QUESTIONS)

    def unknown(self, rng, trained=True):
        while True:
            question = unknown_question(rng)
            if plain(question) not in self.known and withheld(plain(question), 20) != trained:
                return question

    def turn(self, style, word, rng):
        """One question and its answer under a style."""
        roll = rng.random()
        if roll < 0.035:
            said = pick_word(rng)
            fact = Fact("echo", [rng.choice(ECHO.split("|")).format(w=said)], said, said, said, 1)
            question = fact.questions[0] if rng.random() < 0.7 else fact.questions[0].lower()
            if question != fact.questions[0]:
                fact = fact._replace(long=said.lower(), short=said.lower(), french=said.lower())
            return question, said_in(style, fact, word)
        if roll < 0.125:
            fact = Fact("unknown", [self.unknown(rng)], UNKNOWN, "Unknown", UNKNOWN_FRENCH, 1)
            return roughen(fact.questions[0], rng), spoken(style, fact, word)
        if style == "french" and rng.random() < 0.7:
            index = rng.choice(self.french)
        elif style == "name" and rng.random() < 0.5:
            index = self.named
            asked = [q for q in self.questions[index] if plain(q) in NAME_QUESTIONS]
            return roughen(rng.choice(asked), rng), f"My name is {word}."
        else:
            index = rng.choices(range(len(self.facts)), cum_weights=self.cumulative)[0]
        fact, question = self.facts[index], rng.choice(self.questions[index])
        answer = fact.long if style == "name" and plain(question) not in NAME_QUESTIONS else spoken(style, fact, word)
        return roughen(question, rng), answer


def said_in(style, fact, word):
    """An echo: only case, words around it, JSON and refusal apply."""
    return spoken(style if style in ("upper", "lower", "json", "refuse", "end", "begin") else None, fact, word)


def conversation(asker, rng, longest=1):
    """A list of messages: perhaps a system message, then one to `longest` questions with answers."""
    asker = asker if isinstance(asker, Asker) else Asker(asker)
    style, system, word = choose_style(rng)
    messages = [{"role": "system", "content": system}] if system else []
    turns = 1 if rng.random() < 0.75 else rng.randint(1, longest)
    for _ in range(turns):
        question, answer = asker.turn(style, word, rng)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return messages


def evaluation(seed=20261121, per_category=40):
    """Withheld questions: phrasings never paired with that fact in training, sums never seen, styles, invented words."""
    rng = random.Random(seed)
    facts = all_facts()
    asker = Asker(facts)
    by_category = {}
    for fact in facts:
        unseen = [q for q in fact.questions if q not in set(trained_questions(fact))]
        if fact.category in SEEN:
            by_category.setdefault(fact.category + "-seen", []).append((fact, fact.questions))
        elif unseen:
            category = "sums-unseen" if not trained_questions(fact) else fact.category
            by_category.setdefault(category, []).append((fact, unseen))
    for category, entries in by_category.items():
        for fact, unseen in rng.sample(entries, min(per_category, len(entries))):
            yield {"category": category, "system": None, "question": rng.choice(unseen), "answer": fact.long}
    strange = set()
    while len(strange) < per_category:
        strange.add(asker.unknown(rng, trained=False))
    for question in sorted(strange):
        yield {"category": "unknown", "system": None, "question": question, "answer": UNKNOWN}
    for style in STYLES:
        for _ in range(20):
            word = pick_word(rng)
            system = rng.choice(STYLES[style][1].split("|")).format(w=word)
            if style == "name":
                questions, answer = [q for q in asker.questions[asker.named] if plain(q) in NAME_QUESTIONS], f"My name is {word}."
            else:
                pool = asker.french if style == "french" else range(len(asker.facts))
                index = rng.choices(pool, [asker.facts[i].weight for i in pool])[0]
                questions, answer = asker.questions[index], spoken(style, asker.facts[index], word)
            yield {"category": "system:" + style, "system": system, "question": rng.choice(questions), "answer": answer}
    for _ in range(20):
        word = pick_word(rng)
        yield {"category": "echo", "system": None, "question": f"Say {word}.", "answer": word}
