"""Turns that tell something and turns that ask for it later, with others between."""

from .memory_asked import ASK_ASKED, ASK_NAME_ASKED, TELL_ASKED, TELL_NAME_ASKED
from .talk import Intent, Talk
from .words import COLOURS, EDIBLES, HOBBIES, JOBS, LETTERS, PETS, TOWNS, a, name

OPEN = (
    "[|||hi, |hello, |hey, |hi! |hello! |good morning, |just so you know, |by the way, |let me tell you, |remember, ]"
)
REMIND = (
    "[|||can you tell me |do you remember |do you still know |tell me |could you remind me |please remind me |"
    "remind me |do you recall |now tell me |now |so |and |say, ]"
)

TELL_NAME = (
    OPEN + "[my name is|I am|I'm|I am called|call me|you can call me|they call me|my first name is|people call me|"
    "this is|the name is|please call me|my friends call me|everybody calls me] {x}",
    OPEN + "{x} is my name",
    "I am {x}[|, nice to meet you|, pleased to meet you|, and who are you|. How are you]?",
    "my name is {x}[| and I am new here| and I like to talk|, what can you do|. Please remember that]",
    "{x} here",
    "[I was given the name|I bear the name|my parents called me|my parents named me|the people here call me|I "
    "answer to|"
    "everyone knows me as|you are talking to|you speak with|I have the name|the name I have is] {x}",
    "[nice to meet you|hello|good day|hi|pleased to meet you|good evening][,|.|!] [I am|my name is|I'm|call me|it "
    "is] {x}[| here]",
    "[as for me, I am|as for my name, it is|about me: I am|my name? It is|who am I? I am|name:|me:] {x}",
    "[allow me to|may I|I would like to|I want to|time to|I should] [introduce myself|present myself|say who I am|"
    "tell you who I am]"
    "[:|.|,] [I am|my name is|it is|the name is|] {x}",
    "[my friends know me as|you will know me as|on paper I am|at home I am|at school I am|at work they call me|most "
    "people say|"
    "just say|feel free to say|you can say|let us say I am] {x}",
    "[I was born as|I was baptised|my given name is|my birth name is|my nickname is|I sign as|I am the one called] {x}",
    "[the person|the one|the human|the user] [in front of you|you talk to|at the keyboard|writing this|here] is "
    "[called |named |]{x}",
    "[from now on|today|for you|in this chat|tonight] [I am|my name is|call me|you call me] {x}",
    "{x}[, that is me|, that's my name|, at your service| is how I am called| is what they call me| is who I am|, "
    "nice to meet you]",
    "[I think|you should know|let me say|I want you to know] that [my name is|I am|I am called] {x}",
    "[we have not met|let us start|first things first|before we start][:|,|.] [I am|my name is|I'm] {x}",
    *TELL_NAME_ASKED,
)
ASK_NAME = (
    REMIND + "[what is my name|what's my name|what my name is|who I am|who am I|what I am called|what am I called|"
    "how I am called]?",
    "[do you know|do you remember|do you recall|can you remember] [my name|who I am|what I am called]?",
    "[tell me|say|repeat|give me|write] my name[| again| please]",
    "what did I say my name [is|was]?",
    "[which|what] name did I [give|tell|say to] you?",
    "[which|what] is my name[| again]?",
    "my name[:| is|, what is it|, do you remember it|, do you know it| is what][| again]?",
    "[what|who] did I say [I am|I was|my name is]?",
    "[how|with what name] [do you call|would you call|do you address] me?",
    "[how|what] [was|is] my name[| again]?",
    "[how|what] am I [named|called]?",
    "[so|and|now|then] [who|what] [am I|is my name|was my name|was I]?",
    "[which|what] [name|first name] [is mine|do I go by|was mine|did I introduce myself with|did I tell you|belongs "
    "to me|am I using]?",
    "[can|could|would] you [say|write|repeat|spell out|tell me|give me] my [name|first name][| again| once more]?",
    "[I forgot|I have forgotten|I don't remember] my [own |]name[.|,|:] [what is it|do you know it|can you help|who "
    "am I]?",
    "[have you forgotten|you forgot|do you still have|have you kept|did you note] my name?",
    "[who are you talking|who do you talk|who are you speaking] to[| now]?",
    *ASK_NAME_ASKED,
)
TELL_PLAINLY = {
    "colour": (
        OPEN + "my [favourite|favorite] [colour|color] is {x}",
        OPEN + "[I like|I love|I prefer|the colour I like best is|the color I like most is] {x}[| best of all colours| "
        "more than any other colour]",
        "{x} is [my favourite colour|my favorite color|the colour I like best|the color I love]",
        "of all colours I like {x} [best|most]",
        "[nothing is as beautiful as|there is no colour like|I paint everything in|I always choose|the best colour is|"
        "my colour is] {x}",
        "[the|a] colour [I adore|I enjoy|that I like|which I love|I would choose|for me] is {x}",
    ),
    "pet": (
        OPEN + "I have [|got ][|a pet, ]{one} [called|named|whose name is|with the name] {x}",
        OPEN + "my {animal} is [called|named] {x}",
        OPEN + "my {animal}'s name is {x}",
        "the name of my {animal} is {x}",
        "I [own|keep|live with|take care of] {one} [called|named] {x}",
        "{x} is my {animal}",
        "[there is|we keep|my family has] {one} [at home|in my house|in our home][,|.] [it is called|its name is|he is "
        "called|"
        "she is called|the name is] {x}",
        "[I gave|we gave] my {animal} the name {x}",
        "[our|the|that] {animal} [of mine |we have |][is called|is named|has the name|listens to the name] {x}",
        "[I|we] [bought|found|adopted|got|were given] {one}[ and|,| that] [call it|its name is|we named|I named it|is "
        "called|named] {x}",
        "[I call|we call] my {animal} {x}",
        "my {animal} [has the name|answers to|goes by] {x}",
        "I got {one} [yesterday|last year|for my birthday] and [called|named] [it|him|her] {x}",
    ),
    "town": (
        OPEN + "[I live in|I am from|I'm from|I come from|my home is in|my home town is|I was born in|home for me "
        "is] {x}",
        "{x} is [where I live|my home|my home town]",
        "I [moved to|have a house in|have a flat in|am living in|live now in|grew up in|have my home in|stay in|"
        "reside in] {x}",
        "[we live|my family lives|we have lived|I spend my life|I have settled|I sleep|you can find me|I feel at home|"
        "my house stands] in {x}",
        "[{x} is where I come from|{x} is where my house is|in {x} I feel at home|in {x} is my house|{x} has been my "
        "home for years]",
        "[my town is|my city is|the place where I live is|the town I live in is|my place is] {x}",
    ),
    "food": (
        OPEN + "my [favourite|favorite] [food|dish|meal] is {x}",
        OPEN + "I [like|love] to eat {x}",
        "{x} is [my favourite food|the food I like best|what I like to eat]",
        "I could eat {x} every day",
        "[the best food|the best dish|my best meal|the food I love|the dish I like most] is {x}",
        "[nothing tastes better than|I always eat|I am fond of|I really like|I enjoy|I adore|give me] {x}[| to eat| for "
        "dinner]",
    ),
    "job": (
        OPEN + "[I am|I'm|I work as] {one}",
        "my [job|work|profession] is [being|that of] {one}",
        "I earn my [living|money] as {one}",
        "[my job: I am|at work I am|I am employed as|I have a job as|for a living I work as|for many years I was|I "
        "became] {one}",
    ),
    "hobby": (
        OPEN + "my [hobby|favourite hobby|pastime] is {x}",
        OPEN + "I [like|love|enjoy] {x} [in my free time|at the weekend|after work]",
        "[in my free time|at the weekend] I [like|love|enjoy] {x}",
        "{x} is my hobby",
        "[what I like to do is|the thing I do for fun is|I spend my evenings with|I am very fond of|my great love is] {x}",
    ),
    "age": (
        OPEN + "I am {x} years old",
        OPEN + "I'm {x}[| years old| years of age]",
        "my age is {x}",
        "I [turned|just turned|have turned] {x} [today|last week|this year]",
        "[I was born {x} years ago|{x} years is my age|I have lived {x} years|I will soon be older than {x}, but now I "
        "am {x}]",
    ),
    "number": (
        OPEN + "my [lucky|favourite|favorite] number is {x}",
        "{x} is my [lucky|favourite|favorite] number",
        "the number I like best is {x}",
        "[my number is|the best number is|I always pick the number|remember the number|keep the number] {x}",
    ),
    "word": (
        OPEN + "[the|my] [secret word|password|code word|secret] is {x}",
        "[remember|keep in mind|please remember|do not forget|note] [the word|this word:|the secret word|the code "
        "word] {x}",
        "{x} is the [secret word|code word|password]",
        "[here is|I tell you|I give you|let us use] [a secret word|a code word|a password|the secret]: {x}",
    ),
    "friend": (
        OPEN + "my [best friend|friend] is [called|named] {x}",
        "my [dear |older |younger |big |only |][best friend|friend] [answers to|goes by the name of|is known as|"
        "bears the name] {x}",
        "[they call|we call|I call|everybody calls] my friend {x}",
        OPEN + "my [best friend|friend]'s name is {x}",
        "{x} is my [best friend|friend]",
        "I have a [good friend|friend|best friend] [called|named] {x}",
    ),
    "sister": (
        OPEN + "my sister is [called|named] {x}",
        "my [dear |older |younger |big |only |]sister [answers to|goes by the name of|is known as|bears the name] {x}",
        "[they call|we call|I call|everybody calls] my sister {x}",
        OPEN + "I have a sister [called|named] {x}",
        "{x} is my sister",
        "my sister's name is {x}",
    ),
    "brother": (
        OPEN + "my brother is [called|named] {x}",
        "my [dear |older |younger |big |only |]brother [answers to|goes by the name of|is known as|bears the name] {x}",
        "[they call|we call|I call|everybody calls] my brother {x}",
        OPEN + "I have a brother [called|named] {x}",
        "{x} is my brother",
        "my brother's name is {x}",
    ),
}
ASK_PLAINLY = {
    "colour": (
        REMIND + "[what is|what's|which is] my [favourite|favorite] [colour|color]?",
        REMIND + "[which|what] [colour|color] [I like|I love|do I like|do I love|do I prefer] [|best|most]?",
        "[what|which] [colour|color] did I [say|tell you] [I like|is my favourite]?",
        "do you [remember|know|recall] my [favourite|favorite] [colour|color]?",
        "my [favourite |favorite |best |]colour[:| is| is what|, which is it|, do you know it]?",
        "[what|which] [colour|color] [do I adore|is mine|did I name|would I choose|do I find best|is it that I love]?",
    ),
    "pet": (
        REMIND + "[what is|what's] [my {animal}'s name|the name of my {animal}|my {animal} called]?",
        REMIND + "[how is my {animal} called|what do I call my {animal}|what my {animal} is called|what is my pet "
        "called]?",
        "do you [remember|know|recall] [the name of my {animal}|my {animal}'s name|what my {animal} is called|my pet]?",
        "[who is|what is the name of] my {animal}?",
        "what did I say my {animal} is called?",
        "my {animal}[:|, what is its name|, how is it called| is called what|'s name is]?",
        "[what|which] name [did I give|have I given|belongs to] my {animal}?",
        "how do I call [my {animal}|my pet]?",
        "[what|how] [is|was] [the|our|that] {animal} [called|named]?",
        "[and|so|now] what [was|is] the name of [the|our|my] {animal}[| again]?",
    ),
    "town": (
        REMIND + "[where do I live|where I live|where I am from|where am I from|where do I come from|what is my "
        "home town|"
        "which town do I live in|in which city do I live]?",
        "do you [remember|know|recall] [where I live|my home town|where I am from|where I come from]?",
        "where did I say I [live|come from|am from]?",
        "[what|which] [town|city|place] [is my home|am I from|do I come from|do I live in|did I name]?",
        "[where is my home|where is my house|where do I have my home|I live where|my home is where]?",
    ),
    "food": (
        REMIND + "[what is|what's] my [favourite|favorite] [food|dish|meal]?",
        REMIND + "what [do I like|I like|do I love] to eat?",
        "do you [remember|know|recall] [my favourite food|what I like to eat]?",
        "[what|which] [food|dish|meal] [do I like|do I love|is my favourite|do I prefer|makes me happy][| best| most]?",
        "my favourite [food|dish|meal] is [what|which]?",
    ),
    "job": (
        REMIND + "[what is|what's] my [job|work|profession]?",
        REMIND + "what [do I do|do I work as|I do] [|for a living|for work]?",
        "do you [remember|know|recall] [my job|what I do for a living|what I work as]?",
        "[what|which] [job|profession] [do I have|is mine|did I name]?",
        "[as what do I work|how do I earn my money|how do I earn my living|my job is what]?",
    ),
    "hobby": (
        REMIND + "[what is|what's] my [hobby|favourite hobby|pastime]?",
        REMIND + "what [do I like|do I enjoy|I enjoy] [to do|doing] in my free time?",
        "do you [remember|know|recall] [my hobby|what my hobby is]?",
        "[what|which] hobby [do I have|is mine|did I name]?",
        "[what do I do for fun|what do I like doing|my hobby is what]?",
    ),
    "age": (
        REMIND + "[how old am I|how old I am|what is my age|what's my age]?",
        "do you [remember|know|recall] [how old I am|my age]?",
        "how old did I say I am?",
        "[my age|my age is|how many years old am I|what age am I|what age do I have]?",
    ),
    "number": (
        REMIND + "[what is|what's|which is] my [lucky|favourite|favorite] number?",
        "do you [remember|know|recall] my [lucky|favourite|favorite] number?",
        "[which|what] number [do I like best|did I tell you|is my favourite]?",
    ),
    "word": (
        REMIND + "[what is|what's|what was] the [secret word|password|code word|secret]?",
        "do you [remember|know|recall] the [secret word|password|code word|secret|word]?",
        "[which|what] word did I [tell|give] you?",
        "[what|which] word [did I ask you to remember|should you remember|were you to remember]?",
    ),
    "friend": (
        REMIND + "[what is|what's] [my friend's name|my best friend's name|the name of my friend|my friend called]?",
        REMIND + "[who is my friend|who is my best friend|how is my friend called]?",
        "my friend[:|, what is the name|'s name is|, how is that name|, who is it]?",
        "[what|which] name [belongs to|has|was that of] my friend?",
        "do you [remember|know|recall] [my friend|my friend's name|my best friend's name|who my friend is]?",
    ),
    "sister": (
        REMIND + "[what is|what's] [my sister's name|the name of my sister|my sister called]?",
        REMIND + "[who is my sister|how is my sister called]?",
        "my sister[:|, what is the name|'s name is|, how is that name|, who is it]?",
        "[what|which] name [belongs to|has|was that of] my sister?",
        "do you [remember|know|recall] [my sister|my sister's name|what my sister is called]?",
    ),
    "brother": (
        REMIND + "[what is|what's] [my brother's name|the name of my brother|my brother called]?",
        REMIND + "[who is my brother|how is my brother called]?",
        "my brother[:|, what is the name|'s name is|, how is that name|, who is it]?",
        "[what|which] name [belongs to|has|was that of] my brother?",
        "do you [remember|know|recall] [my brother|my brother's name|what my brother is called]?",
    ),
}
TELL = {thing: patterns + TELL_ASKED[thing] for thing, patterns in TELL_PLAINLY.items()}
ASK = {thing: patterns + ASK_ASKED[thing] for thing, patterns in ASK_PLAINLY.items()}
NOTED = {
    "colour": "Noted: your favourite colour is {x}.",
    "pet": "Noted: your {animal} is called {x}.",
    "town": "Noted: you live in {x}.",
    "food": "Noted: your favourite food is {x}.",
    "job": "Noted: you are {one}.",
    "hobby": "Noted: your hobby is {x}.",
    "age": "Noted: you are {x} years old.",
    "number": "Noted: your favourite number is {x}.",
    "word": "Noted: the word is {x}.",
    "friend": "Noted: your friend is called {x}.",
    "sister": "Noted: your sister is called {x}.",
    "brother": "Noted: your brother is called {x}.",
}
RECALL = {thing: said.removeprefix("Noted: ") for thing, said in NOTED.items()}
UNKNOWN = {
    "name": "your name",
    "colour": "your favourite colour",
    "pet": "that",
    "town": "where you live",
    "food": "your favourite food",
    "job": "your job",
    "hobby": "your hobby",
    "age": "how old you are",
    "number": "your favourite number",
    "word": "the word",
    "friend": "the name of your friend",
    "sister": "the name of your sister",
    "brother": "the name of your brother",
}


