"""Sums, comparisons, counting and little everyday word problems, asked in many more ways."""


def each(text: str) -> tuple[str, ...]:
    """The patterns of a text, which stand on lines of their own or behind a semicolon."""
    return tuple(pattern.strip() for pattern in text.replace(";", "\n").splitlines() if pattern.strip())


ADD_ASKED = each("""
{a} [and|&] {b}, [what total|altogether|all in all|all told]?; [sum|total|addition|the sum|the total] [of|for|from]: {a}[,| and] {b}
{a}, {b}[:|,] [sum|total|add them|add these up|the sum please|what total]; {b} [more|extra|additional] on {a}[?|, what is that?|, how much is it?]
{a} and [another|a further|yet another] {b} [would be|comes to|brings us to] [what|how much|which figure]?; how [high|large|big] is the [sum|total] of {a} and {b}?
my [calculator|phone|computer] [is broken|died|has no battery][, so what's|. Could you tell me|, please do] {a} [+|plus] {b}; [fill in|complete] [the blank|the gap|the sum|this]: {a} + {b} = [___|...|?]
{a} [+|plus|and] {b} [=|is] [___|...|??|how much]; the [counter|meter|display|scale] [shows|is at|reads] {a} and [goes|climbs|moves] up by {b}[.|,] [what does it show then|what does it read now|where is it now]?
the bill lists {a} and {b}[.|,|:] [what should the total be|what should stand at the bottom|how much is due]?; two [items|entries|prices] on my [bill|receipt|invoice], {a} and {b}[.|:] [What is the total|What do I owe|How much altogether]?
[I always mix up|I keep forgetting|I can never remember] {a} [+|plus] {b}[, what is it|, how much is it|. Remind me]?; remind me [what|how much] {a} [and|plus|+] {b} [makes|was|is again]
[speed round|pop quiz|mental maths|brain teaser|maths test][:|,] {a} [+|plus|and] {b}[|?|!]; [any idea|any clue|do you happen to know|would you know|can you guess] what {a} [plus|and|+] {b} [is|makes|comes to]?
[place|stack|pile] {b} [on top of|onto] {a}[,|.] [what is the total|how high does it get|what does that give]?; [what happens|what do we end up with|where do we land] [if|when] [I|we|you] [go|move|step|jump|climb] {b} up from {a}?
[starting at|standing at|beginning from] {a}, [move|jump|climb|hop] [up|forward] {b}[.|,] [where do you land|which number do you reach|where does that lead]?; [which|what] number is {b} [more|higher|greater|larger] than {a}?
[what|which number] do [I|we] [reach|hit|arrive at|land on] [by|after] [counting|going] {b} [up|further|forward] from {a}?; [name|state|look for|find] the number [that is|which is|] {b} [more|higher|greater] than {a}
the [sum|total|result] of {a} and {b} [is|would be|comes out as] [what|...|which number]?; [tack|stick|throw|put] [another|a further|an extra] {b} [onto|on] {a}[ and what have you got|, what is it then]?
let {a} grow by {b}[.|,] [how big is it then|what does it become|what is the new number]?; [increase|raise|bump up|boost|extend] {a} by {b}[|, please| for me| and say the result]
if x is {a} and y is {b}, [what is|how much is] [x + y|x plus y|their sum|x and y together]?; [with|given] the [numbers|values|figures|amounts] {a} and {b}, [find|give|state|what is] [their sum|the total]
[added together|taken together|combined|summed up], {a} and {b} [are|make|give] [what|how much]?; {a} [plus|and] {b}, [that's|that is|that makes|that would be] [how much|what][| again]?
[hm|let me think|let me see|ehm][,|...] {a} [plus|and|+] {b} [is|makes|would be] [what|how much|...]?; [solve|evaluate|crunch|figure out|determine] [|this for me: |the following: |the sum ]{a} [+|plus] {b}
[I am trying|I'm trying|we are trying|I would like] to [total|tally|add up] {a} and {b}[, help me|, but I can't|, what is it?|, how much is it?]; my [boy|girl|pupil|grandson] wants to know what you get [from|out of|for] {a} plus {b}
[I scored|we scored|she scored|they made] {a} [points |]in the first [round|half|game|set] and {b} in the second[.|,] [what is the final score|how many points altogether|what's the total]?; how [many|much] is {a} and {b} [more|on top|together|again|extra]?
[yesterday|this morning|last week|on the way there] it was {a}, [today|this evening|this week|on the way back] {b}[.|,|:] [what does that make|what is that together|how much in both]?; [to begin with|initially|at first] {a}, [afterwards|later on|and soon] {b} [on top|more|extra][.|,|:] [what does it add up to|how much do we have|what is that altogether]?
there were {a} of [us|them|these] [and|until] {b} [more joined|others came along|new ones turned up]. [How many in the end|What is the number now]?; what should I [write|put|enter|fill in] [after|behind|as the answer to] {a} + {b}[| =]?
[type|write|show|post|send][| me] the [answer|result|solution] [to|of|for] {a} [+|plus] {b}; I [owe|must pay|have to pay] {a} here and {b} there[.|,|:] [how much altogether|what is the sum|what do I need]?
one part is {a}, the other {b}[.|,|:] [what is the whole|how big is the whole thing|what do both parts make]?; [{a} on the left and {b} on the right|{a} over here and {b} over there|{a} upstairs and {b} downstairs|{a} inside and {b} outside], how many [all told|overall|altogether]?
bring {a} and {b} together[.|,|:] [how much do you get|what total results|which number is it]?; would you be so kind as to [add|total|sum up] {a} and {b}[| for me]?
[I'd like|I would love|may I have|can I get] the [sum|total] of {a} [and|plus] {b}[|, please]; [I'm too lazy to add|I don't want to think|no time to do it myself|my head hurts]: {a} [+|plus|and] {b}?
[assume|imagine|say] [I have|you have|there is|we start with] {a} and [someone adds|you add|I add] {b}[.|,] [what now|what is there then|how much would that be]?; [first grade|primary school|kindergarten|beginner's] [sum|maths|exercise]: {a} [+|and|plus] {b}
[the teacher wants|my worksheet asks for|the exercise needs|the form wants] the [sum|total] of {a} and {b}[.|,] [what is it|what do I write|which number goes there]?; [choose|pick|grab] {a}, [then add|put on] {b}, [and what is it|what comes out|what do you have]?
{a} [together with|along with|combined with|joined by] {b} [is|makes|gives|comes to] [what|how much]?; [what|how much] is {b} [added to|on top of|more than] {a}?
if [you|we|they] already have {a} and [get|receive|find] {b} [extra|on top|besides], [how much is there|what is the total|what does it come to]?; [double-check|check|confirm] for me [what|how much] {a} and {b} [make|come to|add up to]
[I bet|bet] you [can't|cannot|don't know how to] add {a} [and|to] {b}; [time for|here comes|let's do] [a sum|an easy one|an addition|a bit of adding]: {a} [+|and|plus] {b}
[what's|what is] the [grand|overall|combined|full] total [of|for|with] {a} and {b}?; I am [making|writing|keeping] a [budget|list|table|tally]: {a} and {b}. [What goes in the last line|What is the total|What do I put at the bottom]?
{a}, then {b} more[.|,] [the total|how many so far|what is that by now]?; [one number|the first number] is {a} and the other [one |]is {b}[.|,|:] [what is their sum|what do they add up to|add them]
[what|how much] would [it be|that be|you get] if {b} [was|were|got] added to {a}?; when {a} [rises|grows|increases|goes up] by {b}, [what does it become|which number is reached|where does it end]?
{b} [steps|places|stops] [after|beyond|past] {a} [is|comes] [which|what] number?; [say it fast|without thinking|off the top of your head|in your head]: {a} [plus|and] {b}
the [lift|elevator] is on floor {a} and goes up {b} [floors|storeys|levels][.|,] [which floor is that|where is it now|where does it stop]?; it is {a} degrees and [gets|will get|becomes] {b} degrees warmer[.|,] [what does the thermometer show|what temperature is that]?
[can|could] [someone|anyone|anybody] [tell me|explain|say] what {a} [+|plus] {b} [is|equals]?; can you do [sums|additions|maths|arithmetic]? [What's|Try|Show me] {a} [+|plus] {b}
""")

