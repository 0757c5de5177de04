"""Sums told as small stories: who has, gets, loses or buys how many of what. {b} is taken from {a}; a product is {a}
groups of {b}."""

from .arithmetic_asked import MINUS_STORIES, PLUS_STORIES, TIMES_STORIES
from .sums import operands, result
from .talk import Intent, Talk
from .words import COMMON_NAMES, NUMBER_WORDS, name

THINGS = (
    "apples pears plums lemons oranges eggs cookies sweets cakes sandwiches potatoes carrots onions tomatoes books "
    "pages stamps postcards letters pencils pens crayons coins marbles cards stickers balls dolls kites puzzles toys "
    "shells stones leaves flowers roses trees chairs tables lamps cups plates spoons bottles candles keys hats shirts "
    "socks buttons ribbons tickets photos songs games nails bricks tiles boards ducks hens cows horses sheep birds "
    "fish bees goats rabbits kittens puppies frogs cars bikes boats trucks tents"
).split()
PEOPLE = (
    "people children students guests passengers players girls boys workers visitors dancers singers soldiers tourists"
).split()
HOLDERS = (
    "boxes bags baskets jars packets drawers shelves crates bowls sacks cartons trays buckets pockets cupboards tins"
).split()
PLACES = (
    "on the bus|on the train|in the room|in the park|in the garden|at the party|in the class|in the pool|on the boat|"
    "in the shop|in the museum|in the hall|at the station|in the lift|on the playground"
).split("|")
SPOTS = (
    "on the table|in the fridge|in a box|on the shelf|in the kitchen|in a bag|on the plate|in the garage|in the "
    "drawer|on the floor|in the basket|in the shed"
).split("|")
UNITS = "metres kilometres miles minutes hours days litres kilos grams steps pages centimetres seconds weeks".split()
MONEY = "euros dollars pounds coins cents francs".split()
COSTLY = (
    "a book|a ball|a hat|a coffee|a ticket|a cake|a pen|a toy|a pizza|a scarf|a lamp|a plant|a sandwich|a cup of tea"
).split("|")

