import asyncio
from typing import Literal

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

set_tracing_disabled(True)  # else every run is sent to OpenAI
client = AsyncOpenAI(base_url="http://HOST:8080/v1", api_key="KEY")


@function_tool
def get_weather(city: Literal["Oslo", "Paris"]) -> str:
    """The weather in a city."""
    print(f"tool: get_weather({city})")
    return f"It rains in {city}, at 7 degrees."


async def run(model):
    agent = Agent(name="helper", instructions="Answer in one sentence.", model=model)
    print("chat:", (await Runner.run(agent, "Say hello.")).final_output)
    print("stream:", end=" ")
    async for event in Runner.run_streamed(agent, "Say hello.").stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            print(event.data.delta, end="", flush=True)
    print()
    # After the first call the SDK goes back to "auto".
    agent = agent.clone(tools=[get_weather], model_settings=ModelSettings(tool_choice="required"))
    print("answer:", (await Runner.run(agent, "What is the weather in Oslo?")).final_output)


async def main():
    print("models:", [model.id async for model in client.models.list()])
    await run(OpenAIChatCompletionsModel(model="MODEL", openai_client=client))
    await run(OpenAIResponsesModel(model="MODEL", openai_client=client))


asyncio.run(main())
