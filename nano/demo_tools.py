"""The demo tools as a prompt shows them: names and parameter names, in the order of coalm_lite.demo."""

from __future__ import annotations

from nano.examples import tool

DEMO_TOOLS = (
    tool(
        "find_hotels",
        ("area", "pricerange", "type", "stars", "parking", "internet", "name"),
        "Find hotels and guest houses.",
    ),
    tool("book_hotel", ("name", "people", "day", "stay"), "Book a stay at a hotel."),
    tool("find_restaurants", ("area", "pricerange", "food", "name"), "Find restaurants."),
    tool("book_restaurant", ("name", "people", "day", "time"), "Book a table at a restaurant."),
    tool("find_attractions", ("area", "type", "name"), "Find things to see."),
    tool("find_trains", ("departure", "destination", "day", "leave_at", "arrive_by"), "Find trains."),
    tool("book_train", ("departure", "destination", "day", "leave_at", "people"), "Book seats on a train."),
    tool("book_taxi", ("departure", "destination", "leave_at", "arrive_by"), "Book a taxi."),
    tool("my_bookings", (), "List the bookings made so far."),
)
