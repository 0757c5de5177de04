"""Sentences that any question fits into: what is asked at the beginning, in the middle or at the end.

Three forms of the same question are put into them: the thing asked for ("the capital of {country}"), the indirect
question ("which city is the capital of {country}") and the sentence with a gap at its end ("the capital of {country}
is").
"""

from collections.abc import Iterable

THING = (
    "[what is|what's|what would be|so what is|and what is|what again is|what exactly is] {thing}?",
    "[tell|give|show] me {thing}[, please|, will you|, would you|]",
    "{thing}[, please|, what is it|: what is it|, do you know it|, if you know it| - what is it|?]",
    "[I am looking for|I'm looking for|I am searching for|I need|I would like to have|I'd like|I must find out|I "
    "was asked for|I want] {thing}",
    "[can|could|would|will] you [name|tell me|give me|remind me of|say|find] {thing}?",
    "[do you|would you|do you perhaps|don't you] know {thing}?",
    "[my|our|the] [homework|test|quiz|exercise|crossword|teacher|book] asks [me |]for {thing}",
    "[I forgot|I have forgotten|I can't remember|I don't know|I never learned|I am not sure about] {thing}[.|,|:] "
    "[what is it|help me|do you know it|can you help|can you tell me|please tell me]?",
    "[for|in] [a quiz|school|my homework|a game|a crossword][,|] [I need|what is|I must know|I need to know] {thing}?",
    "[what|which word|which answer] [should I|would you|do I|must I] [give|write|say|put] for {thing}?",
    "[what|which] [do you think|would you say|do people say|does everybody say] is {thing}?",
    "[let's|let us] [see if you know|talk about|find] {thing}",
    "[my|our] [son|daughter|friend|teacher|neighbour|class|student|grandmother] [wants to know|asked me about|asked "
    "for|would like to know|has to learn] {thing}[.|,] [what is it|what do I say|can you help|]?",
    "[if I asked you for|when someone asks for|suppose someone asks for|when asked for|if you had to name] {thing}[,] "
    "[what would you say|what do you say|what would it be|what is right]?",
    "[it is about|this is about|my question is about|I am thinking of|I have a question about] {thing}[.|:|,] "
    "[what is it|do you know it|tell me]",
    "[I bet you|I am sure you|you probably|surely you|I hope you] know {thing}",
    "[I wonder|I was wondering|I am curious|I would love to know|I'd like to find out] what {thing} is",
    "[since you know so much|as you are clever|before I go|while we are at it|one last thing|just one thing|"
    "because I have a test tomorrow][,|:] what is {thing}?",
    "[help me|please help me|give me a hand] with {thing}",
    "[what is meant by|what do we mean by|what is the answer for|what is the right answer to] {thing}?",
)
CLAUSE = (
    "[I wonder|I was wondering|I am curious|I am not sure|I don't know|I have no idea|I forgot|I never know|I can't "
    "remember] {clause}",
    "[do you remember|can you say|could you say|could you explain|will you tell me|would you mind telling me|can you "
    "find out|have you any idea|do you have an idea|are you able to say] {clause}?",
    "[please|just|now|quickly|then|simply] tell me {clause}",
    "[I would like|I'd like|I want|I'd love|I need|I am trying] to [know|learn|find out|hear|understand] {clause}",
    "[my|our] [son|daughter|friend|teacher|neighbour|class|student|grandmother|boss] [wants to know|asked me|would "
    "like to know|has to know|is asking] {clause}",
    "{clause}[, do you know|, can you tell me|, I wonder|, that is my question|, please|? I need to know|, I forgot]?",
    "[nobody|no one|none of us] [here|at home|in my class|at work] [knows|could tell me|remembers] {clause}[.| - do "
    "you| - can you|. Do you know it|. Can you help]?",
    "[the question is|my question is|here is the question|the next question in the quiz is|question number one|a "
    "question for you|what I must find out is|what I would like to know is][:|] {clause}?",
    "[I keep forgetting|I always forget|we argue about|we were talking about|I am trying to remember|help me "
    "remember|remind me] {clause}",
    "[I need to write down|I must explain to a child|I have to learn|it is important to know|for my test I must "
    "know|tomorrow I must know] {clause}[.| - help me|. Please help|]",
    "[if|when] [somebody|someone|my teacher|a child] asks me {clause}[,] what [do I say|should I say|do I answer|is "
    "right]?",
    "[you surely|you certainly|you probably|I think you|I hope you|I am sure you] know {clause}[, don't you|, right|]?",
    "[as a small test|to see if you are clever|for fun|to begin with|out of interest|before I forget][:|,] {clause}?",
)
GAP = (
    "{gap} [...|___|what|...?]",
    "[complete|finish|fill in|end|continue|fill the gap in] [|this|the sentence|this sentence][:] {gap} [...|___|]",
    "[what|which word] [is missing|goes here|fits|comes next|belongs here|must I write]: {gap} [...|___]?",
    "{gap} [...|___] - [what is missing|fill the gap|which word is it|what comes here|what goes there]?",
    "[I think|I believe|as far as I know|they say|everybody knows that|it is said that|I know that] {gap} "
    "[..., what was it|... help me|... what|what]?",
    "[my book says|on the sheet it says|the teacher wrote|I have to write][:] {gap} [___|...] [What is it|What goes "
    "there|Help me|]?",
)


def framed(things: Iterable[str] = (), clauses: Iterable[str] = (), gaps: Iterable[str] = ()) -> tuple[str, ...]:
    """Every frame with the forms of one question in it."""
    patterns: list[str] = []
    for frames, slot, forms in ((THING, "{thing}", things), (CLAUSE, "{clause}", clauses), (GAP, "{gap}", gaps)):
        if forms := tuple(forms):
            patterns += [frame.replace(slot, f"[{'|'.join(forms)}]") for frame in frames]
    return tuple(patterns)


def without(patterns: Iterable[str], *beginnings: str) -> tuple[str, ...]:
    """The patterns but for those that begin so: frames that do not suit a question."""
    return tuple(pattern for pattern in patterns if not pattern.startswith(beginnings))
