"""Turns about simple facts: the world in a hundred small tables."""

from .calendar_asked import (
    AFTER_DAY_ASKED,
    AFTER_LETTER_ASKED,
    AFTER_MONTH_ASKED,
    BEFORE_DAY_ASKED,
    BEFORE_MONTH_ASKED,
)
from .calendar_more import (
    AFTER_DAY_MORE,
    AFTER_LETTER_MORE,
    AFTER_MONTH_MORE,
    BEFORE_DAY_MORE,
    BEFORE_MONTH_MORE,
)
from .facts_asked import (
    CAPITAL_ASKED,
    COLOUR_ASKED,
    COUNTRY_ASKED,
    EXAMPLE_ASKED,
    FIRST_ASKED,
    KIND_ASKED,
    LAST_ASKED,
    LIST_ASKED,
    MANY_ASKED,
    OPPOSITE_ASKED,
    PLURAL_ASKED,
    SPELL_ASKED,
    YES_NO_ASKED,
)
from .facts_more import (
    CAPITAL_MORE,
    COLOUR_MORE,
    COUNTRY_MORE,
    EXAMPLE_MORE,
    FIRST_MORE,
    KIND_MORE,
    LAST_MORE,
    LIST_MORE,
    MANY_MORE,
    OPPOSITE_MORE,
    PLURAL_MORE,
    SPELL_MORE,
    YES_NO_MORE,
)
from .knowledge import AMOUNTS, CAPITALS, COLOURS_OF, HOMES, KINDS, OPPOSITES, PLURALS, SOUNDS
from .talk import Intent, Talk
from .words import DAYS, LETTERS, MONTHS, SEASONS, a

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
    "[in|for] {country}[,|] [what|which city] is the capital[| city]?",
    "{country}[:|,|.] [what is the capital|which city is the capital|name the capital|the capital is which city][| "
    "there]?",
    "[I would like to|I want to|I will] [visit|see|travel to|fly to] the capital [city |]of {country}[.|,] "
    "[which city is that|what is it called|where do I go|what is its name]?",
    "[how is|what do you call] the capital [city |]of {country}[| called]?",
    "[what|which] city is [{country}'s capital|the main city of {country}|the capital in {country}]?",
    "[what is|what's] the name of the capital [city |]of {country}?",
    "[which|what] capital [does {country} have|belongs to {country}]?",
    "[I am going to|we are learning about|I love|let's talk about] {country}. What is [its|the] capital[| there]?",
    *CAPITAL_ASKED,
    *CAPITAL_MORE,
)
COUNTRY = (
    "[which|what] country is {city} the capital of?",
    "{city} is the capital of [which|what] [country|land]?",
    "[of which|of what] country is {city} the capital?",
    "{city}[:|,|.] [it is|this is|is it] the capital of [which|what] country?",
    "[which|what] country's capital is {city}?",
    "[what is|name|tell me] the country [whose capital is|with the capital|that has the capital] {city}?",
    "[in which|in what] country is {city} the capital?",
    "[which|what] country has {city} as its capital[| city]?",
    KNOW + " which country has the capital {city}",
    *COUNTRY_ASKED,
    *COUNTRY_MORE,
)
OPPOSITE = (
    WHAT + " the opposite of [|the word] {word}?",
    KNOW + " [the opposite of|what is the opposite of|what the opposite of] {word}[| is]",
    "[which|what] word [means|is] the [opposite|contrary] of {word}?",
    "[the|] opposite of {word}?",
    "[what is|what's|give me] the contrary of {word}?",
    "[what|which word] is [opposite to|the contrary of|the reverse of|the very opposite of] {word}?",
    "[give me|tell me|find|name|say|I need] [a word|the word|one word] that [is the opposite of|is opposite to|"
    "means the contrary of] {word}",
    "{word}[:|,|.] [what is the opposite|what's the opposite|name the opposite|which word is the opposite|the "
    "opposite is]?",
    "[the contrary|the reverse|the other side] of {word} [is|is what|would be]?",
    "[what would|what could|what might] be the opposite of {word}?",
    "[what do you call|how do you call] the opposite of {word}?",
    "{word} is the opposite of [what|which word]?",
    "[if something is|when it is|if it is] not {word}, what is it?",
    *OPPOSITE_ASKED,
    *OPPOSITE_MORE,
)
COLOUR = (
    "[what|which] [colour|color] [is|has] {thing}?",
    KNOW + " [what|which] [colour|color] {thing} [is|has]",
    "[what is|what's|name|tell me] the [colour|color] of {thing}?",
    "{thing} is [what|which] [colour|color]?",
    "[what|which] [colour|color] does {thing} have?",
    "{thing}[:|,] [what colour is it|which colour is it|what colour|what is its colour]?",
    "[when|if] [you look at|you see|I paint|you think of|I draw] {thing}[,|] [what colour is it|which colour do I "
    "need|what colour do you see]?",
    "[in|with] [what|which] colour [would you paint|do you paint|should I paint|do I draw] {thing}?",
    "[how|what] does {thing} look[,|] [is it white, red or another colour|which colour]?",
    *COLOUR_ASKED,
    *COLOUR_MORE,
)
KIND = (
    "[what is|what's] {one}?",
    "[what|which] kind of thing is {one}?",
    KNOW + " what {one} is",
    "[what sort|what kind|what type] of thing is {one}?",
    "[explain|describe|define] {one}",
    "{one}[:|,] [what is that|what is it|what kind of thing is it|what sort of thing]?",
    "[to|in] [what|which] [group|class|kind|family] [of things |]does {one} belong?",
    "[what do you know about|what is meant by|what does it mean:|can you describe] {one}?",
    "[what do you call|what is] {one}, [an animal, a tool or something else|in one word]?",
    *KIND_ASKED,
    *KIND_MORE,
)
EXAMPLE = (
    "[name|give me|tell me|say] [|one|any|some|an example of] {kind}",
    KNOW + " {kind}",
    "[give|show|tell] me an example of {kind}",
    "[think of|come up with|pick|choose] {kind}",
    *EXAMPLE_ASKED,
    *EXAMPLE_MORE,
)
YES_NO = (
    "is {one} {kind}?",
    "[would you say|do you think|is it true|is it right|am I right] that {one} is {kind}?",
    "{one} is {kind}[, right|, isn't it|, correct|, is that true|, yes or no]?",
    "[can|could|would] {one} be {kind}?",
    "is {one} {kind} or [not|something else]?",
    KNOW + " [if|whether] {one} is {kind}",
    *YES_NO_ASKED,
    *YES_NO_MORE,
)
PLURAL = (
    WHAT + " the plural of [|the word] {word}?",
    KNOW + " [the plural of|what is the plural of] {word}",
    "[how do you say|what do you call|how do people say|what is the word for|how do I say] [more than one|several|"
    "many|two|some] {word}?",
    "{word}[:|,|.] [what is the plural|what's the plural|the plural is what|and the plural]?",
    "[what is|what's|tell me|give me] the plural [form |][of|for] {word}?",
    "[if there is|when there is|there is] [more than one|not one but many] {word}[,|] [what do you say|what is the "
    "word|how do you call them]?",
    "[the word|] {word} [in the plural|as a plural|in plural][ is| is what|]?",
    "[this is|here is|I see] one {word}[.|,] [there are two|here are two|now I see three] [what|of what]?",
    "one {word}, two [what]?",
    "plural of {word}?",
    *PLURAL_ASKED,
    *PLURAL_MORE,
)
AFTER_DAY = (
    "[what|which] day [comes|is|follows] [after|right after|just after] {day}?",
    "[what|which] [day is|is] the day after {day}?",
    "[today is|it is|if today is|if it is] {day}[.|,] [what|which] day [is|comes] tomorrow?",
    KNOW + " [which|what] day comes after {day}",
    "[what|which] day [follows|will follow|is next after|do we have after|do we get after] {day}?",
    "[tomorrow|what is tomorrow|which day is tomorrow|what day will it be tomorrow][ |, ][if today is|when today is|"
    "if it is] {day}?",
    "the day after {day} is [what|which day|called what]?",
    "{day} [is over|has passed|was yesterday][.|,] [which|what] day [is it|is it now|comes now|is today]?",
    "what comes after {day}?",
    *AFTER_DAY_ASKED,
    *AFTER_DAY_MORE,
)
BEFORE_DAY = (
    "[what|which] day [comes|is] [before|right before|just before] {day}?",
    "[what|which] [day is|is] the day before {day}?",
    "[today is|it is|if today is|if it is] {day}[.|,] [what|which] day was yesterday?",
    KNOW + " [which|what] day comes before {day}",
    "[yesterday|what was yesterday|which day was yesterday][ |, ][if today is|when today is|if it is] {day}?",
    "the day before {day} is [what|which day|called what]?",
    "{day} is tomorrow[.|,] [which|what] day [is it|is it now|is today]?",
    "what comes before {day}?",
    *BEFORE_DAY_ASKED,
    *BEFORE_DAY_MORE,
)
AFTER_MONTH = (
    "[what|which] month [comes|is|follows] [after|right after|just after] {month}?",
    "[what|which] is the [month|next month] after {month}?",
    KNOW + " [which|what] month comes after {month}",
    "[what|which] month [follows|will follow|is next after|do we have after] {month}?",
    "the month after {month} is [what|which|called what]?",
    "[it is|now it is|if it is|this month is] {month}[.|,] [which|what] is [next month|the next month]?",
    "[when|after|if] {month} [is over|has ended|ends][,|] [which|what] month [comes|begins|is next|starts]?",
    "what comes after {month}?",
    *AFTER_MONTH_ASKED,
    *AFTER_MONTH_MORE,
)
BEFORE_MONTH = (
    "[what|which] month [comes|is] [before|right before|just before] {month}?",
    "[what|which] is the month before {month}?",
    KNOW + " [which|what] month comes before {month}",
    "the month before {month} is [what|which|called what]?",
    "[it is|now it is|if it is|this month is] {month}[.|,] [which|what] was [last month|the month before]?",
    "what comes before {month}?",
    *BEFORE_MONTH_ASKED,
    *BEFORE_MONTH_MORE,
)
AFTER_LETTER = (
    "[what|which] letter [comes|is|follows] [after|right after|just after] {letter}?",
    "[what|which] is the [letter|next letter] after {letter}?",
    KNOW + " [which|what] letter comes after {letter}",
    "[what|which] letter [stands|do you say|is next|follows] [after|right after|behind] {letter}[| in the alphabet]?",
    "the letter after {letter} is [what|which one|called what]?",
    "{letter}[:|,] [which letter comes next|what letter is next|what comes next in the alphabet]?",
    "[in the alphabet, what|what] comes after [|the letter] {letter}[| in the alphabet]?",
    *AFTER_LETTER_ASKED,
    *AFTER_LETTER_MORE,
)
LISTS = {
    "the [|seven |7 ]days of the week": ", ".join(DAYS) + ".",
    "the [|twelve |12 ]months[| of the year]": ", ".join(MONTHS) + ".",
    "the [|four |4 ]seasons[| of the year]": ", ".join(SEASONS) + ".",
    "the [alphabet|letters of the alphabet|abc]": ", ".join(LETTERS) + ".",
}
LIST = {
    tuple(pattern.replace("{list}", f"[{asked}]") for pattern in LIST_ASKED + LIST_MORE): answer
    for asked, answer in LISTS.items()
}
MANY = (
    "how many {many}?",
    "how many {alternative}?",
    KNOW + " how many {many}",
    "[what is|tell me|give me|do you know] the number of {noun}?",
    "[what|which] number of {alternative}?",
    "{noun}[:|,] how many[| are there]?",
    "[can you count|count|how many would you count:|let us count] [the|all the] {noun}",
    "[I have to know|I need to know|it would be good to know|say] how many {alternative}",
    "the number of {noun} is [what|how much|which number]?",
    "{owner} has how many {things}?",
    "[in|on|with|of] {owner}[, how many| there are how many| we find how many| how many] {things}[| are there| do "
    "we have]?",
    *MANY_ASKED,
    *MANY_MORE,
)
SPELL = (
    "[spell|can you spell|please spell|how do you spell|how do I spell|how is it spelled:|spell out] [|the word] {word}"
    "[| for me]",
    "[what are|tell me|list|give me|show me|say|write] [|all |me ]the letters [of|in] [|the word] {word}",
    "{word}[:|,] [spell it|how is it spelled|how do you spell it|which letters are in it|letter by letter]",
    "[write|say|give me|type] [|the word ]{word} [letter by letter|one letter after the other|in single letters|"
    "with dashes]",
    "[how is|with which letters is|with what letters do you write] [|the word ]{word}[ spelled| written|]?",
    *SPELL_ASKED,
    *SPELL_MORE,
)
FIRST = (
    "[what is|what's|which is|tell me|name] the first letter of [|the word] {word}?",
    "[which|what] letter does [|the word] {word} [start|begin] with?",
    *FIRST_ASKED,
    *FIRST_MORE,
)
LAST = (
    "[what is|what's|which is|tell me|name] the last letter of [|the word] {word}?",
    "[which|what] letter does [|the word] {word} end with?",
    *LAST_ASKED,
    *LAST_MORE,
)
ABOUT = ("[and|what about|how about|and what about] {it}?", "and {it}?", "[the same for|and for] {it}")