SUBTRACT_ASKED = each("""
{a} [less|without|take away|take off] {b}, what [is left|remains|stays]?; {b} [off|taken off|less than|fewer than|below] {a} [is|makes] [what|how much|which number]?
how [far|long a way|big a step] [is it |]from {b} [up |all the way |]to {a}?; how many steps [is it|are there|does it take] from {b} [up |]to {a}?; how [far|many steps|many numbers|much] apart [are|do you find] {a} and {b}[| on the number line]?
[what|how much] [must|do|should] [I|you|we] add to {b} to [get|reach|make|arrive at] {a}?; {b} plus [what|which number|how much] [is|makes|equals|gives] {a}?
how [much|many] [more|higher|larger|greater] is {a} than {b}[|, do you think|, exactly]?; by how [much|many] [does {a} exceed {b}|is {a} bigger than {b}|is {b} smaller than {a}|do {a} and {b} differ]?
[what|how much] is missing from {b} to [make|reach|get to] {a}?; [knock|cut|chop|shave|strike|lop] {b} off {a}[ and what is left?|. What stays?|, what remains?|]
[drop|lower|decrease|reduce|shrink|bring down] {a} by {b}[|, please| and tell me the number]; [step|move|jump|hop] [back|down] {b} from {a}[.|,] [where do you land|which number is that|where are we]?
[which|what] number is {b} [less|lower|smaller] than {a}?; [what is|how big is|how large is|work out] the [gap|distance|interval] between {b} and {a}?
[what|how much] is {a} with {b} [removed|taken away|deducted|subtracted|cut off]?; my [pocket calculator|laptop|app] [won't start|went missing|is out of order] and I need {a} [minus|-] {b}
{a} [-|minus|less] {b} [=|is] [___|...|??|how much]; the bill [is|was] {a} and there is {b} off[.|,] [what do I pay|how much remains to pay|what is the final price]?
[there is|they give me|I have] a [discount|voucher|coupon|rebate] of {b} on {a}[.|,] [what is the price now|what do I pay|how much is it]?; [how much change|what change do I get|what is the change] [from|out of] {a} [for|if it costs|on a price of] {b}?
we start off at {a} and [lose|drop|give up|hand over] {b}[.|,] [what remains|how much is it then|what do we keep]?; if [I|you|we|they] [spend|use up|lose|burn] {b} [of|out of] {a}, [what remains|what stays|how much is still there]?
from {a} [I|we|they] [want|need|have] to [remove|deduct|cut] {b}[.|,|:] [what stays|what is that|how much will be left]?; [deduct|remove|strike|drop|withdraw] {b} from {a} and [say|show|write] [what is left|the rest|what remains|the answer]
what is the [rest|leftover|balance] [when {b} goes out of {a}|after taking {b} from {a}|if {b} is taken from {a}]?; [solve|evaluate|determine|figure out] [this subtraction: |the subtraction |]{a} [-|minus] {b}
subtraction [problem|exercise|drill|time]: {a} [-|minus|take away] {b}; [the minuend is|our minuend is|minuend] {a} and the subtrahend [is |]{b}[.|,] [what is the difference|what do I get]?
if x is {a} and y is {b}, [what is|how much is] [x - y|x minus y|x less y]?; x + {b} = {a}[,|.] [what is x|find x|solve for x|how big is x]
{b} [+|plus] [___|...|x|what|something] [=|is|makes] {a}; which number [added to|put on top of|together with] {b} [gives|makes|equals] {a}?
I [think of|have|pick] a number, add {b} and [get|reach|end up with] {a}[.|,|:] [what was it|which number was it|what is my number]?; it is {a} degrees and [gets|will get|becomes] {b} degrees [colder|cooler][.|,] [what does the thermometer show|what temperature is that]?
the [lift|elevator] [stands|waits|is] on floor {a} and goes down {b} [floors|levels|storeys][.|,] [which floor is that|where is it now|where does it stop]?; [we need|it takes|they want] {a} but there are only {b}[.|,] [how many are we short|how much do we lack|what else is needed]?
{b} [done|finished|ready|solved] out of {a}[.|,|:] [how many to go|how many remain|what is still to do]?; I have already [used|spent|done|paid|covered] {b} of {a}[.|,|:] [what remains|how much is still open|what is the rest]?
the score is {a} to {b}[.|,|:] [how big is the lead|how many points ahead is the leader|what is the goal difference]?; I am {a}, my [brother|cousin|wife|son] is {b}[.|,|:] [what is the age gap|how many years are between us|how many years older am I]?
[tell me again|remind me|say again] [what|how much] {a} [minus|less|without|-] {b} [was|makes|is]; [I keep forgetting|I never know|I can't work out|I am stuck on] {a} [minus|-|take away] {b}
[any clue|do you happen to know|would you know|can you guess] what {a} [minus|less|take away] {b} [is|makes|leaves]?; [wait|let me see|one moment|let me think][,|...] {a} [minus|less|take away] {b} [is|would be|leaves] [what|how much|...]?
[pop quiz|speed round|mental maths|off the top of your head][:|,] {a} [minus|-|take away] {b}[|?|!]; what [will|would] [remain|stay|be left] [of|from] {a} [once|if|when] {b} [are gone|disappear|vanish|get lost]?
{a} [drops|falls|sinks|goes down|shrinks] by {b}[.|,|:] [what is it now|where does it end up|what is the new number]?; what should I [write|put|enter] [for|behind|after] {a} - {b}[| =]?
[write|type|show|send][| me] the [answer|solution|result] [to|of|for] {a} [-|minus] {b}; [can|could|would] you [quickly|please|kindly] [subtract|deduct] {b} from {a}?
[I'd like|I need|we want] to [see|get|know] the [difference|gap] between {a} and {b}; [I bet|bet|I'm sure] [you|nobody here|a computer] can't [subtract|take] {b} from {a}
[we had|there were] {a} [in stock|in store|on hand|in reserve] and {b} [went out|were used|got used up|were taken][.|,] [what is the stock now|how many remain|what do we have now]?; {a} [is made of|consists of|splits into] {b} and [what|how much|which other number]?
one part of {a} is {b}[.|,|:] [how big is|what is] the [other part|rest|remaining part]?; {a} in [total|all], {b} of them [are mine|are taken|are broken|don't count][.|,] [how many others|how many besides those|how many is the rest]?
[how long|how many minutes|how much time] [is it |]from {b} [to|until|till] {a}?; between {b} and {a}, how [big|wide|large] is the [gap|distance|step]?
how [many|much] [do I need|would I need|is needed|does it take] to get from {b} to {a}?; if I count {b} [back|backwards|down] from {a}, [what do I end on|which number do I say last|where do I stop]?
[what|which number] comes {b} [places|steps|numbers] before {a}?; let {a} [shrink|drop|go down] by {b}[.|,] [what does it become|what do you get|how big is it then]?
[someone|a thief|the bank|the shop] takes {b} [out of|from] my {a}[.|,] [what do I keep|how many stay mine|what have I got]?; pick {a}, [strike out|cross out|throw away] {b}[ and what is left|, what stays|. How big is the rest]?
the [result of|answer to|solution to] {a} minus {b} [is|would be] [what|...|which number]?; with {b} [fewer|less], {a} [becomes|turns into|would be] [what|which number|how many]?
{a}, but [without|not counting|leaving out|ignoring] {b}[, how many|: how many|, what is it]?; {a} were [invited|expected|planned|ordered] but {b} did not [come|show up|arrive|appear][.|,] how many [came|were there in the end|did]?
can you do [subtraction|minus sums|take-aways]? [Try|What's|Show me] {a} [-|minus] {b}; [I'm too tired to|I can't|I have no time to] [think|calculate|count][,|:] {a} [-|minus|take away] {b}?
[my worksheet|the exercise|the quiz|our teacher] asks [what {a} minus {b} is|for {a} minus {b}|how much {a} less {b} is]; [you pay|we pay|I pay] {b} [of|towards] a [debt|bill|loan] of {a}[.|,|:] what is [still owed|still to pay|the rest]?
how much [smaller|lower|less] [is {b} than {a}|than {a} is {b}]?; [from the top|starting up] at {a} I [climb|walk|slide] down {b} [rungs|steps][.|,] [where am I|on which step am I|what number is that]?
""")

