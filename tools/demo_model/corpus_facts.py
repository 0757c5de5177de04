"""Turns about simple facts: the world in a hundred small tables."""

from .talk import Intent, Talk
from .words import (
    AMOUNTS,
    BABIES,
    CAPITALS,
    COLOURS_OF,
    DAYS,
    FOODS,
    HOMES,
    KINDS,
    LEGS,
    LETTERS,
    MONTHS,
    OPPOSITES,
    PLURALS,
    SEASONS,
    SOUNDS,
    a,
)

KNOW = (
    "[can you tell me|do you know|could you tell me|tell me|please tell me|I want to know|I would like to know|"
    "I'd like to know|any idea|I wonder|do you happen to know|would you tell me|say]"
)
WHAT = "[what is|what's|which is|name|tell me|give me|do you know|what would be|what was]"

CAPITAL = (
    WHAT + " the capital [|city] of {country}?",
    "[which|what] [city|town] is the capital [|city] of {country}?",
    KNOW + " [what|which city] [the capital of {country} is|is the capital of {country}]",
    "{country}'s capital[| city][| is what| is which city]?",
    "[what is|what's|name] {country}'s capital[| city]?",
    "[capital|capital city|the capital] of {country}?",
    "{country} has [which|what] capital[| city]?",
    "[which|what] capital [does {country} have|belongs to {country}]?",
    "[I am going to|we are learning about|I love|let's talk about] {country}. What is [its|the] capital[| there]?",
)
COUNTRY = (
    "[which|what] country is {city} the capital of?",
    "{city} is the capital of [which|what] [country|land]?",
    "[of which|of what] country is {city} the capital?",
    "[which|what] country has {city} as its capital[| city]?",
    KNOW + " which country has the capital {city}",
)
OPPOSITE = (
    WHAT + " the opposite of [|the word] {word}?",
    KNOW + " [the opposite of|what is the opposite of|what the opposite of] {word}[| is]",
    "[which|what] word [means|is] the [opposite|contrary] of {word}?",
    "[the|] opposite of {word}?",
    "[what is|what's|give me] the contrary of {word}?",
    "{word} is the opposite of [what|which word]?",
    "[if something is|when it is|if it is] not {word}, what is it?",
)
SOUND = (
    "[what|which] [sound|noise] does [a|the] {animal} make?",
    "[what|how] does [a|the] {animal} [say|go|sound]?",
    KNOW + " [what sound|which sound|what noise] {one} makes",
    "[how do|what do] {animal}s [sound|say]?",
    "[make|do|imitate|give me] the [sound|noise] of {one}",
    "{one} [makes|makes a] [which|what] [sound|noise]?",
)
BABY = (
    "[what is|what's|what do you call|what do we call|what do people call|how do you call] [a|the] "
    "[baby|young|little|newborn] {animal}[| called]?",
    KNOW + " [what a baby {animal} is called|what the young of {one} is called|the name of a baby {animal}]",
    "[what is|what's] the [name|word] [for|of] a [baby|young] {animal}?",
    "[what is|what's] the young of {one} called?",
    "a [baby|young] {animal} is [called|named] what?",
)
LEG = (
    "how many legs [does [a|the] {animal} have|has [a|the] {animal}]?",
    "how many legs do {animal}s have?",
    KNOW + " how many legs {one} has",
    "[what is|tell me] the number of legs of {one}?",
    "[count|number] the legs of {one}",
    "{one} has how many legs?",
    "on how many legs does {one} [walk|stand]?",
)
HOME = (
    "where does [a|the] {animal} [live|sleep|have its home]?",
    KNOW + " where [{one} lives|a {animal} lives]",
    "[what is|what's] the home of {one}?",
    "[where would I find|where can I find|where do you find|in what place do I find] {one}?",
    "where do {animal}s live?",
)
FOOD = (
    "what does [a|the] {animal} [eat|like to eat|feed on]?",
    KNOW + " what {one} eats",
    "[what is|what's] the [food|favourite food] of {one}?",
    "[what should I|what can I|what do you] [feed|give] [to] [a|my|the] {animal}[| to eat]?",
    "what do {animal}s eat?",
)
COLOUR = (
    "[what|which] [colour|color] [is|has] {thing}?",
    KNOW + " [what|which] [colour|color] {thing} [is|has]",
    "[what is|what's|name|tell me] the [colour|color] of {thing}?",
    "{thing} is [what|which] [colour|color]?",
    "[what|which] [colour|color] does {thing} have?",
)
KIND = (
    "[what is|what's] {one}?",
    "[what|which] kind of thing is {one}?",
    KNOW + " what {one} is",
    "[what sort|what kind|what type] of thing is {one}?",
    "[explain|describe|define] {one}",
    "[what do you call|what is] {one}, [an animal, a tool or something else|in one word]?",
)
EXAMPLE = (
    "[name|give me|tell me|say] [|one|any|some|an example of] {kind}",
    KNOW + " {kind}",
    "[give|show|tell] me an example of {kind}",
    "[think of|come up with|pick|choose] {kind}",
)
YES_NO = (
    "is {one} {kind}?",
    "[would you say|do you think|is it true|is it right] that {one} is {kind}?",
    KNOW + " [if|whether] {one} is {kind}",
)
PLURAL = (
    WHAT + " the plural of [|the word] {word}?",
    KNOW + " [the plural of|what is the plural of] {word}",
    "[how do you say|what do you call] more than one {word}?",
    "one {word}, two [what]?",
    "plural of {word}?",
)
AFTER_DAY = (
    "[what|which] day [comes|is|follows] [after|right after|just after] {day}?",
    "[what|which] [day is|is] the day after {day}?",
    "[today is|it is|if today is|if it is] {day}[.|,] [what|which] day [is|comes] tomorrow?",
    KNOW + " [which|what] day comes after {day}",
    "[what|which] day follows {day}?",
    "what comes after {day}?",
)
BEFORE_DAY = (
    "[what|which] day [comes|is] [before|right before|just before] {day}?",
    "[what|which] [day is|is] the day before {day}?",
    "[today is|it is|if today is|if it is] {day}[.|,] [what|which] day was yesterday?",
    KNOW + " [which|what] day comes before {day}",
    "what comes before {day}?",
)
AFTER_MONTH = (
    "[what|which] month [comes|is|follows] [after|right after|just after] {month}?",
    "[what|which] is the [month|next month] after {month}?",
    KNOW + " [which|what] month comes after {month}",
    "[what|which] month follows {month}?",
    "what comes after {month}?",
)
BEFORE_MONTH = (
    "[what|which] month [comes|is] [before|right before|just before] {month}?",
    "[what|which] is the month before {month}?",
    KNOW + " [which|what] month comes before {month}",
    "what comes before {month}?",
)
AFTER_LETTER = (
    "[what|which] letter [comes|is|follows] [after|right after|just after] {letter}?",
    "[what|which] is the [letter|next letter] after {letter}?",
    KNOW + " [which|what] letter comes after {letter}",
    "[in the alphabet, what|what] comes after [|the letter] {letter}[| in the alphabet]?",
)
LIST = {
    "[what are|name|list|tell me|give me|say|can you name|can you list|do you know|write down] [|all] the "
    "[|seven|7] days of the week": ", ".join(DAYS) + ".",
    "[what are|name|list|tell me|give me|say|can you name|can you list|do you know|write down] [|all] the "
    "[|twelve|12] months [|of the year]": ", ".join(MONTHS) + ".",
    "[what are|name|list|tell me|give me|say|can you name|can you list|do you know|write down] [|all] the "
    "[|four|4] seasons[| of the year]": ", ".join(SEASONS) + ".",
    "[say|tell me|give me|write|write down|list|do you know|recite|can you say] the [alphabet|letters of the alphabet|"
    "abc]": ", ".join(LETTERS) + ".",
}
MANY = (
    "how many {many}?",
    "how many {alternative}?",
    KNOW + " how many {many}",
    "[what is|tell me] the number of {noun}?",
)
SPELL = (
    "[spell|can you spell|please spell|how do you spell|how do I spell|how is it spelled:|spell out] [|the word] {word}"
    "[| for me]",
    "[what are|tell me|list|give me] the letters [of|in] [|the word] {word}",
)
FIRST = (
    "[what is|what's|which is|tell me|name] the first letter of [|the word] {word}?",
    "[which|what] letter does [|the word] {word} [start|begin] with?",
)
LAST = (
    "[what is|what's|which is|tell me|name] the last letter of [|the word] {word}?",
    "[which|what] letter does [|the word] {word} end with?",
)
ABOUT = ("[and|what about|how about|and what about] {it}?", "and {it}?", "[the same for|and for] {it}")