PLUS = (
    "{who} [has|had|owns|carries|keeps|holds] {a} {things}[.| and| and then] {she} [buys|gets|finds|receives|is given|"
    "picks up|wins|collects|adds|takes] {b} more. How many {things} does {who} have [now|then|in all|altogether|in "
    "total|in the end]?",
    "{who} has {a} {things}. {other} [gives|brings|sends|sells|hands|lends] {who} {b} [more|others|of them|more "
    "{things}]. How many [{things} |][does {who} have|are there|is that] [now|altogether|in all|]?",
    "{who} has {a} {things} and {other} has {b}[| {things}]. How many [{things} |][do they have|have they got|is that|"
    "are there] [together|in all|altogether|in total|between them]?",
    "I [have|had|bought|picked|baked|counted|found] {a} {things} [yesterday|in the morning|on Monday|before lunch|"
    "first] and {b} [today|in the evening|on Tuesday|after lunch|later]. How many [is that|did I get|are there|{things} "
    "is that] [in all|altogether|in total|together]?",
    "there are {a} {things} {spot} and {b} [more |][|{things} ]{spot2}. How many {things} [are there|do we have|is "
    "that] [in all|altogether|in total|together|]?",
    "{a} {people} are {place}. [Then|Later|Soon|Now] {b} more [come|arrive|join them|get in|walk in|appear|turn up]. "
    "How many {people} are [there|{place}] [now|then|in all|]?",
    "[how many|what number of] {things} [do I have|are there|does {who} have|is that] if {who} [brings|gives|buys|has] "
    "{a} and {other} [brings|gives|buys|has] {b}?",
    "if {who} [has|buys|finds] {a} {things} and [then |][gets|wins|picks] {b} more, how many [{things} |][does {she} "
    "have|will {she} have|are there|is that][| now| in the end]?",
    "{who} [walked|ran|drove|cycled|swam|worked|waited|read] {a} {units} [yesterday|in the morning|first] and {b} "
    "{units} [today|in the evening|later|after that]. How many {units} [is that|was that|did {she} do] "
    "[altogether|in all|in total]?",
    "{cost} costs {a} {money} and {cost2} costs {b}[| {money}]. [How much do they cost together|What do I pay for "
    "both|How much is that|What do both cost|How much do I need for both]?",
    "I [paid|spent] {a} {money} [for|on] {cost} and {b} [for|on] {cost2}. [How much did I [pay|spend] [in all|"
    "altogether|in total]|What did I spend]?",
    "{who} is {a} years old[.|,|:] how old will {she} be in {b} years?",
    "[I am|I'm] {a}[| years old]. How old will I be in {b} years?",
    "{other} is {a} and {who} is {b} years older. How old is {who}?",
    "{who} [read|learned|wrote|counted] {a} {things} [and|, then] {other} [did|read|had|saw] {b} [more than that|in "
    "addition|on top of that]. How many [in all|is that for {other}]?",
    "{who} [plants|paints|sells|washes|packs|repairs|builds|cooks] {a} {things} in the morning and {b} in the "
    "afternoon. [How many|What is the total|How many {things} is that|How many in one day]?",
    "{holder} holds {a} {things}, another [one |][holds|has] {b}. How many {things} are [in both|there together|in the "
    "two of them]?",
    "[my|our] class has {a} girls and {b} boys. [How many children [are we|are there|is that]|How big is it]?",
    "[after|when] {who} [added|put|got|bought] {a} {things} to the {b} that [were already there|{she} had before], how "
    "many [were there|are there|did {she} have]?",
    "{who} needs {a} {things} for {other} and {b} for {third}. How many {things} [must {she} buy|does {she} need|is "
    "that]?",
)
MINUS = (
    "{who} [has|had|owns|carries] {a} {things}[.| and| but] {she} [loses|gives away|sells|breaks|throws away|eats|"
    "uses|drops] {b}[| of them]. How many {things} [are left|does {who} have left|remain|does {she} still have]"
    "[| now| in the end]?",
    "{who} has {a} {things} and gives {b} [of them |][to|away to] {other}. How many [{things} |][does {she} keep|are "
    "left|does {who} have now|remain|has {who} left]?",
    "{other} [took|borrowed|stole|ate|bought] {b} of {who}'s {a} {things}. How many [{things} |][are left|remain|does "
    "{who} have [left|now]]?",
    "of [my|our|the|{who}'s] {a} {things}, {b} [are gone|were sold|got lost|are broken|were eaten|fell down|were "
    "stolen]. How many [are left|remain|do I still have|are still there|are good]?",
    "there are {a} {things} {spot}. {who} [takes|removes|eats|steals|sells|borrows] {b}[| of them]. How many "
    "[{things} |][are left|are still there|remain|stay {spot}]?",
    "{a} {people} are {place}. {b} [of them |][leave|go home|get off|walk away|go away|fall asleep|get out]. How many "
    "[{people} |][are left|remain|stay|are still there|are {place} now]?",
    "[how many|what number of] {things} [are left|remain|does {who} have left] [if|when|after] {who} [had|has] {a} and "
    "[loses|sells|eats|gives away] {b}?",
    "if {b} of {a} {things} are [gone|eaten|lost|sold|broken], how many [are left|remain|are there still]?",
    "{who} wants to [walk|run|drive|read|cycle|sail] {a} {units} and has [done|made|finished|managed] {b}. How many "
    "[{units} |][are left|remain|to go|are missing|does {she} still have to do]?",
    "the book has {a} pages[ and|.|,] [{who} has|I have] read {b}[| of them]. How many pages [are left|remain|are "
    "still to read|are missing]?",
    "{who} has {a} {money} and [spends|pays|loses|gives away|uses] {b}[| on {cost}| for {cost}]. How [much money|many "
    "{money}|much] [is left|are left|does {she} have left|remains]?",
    "I [have|had] {a} {money}. {cost} costs {b}. How much [is left|do I keep|money remains|have I left][| if I buy it| "
    "when I buy it| after that]?",
    "{cost} costs {b} {money} and I pay with {a}. How much [do I get back|change do I get|comes back|is the change]?",
    "{who} is {a} years old[.|,|:] how old was {she} {b} years ago?",
    "[I am|I'm] {a}[| years old]. How old was I {b} years ago?",
    "{who} is {a} and {other} is {b} years younger. How old is {other}?",
    "{who} has {a} {things} and {other} has {b}. How many more does {who} have[| than {other}]?",
    "{who} needs {a} {things} but has only {b}. How many [{things} |][are missing|does {she} still need|must {she} "
    "buy|more does {she} need]?",
    "[we|they] [made|baked|cooked|bought|ordered] {a} {things} and [ate|sold|used|lost|burnt] {b}. [How many|What "
    "number] [are left|remain|is left over|do we have now]?",
    "from a {holder1} with {a} {things} [we|I|they] take {b}[| out]. How many [{things} |][are left|stay in it|remain]?",
)
TIMES = (
    "{who} has {a} {holders} with {b} {things} [each|in each|in each of them|in every one]. How many {things} [does "
    "{she} have|are there|is that] [in all|altogether|in total|]?",
    "there are {a} {holders} {spot}. [Each|Every one|Each of them|Each one] [holds|has|contains] {b} {things}. How many "
    "{things} [are there|is that|do we have] [in all|altogether|in total|]?",
    "each of {a} {people} [has|brings|gets|buys|carries|eats] {b} {things}. How many {things} [is that|are there|do "
    "they have|are needed] [in all|altogether|in total|]?",
    "{a} {people} [have|get|bring|buy|eat] {b} {things} each. How many {things} [is that|are there|do they have|are "
    "needed] [in all|altogether|in total|together|]?",
    "[how many|what number of] {things} are [there |]in {a} {holders} [with|of] {b}[| {things}] each?",
    "if [each|every|one] {holder1} [holds|has|contains|takes] {b} {things}, how many [{things} |][are in|do|fit in] "
    "{a} {holders}[| hold]?",
    "one {thing1} costs {b} {money}[.| and|,] [How much|What] do {a} {things} cost?",
    "{who} buys {a} {things} for {b} {money} each. [How much [does {she} pay|is that|does it cost]|What [does {she} "
    "pay|is the price]][| in all| altogether|]?",
    "{who} [walks|runs|reads|drives|swims|works] {b} {units} [every day|each day|a day|per day]. How many {units} is "
    "that in {a} days?",
    "[every day|each day|every morning|each week|every hour] {who} [eats|sells|makes|finds|reads|cleans|draws] {b} "
    "{things}. How many [{things} |]in {a} [days|weeks|hours|mornings]?",
    "{a} [rows|lines|groups|piles|stacks] of {b} {things}[.|:|,] how many [{things} |][is that|are there|in all|in "
    "total]?",
    "{who} [puts|packs|places|lays] {b} {things} in[to|] each of {a} {holders}. How many {things} [does {she} need|are "
    "that|is that in all|are packed]?",
    "[the|our] [garden|hall|field|room|theatre] has {a} rows with {b} {things} [each|in each row]. How many {things} "
    "[are there|is that|does it have]?",
    "a [table|bus|boat|tent|car|team] [has room for|takes|seats] {b} {people}. How many {people} [can sit at|go into|"
    "are in|fit in] {a} of them?",
    "[I need|we need|{who} needs] {b} {things} for one {thing2}. How many [{things} |]for {a} [of them|{things2}]?",
    "{who} did {b} {units} {a} times. How many {units} [is that|in all|altogether]?",
    "{who} has {b} {things}. {other} has {a} times as many. How many [{things} |]does {other} have?",
    "{a} [friends|children|sisters|brothers|neighbours] [each |][have|own|bring|pick] {b} {things}[| each]. How many "
    "{things} [is that|are there|do they bring] [in all|altogether|in total|]?",
)
REASONS = (
    "",
    "",
    "",
    "",
    "[help me with this|here is a problem|a little story|listen|imagine this|solve this|my homework says|a riddle][:|.] ",
    "[suppose|imagine|let us say|say][:|] ",
)
PLUS_TOLD, MINUS_TOLD, TIMES_TOLD = (
    tuple(f"{'[' + '|'.join(REASONS) + ']'}{pattern}" for pattern in patterns)
    for patterns in (PLUS + PLUS_STORIES, MINUS + MINUS_STORIES, TIMES + TIMES_STORIES)
)
STORIES = {"+": PLUS_TOLD, "-": MINUS_TOLD, "x": TIMES_TOLD}
ONE = {"shelves": "shelf", "boxes": "box", "leaves": "leaf", "knives": "knife", "kittens": "kitten", "puppies": "puppy"}
ONE |= {"sandwiches": "sandwich", "potatoes": "potato", "tomatoes": "tomato", "sheep": "sheep", "fish": "fish"}


