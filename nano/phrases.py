"""The sentences of the synthetic town conversations, all written for this project.

Each tuple holds ways to say one thing; `{...}` are filled by nano/town_talk.py. Plain data, no logic.
"""

# fmt: off
GREETINGS = ("Hi", "Hello", "hello there", "hey", "Good morning", "good evening!", "Hi there!", "hi, how are you?", "Good afternoon.", "hey there, can you help me?", "hello, I'm new in town", "Hi! I need some help.", "hi", "hello", "Hello!", "hey!", "are you there?", "Good day to you")
GREETING_ANSWERS = ("Hello! I can find hotels, restaurants, attractions and trains, and book them for you.", "Hi! What can I look up for you?", "Hello! How can I help you today?")
ABILITY_QUESTIONS = ("What can you do?", "how can you help me", "what do you know?", "who are you?", "help", "what are you able to do for me?", "What kind of things can I ask you?")
ABILITY_ANSWERS = ("I can find and book hotels, restaurants and trains, find attractions, and order a taxi.",)
OFF_TOPIC = ("tell me a joke", "What's the weather like?", "who won the match yesterday?", "Write me a poem.", "what is 12 times 9?", "can you play some music", "What do you think about politics?", "translate good night into French", "do you like football?", "How tall is the tallest mountain?", "set an alarm for seven", "what's the news?", "I'm bored", "it is raining again")
OFF_TOPIC_ANSWERS = ("I'm sorry, I can only help with hotels, restaurants, attractions, trains and taxis.",)
THANKS = ("thanks", "Thank you!", "thank you very much", "Great, thanks.", "thanks a lot, that's all", "That's all, thank you.", "cheers", "Perfect, thank you so much!", "No, that's everything. Thanks!", "that is all I need, thank you", "thanks, bye", "great, thank you for your help", "ok thanks", "Thank you, goodbye.", "wonderful, thanks", "no thanks, that's it", "That will be all.", "No, that's all for today.", "bye", "Goodbye!", "nope, all good", "Lovely, thank you.")
THANKS_ANSWERS = ("You're welcome! Enjoy your stay.", "You're welcome. Have a good day!", "Happy to help. Goodbye!")

OPENERS = ("I need {x}", "I'm looking for {x}", "Can you find me {x}?", "find me {x}", "I'd like {x}", "looking for {x}", "{x}", "{x} please", "{x}, please.", "Do you have {x}?", "We want {x}.", "show me {x}", "Is there {x}?", "Could you look for {x}?", "I want {x}", "Please find {x}.", "I am trying to find {x}", "can you recommend {x}?", "We're after {x}.", "Hello, I need {x}.", "Hi, I'm looking for {x}.", "Hi! {x} please", "got {x}?", "search for {x}", "I would like to find {x}.", "Can I get {x}?", "Any chance of {x}?", "help me find {x}")
FOLLOW_OPENERS = ("I also need {x}.", "And {x}", "Now I need {x}", "Next, {x} please.", "Also {x}", "and {x}, please", "Could you also find me {x}?", "I'm also looking for {x}", "Great. I need {x} too.", "Thanks. Now {x}", "OK, and {x}?", "Then {x}", "Next I want {x}.", "Perfect. And {x}, please.")
BOOK_OPENERS = ("book {x}", "Book me {x}", "Can you book {x}?", "I want to book {x}", "Please reserve {x}", "reserve {x}", "I'd like to book {x}.", "Could you reserve {x} for me?")