MULTIPLY_ASKED = each("""
{a} [lots|sets|batches|bunches|packs|helpings|bundles] of {b}[?|, how many?|, what is that?| is what?]; {b}, {a} times [over|in a row][,|:] [what is that|what does it come to|how much]?
{b} taken {a} times [is|makes|gives] [what|how much]?; {a} [x|*] {b} = [___|...|??|]; [what|how much|which number] is {a} times as [much|many|large] as {b}?
times [table|tables][:|,] {a} [x|times|by] {b}; [we are practising|I'm revising|my son is learning|let's train] [the times table|multiplication|the tables][:|.] {a} [times|x] {b}?
in the {a} times table, what [stands|comes|is] [next to|for|beside] {b}?; if I [add|put down] [the number |a ]{b} [exactly|a total of] {a} times[ and sum up|], what is the [total|sum|result]?
the product of {a} and {b} [is|would be|equals] [what|...|which number]?; [factors|the factors are] {a} and {b}[,|:] [product|what is the product|multiply]?
[multiply these|multiplication|multiply both|product wanted]: {a}[,| and| with] {b}; [area|what is the area|how big is the area] of a [rectangle|room|field|carpet|yard] [measuring|of|that is] {a} by {b}[| metres| feet]?
a [grid|sheet|board|wall|quilt] [of|with] {a} rows and {b} columns [has|holds|makes] how many [cells|fields|squares|pieces]?; {a} [people|guests|children|teams] [get|need|want|take] {b} [each|apiece][.|,|:] [how many is that|how many do we need|what is the total]?
{b} [each|apiece|per person|per head] for {a} [people|guests|children] [is|makes|comes to] [how much|what]?; {b} [a|per] day [for|over] {a} days [is|makes|gives] how [many|much]?
{b} an hour for {a} hours[.|,|:] [what do I earn|what is the pay|how much is that]?; {a} [tickets|shirts|bottles|rolls|stamps] at {b} each[:|,|.] [what is the bill|how much do I pay|what does it cost]?
I [bought|ordered|want|need] {a} at {b} [each|apiece][.|,] [what is the damage|what will I pay|how much is the lot]?; [if|when|given that] one [costs|sells for] {b}, [how much are|what do I pay for|what is the price of] {a}?
[if|when] one [takes|needs|lasts] {b} [minutes|hours|days], how long [do {a} take|for {a} of them|will {a} be]?; [if|when|given that] one weighs {b}, [how heavy are {a}|what do {a} weigh|what is the weight of {a}]?
[multiply|enlarge|scale up|blow up] {b} by [a factor of|the factor] {a}; {b} [multiplied|repeated|counted] {a} times [is|makes|gives] [what|how much]?
[how much|what] [do|would|will] {a} [copies|sets|packs] of {b} [make|come to|amount to]?; if I [score|get|collect|win] {b} points {a} times[| in a row], what do I have?
{a} [jumps|hops|leaps|strides] of {b} [take|bring|get] me [where|how far|to which number]?; [I count|count|skip] in steps of {b}, {a} steps in all[.|,] [where do I land|what is the last number]?
what [comes out|results|do we get] [of|for|from] {a} [times|x] {b}?; [tell me again|remind me|say again] [what|how much] {a} [times|x|multiplied by] {b} [is|was|makes]
[I keep forgetting|I never know|I can't work out|I am stuck on] {a} [times|x|*] {b}; [pop quiz|speed round|mental maths|in your head][:|,] {a} [times|x|multiplied by] {b}[|?|!]
[hmm|let me see|wait|one moment][,|...] {a} times {b} [is|would be|makes] [what|how much|...]?; [any clue|do you happen to know|would you know|can you guess] what {a} [times|multiplied by|x] {b} [is|makes|comes to]?
my [calculator|phone|laptop] is [dead|at home|broken] and I need {a} [times|x|multiplied by] {b}; if x is {a} and y is {b}, [what is|how much is] [x * y|x times y|their product]?
[with|given] a length of {a} and a width of {b}, [what is the area|how big is the area|how large is the surface]?; each of the {a} [has|gets|holds|takes|brings] {b}[.|,] [how many altogether|what's the total|how much in sum]?
{a} [boxes|crates|bags|trays] [holding|containing|filled with] {b} [each|apiece], how many [overall|all told|altogether]?; {a} [shelves|pages|floors|walls] with {b} on each, how many [altogether|in all|overall]?
[here are two numbers|two factors|I have two values], {a} and {b}[.|,|:] multiply them[|, please| for me]; [solve|evaluate|determine|figure out|crunch] [|this multiplication: |the product ]{a} [x|*|times] {b}
how [many|much] [are|is] {a} [times|by|x] {b}?; [can|could|would] you [please|quickly|kindly] multiply [these two|the following]: {a} and {b}?
on {a} days I [swim|run|walk|cycle] {b} [laps|rounds|lengths|blocks][.|,] how [many|much] is that [in total|altogether]?; I do {a} [rounds|sets|series] of {b} [push-ups|squats|sit-ups][.|,] [how many are those|how many do I do|what is the total]?
[which|what] number is {a} times [as big as|as large as|the size of] {b}?; what [must|should] I [write|put|enter] [for|after|behind] {a} x {b}[| =]?
[I bet|bet] you can't multiply {a} [by|and|with] {b}; [my worksheet|the exercise|the quiz|our teacher] asks [for the product of {a} and {b}|what {a} times {b} is|how much {a} by {b} makes]
[show|send|write|type][| me] the [answer|result|solution] [to|of|for] {a} [x|times|*] {b}; can you do [multiplication|times sums|products]? [Try|What's|Show me] {a} [x|times|*] {b}
[I am|we are] [packing|filling|preparing] {a} [parcels|bags|gift boxes] with {b} [items|pieces|things] in each[.|,] how many [are needed|is that|go in altogether]?; if [every|each] [creature|machine|robot|monster|insect] has {b} [legs|arms|wheels|eyes|buttons], how many [are there on|do you count on|would you see on] {a} of them?
[I'm too tired to|I can't|I have no time to] [think|calculate|work it out][,|:] {a} [x|times|*] {b}?; {a} and {b} multiplied [together|with each other|by one another] [are|make|give] [what|how much]?
[picture|draw|think of|imagine] {a} [circles|nests|plates|clouds] with {b} [dots|balls|crumbs|drops] in each[.|,|:] [how many is that altogether|how many do you count|what is the total]?; how many [seats|desks|stools|trees|tiles] [are in|do I count in|make up] {a} rows of {b}?
{a} [columns|lines|rows] of {b} [plants|posts|stones|soldiers][:|,|.] [what is the count|how many of them|how many stand there]?; I [save|pay|spend|earn] {b} every [month|week|time], [what is that|how much is that|what does it come to] after {a} of them?
put {b} [into|in] each of {a} [holes|pots|glasses|vases|tins][.|,] how many did [you|I] [use|need]?; the [result of|answer to|solution to] {a} times {b} [is|would be] [what|...|which number]?
[off the top of your head|without thinking|say it fast]: {a} [times|x] {b}; [what|how much] would [it be|you get|I get] if {b} [was|were|got] multiplied by {a}?
{a} [by|times|x] {b}[, the product please|, multiplied out|, what product?]; [what|how much] is {b} when [you take it|it comes|it is repeated|it is counted] {a} times?
first factor {a}, second factor {b}[.|,|:] [what's the result|what is the product|what do they make]?; [every one|each] of us [pays|gives|puts in] {b} and we are {a}[.|,|:] [how much comes together|how much is in the pot|what do we have in all]?
one [batch|portion|cake|pot] [needs|takes|calls for] {b} [spoonfuls|cups|grams], I make {a}[.|,] [how much do I need|how much is that|how many in total]?; every page has {b} [lines|pictures|stickers] and there are {a} pages[.|,|:] [what's the total|how many in the whole album|how many are in there]?
the [multiplication|exercise|times sum] {a} [x|*|times] {b} [has what answer|gives which number|comes out as what]?; [I'd like|may I have|can I get] the product of {a} [and|times] {b}[|, please]
""")