def table_turn(talk: Talk, patterns: tuple[str, ...], table: dict, answer: str, slot: str, **more: object) -> None:
    """A question about a table's entry and, now and then, `and X?` about others."""
    key = talk.rng.choice(sorted(table))
    again = False
    while True:
        wrong = talk.rng.choice([other for other in table.values() if other != table[key]])
        first, second = talk.rng.sample((wrong, table[key]), 2)
        slots = {slot: key, "one": a(key), "value": table[key], "it": key, "young": a(str(table[key]))}
        slots |= {"wrong": wrong, "first": first, "second": second}
        talk.turn(ABOUT if again else patterns, answer, **slots)
        again = True
        if talk.rng.random() > 0.2:
            return
        key = talk.rng.choice(sorted(table))


def capital(talk: Talk) -> None:
    table_turn(talk, CAPITAL, CAPITALS, "The capital of {country} is {value}.".replace("{country}", "{it}"), "country")


def country(talk: Talk) -> None:
    land, city = talk.rng.choice(sorted(CAPITALS.items()))
    talk.turn(COUNTRY, "{city} is the capital of {country}.", city=city, country=land)


def opposite(talk: Talk) -> None:
    pairs = OPPOSITES | {v: k for k, v in OPPOSITES.items() if v not in ("aged", "weightless", "afraid", "shallow")}
    table_turn(talk, OPPOSITE, pairs, "The opposite of {it} is {value}.", "word")


