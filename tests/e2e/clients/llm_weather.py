def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}, at 7 degrees."