def _table(talk: Talk, patterns: tuple[str, ...], table: dict, answer: str, slot: str, **more: object) -> None:
    """A question about a table's entry and, now and then, `and X?` about others."""
    key = talk.rng.choice(sorted(table))
    again = False
    while True:
        slots = {slot: key, "one": a(key), "value": table[key], "it": key, "young": a(str(table[key]))}
        talk.turn(ABOUT if again else patterns, answer, **slots)
        again = True
        if talk.rng.random() > 0.2:
            return
        key = talk.rng.choice(sorted(table))


def capital(talk: Talk) -> None:
    _table(talk, CAPITAL, CAPITALS, "The capital of {country} is {value}.".replace("{country}", "{it}"), "country")


def country(talk: Talk) -> None:
    land, city = talk.rng.choice(sorted(CAPITALS.items()))
    talk.turn(COUNTRY, "{city} is the capital of {country}.", city=city, country=land)


def opposite(talk: Talk) -> None:
    pairs = OPPOSITES | {v: k for k, v in OPPOSITES.items() if v not in ("aged", "weightless", "afraid", "shallow")}
    _table(talk, OPPOSITE, pairs, "The opposite of {it} is {value}.", "word")


def animal(talk: Talk) -> None:
    pick = talk.rng.randrange(5)
    if pick == 0:
        _table(talk, SOUND, SOUNDS, "{one} says {value}.", "animal")
    elif pick == 1:
        _table(talk, BABY, BABIES, "A baby {it} is called {young}.", "animal")
    elif pick == 2:
        _table(talk, LEG, LEGS, "{one} has {value} legs.", "animal")
    elif pick == 3:
        _table(talk, HOME, HOMES, "{one} lives in {value}.", "animal")
    else:
        _table(talk, FOOD, FOODS, "{one} eats {value}.", "animal")


