"""What the demonstration model knows: words and small facts. Plain data."""

from random import Random

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon",
    "England": "London", "Ireland": "Dublin", "Austria": "Vienna", "Greece": "Athens", "Poland": "Warsaw",
    "Norway": "Oslo", "Sweden": "Stockholm", "Denmark": "Copenhagen", "Finland": "Helsinki", "Hungary": "Budapest",
    "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi", "Egypt": "Cairo", "Kenya": "Nairobi",
    "Canada": "Ottawa", "Mexico": "Mexico City", "Brazil": "Brasilia", "Peru": "Lima", "Cuba": "Havana",
    "Russia": "Moscow", "Turkey": "Ankara", "Belgium": "Brussels", "Switzerland": "Bern", "Australia": "Canberra",
}
OPPOSITES = {
    "hot": "cold", "big": "small", "up": "down", "left": "right", "day": "night", "black": "white", "old": "new",
    "fast": "slow", "happy": "sad", "high": "low", "open": "closed", "wet": "dry", "hard": "soft", "light": "dark",
    "early": "late", "long": "short", "full": "empty", "good": "bad", "in": "out", "yes": "no", "rich": "poor",
    "strong": "weak", "thick": "thin", "clean": "dirty", "near": "far", "first": "last", "above": "below",
    "loud": "quiet", "warm": "cool", "young": "aged", "true": "false", "win": "lose", "heavy": "weightless",
    "wide": "narrow", "deep": "shallow", "sweet": "sour", "start": "stop", "push": "pull", "asleep": "awake",
    "always": "never", "summer": "winter", "brave": "afraid", "cheap": "expensive", "easy": "difficult",
}
SOUNDS = {
    "dog": "woof", "cat": "meow", "cow": "moo", "duck": "quack", "sheep": "baa", "pig": "oink", "horse": "neigh",
    "lion": "roar", "bee": "buzz", "snake": "hiss", "owl": "hoot", "frog": "ribbit", "mouse": "squeak",
    "wolf": "howl", "hen": "cluck", "crow": "caw",
}
BABIES = {
    "dog": "puppy", "cat": "kitten", "cow": "calf", "sheep": "lamb", "horse": "foal", "pig": "piglet",
    "duck": "duckling",
    "hen": "chick", "bear": "cub", "frog": "tadpole", "goat": "kid", "goose": "gosling", "kangaroo": "joey",
    "deer": "fawn", "owl": "owlet", "lion": "cub",
}
LEGS = {
    "dog": 4, "cat": 4, "horse": 4, "cow": 4, "bird": 2, "hen": 2, "duck": 2, "person": 2, "spider": 8, "ant": 6,
    "bee": 6, "fly": 6, "beetle": 6, "snake": 0, "fish": 0, "worm": 0, "octopus": 8, "lion": 4, "frog": 4, "sheep": 4,
}
HOMES = {
    "bird": "a nest", "bee": "a hive", "dog": "a kennel", "horse": "a stable", "spider": "a web", "fish": "the water",
    "bear": "a den", "rabbit": "a burrow", "ant": "an anthill", "pig": "a sty", "whale": "the sea",
    "camel": "the desert",
    "monkey": "the jungle", "penguin": "the cold south", "owl": "a tree", "fox": "a den",
}
FOODS = {
    "cow": "grass", "cat": "fish and mice", "rabbit": "carrots", "monkey": "bananas", "panda": "bamboo", "lion": "meat",
    "mouse": "cheese", "squirrel": "nuts", "bee": "nectar", "horse": "hay", "sheep": "grass", "bear": "honey and fish",
    "dog": "meat and bones", "owl": "mice", "frog": "flies", "whale": "tiny sea animals",
}
COLOURS_OF = {
    "the sky": "blue", "grass": "green", "snow": "white", "a banana": "yellow", "a lemon": "yellow", "blood": "red",
    "a tomato": "red", "a carrot": "orange", "coal": "black", "the sun": "yellow", "milk": "white", "a leaf": "green",
    "the sea": "blue", "chocolate": "brown", "a strawberry": "red", "an elephant": "grey", "the night": "black",
    "a flamingo": "pink", "a frog": "green", "a plum": "purple", "a polar bear": "white", "a cherry": "red",
}
COLOURS = (
    "red", "blue", "green", "yellow", "orange", "purple", "pink", "brown", "black", "white", "grey", "gold", "silver",
    "turquoise", "violet", "cyan", "beige", "crimson", "lilac", "teal", "amber", "indigo", "maroon", "olive", "scarlet",
)
KINDS = {
    "an animal": ("dog", "cat", "horse", "lion", "rabbit", "whale", "owl", "frog", "tiger", "mouse"),
    "a fruit": ("apple", "banana", "cherry", "lemon", "orange", "pear", "plum", "grape", "peach", "mango"),
    "a vegetable": ("carrot", "potato", "onion", "cabbage", "pea", "bean", "leek", "spinach"),
    "a colour": ("red", "blue", "green", "yellow", "purple", "pink", "brown", "black", "white"),
    "a tool": ("hammer", "saw", "drill", "spanner", "screwdriver", "spade", "rake"),
    "a country": ("France", "Italy", "Japan", "Brazil", "Egypt", "Norway", "Canada", "Peru"),
    "a city": ("Paris", "London", "Rome", "Tokyo", "Berlin", "Madrid", "Cairo", "Oslo"),
    "a musical instrument": ("piano", "violin", "drum", "flute", "guitar", "trumpet", "harp"),
    "a piece of furniture": ("table", "chair", "bed", "sofa", "desk", "shelf", "wardrobe"),
    "a vehicle": ("car", "bus", "train", "bicycle", "boat", "truck", "plane"),
    "a drink": ("water", "milk", "tea", "coffee", "juice", "lemonade"),
    "a piece of clothing": ("shirt", "hat", "coat", "sock", "glove", "scarf", "dress"),
}
PLURALS = {
    "dog": "dogs", "cat": "cats", "mouse": "mice", "child": "children", "foot": "feet", "tooth": "teeth",
    "goose": "geese", "man": "men", "woman": "women", "leaf": "leaves", "box": "boxes", "baby": "babies",
    "city": "cities", "knife": "knives", "sheep": "sheep", "bus": "buses", "story": "stories", "house": "houses",
    "wolf": "wolves", "tree": "trees", "fox": "foxes", "book": "books",
}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)
SEASONS = ("spring", "summer", "autumn", "winter")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)
AMOUNTS = {
    "days are in a week": ("There are 7 days in a week.", "days does a week have"),
    "months are in a year": ("There are 12 months in a year.", "months does a year have"),
    "hours are in a day": ("There are 24 hours in a day.", "hours does a day have"),
    "minutes are in an hour": ("There are 60 minutes in an hour.", "minutes does an hour have"),
    "seconds are in a minute": ("There are 60 seconds in a minute.", "seconds does a minute have"),
    "seasons are in a year": ("There are 4 seasons in a year.", "seasons does a year have"),
    "letters are in the alphabet": ("There are 26 letters in the alphabet.", "letters does the alphabet have"),
    "sides are on a triangle": ("A triangle has 3 sides.", "sides does a triangle have"),
    "sides are on a square": ("A square has 4 sides.", "sides does a square have"),
    "wheels are on a car": ("A car has 4 wheels.", "wheels does a car have"),
    "wheels are on a bicycle": ("A bicycle has 2 wheels.", "wheels does a bicycle have"),
    "fingers are on a hand": ("A hand has 5 fingers.", "fingers does a hand have"),
    "eggs are in a dozen": ("There are 12 eggs in a dozen.", "eggs does a dozen have"),
    "planets are in the solar system": ("There are 8 planets in the solar system.",
    "planets does the solar system have"),
    "days are in a leap year": ("There are 366 days in a leap year.", "days does a leap year have"),
    "weeks are in a year": ("There are 52 weeks in a year.", "weeks does a year have"),
}
PETS = ("dog", "cat", "rabbit", "hamster", "parrot", "goldfish", "pony", "mouse", "turtle", "canary", "snake", "ferret")
FRUITS = ("apple", "banana", "cherry", "lemon", "orange", "pear", "plum", "grape", "peach", "mango", "melon", "fig")
EDIBLES = (
    "pizza", "pasta", "soup", "rice", "bread", "cheese", "salad", "pancakes", "curry", "noodles", "chocolate",
    "ice cream",
    "potatoes", "apple pie", "fish", "sushi", "tacos", "cake", "beans", "waffles",
)
TOWNS = (
    "Paris", "London", "Rome", "Berlin", "Madrid", "Oslo", "Vienna", "Lisbon", "Dublin", "Prague", "Boston", "Chicago",
    "Toronto", "Sydney", "Tokyo", "Cairo", "Lima", "Zurich", "Hamburg", "Lyon", "Naples", "Bristol", "Leeds", "Turin",
)
JOBS = (
    "teacher", "doctor", "baker", "farmer", "driver", "nurse", "painter", "singer", "writer", "cook", "pilot",
    "gardener",
    "carpenter", "engineer", "student", "lawyer", "dentist", "plumber", "musician", "fisher", "builder", "librarian",
)
HOBBIES = (
    "painting", "reading", "swimming", "running", "cooking", "fishing", "dancing", "chess", "football", "singing",
    "gardening", "cycling", "hiking", "knitting", "tennis", "photography", "skiing", "sailing",
)
COMMON_NAMES = (
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ida", "Jack", "Kate", "Leo", "Mia", "Noah",
    "Olga", "Paul", "Rosa", "Sam", "Tom", "Uma", "Vera", "Will", "Zoe", "Maria", "Peter", "Lucy", "Max", "Nina",
    "Oscar",
    "Lily", "Tim", "Sara", "Ali", "Yuki", "Omar", "Ines", "Hugo", "Eva", "Karl", "Jane", "John", "Mary", "Alice", "Bob",
)
HEADS = (
    "Ba", "Be", "Bri", "Ca", "Che", "Da", "Do", "Dra", "E", "Fa", "Fi", "Flo", "Ga", "Gre", "Ha", "Hi", "I", "Ja", "Jo",
    "Ka", "Ki", "Kra", "La", "Le", "Lo", "Ma", "Me", "Mo", "Na", "Ne", "O", "Pa", "Pe", "Pri", "Ra", "Re", "Ro", "Sa",
    "Se", "Sta", "Ta", "Te", "Tri", "U", "Va", "Vi", "Wa", "We", "Ya", "Za", "Zi", "Quin", "Tho", "Sho",
)
MIDDLES = (
    "", "", "", "la", "ri", "no", "mi", "da", "ru", "vo", "ne", "ka", "ti", "so", "bel", "ran", "mo", "li", "gu", "fe",
    "zo", "xa", "pi", "wen", "del", "ja", "thu",
)
TAILS = (
    "n", "ra", "la", "s", "th", "na", "lo", "rik", "ma", "ne", "ton", "ssa", "vin", "da", "ro", "x", "ria", "lle", "m",
    "bert", "ko", "ni", "ya", "dra", "l", "go", "ta", "ck", "ver", "lin",
)
# Kept out of every corpus: the questions of the examination use these.
HELD_OUT_NAMES = (
    "Wendolin", "Jorvath", "Quillby", "Marzena", "Tobrik", "Yolvane", "Pernilka", "Ozgrim", "Lathisha", "Brunhew",
    "Xandorel", "Fennimay", "Ulpher", "Skadi", "Dovrent", "Mirabelga",
)


def a(noun: str) -> str:
    return ("an " if noun[0].lower() in "aeiou" else "a ") + noun


def name(rng: Random) -> str:
    """A first name: now and then a common one, mostly one of tens of thousands put together from syllables."""
    while True:
        if rng.random() < 0.2:
            made = rng.choice(COMMON_NAMES)
        else:
            made = rng.choice(HEADS) + rng.choice(MIDDLES) + rng.choice(MIDDLES[3:] + ("",) * 20) + rng.choice(TAILS)
            if rng.random() < 0.3:
                made = made[0] + "".join(rng.choice(LETTERS) for _ in range(rng.randint(2, 7)))
        if made not in HELD_OUT_NAMES and len(made) > 2:
            return made
