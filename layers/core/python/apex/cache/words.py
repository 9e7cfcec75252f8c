"""Closed classes of English words that the cache reasons with.

All lists are small, general and written for this project; none is taken from a data set. Words that only *data* can
supply (the values of a slot) come from admitted plans alone.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> tuple[tuple[str, ...], ...]:
    phrases = [tuple(line.split()) for line in text.strip().splitlines()]
    return tuple(sorted(phrases, key=len, reverse=True))


ARTICLES = _words("a an the")

POLITE_OPENINGS = _phrases("""
    please
    kindly
    hi
    hey
    hello
    hi there
    hello there
    hey there
    good morning
    good evening
    good afternoon
    ok
    okay
    well
    excuse me
    can you
    could you
    would you
    will you
    can you please
    could you please
    would you please
    will you please
    would you mind
    i want to
    i want you to
    i need to
    i need you to
    i would like to
    i would like you to
    i'd like to
    i'd like you to
    i would love to
    i'd love to
    i wish to
    help me
    help me to
    can you help me
    can you help me to
    could you help me
    could you help me to
    go ahead and
""")
"""What may stand before a goal without changing what is asked for."""

POLITE_ENDINGS = _phrases("""
    please
    thanks
    thank you
    thank you very much
    thanks a lot
    for me
    for me please
    asap
    asap please
    right away
    right away please
    now please
    now
    if you can
    if possible
""")
"""What may stand after a goal without changing what is asked for."""

NEGATIONS = _words(
    "not no never don't dont doesn't doesnt didn't didnt won't wont can't cant cannot shouldn't wouldn't isn't isnt "
    "aren't wasn't weren't haven't hasn't without stop nor neither nothing none nobody nowhere"
)

CONJUNCTIONS = _words("and or but nor plus then except excluding unless if when while because so although though &")
QUANTIFIERS = _words(
    "every each all any both either neither everything everyone anything none only just also too more most less least"
)
PRONOUNS = _words(
    "i me my mine myself you your yours he him his she her hers it its we us our they them their this that these those "
    "i'm i'd i'll i've you're it's he's she's that's there there's here someone something somewhere who whom whose "
    "what which where why how what's where's who's how's let let's"
)
PREPOSITIONS = _words(
    "to from in on at by for with within into onto about over under between through until till since before "
    "after during of off "
    "near around via against across along toward towards upon than like as per up down out"
)
AUXILIARIES = _words(
    "is are was were be been being am do does did have has had will would shall should can could may might must gonna "
    "isn't aren't"
)
FUNCTION_WORDS = ARTICLES | CONJUNCTIONS | QUANTIFIERS | PRONOUNS | PREPOSITIONS | AUXILIARIES | NEGATIONS

FILLERS = ARTICLES | _words(
    "some any me my our us i we you can could would will like want wanted need needed help please kindly i'd i'm i'll "
    "am just do go ahead hi hey hello ok okay thanks there's"
)
"""Words that rarely carry the wish itself; templates are found without them, and the difference is then judged."""

FORMS = {
    word: words.split()[0]
    for words in (
        "find finding search searching look looking locate locating seek seeking",
        "show showing display displaying",
        "buy buying purchase purchasing",
        "book booking reserve reserving",
        "start starting begin beginning",
        "get getting obtain obtaining",
        "make making",
        "see seeing",
        "go going",
        "play playing",
        "give giving",
        "tell telling",
        "check checking",
        "schedule scheduling",
    )
    for word in words.split()
}
"""Words of ordering that templates do not tell apart; that they differ is then judged."""

QUESTION_WORDS = _words("what which who whom whose where when why how what's where's who's when's how's whats wheres")
QUESTION_OPENERS = QUESTION_WORDS | AUXILIARIES

NUMBER_WORDS = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fourty fifty sixty seventy eighty ninety hundred thousand million "
    "half dozen couple"
)
ORDINALS = _words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth thirtieth twenty-first twenty-second twenty-third "
    "twenty-fourth twenty-fifth twenty-sixth twenty-seventh twenty-eighth twenty-ninth thirty-first"
)
MONTHS = _words(
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sep sept oct nov dec"
)
DAYS = _words(
    "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun "
    "today tomorrow yesterday tonight weekend weekday christmas easter halloween thanksgiving mondays tuesdays "
    "wednesdays thursdays fridays saturdays sundays"
)
DATE_UNITS = _words("day days week weeks weekend month months year years fortnight decade century")
SEASONS = _words("spring summer autumn winter")
CLOCK = _words(
    "am pm a.m p.m o'clock oclock noon midnight midday morning afternoon evening night breakfast lunch dinner "
    "lunchtime dinnertime noontime dawn dusk sunrise sunset"
)
CLOCK_UNITS = _words("second seconds minute minutes hour hours min mins hr hrs sec secs quarter")
TIME_LINKS = _words(
    "the of next this coming last past following later ago from now in at on after before about around current "
    "same and to till until"
)
TIME_LEADS = _words("on for at")
TIME_DETERMINERS = _words("the next this coming following")
PARTICLE_VERBS = _words("turn turned turning switch switching log sign put go going come carry move look looking ask")
"""Behind these "on" and "for" belong to the verb."""

NEVER_LAST = _words("next last coming past following now please asap thanks thank right just also too again")
"""A value that nobody has used before does not end with these: they belong to what comes next, or to nothing."""

CURRENCIES = _words(
    "dollar dollars usd euro euros eur pound pounds gbp yen jpy cents cent bucks buck rupees rupee inr chf cad aud"
)