BIGGER_ASKED = each("""
[between|of|out of] {a} and {b}, which [is larger|one is greater|one wins|is higher]?; which [is heavier|is more weight|weighs more], {a} [kilos|grams|pounds] or {b}?; which one [is heavier|would you rather not carry|presses the scales down], {a} kilos or {b} kilos?
which is [longer|further|farther|more], {a} [metres|steps|miles] or {b}?; who [wins|is ahead|leads|has more], the [player|team|side] with {a} or the one with {b}?
if I want [the most|as many as possible|more], should I [take|pick|choose] {a} or {b}?; [what is|what's|find|tell me] the [maximum|greatest|top value] of {a} and {b}?
[max|maximum|the max|the greatest] [of|out of]: {a}[,| and] {b}; [|compute |print |evaluate ]max({a}, {b})[|?]; does {a} [beat|top|exceed|outdo] {b}[|, or the other way round| or does {b} come out ahead]?
{a} [vs|versus|against] {b}[:|,] [which wins|which is larger|which one is bigger]?; which [lies|stands|sits] further [up|along|to the right] on the number line, {a} or {b}?
one [child|friend|player|box] has {a} and another has {b}[.|,|:] [who|which one] has more?; is {a} [higher|greater|larger] than {b}[| or not| or is {b} the larger one]?
[circle|underline|mark|tick] the [larger|bigger|greater] number: {a}[,| or] {b}; which [comes|is said|turns up] later when [you count|counting|we go] up, {a} or {b}?
[am I right that|is it true that|is it right that] {a} is [bigger|larger|more|greater] than {b}?; which [price|amount|score|age|bid] is [higher|the higher one],  {a} or {b}?
my [son|pupil|brother|nephew] [thinks|says|claims] {a} is [bigger|more] than {b}[.|,] [is that true|is he right|do you agree]?; I [can't decide|am not sure|keep wondering|don't know] which is [more|larger|greater], {a} or {b}
[order|sort|rank] {a} and {b}[:|,|.] which [comes out on top|is at the top|is the big one]?; given {a} and {b}, [return|output|report|name] the [larger|greater|bigger] [one|value|number]
{a}, {b}[:|,| -] [the bigger|the larger one|the greater one]?; [what's|which is] more, {a} or {b} [eggs|books|coins|of something]?
which [house|page|room|bus|seat] has the [higher|larger|bigger] number, {a} or {b}?; [who is older|who has lived longer|who is the elder], [someone|a person] of {a} or someone of {b}?
""")