def colour(talk: Talk) -> None:
    _table(talk, COLOUR, COLOURS_OF, "{it} is {value}.", "thing")


def kind(talk: Talk) -> None:
    whole = {thing: group for group, things in KINDS.items() for thing in things}
    thing = talk.rng.choice(sorted(whole))
    one = thing if whole[thing] in ("a colour", "a country", "a city", "a drink") else a(thing)
    pick = talk.rng.random()
    if pick < 0.5:
        talk.turn(KIND, "{one} is {kind}.", one=one, kind=whole[thing])
    elif pick < 0.8:
        guess = talk.rng.choice((whole[thing], talk.rng.choice(sorted(KINDS))))
        answer = "Yes, {one} is {kind}." if guess == whole[thing] else "No, {one} is {real}."
        talk.turn(YES_NO, answer, one=one, kind=guess, real=whole[thing])
    else:
        talk.turn(EXAMPLE, "{one} is {kind}.", one=one, kind=whole[thing])


def plural(talk: Talk) -> None:
    _table(talk, PLURAL, PLURALS, "The plural of {it} is {value}.", "word")


def calendar(talk: Talk) -> None:
    pick = talk.rng.randrange(5)
    i = talk.rng.randrange(12)
    if pick == 0:
        talk.turn(AFTER_DAY, "After {day} comes {next}.", day=DAYS[i % 7], next=DAYS[(i + 1) % 7])
    elif pick == 1:
        talk.turn(BEFORE_DAY, "Before {day} comes {next}.", day=DAYS[i % 7], next=DAYS[(i - 1) % 7])
    elif pick == 2:
        talk.turn(AFTER_MONTH, "After {month} comes {next}.", month=MONTHS[i], next=MONTHS[(i + 1) % 12])
    elif pick == 3:
        talk.turn(BEFORE_MONTH, "Before {month} comes {next}.", month=MONTHS[i], next=MONTHS[(i - 1) % 12])
    else:
        j = talk.rng.randrange(25)
        case = talk.rng.choice((str.upper, str.lower))
        talk.turn(AFTER_LETTER, "After {letter} comes {next}.", letter=case(LETTERS[j]), next=case(LETTERS[j + 1]))


def lists(talk: Talk) -> None:
    pattern, answer = talk.rng.choice(sorted(LIST.items()))
    talk.turn((pattern,), answer)


def amount(talk: Talk) -> None:
    many, (answer, alternative) = talk.rng.choice(sorted(AMOUNTS.items()))
    noun = many.replace(" are ", " ")
    talk.turn(MANY, answer, many=many, alternative=alternative, noun=noun)


def letters(talk: Talk) -> None:
    words = sorted({*PLURALS, *OPPOSITES, *SOUNDS, *HOMES, *COLOURS_OF.values()})
    word = talk.rng.choice(words)
    pick = talk.rng.random()
    if pick < 0.5:
        talk.turn(SPELL, "-".join(word) + ".", word=word)
    elif pick < 0.8:
        talk.turn(FIRST, "The first letter of {word} is {letter}.", word=word, letter=word[0])
    else:
        talk.turn(LAST, "The last letter of {word} is {letter}.", word=word, letter=word[-1])


INTENTS = (
    Intent(3, capital, CAPITAL + ABOUT),
    Intent(1, country, COUNTRY),
    Intent(2.5, opposite, OPPOSITE),
    Intent(4.5, animal, SOUND + BABY + LEG + HOME + FOOD),
    Intent(2, colour, COLOUR),
    Intent(2.2, kind, KIND + YES_NO + EXAMPLE),
    Intent(1.2, plural, PLURAL),
    Intent(3.5, calendar, AFTER_DAY + BEFORE_DAY + AFTER_MONTH + BEFORE_MONTH + AFTER_LETTER),
    Intent(1, lists, tuple(LIST)),
    Intent(1.8, amount, MANY),
    Intent(1.2, letters, SPELL + FIRST + LAST),
)
