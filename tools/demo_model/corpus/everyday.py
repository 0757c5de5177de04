"""Everyday words that decide nothing in a question and are put into it as noise."""

TEXT = """
absolutely accept ache across active admit advice afford agreed agreement aim air alarm allowed almost along
amazed amazing ambition amused amusing announce annoyed annoying anxious anyway apologise apparently appointment
approach argue argued argument arrange arranged artistic assume atmosphere attach attempt attend attention
attitude attract audience avoid avoided award aware awkward backpack badge baggage balance balcony bandage bang
basic bath bathroom because bedroom beg belief believe believed bend bet blame blanket blink block blow board
boil bolt bond bonus boot bother bottle bounce bow breath breathe breeze brick briefly brilliant bring broken
brush bubble bucket buckle bump bundle burn business busy cabin camp cardboard careful carefully careless carpet
carry carried cart carve castle casual catch caught ceiling central certain certainly chaos charm charming chase
cheer classic cleaned clear clearly climbed closet cloth clothes cloud clue clumsy collar comb comfort
comfortable comment company complain complaint complicated concern concert confident confusing connect consider
constant contact contain contest convenient corridor costume cottage couch courage course cover craft crash
create creative creep crisp cross crowded crunch cupboard curl curtain curve danger dare darling debate decided
decision declare decorate decoration deeply definitely delay delayed delicate delight delightful deliver
delivery demand deny depend deserve design develop diary direction dirt disagree discover discuss discussion
dislike display disturb dive donate dot doubt drama drawer dreamed dried drift drive driving due dust dusty
eager easily easygoing edit education effort elevator embarrassed embrace emotion emotional employ encourage
endless energy enjoyed enjoying entertain entirely entrance envy equipment errand escape especially essential
event eventually exciting exhausted experience explained explore expression extremely fade fail failed fairly
faith familiar fan fancy fantastic fascinating fashion fasten fault fear fence festival fetch fever fiction
field finally finished fire firm fixed flag flame flash flexible flood floor flow fluffy foam focus forgive
fortunate fortune frequently friendship frightened frost frown fuel fuzzy gadget gallery garage gasp gate gaze
generous gentle gently genuine gesture gift glance glass gloomy glory glow goal gossip gradually grand greet
grin grip ground gust habit hall handle handsome hang happened hardly harmony headache heal health heap heard
heaven hedge helmet helped helpless hesitate hidden hide highway hike hint hole hollow honestly honour hook
hoped hopeful hoping horrible hug humour hurt hut ideal ignore imagination immediate immediately important
impress impressive improved include incredible indeed influence inform informal insist inspire instead
intelligent intend invent invention invite invited involve issue itch item jealous jewel joined journey joy
juggle jumped junk keen kindness kiss knock knocked knot knowing knowledge lace landed landscape lane laundry
lawn lead leak lean lecture legend leisure library lid lift liquid listen listened literature litter lively lock
locked logical loving loyal luck luckily luggage luxury magazine magic mainly managed manner map marble mark
marriage marry mask material meanwhile melody melt member mend mention mess metal method middle mischief missed
missing mission mix mixture mobile modest moment motor move mud mug museum mystery nail nasty naturally nature
nearby nearly neat necessary neighbourhood nervous net nicely nod normal normally notebook noticed nowadays
nowhere obey obvious obviously occasion occasionally occur offend offer offered office official opinion option
ordinary organise ought outfit outline pace pack packed painful palace panic park parked party pass passion
patient pause pavement peace peaceful peak peculiar pencil perfectly permission permit personal personality
persuade photo photograph physical picnic picture pile pipe pit planning platform playful playing pleasant plot
plug pocket pointed pole policy pond porch possibly post poster pot powerful practical practice practise praise
pray precise predict preparation prepared pretend prevent pride process progress project promised proof properly
property protect proud provide pulled pump punish purse pushed quarrel quest quietly railway rather reach react
realise realised reality recently recognise recover recycle regret regular regularly relation relationship relax
relaxed relief relieved remarkable request rescue research responsible review reward rhythm ribbon ring risk
rock role romantic roof room rope route routine royal rub rubbish rug ruin rule rumour rush rusty sadly safely
sail sand satisfied scared scenery schedule science scold scream screw seat secretly section seek seem seemed
seldom select selfish sense sensible sensitive seriously serve settle shade shadow shake shave shed sheet
shelter shine shiny ship shiver shock shocked shore shout shower sigh silence silent silk similar simply sit
sitting situation sketch skirt sleeping sleepy sleeve slept slice slide slightly slip smiled smoke sneak social
society softly solid somehow sometimes somewhere special specific spin spirit spite splendid spoil spoke spot
spray spread squeeze stage stain stairs standard stare statue stayed steady steal steel steep steer stick sticky
stiff stood stopped strange stream street stress stressed strict strike string stroll struggle stubborn study
stuff style successful suddenly suffer suitable sunset sunshine support suppose supposed surely surface surprise
surprised surprising surround survive suspect swear sweep swing sympathy talent talented talked tank tap tape
target taught team tear tease teenage temper temporary tempting tender terrified theatre therefore thoroughly
thought thoughtful thread threaten throughout throw throwing tidy tie timid tiring toilet tone torch touch
touched toy tradition traditional traffic trap travelled treat treatment tremble trick tried trip trouble
trousers truly trust uncertain uncomfortable understood unfortunately uniform unique unless unusual urgent usual
usually vague vain vanish variety various vase victory view visited visiting voice volume vote voyage waiting
walked walking wall wallet wander warn wash washed waste watched watching wealth wear wearing weave wedding
weird went whenever wherever whisper whistle wicked wire wisdom wise wish wished woke wondered wooden wool
worried worry wound wrap wrinkle yawn
"""
EVERYDAY = tuple(TEXT.split())