SMALLER_ASKED = each("""
[between|of|out of] {a} and {b}, which [is smaller|one is lower|one is less]?; which [is lighter|is less weight|weighs less], {a} [kilos|grams|pounds] or {b}?
which is [shorter|nearer|less far], {a} [metres|steps|miles] or {b}?; who [loses|is behind|trails|has less], the [player|team|side] with {a} or the one with {b}?
if I want [the least|as few as possible|to spend less], should I [take|pick|choose] {a} or {b}?; [what is|what's|find|tell me] the [minimum|least|bottom value] of {a} and {b}?
[min|minimum|the min|the least] [of|out of]: {a}[,| and] {b}; [|compute |print |evaluate ]min({a}, {b})[|?]; is {a} [below|under|beneath] {b}[| or not| or is {b} the lower one]?
{a} [vs|versus|against] {b}[:|,] [which loses|which is smaller|which one is lower]?; which [lies|stands|sits] further [down|to the left] on the number line, {a} or {b}?
one [child|friend|player|box] has {a} and another has {b}[.|,|:] [who|which one] has [fewer|less]?; is {a} [lower|smaller] than {b}[| or not| or is {b} the smaller one]?
[circle|underline|mark|tick] the [smaller|lower|lesser] number: {a}[,| or] {b}; which comes [earlier|sooner|first] when [you count|counting] up, {a} or {b}?
[am I right that|is it true that|is it right that] {a} is [smaller|less|lower] than {b}?; [which is|what would be] [cheaper|the better price|easier to pay],  {a} or {b}?
my [niece|daughter|sister|mother] [thinks|says|claims] {a} is [smaller|less] than {b}[.|,] [is that true|is she right|do you agree]?; I [can't decide|am not sure|keep wondering|don't know] which is [less|smaller|lower], {a} or {b}
[order|sort|rank] {a} and {b}[:|,|.] which [comes last|is at the bottom|is the little one]?; given {a} and {b}, [return|output|report|name] the [smaller|lower|lesser] [one|value|number]
{a}, {b}[:|,| -] [the smaller|the lower one|the lesser one]?; [which|what] [is fewer|are fewer], {a} or {b} [eggs|books|coins|things]?
which [house|page|room|bus|seat] has the [lower|smaller] number, {a} or {b}?; [who is younger|who has lived less long|who is the junior], [someone|a person] of {a} or someone of {b}?
which [of these|of the two|of both] is [less|the lesser one][:|,] {a} or {b}?
""")

PARITY_ASKED = each("""
can {a} be [divided|split|shared] [equally by two|evenly between two people|into two equal parts]?; is {a} [divisible by 2|a multiple of 2|in the two times table][| or not]?
[what is the parity of|tell me the parity of|what sort, odd or even, is] [|the number |the value ]{a}?; if {a} [dancers|children|shoes|gloves] form pairs, [is one left alone|will one be left over|does each have a partner]?
{a}[:|,| -] [even|odd][, yes or no|, right|, or not]?; what [kind|sort|type] of number is {a}, [even or odd|odd or even]?
does {a} [belong to|go with|count among] the [even or the odd|odd or the even] numbers?; house number {a}[.|,|:] is it on the [even or the odd|odd or the even] side of the street?
I am [not sure|wondering|unsure] [if|whether] {a} is [even|odd|an even number|an odd number]; [classify|sort|label] {a} as [even or odd|odd or even]
my [son|pupil|brother] [says|thinks|claims] {a} is [even|odd][.|,] [is that right|is he right|true or false]?; would {a} [chairs|guests|socks] be an [even or an odd|odd or an even] number of them?
when I [divide|share|split] {a} by two, is [there a remainder|anything left over|there one left]?; [decide|choose|your verdict][:|,] is {a} [odd or even|even or odd]?
does {a} [count as|pass for|qualify as] an [even|odd] number?
""")

COUNT_ASKED = each("""
{a} [to|up to|through to] {b}, [count it|in order|one by one|every number], please; [what is|how does] the [sequence|row|series] from {a} to {b}[ go|]?
[recite|read out|rattle off|run through|go through] the numbers {a} to {b}; [can|could] you [go|climb|walk] from {a} up to {b} [number by number|one at a time|step by step]?
[my son|my daughter|the child|the baby] wants to hear [you count|the numbers] from {a} [to|up to] {b}; [fill in|complete|write out] [the row|the numbers|everything] from {a} to {b}
{a}, ..., {b}[:|,] [fill the gap|write them all|every number in between too]; [enumerate|spell out|lay out|line up] {a} [to|through|up to] {b}[| in order]
begin [with|at] {a}, [finish|stop|end] [with|at] {b} and [count|name every number|leave none out]; [we play hide and seek|it's hide and seek|close your eyes][.|,|:] count from {a} to {b}
[I need|I want|give me|show me] [every|each] [whole |]number from {a} [to|through] {b}; how [do you|do I|does one] [count|get] from {a} [up |]to {b}[| in ones]?
let me [hear|see] you count [from |]{a} [to|up to] {b}; [let's count|count with me|count together with me|let us count] from {a} [to|till] {b}
if I start at {a} and count [up |]to {b}, [what do I say|which numbers do I say|what are the numbers]?; [the |a |]range [from|of] {a} to {b}[|, all numbers|, inclusive]
""")

COUNT_DOWN_ASKED = each("""
[a countdown|do a countdown|start the countdown|run a countdown][|, please,] from {a} to {b}; the rocket [starts|takes off|is leaving][:|,] count from {a} down to {b}
{a} [down to|back to] {b}, [in order|one by one|every number|please]; [recite|list|write|name] the numbers from {a} [down to|back to|backwards to] {b}
start [high |]at {a} and [go|count|walk|climb] [down|back|backwards] [to|until] {b}; [can|could|would|will] you [count in reverse|go backwards|count the wrong way round] from {a} to {b}?
[which numbers|what numbers|what] do I say [counting|if I count|when I count] [down|back|backwards] from {a} to {b}?; [let's go|let me hear you go|go|walk] backwards from {a} [to|until]  {b}
""")

NEXT_ASKED = each("""
[which|what] number [follows|succeeds|comes on the heels of] {a}[| directly| immediately]?; [I count|I am counting|I counted] up to {a}[.|,|:] [what is next|how does it go on|which number now]?
the [successor|follower] of {a}[?| is what?|, please]; what [do you|do I|does one] say [after|right after] {a} when counting?
{a}[, and then|, followed by|, then][?|...| what?]; [one more than|one above|just above|the neighbour above] {a} [is|comes] [what|which number]?
[say|name|give me|write] the number [right |just |]after {a}; I am [on|at|reading] page {a}[.|,|:] what is the [next|following] page?
[after|behind|following] {a} [comes|stands|is] [what|which number]?; [go on|continue|carry on] from {a} by one[.|,|] what number?
""")

BEFORE_ASKED = each("""
[which|what] number [precedes|comes directly before|stands in front of] {a}?; [I count|I am counting] backwards and I am at {a}[.|,|:] [what is next|how does it go on|which number now]?
[the predecessor of|the number in front of|the neighbour below] {a}[?| is what?|, please]; what [do you|do I|does one] say [just before|right before] {a} when counting?
[one less than|one below|just below|the neighbour below] {a} [is|comes] [what|which number]?; [say|name|give me|write] the number [right |just |]before {a}
I am on page {a}[.|,|:] what was the [last|previous] page?; [what|which] [came|was|is] [directly|immediately|right] [before|in front of] {a}?
{a} [comes after|follows|is preceded by] [what|which number]?; step back [one|by one|a single step] from {a}[.|,|:] which number [is that|do you reach]?
""")