def colour(talk: Talk) -> None:
    table_turn(talk, COLOUR, COLOURS_OF, "{it} is {value}.", "thing")


def kind(talk: Talk) -> None:
    whole = {thing: group for group, things in KINDS.items() for thing in things}
    thing = talk.rng.choice(sorted(whole))
    one = thing if whole[thing] in ("a colour", "a country", "a city", "a drink") else a(thing)
    pick = talk.rng.random()
    if pick < 0.5:
        wrong = talk.rng.choice([group for group in sorted(KINDS) if group != whole[thing]])
        talk.turn(KIND, "{one} is {kind}.", one=one, kind=whole[thing], word=thing, wrong=wrong)
    elif pick < 0.8:
        guess = talk.rng.choice((whole[thing], talk.rng.choice(sorted(KINDS))))
        answer = "Yes, {one} is {kind}." if guess == whole[thing] else "No, {one} is {real}."
        talk.turn(YES_NO, answer, one=one, kind=guess, real=whole[thing])
    else:
        talk.turn(EXAMPLE, "{one} is {kind}.", one=one, kind=whole[thing])


def plural(talk: Talk) -> None:
    table_turn(talk, PLURAL, PLURALS, "The plural of {it} is {value}.", "word")


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
    patterns, answer = talk.rng.choice(sorted(LIST.items()))
    talk.turn(patterns, answer)


