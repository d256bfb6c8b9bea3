from typing import Literal

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="MODEL", base_url="http://HOST:8080/v1", api_key="KEY", max_tokens=100)
print("chat:", model.invoke("Say hello.").content)
print("stream:", end=" ")
for chunk in model.stream("Say hello."):
    print(chunk.content, end="", flush=True)
print()


@tool
def get_weather(city: Literal["Oslo", "Paris"]) -> str:
    """The weather in a city."""
    print(f"tool: get_weather({city})")
    return f"It rains in {city}, at 7 degrees."


messages = [HumanMessage("What is the weather in Oslo?")]
called = model.bind_tools([get_weather], tool_choice="required", strict=True).invoke(messages)
messages += [called, *(get_weather.invoke(call) for call in called.tool_calls)]
print("answer:", model.bind_tools([get_weather], strict=True).invoke(messages).content)