DOUBLE_ASKED = each("""
[what|how much] is {a} [twice|doubled|two times over|times two]?; [twice as much as|the double of|two times|twice] {a} [is|makes|would be] [what|how much]?
{a} [doubled|twice over|times two][?|, please|, how much?]; if I [double|take twice] {a}, [what do I get|what is it|how much is there]?
[I have|I earn|she pays|it takes] {a} and [he has|you get|they want] [twice as much|double that][.|,|:] [how much|what] is that?; [find|say|name|show me] the double of [|the number |my number ]{a}
what [do|does] [two|a pair of] [packs|sets|portions] of {a} [make|come to]?; the number twice as [big|large|high] as {a}[?| is what?|, please]
""")

HALF_ASKED = each("""
[what|how much] is {a} [halved|cut in half|divided in two|split in two]?; [one half of|half of|the half of] {a} [is|makes|would be] [what|how much]?
{a} [halved|cut in half|shared by two][?|, please|, how much?]; if I [halve|cut in half|split in two] {a}, [what do I get|what is each part|how big is a part]?
two [friends|sisters|people|children] share {a} [equally|fairly|evenly][.|,|:] [what does each get|how many for each|how much has each]?; [find|say|show me|work out] the half of [|the number |my number ]{a}
[I ate|we used|he took|I need] [only |]half of the {a}[.|,] [how many is that|how much is that|how many are those]?; the number half as [big|large|high] as {a}[?| is what?|, please]
""")

WORD_ASKED = each("""
[what is|how do I write|what do I call] [the figure|the digits|the numeral] {a} [as a written word|in words|in letters]?; turn [the figure|the numeral|the digits] {a} into [a word|letters|words]
I have to write {a} [on a cheque|on a form|in an essay|in a letter] in [words|letters][.|,|:] how?; {a}, [but written out|but in letters|spelled out in words|as a word][| please]
[which|what] word [is|stands for|do we use for|means] the number {a}?
""")

# In stories {a} and {b} are at least two; {b} is taken from {a}; a product is {a} times {b}.
PLUS_STORIES = each("""
my [aunt|grandmother|mother|niece] [knitted|sewed|crocheted] {a} [scarves|blankets|mittens|socks] last winter and {b} this winter. How many [did she make|are those|has she made in two winters]?
we drove {a} [miles|kilometres] before [lunch|the break|the border] and {b} afterwards. How far did we [drive|travel|get][| that day]?; {who} sent {a} [emails|messages|invitations|parcels] [at first|to relatives] and {b} [a little later|to friends]. [What is the total|How many were sent|How many went out]?
the front [carriage|coach|wagon] carries {a} {people}, the rear one {b}. How many {people} [ride|travel|sit] in both?; our [hens|chickens|ducks|geese] laid {a} eggs last week and {b} this week, so how many eggs [did we collect|do we have to sell|came in]?
a [street|road|lane] has {a} houses on one side and {b} on the other side. How many houses [stand there|line it|must the postman visit]?; the [film|play|concert] lasts {a} minutes and the [adverts take|break takes|encore takes] {b}. [How long do I sit there|How long is the evening|How many minutes is that]?
a [bean plant|sunflower|young tree|tomato plant] was {a} centimetres tall and [grew|shot up] by {b}. How tall is it now?; the [tank|barrel|pond|pool] holds {a} litres of water and the [rain|hose|storm] adds {b}. How much water is in it [now|then]?
[grandfather|grandpa] was {a} when my father [was born|came into the world], and my father was {b} when I was born. How old was [grandfather|grandpa] [at my birth|when I was born]?
[{a} women and {b} men|{a} sopranos and {b} altos|{a} adults and {b} teenagers|{a} girls and {b} boys] sing in our choir. How many [voices|singers|members] does it have?; {who} saved {a} {money} in the first half of the year and {b} in the second half. How much [money |]is in the [piggy bank|account|jar]?
at the [fair|market|bazaar] our stall sold {a} [cups|slices|bowls|glasses] before noon and {b} later. [What were the total sales|How many went over the counter|How many were sold]?
the library lent me {a} [novels|comics|films|records] and I own {b}. How many can I [choose from|pick from] [tonight|this weekend]?; a [train|ferry|tram|bus] leaves with {a} passengers and picks up {b} at the next stop. How many passengers are on board [now|then]?
{a} [swallows|sparrows|crows|pigeons] sat on [a wire|the roof|a fence] when {b} [landed beside them|flew in|came to sit there too]. How many birds [sit there|do you see]?; for the party {who} blew up {a} balloons while {other} managed {b}. How many [balloons |][float about|can we hang up|decorate the room]?
our [team|side|club] scored {a} [points|goals|baskets] before the break and {b} after it. What was [our final score|our result|the total]?; {who} typed {a} words, [had a coffee|took a break|answered the phone] and typed {b}. How many words does the [text|letter|report] have?
{other} tied a rope of {b} metres to {who}'s rope of {a} metres. How long is the [new|joined|whole] rope[|, knots aside]?; there were {a} unread [messages|mails] in my inbox and overnight {b} came in. How many are [waiting|unread now|in there]?
my [wife|husband|flatmate|sister] baked {b} [muffins|rolls|biscuits|pies] and I baked {a}. How many can we [offer|serve|put on the table]?; a [bakery|hotel|school|café] ordered {a} [loaves|towels|desks|trays] from one supplier and {b} from another. How many [will be delivered|should arrive]?
climbing the [tower|hill|lighthouse], {who} took {a} steps, rested and took {b}. How many steps [were climbed|does that make]?; the [jacket|dress|shirt] is {a} {money} and the [shoes|trousers|gloves] are {b}. What does the whole outfit cost?
a ticket [costs|is] {a} {money} and the booking fee [adds|is] {b}. How much do I pay at the [till|counter|box office]?; [dinner|lunch|the meal|breakfast] [came to|was] {a} {money} and we left a tip of {b}. How much [did the evening cost us|did we pay|went from our purse]?
they planted {a} [oaks|birches|bushes|tulips] along the road and {b} behind the school. How many [were planted|must be watered|grow there]?; yesterday's [meeting|lesson|call|rehearsal] took {a} minutes, today's took {b}. How many minutes [went by|did we sit through|were spent]?
an aquarium is home to {a} [striped|spotted|shiny] fish and {b} plain ones. How many fish [must be fed|swim about|are in it]?
[I am {a} and my brother is {b} years older than me. How old is he|my sister is {b} years older than me and I am {a}. How old is she|my cousin, born {b} years before me, wants to know: I am {a}, so how old is my cousin]?
the ride [normally|usually] takes {a} minutes but [today|because of roadworks|in the snow] it took {b} minutes longer. How long [did it take|was I on the bus]?; I need {a} grams of [flour|sugar|butter] for the dough and {b} grams for the [filling|topping|icing]. How much must I [weigh|buy|have at home]?
{who} pours {a} litres into a [barrel|bucket|tub] and {other} pours in {b}. How many litres [are in there|does it contain|is that]?; on [my uncle's|our|the old] farm live {a} [sheep|goats|cows] and {b} [pigs|horses|geese]. How many animals [is that|does the vet look after|live there]?
a lorry is loaded with {a} {holders} in one [town|harbour|yard] and {b} in another. How many {holders} [is it carrying|will the driver unload]?; the jury gave {who} {a} points for the [song|jump|speech] and {b} for the [dance|landing|costume]. What was the total [score|mark]?
I owe [my sister|a friend|the bank] {a} {money} and [my cousin|the landlord|a neighbour] {b}. How [big is my debt|much do I owe]?; we stayed {a} nights by the [sea|lake] and {b} nights in the [mountains|woods]. [How long was our holiday|How many nights were we away]?
the first [suitcase|parcel|sack] weighs {a} kilos, the second {b} kilos more than the first. [How heavy is|What is the weight of] the second?; [Dad|my uncle|the mason|the carpenter] had put up {a} metres of [fence|wall|railing] and built {b} metres on. How long is it now?
standing at the [bridge|crossing|window], {who} counted {a} [lorries|cyclists|taxis] in the morning rush and {b} in the evening one. What number goes into the report?
two [heaps|bowls|piles] of {things}, {a} in the one and {b} in the other, [are tipped together|get mixed|become one]. How many {things} [are there then|does the new one hold]?; the [plumber|electrician|mechanic] [charges|asks] {a} {money} for coming and {b} for the repair. [How much|How high] is the [invoice|bill]?
my [phone|camera] stores {a} [photos|pictures|videos] and my [tablet|laptop] {b}, all different ones. How many [do I own|are those]?
""")

