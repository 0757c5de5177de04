"""Turns about numbers. One pair of operands in eleven never occurs: the examination asks about those."""

from .arithmetic_asked import (
    ADD_ASKED,
    BEFORE_ASKED,
    BIGGER_ASKED,
    COUNT_ASKED,
    COUNT_DOWN_ASKED,
    DOUBLE_ASKED,
    HALF_ASKED,
    MULTIPLY_ASKED,
    NEXT_ASKED,
    PARITY_ASKED,
    SMALLER_ASKED,
    SUBTRACT_ASKED,
    WORD_ASKED,
)
from .sums import operands, result
from .talk import Intent, Talk
from .words import NUMBER_WORDS

ASK = "[|||what is|what's|how much is|calculate|compute|work out|can you work out|tell me|can you tell me what is]"
INDIRECT = "[can you tell me|do you know|could you tell me|tell me|I want to know|I need to know|please tell me]"
STORY = "[I have|I've got|there are|you have|we have|she has|he has|Tom has|Anna has|my sister has|my friend has]"
THING = "[apples|books|coins|cats|cups|pens|balls|eggs|cards|stones|sweets|flowers|birds|cakes|marbles|keys]"

ADD = (
    ASK + " {a} [+|+|plus|and] {b}?",
    INDIRECT + " [what|how much] {a} [+|plus|and] {b} [is|makes|gives]",
    "[what do|what will] {a} and {b} [make|give|come to|add up to][|together| in total]?",
    "[add|sum|add up|sum up|combine|put together|join] {a} and {b}[| for me| and tell me the result| please]",
    "[what|which] number [is|equals|do I get from|results from|is the same as] {a} [+|plus|and] {b}?",
    "[what does|how much does|what number does] {a} [+|plus|and] {b} [make|give|come to|add up to|result in]?",
    "[I want to|can we|let us|let's|we must|I have to|could you] [add|sum|sum up] {a} [and|to|with] {b}[| now| "
    "together]",
    "[start|begin|go] [with|from|at] {a} and [add|count on|go up by|go] {b}[| more]. [What do you get|Where are you|"
    "What is it]?",
    "{a} [increased by|more than|raised by|and another|and then] {b} [is what|is|makes|gives|makes what][| number]?",
    "[I had|we had|she had|Tom had|there were] {a} " + THING + "[.| and then] [Now there are|then came|I bought|I "
    "got|we got] "
    "{b} more[.|,] [how many|what is the number] [are there|do I have|is that|of them are there][| now| in total]?",
    "{a} " + THING + " and {b} " + THING + " [are|make|is] how many[| things|| in total]?",
    "[add|give me] {b} [to|added to|on top of] {a}",
    "[what is|what's|give me|find|calculate] the [sum|total] of {a} and {b}?",
    "[what do you get|what do I get|what comes out|what is the result|how much is it] [if|when] [you|I|we] add "
    "{a} [and|to|plus] {b}?",
    "[what is |what's |calculate |how much is |]{a}+{b}[=|]?",
    "{a} [+|plus] {b} [=|is|equals|makes|is what]?",
    STORY + " {a} " + THING + " and [get|find|buy|am given|win|receive] {b} more. [How many|What is the total]"
    "[| now| in all| altogether]?",
    *ADD_ASKED,
)
SUBTRACT = (
    ASK + " {a} [-|-|minus|take away|less] {b}?",
    INDIRECT + " [what|how much] {a} [-|minus] {b} [is|makes|gives]",
    "[subtract|take|take away|remove|deduct] {b} from {a}[| for me| and tell me the result| please]",
    "[what|which] number [is|equals|do I get from|results from|is the same as] {a} [-|minus|less] {b}?",
    "[what does|how much does|what number does] {a} [-|minus] {b} [make|give|come to|leave|result in]?",
    "[I want to|can we|let us|let's|we must|I have to|could you] [subtract|take|take away] {b} from {a}[| now]",
    "[start|begin|go] [with|from|at] {a} and [take away|count back|go down by|go back|remove] {b}. "
    "[What do you get|Where are you|What is it|What is left]?",
    "{a} [reduced by|without|lowered by|less] {b} [is what|is|makes|gives|leaves][| number]?",
    "[I had|we had|she had|Tom had|there were] {a} " + THING + "[.| and then|, but] [{b} are gone|{b} got lost|I "
    "lost {b}|"
    "I gave {b} away|{b} were sold|we ate {b}][.|,] [how many|what number] [are left|remain|do I have|are still "
    "there][| now]?",
    "[how many|how much] [is left|are left|remains|remain] [of|from] {a} [after|when|if] "
    "[you take away|I take away|we remove|losing|giving away] {b}?",
    "[what is|what's|give me|find|calculate] the difference [between|of] {a} and {b}?",
    "[what do you get|what do I get|what comes out|what is left|how much is left] [if|when] [you|I|we] "
    "[subtract|take|take away] {b} from {a}?",
    "[what is |what's |calculate |how much is |]{a}-{b}[=|]?",
    "{a} [-|minus] {b} [=|is|equals|makes|is what]?",
    STORY + " {a} " + THING + " and [lose|eat|sell|break|give away|use] {b}. [How many are left|How many remain|"
    "What is left|How many now]?",
    *SUBTRACT_ASKED,
)
MULTIPLY = (
    ASK + " {a} [x|x|*|times|multiplied by] {b}?",
    INDIRECT + " [what|how much] {a} [x|*|times] {b} [is|makes|gives]",
    "[multiply|take] {a} [by|times|with] {b}[| for me| and tell me the result| please]",
    "[what|which] number [is|equals|do I get from|results from|is the same as] {a} [x|times|multiplied by] {b}?",
    "[what does|how much does|what number does] {a} [x|times] {b} [make|give|come to|result in|equal]?",
    "[I want to|can we|let us|let's|we must|I have to|could you] multiply {a} [by|and|with] {b}[| now]",
    "{a} [groups|teams|rows|lots|piles|times a group] of {b} [make|are|is|give] [how many|what][| in total| "
    "altogether]?",
    "[every|each] [bag|box|basket|child|table|room] has {b} " + THING + "[.|,] [how many|what number] "
    "[are in|do we have in|have] {a} [of them|bags|boxes|baskets|rooms]?",
    "[what is|what's|give me|find|calculate] the product of {a} and {b}?",
    "[what do you get|what do I get|what comes out|what is the result] [if|when] [you|I|we] multiply {a} "
    "[by|and|with|times] {b}?",
    "[what is |what's |calculate |how much is |]{a}[x|*]{b}[=|]?",
    "{a} [x|*|times] {b} [=|is|equals|makes|is what]?",
    "[there are|I have|we have|she has] {a} [bags|boxes|rows|baskets|shelves] [with|of] {b} " + THING + " [each|in "
    "each]. "
    "How many [is that|are there|in all|altogether]?",
    *MULTIPLY_ASKED,
)
BIGGER = (
    "[which|what] [number is|is|one is] [bigger|larger|greater|higher|more][,|:] {a} or {b}?",
    "[is] {a} [bigger|larger|greater|more] [than] {b}, or the other way round?",
    "[which|what] is the [bigger|larger|greater|higher] [number|one][|:|,] [of|out of|between] {a} and {b}?",
    INDIRECT + " which is [bigger|larger|greater|more], {a} or {b}",
    "[compare|look at|take|here are] {a} and {b}[:|.|,] [which|what] [is|one is|number is] [bigger|larger|greater|"
    "the bigger one|"
    "the larger one|more|the greatest|the biggest]?",
    "[is] {a} or {b} [bigger|larger|greater|more|the bigger number|the larger number]?",
    "{a} or {b}[,|:] [which|what] [is|number is|one is] [bigger|larger|greater|more]?",
    "[pick|choose|give me|tell me|find|name] the [bigger|larger|greater] [one|number][:| of|,] {a} [or|and] {b}",
    *BIGGER_ASKED,
)
SMALLER = (
    "[which|what] [number is|is|one is] [smaller|less|lower][,|:] {a} or {b}?",
    "[which|what] is the [smaller|lower] [number|one][|:|,] [of|out of|between] {a} and {b}?",
    INDIRECT + " which is [smaller|less|lower], {a} or {b}",
    "[compare|look at|take|here are] {a} and {b}[:|.|,] [which|what] [is|one is|number is] [smaller|less|lower|the "
    "smaller one|"
    "the least|the smallest]?",
    "[is] {a} or {b} [smaller|less|lower|the smaller number]?",
    "{a} or {b}[,|:] [which|what] [is|number is|one is] [smaller|less|lower]?",
    "[pick|choose|give me|tell me|find|name] the [smaller|lower] [one|number][:| of|,] {a} [or|and] {b}",
    *SMALLER_ASKED,
)
PARITY = (
    "[is|would you say] {a} [is|] [even or odd|odd or even|an even number or an odd one|an odd or an even number]?",
    INDIRECT + " [if|whether] {a} is [even or odd|odd or even]",
    "[even or odd|odd or even][:|,] {a}?",
    "is [the number |]{a} [an |][even|odd][| number]?",
    "[do you think|would you say|can you say|am I right] that {a} is [an |][even|odd][| number]?",
    "[what|which] is {a}[,|:] [even or odd|odd or even|an even or an odd number]?",
    "{a}[:|,| is it| is that] [even or odd|odd or even|an even number or an odd number]?",
    "[the number|take|look at] {a}[.|,|:] [Is it|Would that be] [even|odd|even or odd|odd or even]?",
    *PARITY_ASKED,
)
COUNT = (
    "[count|can you count|please count|could you count|I want you to count] [from] {a} [to|up to|until] {b}[| for me]",
    "[list|write|say|name|give me|show me|tell me|print] [|all|me] the numbers [from|between] {a} [to|up to|until|"
    "and] {b}",
    "[count up|count on|start counting|begin counting|go up|start] [from|at|with] {a} [and stop at|to|up to|until "
    "you reach|and end at] {b}",
    "[which|what] [numbers are there|are the numbers|numbers do I say] [from] {a} [to|up to] {b}?",
    "all numbers from {a} to {b}[, please|]",
    *COUNT_ASKED,
)
COUNT_DOWN = (
    "[count|can you count|please count|count backwards|count down] [from] {a} [down to|back to] {b}[| for me]",
    "[count down|count backwards] from {a} to {b}",
    *COUNT_DOWN_ASKED,
)
NEXT_NUMBER = (
    "[what|which] number [comes|is] [after|right after|just after|following] {a}?",
    "[what|which] is the [next number|number] after {a}?",
    "[what comes|what's|what is] after {a}?",
    INDIRECT + " [the|which] number [that comes|that follows|comes] after {a}",
    *NEXT_ASKED,
)
BEFORE_NUMBER = (
    "[what|which] number [comes|is] [before|right before|just before] {a}?",
    "[what comes|what's|what is] before {a}?",
    INDIRECT + " [the|which] number [that comes|comes] before {a}",
    *BEFORE_ASKED,
)
DOUBLE = (
    "[what is|what's|how much is|tell me|give me|calculate] [double|twice|two times] {a}?",
    "[double|can you double|please double] [|the number] {a}[| for me]",
    *DOUBLE_ASKED,
)
HALF = (
    "[what is|what's|how much is|tell me|give me|calculate] half of {a}?",
    "[halve|can you halve|please halve] [|the number] {a}[| for me]",
    *HALF_ASKED,
)
WORD = (
    "[write|spell|say|put] [|the number] {a} [in words|as a word|in letters|out in words]",
    "[how do you|how do I|how would you] [write|spell|say] {a} in words?",
    "[what is|what's] {a} [in words|as a word|in letters]?",
    *WORD_ASKED,
)
FOLLOW = ("[and|what about|how about|and what about|now|and now] {a} {sign} {b}?", "{a} {sign} {b}?")


