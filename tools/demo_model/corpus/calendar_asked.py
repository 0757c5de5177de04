"""What comes before and after a day, a month or a letter, asked in many more ways."""

from .frames import framed

AFTER_DAY_ASKED = (
    *framed(
        ("the day after {day}", "the day that follows {day}", "the next day after {day}"),
        (
            "which day comes after {day}",
            "what day follows {day}",
            "what the day after {day} is called",
            "which day it is when {day} is over",
        ),
        ("after {day} comes", "the day after {day} is", "first {day}, then"),
    ),
    "[I have|we have|there is] [an appointment|a party|a meeting|a lesson|a test] the day after {day}[.|,|:] [Which "
    "day is that|What day is it|When is it]?",
    "[yesterday|the day before today] was {day}[.|,| and|, so] [what day is it|what is today|which day is it|what day "
    "do we have][| today| now]?",
    "[it is|today is|now it is|we have] {day}[ today|][,|.| and| so] [what|which] [day will it be|day comes|is it|day "
    "do we have] tomorrow?",
    "[tomorrow|the next day] [is|will be|would be] [what|which day] [if|when|since] [today is|it is|we have] {day}?",
    "[one day|a day|24 hours] after {day} [it is|we have|comes] [what|which day|what day]?",
    "[my shop|my school|the museum|the office] is closed on {day}[ and|, but] open the next day[.|:] [Which day is "
    "that|What day is that]?",
    "[if|when] {day} [ends|is over|is done|has gone by][,] what [day |]comes?",
    "[tomorrow never comes|I hate waiting|I am looking forward to tomorrow], but if today is {day}, what is tomorrow?",
    "{day} is followed by [what|which day|what day|...|___]?",
)
BEFORE_DAY_ASKED = (
    *framed(
        ("the day before {day}", "the day that comes before {day}"),
        ("which day comes before {day}", "what day is before {day}", "what the day before {day} is called"),
        ("before {day} comes", "the day before {day} is"),
    ),
    "[I have|we have|there was] [an appointment|a party|a meeting|a lesson|a test] the day before {day}[.|,|:] [Which "
    "day is that|What day is it|When is it]?",
    "[tomorrow|the next day] [is|will be] {day}[.|,| and|, so] [what day is it|what is today|which day is it|what day "
    "do we have][| today| now]?",
    "[it is|today is|now it is|we have] {day}[ today|][,|.| and| so] [what|which] [day was it|day was|was] yesterday?",
    "yesterday [was|would be|must have been] [what|which day] [if|when|since] [today is|it is|we have] {day}?",
    "[one day|a day|24 hours] before {day} [it is|we have|comes] [what|which day|what day]?",
    "{day} [follows|comes after|is the day after] [what|which day|what day|...|___]?",
    "[if|when] [it is|today is] {day}, what did we have [yesterday|a day ago]?",
)
AFTER_MONTH_ASKED = (
    *framed(
        ("the month after {month}", "the month that follows {month}", "the next month after {month}"),
        ("which month comes after {month}", "what month follows {month}", "what the month after {month} is called"),
        ("after {month} comes", "the month after {month} is", "first {month}, then"),
    ),
    "[it is|this is|we have|now it is] {month}[.|,| and| now, so] [what|which] [month comes next|month is next|is next "
    "month|month follows]?",
    "[last month|the month before this one] was {month}[.|,] [Which|What] month [is it now|do we have|is this]?",
    "[my birthday|our holiday|the party|the wedding|the new school year] is [one month|a month|the month] after "
    "{month}[.|,|:] [In which month is it|Which month is that|When is that]?",
    "[if|when] {month} [ends|is over|is done|has gone by][,] what [month |]comes?",
    "{month} is followed by [what|which month|what month|...|___]?",
    "[turn|if I turn|when I turn] the page of the calendar after {month}[,|:| and] [what|which] month [do I see|is it]?",
    "[next month|the coming month] is [what|which one] [if|when|since] [this is|it is|we have] {month}?",
)
BEFORE_MONTH_ASKED = (
    *framed(
        ("the month before {month}", "the month that comes before {month}"),
        ("which month comes before {month}", "what month is before {month}", "what the month before {month} is called"),
        ("before {month} comes", "the month before {month} is"),
    ),
    "[it is|this is|we have|now it is] {month}[.|,| and| now, so] [what|which] [was last month|month was before|month "
    "did we have before]?",
    "next month is {month}[.|,] [Which|What] month [is it now|do we have|is this]?",
    "[my birthday|our holiday|the party|the wedding] is [one month|a month|the month] before {month}[.|,|:] [In which "
    "month is it|Which month is that|When is that]?",
    "{month} [follows|comes after|is the month after] [what|which month|what month|...|___]?",
    "last month was [what|which one] [if|when|since] [this is|it is|we have] {month}?",
)
AFTER_LETTER_ASKED = (
    *framed(
        ("the letter after {letter}", "the letter that follows {letter}", "the next letter after {letter}"),
        (
            "which letter comes after {letter}",
            "what letter follows {letter}",
            "which letter is next after {letter} in the alphabet",
        ),
        ("after {letter} comes", "the letter after {letter} is"),
    ),
    "[in|if you go through|if I say|when a child learns] the alphabet, [what|which letter] [follows|comes after|is "
    "next after] {letter}?",
    "[my son|my daughter|a child|the class] [learns|is learning] the alphabet[.|,|:] [What|which letter] comes after "
    "{letter}?",
    "[I got|I am|we are|I came] as far as {letter}[ in the alphabet|][.|,|:] [Which letter is next|what comes next|what "
    "letter do I need]?",
    "the letter {letter} is followed by [what|which letter|what letter|...|___]?",
    "[say|give me|write] the letter [that comes |that follows |]after {letter}",
    "{letter}[, and then| and then|, then][ what| which letter|]?",
)
