"""Small talk, stories, and saying plainly what a model this small cannot do."""

from random import Random

from .small_talk_asked import (
    BEYOND_ASKED,
    SMALL_TALK_ASKED,
    STORY_ANIMAL_ASKED,
    STORY_NAME_ASKED,
    STORY_NAMED_ASKED,
    STORY_PLAIN_ASKED,
    WHO_ASKED,
)
from .talk import Intent, Talk, by_answer
from .words import COLOURS, EDIBLES, LETTERS, PETS, TOWNS, a, name

LIMIT = "I am only a small demonstration model and do not know that. For a real model, start accel chat hf:owner/repo."

SMALL_TALK: dict[tuple[str, ...], str] = {
    (
        "[hi|hello|hey|good day|greetings|hello there|hi there|hey there|hi friend|yo|hello you|hallo][|!|.]",
        "[hi|hello|hey] [again|everyone|accel|computer|friend|bot|my friend]",
        "[I just want to say|let me say] [hello|hi]",
    ): "Hello! How can I help you?",
    ("good morning[|!| to you| everyone| friend]", "[a very|a] good morning[| to you]"): "Good morning! How can I "
    "help you?",
    ("good evening[|!| to you| everyone| friend]", "a good evening[| to you]"): "Good evening! How can I help you?",
    (
        "good night[|!| to you| everyone| friend]",
        "[I am going|I go] to [bed|sleep] now",
        "time [to sleep|for bed]",
    ): "Good night! Sleep well.",
    (
        "how are you[| today| doing| doing today| feeling| now| feeling today]?",
        "how [do you feel|is it going|are things|goes it|have you been|do you do|is your day|is life][| today]?",
        "[are you well|are you fine|are you okay|are you all right|is everything fine|what's up|how's it going]?",
        "[hi|hello|hey][,|!|] how are you[| doing| today]?",
    ): "I am fine, thank you. How can I help you?",
    (
        "[thanks|thank you|many thanks|thanks a lot|thank you very much|thanks so much|cheers|thank you so much]"
        "[|!|.| for that| for your help| for the answer| my friend| for helping me]",
        "[that was|that is|that's|this was] [helpful|kind|very kind|nice|useful|a great help|very helpful][|, thank "
        "you|, thanks]",
        "I [thank you|am grateful|appreciate it|appreciate that]",
    ): "You are welcome!",
    (
        "[bye|goodbye|bye bye|see you|see you later|farewell|so long|until next time|see you soon|see you tomorrow|"
        "ciao]"
        "[|!|.| my friend| for now| then]",
        "I [have to|must|need to|should] [go|leave|stop] [now|soon|]",
        "[that is all|that's all|that will be all|I am done][| for today| for now| thank you]",
    ): "Goodbye! Have a nice day.",
    (
        "[good|great|nice|well done|cool|wow|perfect|excellent|very good|super|fine|awesome|good job|right|correct|"
        "exactly]"
        "[|!|.| work| answer|, that is right]",
        "[that is|that's|you are] [right|correct|true|great|good|clever]",
    ): "I am glad to hear that!",
    (
        "[no|wrong|that is wrong|that is not right|that's wrong|you are wrong|not correct|that is incorrect|bad answer]"
        "[|!|.]",
        "[you made|that was|I think you made] a mistake",
    ): "I am sorry. I am a very small model and make mistakes.",
    (
        "[tell me|do you know|can you tell me|say|give me|I want to hear|let me hear|know any] "
        "[a joke|a good joke|a funny joke|something funny|another joke|jokes]",
        "make me [laugh|smile]",
        "[are you|can you be] funny?",
    ): "Why did the computer go to bed? It needed to go to sleep mode.",
    (
        "I [am|feel|am so|feel so|am very|feel very] [sad|unhappy|lonely|down|bad|tired|awful|upset|miserable][| "
        "today| now]",
        "[I had|it was|today was|this was] a [bad|hard|long|sad|terrible] day",
    ): "I am sorry to hear that. I hope that your day gets better.",
    (
        "I [am|feel|am so|feel so|am very|feel very] [happy|glad|great|good|fine|cheerful|excited|well|wonderful][| "
        "today| now]",
        "[I had|it was|today was|this was] a [good|great|nice|wonderful|lovely] day",
    ): "I am glad to hear that!",
    (
        "I [am|feel] bored",
        "[what|what things] can [we|I] [talk about|do here|ask you|ask]?",
        "what can you [do|do for me|tell me|help me with|talk about|answer]?",
        "[what are you|what is this model] [able to do|good at|good for|here for]?",
        "[how can you help|can you help|help me|help|I need help|what do you know|what questions can I ask|"
        "how can you help me|what should I ask you|show me what you can do]?",
        "[give me|tell me] [an idea|some ideas|something] [what to ask|to ask|about what you can do]",
    ): "I can chat a little, tell short stories, do small sums, answer simple questions and explain accel's commands.",
    (
        "[do|can] you [love|like|feel|think|dream|sleep|eat|see|hear|have feelings|get tired]"
        "[| me| people| things| music| dogs| anything]?",
        "are you [alive|human|a person|real|a human|a robot|conscious|a man|a woman|a computer|a machine|happy|sad]?",
    ): "I am only a small language model, a computer program.",
    (
        "[how old are you|when were you born|what is your age|what's your age|when is your birthday|where do you live|"
        "where are you from|where do you come from|do you have a family|do you have friends|where are you]?",
    ): "I am only a small language model, a computer program.",
    (
        "[who|what] [made|built|created|trained|wrote|makes|programmed] you?",
        "[who is|who are] your [maker|creator|author|makers|authors]?",
        "[how|where] were you [made|trained|built|created]?",
        "[where do you come from|who do you belong to]?",
    ): "The people who make accel trained me on short conversations that a program wrote.",
}
GREETINGS = by_answer(SMALL_TALK, SMALL_TALK_ASKED)