def tell_name(talk: Talk) -> None:
    x = name(talk.rng)
    talk.known["name"] = x
    talk.turn(TELL_NAME, "Hello, {x}! Nice to meet you.", dressed=talk.rng.random() < 0.4, x=x)


def ask_name(talk: Talk) -> None:
    if "name" in talk.known:
        talk.turn(ASK_NAME, "Your name is {x}.", x=talk.known["name"])
    else:
        talk.turn(ASK_NAME, "You have not told me your name yet.")


def _value(talk: Talk, thing: str) -> str:
    rng = talk.rng
    if thing in ("pet", "friend", "sister", "brother"):
        return name(rng)
    if thing == "word":
        return rng.choice(
            (
                name(rng).lower(),
                rng.choice(COLOURS + PETS + EDIBLES),
                "".join(rng.choice(LETTERS) for _ in range(rng.randint(4, 8))),
            )
        )
    if thing in ("age", "number"):
        return str(rng.randint(5, 99))
    plain = {"colour": COLOURS, "town": TOWNS, "food": EDIBLES, "job": JOBS, "hobby": HOBBIES}[thing]
    if thing == "town" and rng.random() < 0.4:
        return name(rng)
    return rng.choice(plain)


def tell(talk: Talk, thing: str | None = None) -> None:
    thing = thing or talk.rng.choice(sorted(TELL))
    x = _value(talk, thing)
    animal = talk.rng.choice(PETS) if thing == "pet" else ""
    talk.known[thing] = x
    talk.known["animal"] = animal or talk.known.get("animal", "")
    one = a(animal) if animal else a(x)
    talk.turn(TELL[thing], NOTED[thing], dressed=talk.rng.random() < 0.4, x=x, animal=animal, one=one)