def one(things: str) -> str:
    return ONE.get(things, things.removesuffix("s"))


def story(talk: Talk) -> None:
    rng = talk.rng
    sign = rng.choice("++--x")
    while True:
        a, b = operands(rng, sign)
        if min(a, b) > 1:
            break
    written: tuple[object, object] = (a, b)
    if rng.random() < 0.15 and max(a, b) <= 20:
        written = (NUMBER_WORDS[a], NUMBER_WORDS[b])
    who, other, third = rng.sample(COMMON_NAMES, 3)
    if rng.random() < 0.3:
        who = name(rng)
    elif rng.random() < 0.3:
        who = rng.choice(("my sister", "my brother", "the farmer", "the baker", "my aunt", "a girl", "a boy", "a man"))
    things, things2 = rng.sample(THINGS, 2)
    spot, spot2 = rng.sample(SPOTS, 2)
    cost, cost2 = rng.sample(COSTLY, 2)
    holders = rng.choice(HOLDERS)
    she = (
        "he" if who in ("my brother", "a boy", "a man") else "she" if who in ("my sister", "my aunt", "a girl") else ""
    )
    slips, talk.slips = talk.slips, talk.slips * 0.3  # words such as each and take decide what is meant here
    talk.turn(
        STORIES[sign],
        f"{a} {sign} {b} = {result(a, sign, b)}.",
        a=written[0],
        b=written[1],
        who=who,
        she=she or rng.choice(("she", "he")),
        other=other,
        third=third,
        things=things,
        things2=things2,
        thing1=one(things),
        thing2=one(things2),
        people=rng.choice(PEOPLE),
        holders=holders,
        holder1=one(holders),
        holder=f"one {one(holders)}",
        place=rng.choice(PLACES),
        spot=spot,
        spot2=spot2,
        units=rng.choice(UNITS),
        money=rng.choice(MONEY),
        cost=cost,
        cost2=cost2,
    )
    talk.slips = slips


INTENTS = (Intent(13, story, PLUS_TOLD + MINUS_TOLD + TIMES_TOLD, asides=0.08, introduces=True),)