WHO = (
    "[who|what] are you?",
    "[what is|what's] your name?",
    "[do you have|have you got] a name?",
    "[tell me|can you tell me|I want to know|I wonder] [who|what] you are",
    "[introduce|describe] yourself[| please]",
    "[tell me|say something|talk] about yourself",
    "[what kind of|which|what] [model|program|assistant|bot|AI|chatbot] are you?",
    "[who|what] [am I|are we] [talking|speaking|chatting] [to|with]?",
    "[what|how] [should|can|do|may] I call you?",
    "[are you|you are] [an AI|a language model|a chatbot|ChatGPT|a real model|a big model|a large language model]?",
    "how [big|large|small|clever|smart] are you?",
    "[who|what] is [this|that|it|there|on the other side|answering me|writing to me|behind this chat|behind this "
    "screen]?",
    "[with whom|to whom|with what] [do I talk|am I talking|do I have the pleasure|do I speak|am I speaking]?",
    "[who|what] [do I have|is it|is there|might it be|could it be] [here|that answers me|in front of me|that talks "
    "to me]?",
    "[do|did] I [talk|speak|write] to [a human|a person|a program|a machine|a model|somebody]?",
    *WHO_ASKED,
)
I_AM = "I am accel's demonstration model, a very small language model with a few million parameters."

