import asyncio
from typing import Literal

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike

model = OpenAILike(
    model="MODEL",
    api_base="http://HOST:8080/v1",
    api_key="KEY",
    is_chat_model=True,
    is_function_calling_model=True,
    strict=True,
    context_window=4096,
    max_tokens=100,
)
print("chat:", model.complete("Say hello.").text)
print("stream:", end=" ")
for chunk in model.stream_complete("Say hello."):
    print(chunk.delta, end="", flush=True)
print()


def get_weather(city: Literal["Oslo", "Paris"]) -> str:
    """The weather in a city."""
    print(f"tool: get_weather({city})")
    return f"It rains in {city}, at 7 degrees."


async def main():
    agent = FunctionAgent(tools=[get_weather], llm=model, initial_tool_choice="required")
    print("answer:", await agent.run("What is the weather in Oslo?"))


asyncio.run(main())
