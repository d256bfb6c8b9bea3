import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://HOST:8080/v1", apiKey: "KEY" });
for await (const model of client.models.list()) console.log("models:", model.id);

const question = [{ role: "user", content: "Say hello." }];
const asked = { model: "MODEL", max_tokens: 100 };
const answer = await client.chat.completions.create({ ...asked, messages: question });
console.log("chat:", answer.choices[0].message.content);
process.stdout.write("stream: ");
for await (const chunk of await client.chat.completions.create({ ...asked, messages: question, stream: true })) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}
console.log();

function getWeather({ city }) {
  console.log(`tool: get_weather(${city})`);
  return `It rains in ${city}, at 7 degrees.`;
}

const parameters = {
  type: "object",
  properties: { city: { type: "string", enum: ["Oslo", "Paris"] } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [
  { type: "function", function: { name: "get_weather", description: "The weather in a city", parameters, strict: true } },
];
const messages = [{ role: "user", content: "What is the weather in Oslo?" }];
const first = await client.chat.completions.create({ ...asked, messages, tools, tool_choice: "required" });
const called = first.choices[0].message;
messages.push(called);
for (const call of called.tool_calls) {
  messages.push({ role: "tool", tool_call_id: call.id, content: getWeather(JSON.parse(call.function.arguments)) });
}
const last = await client.chat.completions.create({ ...asked, messages, tools });
console.log("answer:", last.choices[0].message.content);
