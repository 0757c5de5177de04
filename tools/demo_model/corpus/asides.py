"""Sentences that people say around a question and that have nothing to do with it."""

from random import Random

from .grammar import phrase
from .words import COMMON_NAMES, DAYS, EDIBLES, HOBBIES, JOBS, PETS, TOWNS, a, name

WHO = (
    "my [neighbour|teacher|aunt|uncle|cousin|grandmother|grandfather|boss|daughter|son|wife|husband|mother|"
    "father|colleague|children|parents|dentist|friends]"
)
GLAD = (
    "[I|we] [had|just had|enjoyed] [a lovely|a good|a nice|a quiet|a great] [breakfast|dinner|walk|weekend|holiday|"
    "lunch|party|morning|evening]",
    "[the sun is shining|it is a beautiful day|it is warm outside|the birds are singing|what a lovely morning|what "
    "nice weather][| today| here]",
    "[I|we] [went|walked|drove|cycled] to [the park|the beach|the market|the cinema|the lake|the library|the zoo|"
    "the museum|the shops|the garden][| yesterday| this morning| today| with {friend}]",
    WHO + " [came to visit|sent me a letter|called me|baked a cake|gave me flowers|made me laugh][| yesterday| today]",
    "[I|we] [cooked|baked|made|ate] {food} [yesterday|today|for dinner|last night|on {day}]",
    "[the children are playing|everybody is happy|the house is quiet|the kitchen smells good|we are on holiday|it "
    "is the weekend][| at last| now]",
    "[I|we] [learned|started|tried] {hobby} [this week|last month|on {day}|yesterday] and it was fun",
    "[I found|I bought|I was given] [a new coat|an old map|a good book|a pair of shoes|a red umbrella|new glasses|a "
    "piano|a big plant][| yesterday| at the market| in town]",
    "[our team won|I passed my test|I finished my homework|I cleaned the whole house|I slept very well|I repaired "
    "my bicycle][| today| yesterday| last night]",
)
SORRY = (
    "[it is raining|it rains|it is cold|it is windy|there is a storm|it is foggy|the weather is awful|it snows]"
    "[| today| again| outside| here| in {town}]",
    "[I|we] [missed|almost missed|am late for|lost time and missed] the [bus|train|plane|meeting|boat]"
    "[| today| this morning| again]",
    "[I lost|I broke|I cannot find|I forgot|somebody took] my [keys|umbrella|glasses|phone|wallet|hat|bag|ticket|"
    "gloves|watch][| today| again| on the train| at work]",
    WHO + " [is ill|has a cold|is angry|is in hospital|broke a leg|is very tired|had to leave][| today| again]",
    "[the car|the washing machine|the heating|my computer|the lift|my printer|the oven] is [broken|making noise|not "
    "working][| again| today]",
    "[I have|I had] [a headache|a cold|a long day|too much work|trouble at work|a bad night|no time|a sore foot]"
    "[| today| again]",
    "[the neighbours are loud|the baby is crying|the shop was closed|the soup was cold|the plants are dying|my tea "
    "went cold|nobody answers the phone][| again| today]",
    "[I am|we are] [tired|hungry|stuck|lost|waiting|sitting in the cold][| now| today] [because of the rain|at the "
    "station|in the kitchen|at work|in {town}]",
)
PLAIN = (
    "[I am|we are] [sitting in the kitchen|at the station|on the train|at school|at home|in the garden|at my desk|in "
    "a cafe|at the airport][| now| right now| with {friend}| and thinking]",
    "[I have|we have|there is] [a test|an exam|a lesson|homework|a meeting|a quiz|a visit from {friend}] "
    "[tomorrow|today|next week|on {day}|soon]",
    WHO + " [is|works as] {job}",
    WHO + " [likes|loves|hates|talks about|is learning|is good at] [{hobby}|{food}]",
    "[I|we] [saw|met|heard|fed|passed] {animal} [in the park|on the way home|at the farm|near the river|behind the "
    "house][| today| yesterday]",
    "[I am|I was|we were] [reading a book|watching a film|drinking tea|cleaning the windows|washing the car|packing "
    "bags|writing letters|doing a puzzle|looking at pictures|cooking {food}][| just now| today]",
    "[tomorrow|today|next week|soon|on {day}] [I go|we go|we travel|I have to travel] to {town}",
    "[my children|my students|the kids|some people|{friend} and I|my friends] [play a game|have a quiz|argue about "
    "this|were talking about this|are doing homework|need my help]",
    "[I am|I'm] [new here|not sure about this|just playing|learning|trying you out|testing you|a bit slow today|bad "
    "at this|back again]",
    "[my memory is bad|I never liked school|I always mix this up|I left my notes at home|my head is empty today|this "
    "has bothered me all day|I should know this|it is probably easy]",
    "[the bus|the train|the plane|the post|the doctor|the shop] [comes|opens|leaves|arrives] [soon|later|in the "
    "afternoon|on {day}]",
    "[I|we] [painted|cleaned|tidied|decorated] the [kitchen|bedroom|garage|fence|office|hall] [on {day}|yesterday|"
    "last week]",
    "[{friend}|she|he|somebody] [says|thinks|claims] that [I worry too much|you know everything|this is easy|nobody "
    "knows this|you can help]",
)
# What one says of oneself before a question, what it tells and which of the values below it takes.
INTRODUCTIONS = (
    (
        "[I am|I'm|my name is|hi, I'm|hello, my name is|hey, this is|hello, I am|my name's|call me|it is me,] {x}",
        "name",
    ),
    (
        "[I live in|I'm from|I come from|I am writing from|greetings from] {x}",
        "town",
    ),
    ("[I am|I'm|I work as|I earn my living as] {one}", "job"),
    ("[I am|I'm] {x} years old", "age"),
    ("[I have {one} called {x}|my {animal} is called {x}|my {animal}'s name is {x}]", "pet"),
    ("my [sister|little sister|big sister] is called {x}", "sister"),
    ("my [brother|little brother|big brother] is called {x}", "brother"),
)