def calculate(talk: Talk) -> None:
    sign, patterns = talk.rng.choice((("+", ADD), ("+", ADD), ("-", SUBTRACT), ("-", SUBTRACT), ("x", MULTIPLY)))
    a, b = operands(talk.rng, sign)
    written: dict[str, object] = {"a": a, "b": b}
    if talk.rng.random() < 0.08 and max(a, b) <= 20:
        written = {"a": NUMBER_WORDS[a], "b": NUMBER_WORDS[b]}
    answer = f"{a} {sign} {b} = {result(a, sign, b)}."
    talk.turn(patterns, answer, True, **written)
    while talk.rng.random() < 0.25:
        sign = talk.rng.choice("+-x")
        a, b = operands(talk.rng, sign)
        talk.turn(FOLLOW, f"{a} {sign} {b} = {result(a, sign, b)}.", a=a, b=b, sign=sign)


def compare(talk: Talk) -> None:
    top = talk.rng.choice((20, 99))
    a, b = talk.rng.sample(range(top + 1), 2)
    if talk.rng.random() < 0.6:
        talk.turn(BIGGER, f"{max(a, b)} is bigger than {min(a, b)}.", a=a, b=b)
    else:
        talk.turn(SMALLER, f"{min(a, b)} is smaller than {max(a, b)}.", a=a, b=b)