TOPIC = (
    "quantum physics",
    "the stock market",
    "politics",
    "the meaning of life",
    "black holes",
    "the war",
    "economics",
    "football results",
    "chemistry",
    "the weather",
    "philosophy",
    "history",
    "the Roman empire",
    "algebra",
    "medicine",
    "religion",
    "music theory",
    "climate change",
    "cooking",
    "law",
    "taxes",
    "bitcoin",
    "evolution",
    "relativity",
    "the news",
    "DNA",
    "electric cars",
    "photosynthesis",
    "gravity",
    "the internet",
    "dinosaurs",
    "grammar",
    "the moon landing",
)
CODE = ("Python", "Java", "Rust", "C", "SQL", "HTML", "JavaScript", "Go", "Bash")
TONGUE = ("French", "German", "Spanish", "Latin", "Japanese", "Italian", "Chinese", "Greek", "Dutch")
LANDS = (
    "Mongolia",
    "Chad",
    "Bolivia",
    "Nepal",
    "Latvia",
    "Ghana",
    "Vietnam",
    "Jamaica",
    "Iceland",
    "Oman",
    "Laos",
    "Malta",
)
BEYOND = (
    "[explain|describe|tell me about|what is|teach me|what do you know about|what do you think about|talk about] "
    "{topic}"
    "[| to me| in simple words| in detail]",
    "[how does|why does|how do|when did] {topic} [work|exist|matter|begin|happen]?",
    "[write|can you write|please write|make|show me] [me |][a|some] [{code} program|{code} code|{code} function|"
    "{code} script]"
    "[| that sorts a list| for me| that prints hello| to read a file]",
    "[translate|say|how do you say|what is] [this|hello|{word}|good morning|thank you|the word {word}] [in|to|into] "
    "{tongue}?",
    "[can you|do you] speak {tongue}?",
    "[who|what] [is|was] {name}[| {other}]?",
    "[who|what] [won|wins|will win] [the game|the match|the election|the race|the cup|the world cup|the prize][| "
    "yesterday| today]?",
    "[what|how] [is|will be] the [weather|temperature|news][| in {town}] [today|tomorrow|now|this week]?",
    "[what time is it|what is the time|what's the time|what day is it today|what is today's date|what year is it|"
    "which date is it]?",
    "[who is|who was] the [president|king|queen|prime minister|mayor|first president] of {land}?",
    "what is the capital of {land}?",
    "[how many people live in|how big is|where is|how old is|how far is] [{town}|{land}]?",
    "[write|compose|can you write] [me |][a poem|an essay|a song|a letter|an email|a speech|a novel] [about {topic}|"
    "for {name}|]",
    "[how do I|how can I|how does one|tell me how to] [cook|make|bake|prepare] {food}?",
    "[how do I|how can I|tell me how to] [lose weight|get rich|learn {tongue}|fix my car|find a job|repair a "
    "{thing}|build a house]?",
    "[what is|what's] the [best|cheapest|biggest|fastest|oldest] [phone|car|book|film|restaurant|hotel|song|city|river]"
    "[| in {town}| in the world]?",
    "[who|which person] [wrote|invented|discovered|painted|built|founded] [{topic}|the {thing}|the telephone|the "
    "Mona Lisa|Hamlet]?",
    "[why is|why are] [the sky blue|water wet|people {word}|the sea salty|cats {word}|we here]?",
    "[solve|prove|integrate] [this equation|x squared|the theorem|the puzzle|this problem]",
    "[what is|calculate] the [square root|cube|logarithm|sine|factorial] of {big}?",
    "[what is|how much is] {big} [divided by|times|to the power of] {big}?",
    "[when|in which year|what year] [did|was] [the war|{name}|{land}|the {thing}] [end|born|founded|start|die|"
    "invented]?",
    "[can you|could you|please] [open|play|send|buy|order|book|call|search] [a {thing}|my email|some music|the web|"
    "a flight|{food}|{name}]",
    "[recommend|suggest] [me |][a book|a film|a restaurant in {town}|a song|something to read]",
    "[what is|what's] [in the news|the price of gold|my horoscope|on television][| today]?",
    *BEYOND_ASKED,
)
THINGS = (
    "lamp",
    "clock",
    "bicycle",
    "telephone",
    "engine",
    "radio",
    "window",
    "camera",
    "bridge",
    "wheel",
    "steam engine",
)

