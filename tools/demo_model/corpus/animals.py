"""Turns about animals: their sounds, their young, their legs, homes and food."""

from .animals_asked import BABY_ASKED, FOOD_ASKED, HOME_ASKED, LEG_ASKED, SOUND_ASKED
from .facts import KNOW, table_turn
from .knowledge import BABIES, FOODS, HOMES, LEGS, SOUNDS
from .talk import Intent, Talk

SOUND = (
    "[what|which] [sound|noise] does [a|the] {animal} make?",
    "[what|how] does [a|the] {animal} [say|go|sound]?",
    KNOW + " [what sound|which sound|what noise] {one} makes",
    "[how do|what do] {animal}s [sound|say]?",
    "[make|do|imitate|give me] the [sound|noise] of {one}",
    "[which|what] [sound|noise] [can you hear from|do you hear from|comes from|would you hear from|is made by] {one}?",
    "[when|if] {one} makes a [sound|noise][,|] [what is it|what do you hear|what do I hear]?",
    "{one}[:|,] [what sound does it make|what does it say|which noise does it make]?",
    "[what is|what's] the [sound|noise] [of|made by] {one}?",
    "{one} [makes|makes a] [which|what] [sound|noise]?",
    *SOUND_ASKED,
)
BABY = (
    "[what is|what's|what do you call|what do we call|what do people call|how do you call] [a|the] "
    "[baby|young|little|newborn] {animal}[| called]?",
    KNOW + " [what a baby {animal} is called|what the young of {one} is called|the name of a baby {animal}]",
    "[what is|what's] the [name|word] [for|of] a [baby|young] {animal}?",
    "[what is|what's] the young of {one} called?",
    "[what|which] [word|name] [is used|is there|do you use|do people use] for [a baby|a young|the baby of a|a "
    "little] {animal}?",
    "[when|if] {one} has a [baby|young one|little one][,|] [what is it called|what do we call it|what is its name]?",
    "{one}[:|,] [what is its baby called|what is the baby called|how is its young called]?",
    "[how do you say|what is the word for] [baby|young] {animal}?",
    "the [baby|young|child] of {one} is [called|named|a] what?",
    "a [baby|young] {animal} is [called|named] what?",
    *BABY_ASKED,
)
LEG = (
    "how many legs [does [a|the] {animal} have|has [a|the] {animal}]?",
    "how many legs do {animal}s have?",
    KNOW + " how many legs {one} has",
    "[what is|tell me] the number of legs of {one}?",
    "[count|number] the legs of {one}",
    "{one} has how many legs?",
    "{one}[:|,] how many legs [does it have|has it got|are there]?",
    "[if you count|count|when you count] [the legs of {one}|{one}'s legs][,|] [how many are there|what do you get|"
    "how many do you find]?",
    "[what number|which number] of legs does {one} have?",
    "how many legs [are there on|belong to|do you see on|can you count on] {one}?",
    "on how many legs does {one} [walk|stand]?",
    *LEG_ASKED,
)
HOME = (
    "where does [a|the] {animal} [live|sleep|have its home]?",
    KNOW + " where [{one} lives|a {animal} lives]",
    "[what is|what's] the home of {one}?",
    "[where would I find|where can I find|where do you find|in what place do I find] {one}?",
    "where do {animal}s live?",
    "{one}[:|,] [where does it live|where is its home|what is its home]?",
    "[in what|in which|what|which] [place|home|kind of home] [does {one} live in|does {one} have|is for {one}|do "
    "{animal}s live in]?",
    "where [is the home of {one}|does {one} [stay|rest|feel at home]|would {one} live|do you think {one} lives]?",
    *HOME_ASKED,
)
FOOD = (
    "what does [a|the] {animal} [eat|like to eat|feed on]?",
    KNOW + " what {one} eats",
    "[what is|what's] the [food|favourite food] of {one}?",
    "[what should I|what can I|what do you] [feed|give] [to] [a|my|the] {animal}[| to eat]?",
    "what do {animal}s eat?",
    "{one}[:|,] [what does it eat|what is its food|what does it like]?",
    "[what|which food] [would|does|might] {one} [like|love|enjoy|want|eat most][| to eat| for dinner| for lunch]?",
    "[what|which] food [is for|is good for|do you give|is liked by] {one}?",
    "[I have|there is|here comes] [a hungry {animal}|{one}][.|,] [What does it eat|What should it eat|What do I "
    "feed it]?",
    *FOOD_ASKED,
)


def animal(talk: Talk) -> None:
    pick = talk.rng.randrange(5)
    if pick == 0:
        table_turn(talk, SOUND, SOUNDS, "{one} says {value}.", "animal")
    elif pick == 1:
        table_turn(talk, BABY, BABIES, "A baby {it} is called {young}.", "animal")
    elif pick == 2:
        table_turn(talk, LEG, LEGS, "{one} has {value} legs.", "animal")
    elif pick == 3:
        table_turn(talk, HOME, HOMES, "{one} lives in {value}.", "animal")
    else:
        table_turn(talk, FOOD, FOODS, "{one} eats {value}.", "animal")


INTENTS = (Intent(6, animal, SOUND + BABY + LEG + HOME + FOOD, introduces=True),)