AREAS = {
    "north": ("in the north", "in the north of town", "up north", "on the north side", "in the northern part of town", "north"),
    "south": ("in the south", "in the south of town", "on the south side", "in the southern part of town", "south"),
    "east": ("in the east", "in the east of town", "on the east side", "in the eastern part", "east"),
    "west": ("in the west", "in the west of town", "on the west side", "in the western part", "west"),
    "centre": ("in the centre", "in the center", "in the centre of town", "in the city centre", "in town centre", "centrally located", "downtown", "near the centre", "central"),
}
PRICES = {
    "cheap": ("cheap", "inexpensive", "budget", "low cost", "affordable", "cheap"),
    "moderate": ("moderate", "moderately priced", "mid-range", "reasonably priced", "mid priced"),
    "expensive": ("expensive", "upscale", "high-end", "fancy", "luxury", "pricey"),
}
PRICE_TAILS = {
    "cheap": ("that is cheap", "in the cheap price range", "that doesn't cost much"),
    "moderate": ("in the moderate price range", "with moderate prices", "that is moderately priced"),
    "expensive": ("in the expensive price range", "that is expensive"),
}
STAYS = ("hotel", "place to stay", "hotel", "hotel", "room", "somewhere to stay", "hotel room", "place to sleep", "accommodation")
GUEST_HOUSES = ("guest house", "guesthouse", "guest house", "B&B", "bed and breakfast")
PARKING = ("with parking", "with free parking", "that has parking", "with a car park", "where I can park", "and parking", "including parking")
INTERNET = ("with wifi", "with internet", "that has wifi", "with free wifi", "and internet", "with free internet")
FOODS = ("Indian", "Italian", "Chinese", "Thai", "French", "British", "Turkish", "Spanish", "Mexican", "Japanese", "Greek", "Korean", "Vietnamese", "Lebanese", "Mediterranean", "seafood", "vegetarian", "vegan", "Portuguese", "Polish", "Moroccan", "Persian", "Caribbean", "Ethiopian", "gastropub", "European", "international", "steakhouse", "fusion", "Russian")
PLACES_TO_EAT = ("restaurant", "restaurant", "place to eat", "restaurant", "place for dinner", "eatery", "place to dine")
ATTRACTION_TYPES = ("museum", "park", "theatre", "cinema", "college", "boat", "swimming pool", "gallery", "nightclub", "concert hall", "garden", "castle", "church", "market", "architecture", "zoo")
ATTRACTION_WORDS = ("attraction", "place to visit", "place to go", "thing to see", "attraction", "sight", "tourist attraction")

ASK_AREA_ANY = ("any area is fine", "the area doesn't matter", "anywhere is fine", "I don't care about the area", "any part of town will do", "it doesn't have to be there, anywhere works")
ASK_PRICE_ANY = ("the price doesn't matter", "any price is fine", "I don't mind the price", "price is not important")
CHANGES = ("How about {x}?", "what about {x}", "Then try {x}", "ok, {x} then", "could you try {x} instead", "Is there one {x}?", "{x} would be fine too", "Let's try {x}.", "maybe {x}?")

FOUND_HOTEL = ("{name} is a {type} in the {area} with {stars} stars, {pricerange}. Shall I book it for you?", "I found {count}. {name} is a {stars} star {type} in the {area}. Would you like me to book it?", "How about {name}? It is a {type} in the {area}, {pricerange}, with {stars} stars.")
FOUND_RESTAURANT = ("{name} serves {food} food in the {area} and is {pricerange}. Shall I book a table?", "I found {count}. {name} in the {area} serves {food} food. Would you like a table?", "How about {name}? It serves {food} food in the {area}, {pricerange}.")
FOUND_ATTRACTION = ("{name} is in the {area}. The entrance fee is {fee}.", "You could visit {name} in the {area} ({type}). Entrance: {fee}.", "I found {count}. {name} is in the {area}, entrance fee {fee}.")
FOUND_TRAIN = ("There is a train from {departure} to {destination} on {day} at {leave_at}, arriving at {arrive_by}. It costs {price}. Shall I book it?", "A train leaves {departure} at {leave_at} and reaches {destination} at {arrive_by} on {day}, for {price}. Would you like seats?")
FOUND_TRAIN_NO_DAY = ("A train leaves {departure} for {destination} at {leave_at}. Which day do you want to travel?",)
FOUND_NOTHING = ("I'm sorry, I found no {thing} like that. Would you like to try something else?", "There is no {thing} like that. Shall I look for something different?")

