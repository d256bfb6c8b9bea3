import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks GitHub for prices when it is imported

import litellm

server = {"model": "openai/MODEL", "api_base": "http://HOST:8080/v1", "api_key": "KEY", "max_tokens": 100}
question = [{"role": "user", "content": "Say hello."}]
print("chat:", litellm.completion(**server, messages=question).choices[0].message.content)
print("stream:", end=" ")
for chunk in litellm.completion(**server, messages=question, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()


def get_weather(city):
    print(f"tool: get_weather({city})")
    return f"It rains in {city}, at 7 degrees."


city = {"type": "string", "enum": ["Oslo", "Paris"]}
schema = {"type": "object", "properties": {"city": city}, "required": ["city"], "additionalProperties": False}
about = {"name": "get_weather", "description": "The weather in a city", "parameters": schema, "strict": True}
tools = [{"type": "function", "function": about}]
messages = [{"role": "user", "content": "What is the weather in Oslo?"}]
called = litellm.completion(**server, messages=messages, tools=tools, tool_choice="required").choices[0].message
messages.append(called)
for call in called.tool_calls:
    result = get_weather(**json.loads(call.function.arguments))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
print("answer:", litellm.completion(**server, messages=messages, tools=tools).choices[0].message.content)