MINUS_STORIES = each("""
my [aunt|grandmother|mother] picked {a} [plums|cherries|berries|pears] and [cooked|dried|bottled] {b}. How many did she [keep fresh|not use]?; of the {a} [emails|letters|requests] in [my inbox|the tray|the pile], I have answered {b}. How many [still wait|are unanswered|remain to be done]?
the trip is {a} [miles|kilometres] long and we have [driven|covered|finished] {b}. How far [is it still|do we still have to go|is the rest]?; a [train|ferry|tram|bus] with {a} passengers lets {b} of them off. How many [travel on|stay on board|are still aboard]?
{who}'s [candle|pencil|rope|plank] was {a} centimetres long and {b} centimetres [are burnt|were cut off|are worn away]. How long is [it now|the rest|what is left]?
there were {a} [swallows|crows|pigeons|gulls] on the [roof|wire|pier], but a [bang|cat|noise] scared off {b}. How many [sat still|did not fly off|are there now]?; the [tank|barrel|boiler] held {a} litres until {b} litres [leaked out|evaporated|were drawn off]. How much is in it now?
a [jacket|lamp|clock|carpet] was {a} {money} and is now {b} {money} cheaper. What [is the new price|does it cost now]?; my [bus|train|plane] leaves in {a} minutes and I need {b} minutes to get there. How [much time to spare do I have|many minutes can I dawdle|long can I stay]?
{who} invited {a} [guests|friends|colleagues], yet {b} [cancelled|fell ill|sent their regrets]. For how many must the table be laid?; our [cinema|theatre|stadium|plane] has {a} seats and {b} are [taken|booked|occupied]. How many seats are free?
the [film|concert|lesson] lasts {a} minutes and {b} minutes [have passed|are over|are gone]. How long [will it go on|must we wait for the end|does it still run]?; {b} of the {a} [lamps|bulbs|lights] in the [hall|street|cellar] do not work. How many [shine|light up|still work]?
a [puzzle|mosaic] has {a} pieces and {who} has placed {b}. How many pieces [are still in the box|must be found|are still loose]?; [last year|in spring|before the diet] I weighed {a} kilos, since then I have lost {b}. What [do I weigh now|is my weight today|do the scales say]?
the [thermometer|display] stood at {a} degrees at noon and [fell|dropped] by {b} degrees by night. What [was the temperature|did it show] at night?
[I am {a} and my brother is {b} years younger. How old is he|my sister is {b} years younger than me, I am {a}. How old is she|mum is {a} and had me when she was {b}. How old am I]?
{who} baked {a} [muffins|rolls|waffles|pies] and the [neighbours|children|guests] [devoured|finished|polished off] {b}. How many are on the tray?; out of {a} [questions|exercises|sums] in the test, I got {b} wrong. How many [did I get right|were right]?
the [shop|kiosk|market stall] opened with {a} [newspapers|loaves|bunches of flowers] and sold {b} [by noon|so far]. How many are in stock?; I took {a} [photos|pictures|videos] on holiday and [deleted|erased] {b}. How many [did I keep|do I have]?
{who} must [carry|move|bring] {a} {holders} upstairs and has done {b}. How many {holders} are still [downstairs|waiting|to be carried]?; at the [start|beginning] {a} [runners|cyclists|swimmers] set off, but {b} gave up on the way. How many reached the finish?
[Grandpa|my uncle|our neighbour] owned {a} [sheep|goats|hens|geese] until a [fox|wolf|storm] took {b}. How many does he own now?; I borrowed {a} {money} from [my cousin|a friend|the bank] and have [paid back|returned] {b}. How much [do I still owe|must I still return]?
a [roll|spool|reel] holds {a} metres of [wire|cloth|thread|cable]. {who} cuts off {b} metres. How many metres are on it now?; from a [class|group|course] of {a}, {b} are [ill|absent|at home] today. How many [came|are present|sit in the room]?
{who} [scored|made|got] {a} points [while|whereas] {other} only [has|got] {b}. By how many points [did {who} win|does {who} lead|did {other} lose]?; this [tower|tree|mast|chimney] is {a} metres high and that one {b}. [How much taller is this one|By how much does this one stand out]?
my [book|notebook|diary] has {a} pages and I have filled {b}. How many are [blank|still empty]?; the [dog|parrot|goat|monkey] got {a} [treats|nuts|biscuits] and hid {b} of them. How many did it eat?
in our street {b} of the {a} houses [are painted|have a garage|have a balcony]. How many [do not|don't]?; [a bouquet of|a vase with] {a} [roses|tulips|daisies] stands here and {b} of them have wilted. How many still look nice?
{who} had {a} {money}. After [buying|paying for] {cost}, the [purse|wallet] is lighter by {b}. What is [still in it|the rest]?; [I pay|we pay|{who} pays] a bill of {b} {money} with {a} {money}. How much does the [waiter|cashier|driver] hand back?
a choir of {a} [members|singers] loses {b} [when school ends|to another choir]. How big is it [now|after that]?; we must wait {a} days for the [parcel|holidays|result], of which {b} have gone by. How many days [to go|do we still wait]?
{who} wants {a} [signatures|votes|stamps|points] and has collected {b}. How many are [lacking|still needed|to be found]?; the [ladder|staircase] has {a} [rungs|steps] and {other} stands on number {b}. How many [rungs|steps] to the top?
a [pack|deck] had {a} cards but {b} [got lost|went missing|fell behind the sofa]. How many are in [the pack|the box] now?; on the shelf stood {a} [glasses|vases|jars|mugs] before {b} of them [fell and broke|were smashed|toppled over]. How many survived?
[my parents|they|my grandparents] have been married for {a} years and lived abroad for {b} of them. How many of the years [did they spend at home|were they not abroad]?; it costs {a} {money}[ and|, but] I only have {b}. How much [am I short|do I have to borrow|must I save up]?
[someone|{other}|my cousin] unpacked {b} of our {a} {holders} after the move. How many {holders} are still [closed|packed|full]?; the flight takes {a} minutes, the [train|coach|boat] only {b}. How many minutes [do I save by not flying|shorter is that|does the faster way save]?
""")

