"""The examination: 60 questions whose phrasings, names and pairs of operands the corpus never uses.

They were written before the first model was trained to its end, and are not adapted to what a model answers.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """What the user says, turn by turn; a pattern that the last answer must match (search, any case); what it uses."""

    topic: str
    turns: tuple[str, ...]
    right: str
    operands: tuple[int, str, int] | None = None
    name: str | None = None


def arithmetic(text: str, a: int, sign: str, b: int) -> Question:
    """Right if the result is the last number in the answer."""
    result = {"+": a + b, "-": a - b, "x": a * b}[sign]
    return Question("arithmetic", (text,), rf"(?<!\d){result}(?!\d)\D*$", operands=(a, sign, b))


def fact(text: str, right: str) -> Question:
    return Question("facts", (text,), rf"\b(?:{right})\b")


def memory(right: str, *turns: str, name: str | None = None) -> Question:
    return Question("memory", turns, rf"\b{right}\b", name=name)


def accel(text: str, right: str) -> Question:
    return Question("accel", (text,), right)


QUESTIONS = (
    arithmetic("If I put 7 and 14 together, what number do I have?", 7, "+", 14),
    arithmetic("15 and 4 more would be how many?", 15, "+", 4),
    arithmetic("I need the answer to 6 plus 17.", 6, "+", 17),
    arithmetic("Would you be so kind to add 13 and 12?", 13, "+", 12),
    arithmetic("When 15 is added to 8, what do we have?", 8, "+", 15),
    arithmetic("What does 11 plus 10 equal?", 11, "+", 10),
    arithmetic("What would 31 plus 57 be?", 31, "+", 57),
    arithmetic("Take 7 away from 15 and tell me what remains.", 15, "-", 7),
    arithmetic("20 birds sit on a roof and 12 of them fly off. How many still sit there?", 20, "-", 12),
    arithmetic("Find out how much 18 minus 8 is.", 18, "-", 8),
    arithmetic("What would 19 minus 5 be?", 19, "-", 5),
    arithmetic("6 times 5 equals which number?", 6, "x", 5),
    arithmetic("Which number comes out of 4 times 9?", 4, "x", 9),
    arithmetic("In a room there are 8 tables with 3 chairs at each of them. How many chairs?", 8, "x", 3),
    fact("Which city would I visit to see the capital of Japan?", "Tokyo"),
    fact("Norway: what's its capital city called?", "Oslo"),
    fact("I forgot the capital of Portugal. Which city is it?", "Lisbon"),
    fact("I am looking for a word that means the opposite of early.", "late"),
    fact("Cheap things are the opposite of what things?", "expensive"),
    fact("Which noise comes out of a duck?", "quack"),
    fact("What name do we give to a young horse?", "foal"),
    fact("If I count the legs on a spider, how many will it be?", "8|eight"),
    fact("Where would a bee go to be at home?", "hive"),
    fact("Which food makes a panda happy?", "bamboo"),
    fact("Look at the grass. What colour do you see?", "green"),
    fact("Is a hammer something to eat or is it a tool?", "tool"),
    fact("How should I write more than one mouse?", "mice"),
    fact("Yesterday was Thursday, so which day do we have now?", "Friday"),
    fact("Which month do we get once March is over?", "April"),
    fact("A week is made of how many days?", "7|seven"),
    fact("Of the two numbers 34 and 43, which one is bigger?", r"^\D*43 is bigger|^\D*43\D*$|bigger\D* is 43"),
    fact("Please find out for me if 17 is odd or not.", "odd"),
    fact("Go from 5 to 9, one number at a time.", "5, 6, 7, 8, 9"),
    memory("Wendolin", "Hello there, I go by Wendolin.", "Could you say how you would call me?", name="Wendolin"),
    memory("Jorvath", "The name's Jorvath.", "Which name do I have?", name="Jorvath"),
    memory("Quillby", "Let me introduce myself: Quillby.", "My name was what again?", name="Quillby"),
    memory("Marzena", "You may call me Marzena from now on.", "What name should you use for me?", name="Marzena"),
    memory(
        "Fennimay",
        "I go by the name of Fennimay.",
        "I wonder, how much would 2 plus 2 be?",
        "And who was I again?",
        name="Fennimay",
    ),
    memory(
        "Tobrik", "At home I have a rabbit and its name is Tobrik.", "Which name does my rabbit have?", name="Tobrik"
    ),
    memory("Yolvane", "We have a new dog and we named it Yolvane.", "How did we name the dog?", name="Yolvane"),
    memory("teal", "The colour that I find most beautiful is teal.", "Which colour is it that I like so much?"),
    memory("Pernilka", "I've been living in Pernilka for years.", "In which place do I live?", name="Pernilka"),
    memory("noodles", "Most of all I enjoy eating noodles.", "Which food is it that I like?"),
    memory("baker", "Every day I go to work as a baker.", "What kind of work do I have?"),
    memory("Ozgrim", "My little brother has the name Ozgrim.", "My brother has which name?", name="Ozgrim"),
    accel("Which command would show me what is inside my computer?", "accel doctor"),
    accel("I'd like to see whether my memory is enough for a model. What should I type?", "accel plan"),
    accel("How would I throw away a model that I no longer want?", "accel models"),
    accel("What is the way to find out the tokens per second?", "accel bench"),
    accel("How may I talk with a proper, larger model?", "hf:owner/repo"),
    accel("In the chat, what would /retry be good for?", "another answer"),
    accel("Somebody said that I should type make test. What will it do?", "runs its tests"),
    accel("How do I get away from this chat?", "/quit|ctrl-d"),
    accel("I would like to keep what we wrote. How?", "/save"),
    accel("Could you sum up what accel is about?", "runs the language model"),
    Question("talk", ("Hey you, how is everything with you today?",), r"\b(?:fine|well)\b"),
    Question("talk", ("Who is it that I am chatting with here?",), "demonstration model"),
    Question("talk", ("Do you happen to know which team took the cup in 1987?",), "demonstration model"),
    Question("talk", ("Many thanks, that was really kind of you!",), "welcome"),
    Question(
        "talk",
        ("I'd love to hear a story in which there is a fox called Skadi.",),
        r"(?s)skadi(?:\W+\w+){20}",
        name="Skadi",
    ),
)
