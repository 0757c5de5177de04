"""Every fact asked in the frames that any question fits into, and each kind of fact in some ways of its own."""

from .frames import framed, without

CAPITAL_ASKED = (
    *framed(
        (
            "the capital of {country}",
            "the capital city of {country}",
            "{country}'s capital",
            "the name of {country}'s capital city",
            "the city that is the capital of {country}",
            "the seat of government of {country}",
        ),
        (
            "what the capital of {country} is",
            "which city is the capital of {country}",
            "what {country}'s capital is",
            "what the capital city of {country} is called",
            "what they call the capital of {country}",
        ),
        ("the capital of {country} is", "{country}'s capital is", "the capital city of {country} is called"),
    ),
    "[is it|would it be|is that] {first} or {second} that is the capital of {country}?",
    "[is {wrong}|would you say {wrong} is] the capital of {country}[, or is it {value}|, or is it another city|]?",
    "{value} is the capital of {country}[, isn't it|, right|, is that so|, am I right|, true]?",
    "[I know that|I thought that|somebody said] {wrong} is not the capital of {country}[.|,|:] [What is|which city is]?",
    "[my|our] [plane|train|flight|trip] goes to the capital of {country}[.|,] [Where do I land|Where am I going|"
    "Which city will I see|What city is it]?",
    "[where|in which city] [does|would] the [president|king|queen|government|parliament] of {country} [live|work|sit]?",
    "[if I go|when I fly|if I travel|suppose I move] to {country}, [which|what] city is [its|the] capital?",
    "[I am writing|I have to write|we are writing] about {country}[ and|, so I] [need|have to name|want] its capital",
    "[France and Paris|Italy and Rome|like Paris for France|Spain has Madrid]; {country} [has|and|and what]?",
    "{country}: capital[| city]?",
    "[which|what] [city|town|place] [is the seat of government|do they govern from|is the centre of power] in "
    "{country}?",
    "[everyone|my cousin|a friend] in {country} [talks about|wants to live in|moved to] the capital[.|, but] [which "
    "city is that|what is it called]?",
)
COUNTRY_ASKED = (
    *framed(
        (
            "the country that has {city} as its capital",
            "the country whose capital is {city}",
            "the country with {city} as capital",
        ),
        (
            "which country {city} is the capital of",
            "what country has {city} as its capital",
            "which land is governed from {city}",
        ),
        ("{city} is the capital of", "the country with the capital {city} is"),
    ),
    "[if I am|when I stand|suppose I am] in {city}, the capital, [which|what] country am I in?",
    "[I know that|I read that|it says that] {city} is a capital[.|, but] [Of which country|of what country|of which "
    "country is it]?",
    "{city} [belongs to which country|is in which country|lies in which country|is found in what country]?",
    "[in|to] [which|what] country [does {city} belong|would I find {city}|is the city of {city}|do I find {city}]?",
    "[the government|the parliament|the president|the king] in {city} rules [which|what] country?",
)
OPPOSITE_ASKED = (
    *without(
        framed(
            (
                "the opposite of {word}",
                "a word that means the opposite of {word}",
                "the contrary of {word}",
                "the word opposite to {word}",
                "the exact opposite of {word}",
            ),
            (
                "what the opposite of {word} is",
                "which word means the opposite of {word}",
                "what one says for the opposite of {word}",
                "what you call the opposite of {word}",
                "how to say the opposite of {word}",
            ),
            ("the opposite of {word} is", "{word} is the opposite of", "not {word} but", "the contrary of {word} is"),
        ),
        "[I am looking for",
    ),
    "is {first} or {second} the opposite of {word}?",
    "{value} is the opposite of {word}[, isn't it|, right|, am I right|, true]?",
    "[hot and cold|cold and hot|like day and night|like big and small]; {word} and [what|which word|]?",
    "[I am writing|she wrote|the sentence has|my poem says] {word}[, but|. But|, and] I need the [opposite|contrary]",
    "[turn|change|make] {word} [into|to] its [opposite|contrary]",
    "[this|one] [door|box|road|man|house] is {word}, the other is the opposite[.|:] [What is it|what is the word]?",
    "[instead of|rather than] {word} I want to say the opposite[.|,] [What do I say|Which word]?",
    "[if|when] {word} is [on one side|one end|the first word], what is [on the other|the other end|its opposite]?",
)
COLOUR_ASKED = (
    *framed(
        (
            "the colour of {thing}",
            "the color of {thing}",
            "the usual colour of {thing}",
            "the colour that {thing} has",
            "the colour for {thing}",
        ),
        (
            "what colour {thing} is",
            "which colour {thing} has",
            "what color {thing} is",
            "what colour {thing} usually has",
            "in which colour one paints {thing}",
        ),
        ("{thing} is coloured", "the colour of {thing} is", "{thing} always looks"),
    ),
    "is {thing} {first} or {second}?",
    "{thing} is {value}[, isn't it|, right|, am I right|, true]?",
    "[my|our] [son|daughter|student|child] [paints|draws|is painting|is drawing] {thing}[.|,|:] [which|what] "
    "[pencil|colour|paint] [does he need|is right|should I give|fits]?",
    "[I painted|she painted|somebody drew] {thing} in {wrong}[.|,|:] [what colour should it be|which colour is right|"
    "what would be the right colour]?",
    "[how|in what colour] would you [colour|paint|draw] {thing}?",
    "[close your eyes and think of|imagine|picture|think of] {thing}[.|:|,] [what colour is it|which colour do you "
    "see]?",
    "[everybody|even a child] knows [what|which] colour {thing} [is|has][, do you|, don't they|]?",
    "[I can't see|I am blind and never saw|I have never seen] {thing}[.|,|:] [what colour is it|which colour does it "
    "have]?",
)
KIND_ASKED = (
    "[what|which] [group|class|family|category] [of things |]does {one} [belong to|fall into|fit in|go in]?",
    "[I wonder|I don't know|I was wondering|I'm not sure|nobody could tell me|do you remember] [what|what kind of "
    "thing] {one} is",
    "[my son|my daughter|a child|my student|my little brother] [asks|asked me|wants to know] what {one} is[.|,|:] "
    "[what do I say|can you explain|help me|]?",
    "[what would you call|how would you describe|how would you explain|what do people mean by] {one}[| to a child| "
    "in one sentence]?",
    "[I saw|I found|I read about|there was] the word {word}[.|,|:] [what is it|what does it mean|what is that]?",
    "{one} is [what|what kind of thing|what sort of thing|a kind of what]?",
    "{one} is [a kind of|a sort of|an example of|...|___]",
    "[complete|finish|fill in]: {one} is [...|___]",
    "what does [the word |]{word} mean?",
    "[is|would you call] {one} {wrong}[, or what is it|, or something else|, or what]?",
    "[if|when] [somebody|someone] says {word}, what [do they|does he|does she] mean?",
    "[sort|put] {one} in[to|] the right group",
    "[I have never|I never] [seen|heard of] {one}[.|,|:] what is [it|that]?",
)
EXAMPLE_ASKED = (
    "[can|could|would] you [name|think of|give me|tell me|say] {kind}?",
    "[I need|I am looking for|I have to name|my homework asks for|we are looking for] {kind}[.|,|:| -] [any idea|help "
    "me|can you name one|which one could I take]?",
    "what [would be|is|could be] an example [of|for] {kind}?",
    "[in a quiz|for a game|for my homework][,] I [have to|must] name {kind}",
    "[which|what] word [means|is the name of|stands for] {kind}?",
    "[do you know|have you heard of|have you got] {kind}?",
    "{kind}[, please|, any|, for example|: name one]",
    "[let me hear|write down|mention|invent|find] {kind}",
    "[something|a thing] that is {kind}[, please|]?",
)
YES_NO_ASKED = (
    "{one} is {kind}, isn't it?",
    "[my friend|my son|somebody|he|she] [says|thinks|believes|claims] that {one} is {kind}[.|,|:] [is that right|is "
    "it|is that true|what do you think]?",
    "[I wonder|I am not sure|I don't know|I was wondering|please tell me|we argue] [if|whether] {one} is {kind}",
    "[could|can|would|should] [you|I|one|we] [call|count] {one} [as |]{kind}?",
    "[true or false|yes or no|right or wrong][:|,] {one} is {kind}",
    "does {one} [count as|belong to the group of] {kind}?",
    "{one} [as|is] {kind}[:|,] [true or false|yes or no|right or wrong]?",
    "isn't {one} {kind}?",
    "[I think|I believe|I guess] {one} is {kind}[.|,] [Am I right|right|Is that so]?",
)
PLURAL_ASKED = (
    *framed(
        (
            "the plural of {word}",
            "the plural form of {word}",
            "the word for more than one {word}",
            "the plural of the word {word}",
        ),
        (
            "what the plural of {word} is",
            "how to say {word} in the plural",
            "what one calls more than one {word}",
            "how the plural of {word} is written",
        ),
        ("the plural of {word} is", "one {word}, many", "first there was one {word}, then there were two"),
    ),
    "[is it|do you say|does one say] {value} or {wrong} [if|when] there [are many|is more than one {word}]?",
    "[I have|I see|there is|he has] one {word}, [you have|she has|now there are] [two|three|ten] [what|...|___]?",
    "[I am writing|she wrote|I know] the word {word}[.|,] [But I need|I need|now I want] the plural",
    "[turn|change|put|make] {word} [into|in] the plural",
    "[a|one|a single] {word}, [a lot of|lots of|a hundred|dozens of|plenty of] [what|...|___]?",
    "[if|when] [two|several|five] of them [come|stand there|are there], a {word} becomes what?",
)
LIST_ASKED = (
    "[what are|name|list|tell me|give me|say|can you name|can you list|do you know|write down] [|all] {list}",
    "[say|tell me|give me|write|write down|list|do you know|recite|can you say] {list}",
    "[I have to learn|my son must learn|I forgot|I want to hear|I need|I'd like to have|could you write|could you "
    "tell me|would you list|can you say|help me with|let me hear|what are|which are] {list}",
    "[in what order do|how do|which names do] {list} [come|go|have]?",
    "{list}: [what are they|which are they|can you name them|name them all|how do they go]?",
    "[for my homework|for school|as a test|please][,|] [name|list|write|say|recite] {list}",
    "[go through|run through|read out|put down|enumerate|count off] {list}[| for me| one by one]",
    "[a child|my daughter|someone] [asks|asked me] for {list}[.|, can you help|: what do I say|]",
    "[I wonder|do you know|can you tell me|do you remember] what {list} are[| called]",
    "[do you|could you] [remember|know by heart] {list}?",
)
MANY_ASKED = (
    *framed(
        ("the number of {noun}",),
        (
            "how many {many}",
            "how many {alternative}",
            "how many {things} there are {at} {owner}",
            "the number of {noun}",
            "how many {things} one counts {at} {owner}",
        ),
        ("the number of {noun} is", "{owner} has this many {things}:"),
    ),
    "how many {things} [can|do|would|will] [you|I|we|one|people] [find|count|get|see] {at} {owner}?",
    "{at} {owner} there are [...|___|how many|what number of] {things}[| then]?",
    "{owner} [has|have|got] [...|___|what number of] {things}",
    "[does|would] {owner} have [more or less than ten|few or many] {things}[, and|, or] how many?",
    "{things}[:|,] how many [of them |][are there |do we find |]{at} {owner}?",
    "{owner}[:|,|.] how many {things} [is that|are there|does it have|are in it|make it up|belong to it]?",
    "[a child|my son|my teacher] [counts|asks about] the {things} {at} {owner}[.|,|:] how many [should it be|are there|will "
    "it be]?",
    "[I know|I have|I see|think of] {owner}[.|,|:] [How many|what number of] {things} [does it have|are there|is "
    "that]?",
)
SPELL_ASKED = (
    "[I don't know|I wonder|I forgot|can you tell me|do you know|tell me|show me|I am not sure|remind me] how to "
    "[spell|write] [|the word ]{word}[| letter by letter]",
    "[my son|my daughter|a child|my pupil] [has to|wants to|cannot|must] spell {word}[.|,|:] [How does it go|can you "
    "help|how is it done|help me]",
    "{word}[, letter by letter|, spelled out|: the letters|, how is that spelled| - spell it]?",
    "[could you|would you|please|I'd like you to|can you] [spell|spell out|write out] {word}[| for me| slowly| letter "
    "by letter]",
    "[which|what] letters [make up|are needed for|do I need for|stand in|form] [|the word ]{word}?",
    "[in a spelling test|at school|in my letter] I [have to|must] write {word}[.|,|:] [How|How is it spelled|Which "
    "letters]?",
    "what is the spelling of {word}?",
    "[take|break|cut] {word} [apart|up] into [its |]letters",
)
FIRST_ASKED = (
    "[with|by] [which|what] letter does {word} [begin|start]?",
    "[the word |]{word} [starts|begins] with [what|which letter|what letter|...|___]?",
    "[I wonder|do you know|can you tell me|tell me|I forgot] [which|what] letter {word} [starts|begins] with",
    "[the|] first letter of {word}[, please|, which is it|?]",
    "[which|what] letter [comes first|stands first|is at the beginning|is at the front|is the first] in {word}?",
    "{word}[:|,|.] [which letter is first|what is the first letter|it begins with what]?",
    "[look at|take] the word {word}[.|:] [What is its first letter|Which letter does it begin with]?",
)
LAST_ASKED = (
    "[with|by|in] [which|what] letter does {word} [end|stop|finish]?",
    "[the word |]{word} ends [with|in] [what|which letter|what letter|...|___]?",
    "[I wonder|do you know|can you tell me|tell me|I forgot] [which|what] letter {word} ends with",
    "[the|] last letter of {word}[, please|, which is it|?]",
    "[which|what] letter [comes last|stands last|is at the end|is the last|is the final one] in {word}?",
    "{word}[:|,|.] [which letter is last|what is the last letter|it ends with what]?",
    "[look at|take] the word {word}[.|:] [What is its last letter|Which letter does it end with]?",
)
