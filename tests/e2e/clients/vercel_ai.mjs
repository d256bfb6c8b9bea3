import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, jsonSchema, streamText, tool } from "ai";

const server = createOpenAICompatible({ name: "fullbatch", baseURL: "http://HOST:8080/v1", apiKey: "KEY" });
const model = server("MODEL");

const answer = await generateText({ model, prompt: "Say hello.", maxOutputTokens: 100 });
console.log("chat:", answer.text);
process.stdout.write("stream: ");
for await (const text of streamText({ model, prompt: "Say hello.", maxOutputTokens: 100 }).textStream) {
  process.stdout.write(text);
}
console.log();

const getWeather = tool({
  description: "The weather in a city",
  strict: true,
  inputSchema: jsonSchema({
    type: "object",
    properties: { city: { type: "string", enum: ["Oslo", "Paris"] } },
    required: ["city"],
    additionalProperties: false,
  }),
  execute: async ({ city }) => {
    console.log(`tool: get_weather(${city})`);
    return `It rains in ${city}, at 7 degrees.`;
  },
});
const called = await generateText({
  model,
  prompt: "What is the weather in Oslo?",
  tools: { get_weather: getWeather },
  prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "auto" }),
  stopWhen: isStepCount(5),
  maxOutputTokens: 100,
});
console.log("answer:", called.text);