def ask(talk: Talk) -> None:
    told, untold = sorted(set(talk.known) & set(TELL)), sorted(set(TELL) - set(talk.known))
    if told and (not untold or talk.rng.random() < 0.85):
        thing = talk.rng.choice(told)
        x, animal = talk.known[thing], talk.known.get("animal", "")
        talk.turn(ASK[thing], RECALL[thing], x=x, animal=animal, one=a(x))
    else:
        thing = talk.rng.choice(untold)
        animal = talk.rng.choice(PETS)
        talk.turn(ASK[thing], f"You have not told me {UNKNOWN[thing]} yet.", animal=animal)


def several(talk: Talk) -> None:
    """Two or three things told, then asked for in any order."""
    things = talk.rng.sample(sorted(TELL), talk.rng.randint(1, 3))
    if talk.rng.random() < 0.5:
        tell_name(talk)
    for thing in things:
        tell(talk, thing)
    for _ in range(talk.rng.randint(1, 3)):
        if "name" in talk.known and talk.rng.random() < 0.35:
            ask_name(talk)
        else:
            ask(talk)


INTENTS = (
    Intent(9, tell_name, TELL_NAME),
    Intent(6, ask_name, ASK_NAME),
    Intent(4, tell, tuple(p for patterns in TELL.values() for p in patterns)),
    Intent(3, ask, tuple(p for patterns in ASK.values() for p in patterns)),
    Intent(12, several, ()),
)