BOOKED_HOTEL = ("Booked: {name} for {people} from {day}, {stay} nights. Your reference is {reference}.", "Your stay at {name} is booked. The reference number is {reference}.", "Done! {name}, {stay} nights from {day}. Reference: {reference}.")
BOOKED_RESTAURANT = ("Your table at {name} is booked for {people} on {day} at {time}. The reference is {reference}.", "Booked: {name}, {day} at {time}, {people}. Your reference is {reference}.", "Done! I booked {name} for {day} at {time}. Reference: {reference}.")
BOOKED_TRAIN = ("Booked: {people} on the {leave_at} from {departure} to {destination} on {day}. Your reference is {reference}.", "Your train to {destination} on {day} at {leave_at} is booked for {price}. The reference is {reference}.")
BOOKED_TAXI = ("Your taxi is a {car}, phone {phone}. The reference is {reference}.", "A {car} will take you from {departure} to {destination}. Call {phone} if needed. Reference: {reference}.")
FAILED = ("I'm sorry, that did not work: {error}.", "That was not possible: {error}.")
BOOKINGS_NONE = ("You have no bookings yet.",)
BOOKINGS_SOME = ("You have {count} bookings. The first has the reference {reference}.",)
BOOKINGS_ONE = ("You have one booking, reference {reference}.",)

ASK_HOTEL = "For how many people, from which day and for how many nights?"
ASK_MISSING = {"people": "For how many people?", "day": "For which day?", "stay": "For how many nights?", "time": "At what time?", "destination": "Where do you want to go?", "departure": "Where do you want to leave from?", "when": "When do you want to leave or arrive?"}
ASK_RESTAURANT = "For how many people, on which day and at what time?"

ACCEPT = ("book it", "Yes, please book it", "yes please", "Please book it", "book that one", "Great, book it", "Sounds good, book it", "ok book it", "Yes, book that", "I'll take it", "Perfect, please reserve it", "reserve it", "book a room there", "can you book it", "Could you book it for me", "let's book that", "That works. Book it")
ACCEPT_TABLE = ("book it", "Yes, please book a table", "book a table", "Please reserve a table", "yes please", "Great, book it", "book that one", "can you get me a table", "I'll take it, book a table", "reserve it")
ACCEPT_TRAIN = ("book it", "yes, book it", "Book that train", "yes please", "please book me a seat", "that works, book it", "I'll take it", "Please reserve it", "yes")
NAMED_ACCEPT = ("book {name}", "Please book {name}", "I'd like to book {name}", "I want to stay at {name}", "{name} sounds good, book it", "let's take {name}, please book it", "Can you book {name}?")
DECLINE = ("no thanks", "not now", "No, just looking.", "no, that's fine for now", "I don't need a booking", "no booking needed, thanks", "not yet")
DECLINE_ANSWERS = ("All right. Is there anything else?", "No problem. Anything else I can do?")
OTHER_ONE = ("is there another one?", "anything else?", "What else is there?", "do you have a different one", "show me another", "Something else maybe?", "any other options?")
PHONE = ("what's the phone number?", "Can I have the phone number?", "phone number please", "how can I call them?", "What is their number?", "could you give me the phone number")
PHONE_ANSWERS = ("The phone number of {name} is {phone}.",)
WHICH_AREA = ("which area is it in?", "where is it?", "What part of town is that?")
WHICH_AREA_ANSWERS = ("{name} is in the {area}.",)
BOOKINGS = ("what have I booked?", "show my bookings", "Can you list my bookings?", "my bookings please", "which bookings do I have?", "what are my reservations", "do I have any bookings?", "show me what is booked")
PEOPLE = ("for {n} people", "for {n}", "{n} people", "for {n} persons", "for {n} guests", "there are {n} of us", "we are {n}", "for a party of {n}")
ALONE = ("for one person", "just me", "for 1 person", "only for me", "for one", "for 1", "for myself")
STAY = ("for {n} nights", "{n} nights", "for {n} nights", "staying {n} nights", "and {n} nights")
DAY = ("from {day}", "starting {day}", "on {day}", "starting on {day}", "from {day}", "beginning {day}", "arriving {day}")
ON_DAY = ("on {day}", "{day}", "for {day}", "on {day}", "this {day}", "next {day}")
AT_TIME = ("at {t}", "at {t}", "around {t}", "{t}", "for {t}", "at {t}")
LEAVING = ("after {t}", "leaving after {t}", "departing after {t}", "any time after {t}", "leaving at {t}", "from {t} on", "not before {t}", "at {t}", "that leaves after {t}")
ARRIVING = ("arriving by {t}", "that arrives by {t}", "to get there by {t}", "before {t}", "arriving before {t}", "so that I'm there by {t}")
TRAINS = ("a train", "a train", "train", "a train ticket", "the train", "trains", "a train ride")
TAXIS = ("a taxi", "a cab", "taxi", "a taxi", "a ride")

