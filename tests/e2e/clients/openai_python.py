import json

from openai import OpenAI

client = OpenAI(base_url="http://HOST:8080/v1", api_key="KEY")
print("models:", [model.id for model in client.models.list()])

question = [{"role": "user", "content": "Say hello."}]
answer = client.chat.completions.create(model="MODEL", messages=question, max_tokens=40)
print("chat:", answer.choices[0].message.content)
print("stream:", end=" ")
for chunk in client.chat.completions.create(model="MODEL", messages=question, max_tokens=40, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()


def get_weather(city):
    print(f"tool: get_weather({city})")
    return f"It rains in {city}, at 7 degrees."


city = {"type": "string", "enum": ["Oslo", "Paris"]}
schema = {"type": "object", "properties": {"city": city}, "required": ["city"], "additionalProperties": False}
about = {"name": "get_weather", "description": "The weather in a city", "parameters": schema, "strict": True}
messages = [{"role": "user", "content": "What is the weather in Oslo?"}]
choice = "required"  # "auto" leaves it to the model
while True:
    asked = {"model": "MODEL", "messages": messages, "tools": [{"type": "function", "function": about}]}
    message = client.chat.completions.create(**asked, tool_choice=choice, max_tokens=100).choices[0].message
    if not message.tool_calls:
        break
    messages.append(message)
    for call in message.tool_calls:
        result = get_weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    choice = "auto"
print("answer:", message.content)