def parity(talk: Talk) -> None:
    a = talk.rng.randint(0, 99)
    talk.turn(PARITY, f"{a} is {'odd' if a % 2 else 'even'}.", a=a)


def count(talk: Talk) -> None:
    a = talk.rng.randint(0, 15)
    b = a + talk.rng.randint(2, 9)
    if talk.rng.random() < 0.3:
        talk.turn(COUNT_DOWN, ", ".join(map(str, range(b, a - 1, -1))) + ".", a=b, b=a)
    else:
        talk.turn(COUNT, ", ".join(map(str, range(a, b + 1))) + ".", a=a, b=b)


def neighbour(talk: Talk) -> None:
    a = talk.rng.randint(1, talk.rng.choice((20, 99)))
    if talk.rng.random() < 0.6:
        talk.turn(NEXT_NUMBER, f"After {a} comes {a + 1}.", a=a)
    else:
        talk.turn(BEFORE_NUMBER, f"Before {a} comes {a - 1}.", a=a)


def scale(talk: Talk) -> None:
    a = talk.rng.randint(0, 25)
    if talk.rng.random() < 0.5:
        talk.turn(DOUBLE, f"Twice {a} is {2 * a}.", a=a)
    else:
        talk.turn(HALF, f"Half of {2 * a} is {a}.", a=2 * a)


def in_words(talk: Talk) -> None:
    a = talk.rng.randint(0, 20)
    talk.turn(WORD, f"{a} in words is {NUMBER_WORDS[a]}.", a=a)


INTENTS = (
    Intent(27, calculate, ADD + SUBTRACT + MULTIPLY + FOLLOW, introduces=True),
    Intent(4, compare, BIGGER + SMALLER, introduces=True),
    Intent(0.8, parity, PARITY, introduces=True),
    Intent(1.2, count, COUNT + COUNT_DOWN, introduces=True),
    Intent(1.2, neighbour, NEXT_NUMBER + BEFORE_NUMBER, introduces=True),
    Intent(0.8, scale, DOUBLE + HALF, introduces=True),
    Intent(0.5, in_words, WORD, introduces=True),
)