NAME_ADJECTIVES = ("Old", "New", "Golden", "Silver", "Green", "Blue", "Red", "White", "Black", "Royal", "Quiet", "Little", "Grand", "Sunny", "Stone", "Amber", "Copper", "Crystal", "Lucky", "Happy", "Wild", "Misty", "Bright", "Velvet", "Iron", "Rusty", "Hidden", "Crooked", "Painted", "Merry", "Gentle", "Noble", "Salt", "Honey", "Paper", "Winter", "Summer", "Autumn", "Spring", "Twin", "Seven")
NAME_NOUNS = ("Oak", "Elm", "Ash", "Willow", "Rose", "Lily", "Swan", "Fox", "Hare", "Lion", "Heron", "Falcon", "Raven", "Otter", "Badger", "Anchor", "Bridge", "Mill", "Well", "Gate", "Tower", "Lantern", "Harbour", "River", "Meadow", "Garden", "Orchard", "Crown", "Star", "Moon", "Sun", "Bell", "Wheel", "Barrel", "Kettle", "Spoon", "Table", "Pepper", "Basil", "Saffron", "Ginger", "Olive", "Lemon", "Plum", "Cherry", "Thistle", "Clover", "Fern", "Hazel", "Birch", "Maple", "Cedar", "Harvest", "Quill", "Compass", "Candle", "Feather", "Pearl")
TOWN_STARTS = ("Al", "Bar", "Ben", "Bran", "Cal", "Car", "Den", "Dor", "El", "Fal", "Far", "Gar", "Hal", "Har", "Hob", "Kel", "Lang", "Lin", "Mal", "Mar", "Mel", "Nor", "Oak", "Pen", "Quar", "Ran", "Ros", "Sal", "Sel", "Stan", "Tal", "Thor", "Ul", "Ver", "Wal", "Wen", "Wex", "Yar", "Zel", "Brin", "Clax", "Drum", "Esk")
TOWN_MIDDLES = ("", "", "", "a", "e", "i", "o", "en", "er", "in", "ing", "is", "al", "am")
TOWN_ENDS = ("ton", "ham", "ford", "ley", "bury", "wick", "mere", "don", "field", "by", "worth", "combe", "well", "stead", "port", "gate", "mouth", "low", "marsh", "dale", "brook", "bridge", "cliff", "shaw")
HOTEL_WORDS = ("Hotel", "Lodge", "House", "Inn", "Rooms", "Court", "Arms", "Manor", "Rest", "Place")
EATING_WORDS = ("Kitchen", "Restaurant", "Grill", "House", "Table", "Bistro", "Garden", "Room", "Diner", "Palace", "Tavern", "Corner")
SURNAMES = ("Arbery", "Bonnet", "Castle", "Dray", "Ember", "Flint", "Gable", "Hollin", "Ivers", "Jessop", "Kemble", "Larkin", "Mossman", "Nettle", "Orme", "Pascoe", "Quince", "Rudd", "Sorrel", "Tamsin", "Underhill", "Varley", "Wren", "Yates")
CARS = ("red saloon", "blue estate", "white van", "black saloon", "grey hybrid", "green hatchback", "silver estate", "yellow cab", "white hybrid")