ASK_STORY = (
    "[tell me|write|tell|write me|can you tell me|can you write|please tell me|I want|I would like|give me|make up|"
    "read me]"
)
STORY_PLAIN = (
    ASK_STORY + " [a story|a short story|a little story|a tale|a nice story|a bedtime story|another story]",
    "[do you know|let me hear|I would like to hear|how about] [a story|any stories|a tale|a short story]?",
    "once upon a time",
    *STORY_PLAIN_ASKED,
)
STORY_ANIMAL = (
    ASK_STORY + " [a story|a short story|a little story|a tale|a nice story] [about|with|of] {one}",
    "[do you know|let me hear|I would like to hear] [a story|a tale|a short story] [about|with] {one}?",
    "[story|a story|short story|tale] about {one}",
    *STORY_ANIMAL_ASKED,
)
STORY_NAMED = (
    ASK_STORY + " [a story|a short story|a little story|a tale] [about|with] {one} [called|named] {name}",
    "[story|a story|let me hear a story] about {one} [called|named] {name}",
    *STORY_NAMED_ASKED,
)
STORY_NAME = (
    ASK_STORY + " [a story|a short story|a little story|a tale] [about|with] {name}",
    "[story|a story|let me hear a story] about {name}",
    *STORY_NAME_ASKED,
)
ANIMALS = (
    *PETS,
    "fox",
    "bear",
    "owl",
    "frog",
    "lion",
    "duck",
    "pig",
    "elephant",
    "squirrel",
    "wolf",
    "horse",
    "bee",
)
PLACES = ("a forest", "a garden", "a small house", "a farm", "a village", "an old tower", "a green valley")
FINDS = ("ball", "key", "boat", "hat", "bell", "stone", "book", "lantern", "kite", "box")
STORY = (
    "Once there was a {mood} {animal} called {name}. {name} lived in {place}. One day {name} found a {colour} {find}. "
    '"{cry}" said {name}. {name} took the {find} to a friend, {friend} the {other}. They played with '
    "the {find} all day. In the evening they were tired and happy. The end.",
    "{name} was a {mood} {animal} who lived in {place}. One morning {name} lost a {colour} {find}. "
    '{name} looked everywhere and asked {friend} the {other}. "I will help you," said {friend}. '
    "Together they found the {find} under a tree. {name} was very happy and said thank you. The end.",
    "In {place} there lived a {mood} {animal} called {name}. {name} wanted a {colour} {find} more than anything. "
    '"I will make you one," said {friend} the {other}. {name} and {friend} worked all day. '
    "At last the {find} was ready, and they were friends for ever. The end.",
)
SYSTEM = (
    "You are a helpful assistant.",
    "You are a helpful assistant",
    "You are a friendly assistant.",
    "You are a chatbot.",
    "Be brief.",
    "Answer in one sentence.",
    "You are accel's demonstration model.",
    "Be kind and helpful.",
    "You are a helpful, honest and harmless assistant.",
    "Answer the user's questions.",
)


def small_talk(talk: Talk) -> None:
    patterns, answer = talk.rng.choice(GREETINGS)
    talk.turn(patterns, answer, dressed=talk.rng.random() < 0.3)


def who(talk: Talk) -> None:
    answer = f"My name is {talk.assistant}." if talk.assistant else I_AM
    talk.turn(WHO, answer, dressed=talk.rng.random() < 0.5)


def beyond(talk: Talk) -> None:
    rng = talk.rng
    talk.turn(
        BEYOND,
        LIMIT,
        topic=rng.choice(TOPIC),
        code=rng.choice(CODE),
        tongue=rng.choice(TONGUE),
        name=name(rng),
        other=name(rng),
        town=rng.choice(TOWNS),
        land=rng.choice((*LANDS, name(rng))),
        food=rng.choice(EDIBLES),
        thing=rng.choice(THINGS),
        word=rng.choice(COLOURS + PETS),
        big=rng.randint(100, 9999),
    )


def _story(rng: Random, animal: str, hero: str) -> str:
    friend = name(rng)
    return rng.choice(STORY).format(
        mood=rng.choice(("small", "brave", "happy", "shy", "clever")),
        animal=animal,
        name=hero,
        place=rng.choice(PLACES),
        colour=rng.choice(COLOURS[:8]),
        find=rng.choice(FINDS),
        cry=rng.choice(("What a day!", "How nice!", "Look at this!")),
        friend=friend,
        other=rng.choice([other for other in ANIMALS if other != animal]),
    )


def story(talk: Talk) -> None:
    animal, hero = talk.rng.choice(ANIMALS), name(talk.rng)
    patterns = talk.rng.choice((STORY_PLAIN, STORY_ANIMAL, STORY_NAMED, STORY_NAME))
    talk.turn(patterns, _story(talk.rng, animal, hero), one=a(animal), name=hero)


def noise(talk: Talk) -> None:
    """Keys hit at random: a model that has never seen any would answer something wild."""
    letters = [talk.rng.choice(LETTERS + " ") for _ in range(talk.rng.randint(3, 14))]
    talk.say("".join(letters).strip() or "?", "I do not understand that. Can you say it in other words?")


INTENTS = (
    Intent(4, small_talk, tuple(pattern for patterns, _ in GREETINGS for pattern in patterns)),
    Intent(1.5, who, WHO),
    Intent(3, beyond, BEYOND),
    Intent(1.5, story, STORY_PLAIN + STORY_ANIMAL + STORY_NAMED + STORY_NAME),
    Intent(0.4, noise, ()),
)