def amount(talk: Talk) -> None:
    many, (answer, alternative) = talk.rng.choice(sorted(AMOUNTS.items()))
    noun = many.replace(" are ", " ")
    things = many.split(" are ")[0]
    owner = alternative.removeprefix(things).removeprefix(" does ").removesuffix(" have")
    at = many.split(" are ")[1].split()[0]
    slots = {"many": many, "alternative": alternative, "noun": noun, "things": things, "owner": owner, "at": at}
    talk.turn(MANY, answer, True, **slots)


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
    Intent(3.3, capital, CAPITAL + ABOUT, introduces=True),
    Intent(1.2, country, COUNTRY, introduces=True),
    Intent(2.7, opposite, OPPOSITE, introduces=True),
    Intent(2.3, colour, COLOUR, introduces=True),
    Intent(2.4, kind, KIND + YES_NO + EXAMPLE, introduces=True),
    Intent(1.4, plural, PLURAL, introduces=True),
    Intent(3.7, calendar, AFTER_DAY + BEFORE_DAY + AFTER_MONTH + BEFORE_MONTH + AFTER_LETTER, introduces=True),
    Intent(1, lists, tuple(pattern for patterns in LIST for pattern in patterns), introduces=True),
    Intent(2.2, amount, MANY, introduces=True),
    Intent(1.2, letters, SPELL + FIRST + LAST, introduces=True),
)