TIMES_STORIES = each("""
my [aunt|grandmother|mother] knits {b} [scarves|hats|socks|mittens] a week. How many does she knit in {a} weeks?; {a} [spiders|crabs|beetles|robots] have {b} legs each. How many legs [walk about|is that|do you see]?
our [flat|house|school] has {a} rooms with {b} [windows|lamps|sockets] each. How many of [them|those] must be [cleaned|checked|counted]?; {who} swims {b} lengths per [training|session|visit] and [trains|goes|comes] {a} times. How many lengths [is that|does that make]?
a [ferry|shuttle|cable car] carries {b} [cars|passengers|tourists] per trip. How many does it move in {a} trips?; the gardener sets {b} [bulbs|plants|seeds] in each of {a} [beds|pots|rows]. How many [did he need|go into the ground|did he set]?
I take {b} [pills|drops|tablets] a day for {a} days. How many [must I buy|do I swallow|are needed]?; a ticket is {b} {money} and we are {a} people. What [does our outing cost|do we pay|is the price for all of us]?
{who} earns {b} {money} an hour and works for {a} hours. How much [is earned|does {who} get|is the wage]?; on every [page|sheet] of the album stick {b} [photos|stamps|pictures]. How many are on {a} pages?
{a} [cars|vans|taxis] arrive with {b} [people|guests|tourists] in each of them. How many get out?; the [choir|band|orchestra] stands in {a} rows, {b} [singers|members|people] to a row. How many stand there?
each floor of the [building|block|tower] has {b} [flats and there are {a} floors. How many flats|rooms and there are {a} floors. How many rooms|offices and there are {a} floors. How many offices] does it have?
[a carton holds|one carton has] {b} eggs. [We bought|I carry home|Mum brought] {a} cartons. How many eggs is that?; a [parking|bicycle|taxi] fee is {b} {money} per hour. We stay {a} hours. What do we [pay|owe]?
{who} reads {b} [chapters|pages|poems] every evening. How many [after|in|over] {a} evenings?; every [guest|child|player] gets {b} [balloons|sweets|tokens] and {a} are coming. How many [should I buy|do I need|must be ready]?
the [carpet|field|yard|roof] is {a} metres long and {b} metres wide. How many square metres [is that|does it cover]?; {a} [hens|ducks|geese] lay {b} eggs each in [a week|a month]. How many eggs can we gather?
a [chocolate bar|tray bake|sheet of stamps] has {a} rows of {b} pieces. How many pieces [can we share out|are there]?; to make one [necklace|bracelet|toy], {who} needs {b} [beads|pearls|buttons]. How many for {a}?
my [neighbour|cousin|colleague] walks the dog {b} times a day. How many walks [are there|does the dog get] in {a} days?; we play {a} [rounds|games|matches] and a win gives {b} points each time. If we win them all, how many points [do we get|are ours]?
a [machine|printer|worker] makes {b} [parts|copies|toys] a minute. How many in {a} minutes?; the [lorry|train|ship] pulls in with {a} {holders}, every single one filled with {b} {things}. How many {things} [were brought|came|are on it]?
[one bunch|a bunch|every bunch] has {b} [flowers|roses|bananas|carrots] and I take {a} bunches. How many do I carry home?; {who} has {a} [cousins|nephews|friends] and writes {b} [cards|letters|messages] to each of them. How many [are written|is that in sum]?
for each [cake|loaf|omelette] you [crack|need|break] {b} eggs. How many eggs for {a}[| of them]?; each of our {a} [dogs|cats|rabbits|ponies] gets {b} [treats|brushings|meals|carrots] a day. What does that make per day?
a [tap|hose|spring] gives {b} litres a minute. It runs for {a} minutes. [How much water is that|How many litres flow out]?; one lap [is|measures] {b} [kilometres|miles] and {who} [runs|rides] {a} laps. How far [is that|does {who} get]?
there are {b} [desks|chairs|computers] in each of the {a} [classrooms|rooms]. How many does the school have?; my [daughter|niece|cousin] is {b} and her [grandmother|aunt|father|teacher] is {a} times as old. [How old is the elder of the two|What age is that]?
{other}'s [tower|tree|kite string] measures {b} metres and {who}'s is {a} times as long. [How long is {who}'s|How many metres does {who}'s measure]?
my [pocket money|allowance|pay] is {b} {money} a [week and I put all of it aside for {a} weeks|day and I keep all of it for {a} days|month and I spend none of it for {a} months]. How much have I saved?
a [plant|bamboo|vine] grows {b} centimetres a week. How much [does it grow|taller will it be] within {a} weeks?; if {who} [plays|practises] the [piano|violin|flute] for {b} hours a week, how many hours does that make in {a} weeks?
{a} [sailors|campers|hikers] share the work and each [peels {b} potatoes|carries {b} logs|washes {b} plates|fetches {b} buckets]. How many [is that together|does the group manage]?
our [stairs have|staircase has|tower has] {a} flights [with|of] {b} steps[| each]. How many steps [do I climb to the top|is that]?; the [baker|shop|kiosk] fills {a} [trays|baskets|shelves], each with {b} [rolls|pies|loaves]. How many are ready for sale?
every [bike|car|cart] [gets|is given] {b} new [screws|bolts|stickers], and there are {a} in the workshop. How many have to be ordered?; I water the [garden|plants|lawn] with {b} cans a day. How many cans [have I carried|is that] after {a} days?
on {a} [evenings|afternoons|mornings] we [sang|played|heard] {b} songs each time. How many songs [was that|were they in all]?; {a} [brothers|sisters|cousins] saved {b} {money} each and put it together for a [present|trip|tent]. How much do they have?
{a} [toys|sets|orders] arrive with {b} [batteries|spare parts|screws|stickers] packed in each. How many of those [small things |]are there?
""")
