"""Turns about accel itself: its commands, and what to do for a real model."""

from .accel_asked import HOW_ASKED, WHAT_DOES_ASKED
from .talk import Intent, Talk, by_answer

ASK = (
    "[|||can you tell me |tell me |please tell me |I want to know |do you know |could you explain |explain |I wonder ]"
)

HOW_TO = (
    "[how do I|how can I|how to|how could I|how does one|what do I type to|what do I have to do to|which command "
    "lets me|"
    "I want to|I need to|I'd like to|I would like to know how to|is there a way to|what is the command to|can I|"
    "is it possible to|which command do I use to|help me to|where can I|what should I do to|tell me how to|show me "
    "how to|"
    "explain how to|do you know how to|what do I enter if I want to|which command is there to|I have to|please tell "
    "me how to|"
    "what must I do if I want to|I am trying to|what is a good way to] "
)

COMMANDS = {
    "accel chat": "accel chat opens a chat with a model; without a name it opens the demo model.",
    "accel plan": "accel plan MODEL shows how much memory and speed a model will need before it is loaded.",
    "accel doctor": "accel doctor shows your machine: processors, memory, disks, accelerators and engines.",
    "accel models": "accel models lists, verifies and removes the models that you downloaded.",
    "accel bench": "accel bench measures the speed and the memory of a model on your machine.",
    "make chat": "make chat builds what accel needs and opens a chat with the demo model.",
    "make test": "make test builds accel and runs its tests.",
    "/plan": "/plan shows the plan: what lies in which memory, and how fast it should be.",
    "/stats": "/stats shows the tokens per second, the context used and the memory.",
    "/system": "/system sets the system prompt of the conversation.",
    "/retry": "/retry asks for another answer to your last message.",
    "/save": "/save saves the conversation to a file.",
    "/open": "/open opens a conversation that you saved.",
    "/quit": "/quit leaves the chat.",
    "Ctrl-C": "Ctrl-C stops the answer that is being written.",
    "Ctrl-D": "Ctrl-D leaves the chat.",
    "accel --help": "accel --help lists all commands.",
}
WHAT_DOES = (
    ASK + "[what does|what will] {c} [do|show|mean]?",
    ASK + "what {c} [does|is for|means|shows|is good for]",
    "[what is|what's] [|the command |the meaning of ]{c}[| for| good for| about]?",
    "[explain|describe|tell me about|help me with|how do I use|how to use|when do I use|why would I use] [|the "
    "command ]{c}",
    "[what happens|what will happen] [when|if] I [type|run|enter|use|start|press] {c}?",
    "[what can I do|what do I get] with {c}?",
    "{c}",
    "{c}[:|,|.] [what is it|what does it do|what is that|what does that mean|what is this for|explain it]?",
    "[what is|what's] the [use|meaning|point|effect|job] of [|the command |typing ]{c}?",
    "[what would|what will|what does] [happen with|come from|I see after|I see when I use|I get from] {c}?",
    "[is|does] {c} [useful|do anything|good for something|of any use]?",
    "[I see|there is|you mentioned|I found] the command {c}[.|,] [what does it do|what is it for|please explain it]?",
    "[the command|typing|using|running] {c} does what?",
    "{c} [does|shows|means|is] what?",
    "[I typed|I saw|I read about|somebody told me about] {c}. What [is it|does it do|is that for]?",
    *WHAT_DOES_ASKED,
)
HOW: dict[tuple[str, ...], str] = {
    (
        "[how can I|how do I|how to|how could I|where can I|where do I|what must I do to|what do I type to] "
        "[get|use|run|download|load|start|try|chat with|talk to|install|have|open] "
        "[a real model|a bigger model|another model|a better model|a larger model|a good model|a different model|"
        "a proper model|a serious model|a model from the hub|a model from Hugging Face|my own model|a big model]?",
        "I [want|need|would like|prefer] [|to use |to run |to try |to talk to ][a real model|a bigger model|another "
        "model|"
        "a better model|a larger model|a smarter model]",
        "[can I|is it possible to|may I] [use|run|get|load|download] [a real model|a bigger model|another model|"
        "a better model|other models|a larger model]?",
        HOW_TO + "[change|switch|exchange] [the model|models|to another model|to a real model|this small model]",
        "[where do I|from where can I] [get|find|take] [a real model|a bigger model|good models|other models]?",
        "[is there|do you have|have you got|are there] [a bigger model|a better model|a real model|other models|"
        "more models]?",
        "[this|the] [demo|demonstration|small] model is [not enough|too small|too weak|too stupid][| for me]",
        "[the model|you] [should be|could be|need to be] [bigger|better|smarter|cleverer]",
        "you are too [small|silly|stupid|simple][|, I want a better model|. What now]?",
        "[which|what] command [downloads|gets|starts|loads|runs] [a real model|another model|a bigger model|a model]?",
    ): "Start accel chat hf:owner/repo with the owner and name of a model, or give the path of a GGUF file.",
    (
        ASK + "[what is|what's] accel?",
        ASK + "what accel [is|does|can do|is for]",
        "[what does|what can] accel do?",
        "[explain|describe|tell me about|introduce] [accel|this program|this software|this tool]",
        "[what is|what's] [this program|this tool|this software|this][| about| for]?",
        "why [should|would|do] I use accel?",
        "accel",
    ): "accel runs the language model you have on the machine you have: it plans the memory before it loads a model, "
    "and keeps to the plan.",
    (
        HOW_TO + "[see|check|show|inspect|look at|find out about|know] "
        "[my machine|my hardware|what hardware I have|my computer|which processors I have|my memory and disks]?",
        "[which|what] command [shows|checks|inspects|looks at|describes] [my machine|my hardware|my computer|the "
        "hardware]?",
        "[what does accel know|what can accel say] about my [machine|hardware|computer]?",
    ): "Use accel doctor: it shows your processors, memory, disks, accelerators and engines.",
    (
        "[will|does|can] [a model|the model|my model|this model|it] [fit|run] [on my machine|in my memory|on this "
        "computer|here]?",
        HOW_TO + "[see|check|know|find out] "
        "[if|whether] [a model|the model|my model] [fits|runs|will fit|will run][| on my machine| in memory]?",
        "[how much memory|how much RAM] [does|will] [a model|the model|my model] [need|take|use]?",
        "[which|what] command [shows|tells|says] [how much memory a model needs|if a model fits|the plan of a model]?",
    ): "Use accel plan MODEL: it shows the memory and the speed before anything is loaded.",
    (
        HOW_TO + "[measure|test|check|see|find out] [the speed|how fast it is|how fast a model is|the performance|"
        "tokens per "
        "second|"
        "the speed of a model]?",
        "[which|what] command [measures|tests|shows] [the speed|the performance|how fast a model is]?",
        "how fast is [it|a model|my model|accel][| here| on my machine]?",
    ): "Use accel bench: it measures the speed and the memory of a model on your machine.",
    (
        HOW_TO + "[remove|delete|erase|discard|get rid of|drop|uninstall|list|check|verify|see|manage|clean up|"
        "show] [downloaded models|my models|a model|the "
        "models|old "
        "models|"
        "the models I downloaded]?",
        "[which|what] command [lists|removes|deletes|verifies|shows] [my models|models|downloaded models|the models]?",
        "[where are|which are|what are] [my models|the models that I downloaded|my downloaded models]?",
    ): "Use accel models: it lists, verifies and removes downloaded models.",
    (
        HOW_TO + "[save|keep|store|preserve|archive|hold on to|write to a file|not lose] [this chat|the chat|our "
        "conversation|the conversation|this conversation|what we "
        "said]?",
        "[which|what] command [saves|keeps|stores] [the chat|the conversation|this talk]?",
        "can I [save|keep|store] [this chat|the chat|our conversation|this conversation]?",
    ): "Use /save: it saves the conversation to a file.",
    (
        HOW_TO + "[open|load|continue|go back to|reopen] [a saved chat|an old chat|a saved conversation|an old "
        "conversation|"
        "the chat I saved]?",
        "[which|what] command [opens|loads|continues] [a saved chat|an old conversation|a saved conversation]?",
    ): "Use /open: it opens a conversation that you saved.",
    (
        HOW_TO + "[leave|quit|exit|close|end|finish|get out of|stop|disconnect from|be done with] [the chat|this "
        "chat|accel|this program|the program|here]?",
        "[which|what] command [leaves|quits|ends|closes] [the chat|the program|accel]?",
        "I want to [quit|leave|exit][| the chat| this program]",
    ): "Use /quit or press Ctrl-D to leave the chat.",
    (
        HOW_TO + "[stop|cancel|interrupt|break off|abort] [you|an answer|the answer|a long answer|your answer]?",
        "[which|what] key [stops|cancels|interrupts] [you|an answer|the answer]?",
        "can I [stop|cancel|interrupt] [you|an answer|the answer]?",
    ): "Press Ctrl-C to stop an answer.",
    (
        HOW_TO + "[change|set|see|give|write] [the system prompt|a system prompt|your instructions|another system "
        "prompt]?",
        "[which|what] command [changes|sets] [the system prompt|your instructions]?",
    ): "Use /system: it sets the system prompt of the conversation.",
    (
        HOW_TO + "[get|have|see|ask for] [another answer|a new answer|a different answer|a second answer]?",
        "[can you|please] [try again|answer again]",
        "[which|what] command [gives|gets|asks for] [another answer|a new answer|a different answer]?",
    ): "Use /retry: it asks for another answer to your last message.",
    (
        HOW_TO + "[run|start] [the tests|accel's tests|all tests]?",
        "[which|what] command [runs|starts] [the tests|all tests]?",
        HOW_TO + "[test|check] [accel|the code|the program|my changes]?",
    ): "Use make test: it builds accel and runs its tests.",
    (
        HOW_TO + "[start|open|begin] [the chat|a chat|accel|chatting]?",
        "[which|what] command [starts|opens|begins] [the chat|a chat|accel]?",
        HOW_TO + "[begin|start|get started][| with accel]?",
    ): "Use make chat, or accel chat once it is installed.",
    (
        "[what|which] commands [are there|do you know|does accel have|can I use|exist|can I type|has accel]?",
        "[list|show me|tell me|name|give me] [|all ][the commands|accel's commands|your commands]",
        "[what are|which are] [the commands|accel's commands|your commands]?",
        "/help",
    ): "accel chat, accel plan, accel doctor, accel models and accel bench; in the "
    "chat /plan, /stats, /system, /retry, "
    "/save, /open and /quit.",
    (
        "[is|does] [accel|it|this] [free|cost money|open source|cost anything]?",
        "[what|which] licence [does|has] accel [have|use|]?",
        "[how much|what] does accel cost?",
        "may I [use|share|change] accel?",
    ): "accel is free software under the Apache 2.0 licence.",
    (
        "[what|which] [files|formats|models|model files|file format] [can accel|does accel] [run|open|read|load|use]?",
        "[what is|what's] [a GGUF file|GGUF]?",
        "[does|can] accel [run|open|read|load] [GGUF files|GGUF|safetensors|my file]?",
    ): "accel runs models in GGUF files.",
    (
        "[do I|must I|does accel] need [a GPU|a graphics card|an accelerator]?",
        "[can accel|does accel] [run|work] without [a GPU|a graphics card]?",
        "I have no [GPU|graphics card]",
    ): "No. accel also runs on processors alone.",
}
ANSWERS = by_answer(HOW, HOW_ASKED)


def command(talk: Talk) -> None:
    name, answer = talk.rng.choice(sorted(COMMANDS.items()))
    talk.turn(WHAT_DOES, answer, c=name)


def how(talk: Talk) -> None:
    patterns, answer = talk.rng.choice(ANSWERS)
    talk.turn(patterns, answer)


INTENTS = (
    Intent(4, command, WHAT_DOES, introduces=True),
    Intent(6, how, tuple(pattern for patterns, _ in ANSWERS for pattern in patterns), introduces=True),
)