def aside(rng: Random, introduces: bool) -> tuple[str, dict[str, str], dict[str, str]]:
    """A sentence with open slots, what is in them, and what it tells of the user (nothing unless it may)."""
    if introduces and rng.random() < 0.2:
        return _introduction(rng)
    pattern = phrase(rng, rng.choice((GLAD, SORRY, PLAIN, PLAIN)))
    return _sentence(rng, pattern), _things(rng), {}


def remark(rng: Random) -> tuple[str, bool]:
    """Something that happened to the user, and whether it is pleasant."""
    glad = rng.random() < 0.5
    return _sentence(rng, phrase(rng, GLAD if glad else SORRY)).format(**_things(rng)), glad


def _sentence(rng: Random, pattern: str) -> str:
    return pattern[:1].upper() + pattern[1:] + rng.choice((".", ".", ".", "!"))


def _things(rng: Random) -> dict[str, str]:
    return {
        "friend": rng.choice(COMMON_NAMES),
        "food": rng.choice(EDIBLES),
        "day": rng.choice(DAYS),
        "town": rng.choice(TOWNS),
        "hobby": rng.choice(HOBBIES),
        "job": a(rng.choice(JOBS)),
        "animal": a(rng.choice(PETS)),
    }


def _introduction(rng: Random) -> tuple[str, dict[str, str], dict[str, str]]:
    pattern, thing = rng.choices(INTRODUCTIONS, (8, 2, 2, 1.5, 2, 1, 1))[0]
    animal = rng.choice(PETS)
    x = rng.choice(TOWNS) if thing == "town" else rng.choice(JOBS) if thing == "job" else name(rng)
    if thing == "age":
        x = str(rng.randint(5, 99))
    told = {thing: x} | ({"animal": animal} if thing == "pet" else {})
    slots = {"x": x, "one": a(animal if thing == "pet" else x), "animal": animal}
    return _sentence(rng, phrase(rng, (pattern,))).replace("!", "."), slots, told
