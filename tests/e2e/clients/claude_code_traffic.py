from anthropic import Anthropic

client = Anthropic(base_url="http://HOST:8080", auth_token="KEY")
print("models:", [model.id for model in client.models.list()])

# As Claude Code asks: rules in blocks that are to be cached, many tools, betas, everything as a stream.
kept = {"cache_control": {"type": "ephemeral"}}
system = [
    {"type": "text", "text": "You are a coding agent in a terminal."},
    {"type": "text", "text": "Answer in one sentence. Use the tools. " * 20, **kept},
]
text = {"type": "string"}
path = {"type": "object", "properties": {"path": {"type": "string", "enum": ["notes.txt", "README.md"]}}}
path |= {"required": ["path"], "additionalProperties": False}
command = {"type": "object", "properties": {"command": text, "description": text, "timeout": {"type": "number"}}}
tools = [{"name": "Read", "description": "Reads a file.", "input_schema": path, "strict": True}]
tools += [
    {"name": name, "description": f"Runs {name}.", "input_schema": command | {"required": ["command"]}}
    for name in ("Bash", "Glob", "Grep", "Edit", "Write", "WebFetch", "TodoWrite", "Task")
]
tools[-1] |= kept
asked = {"model": "MODEL", "system": system, "max_tokens": 100, "metadata": {"user_id": "me"}}
asked |= {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}
asked |= {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}
asked |= {"betas": ["claude-code-20250219", "interleaved-thinking-2025-05-14", "context-management-2025-06-27"]}


def ask(messages, **more):
    """One turn: what comes as a stream, and the message that it makes."""
    with client.beta.messages.stream(messages=messages, **asked, **more) as stream:
        print("stream:", "".join(stream.text_stream))
        return stream.get_final_message()


messages = [{"role": "user", "content": [{"type": "text", "text": "What do my notes say?", **kept}]}]
counted = client.beta.messages.count_tokens(model="MODEL", system=system, tools=tools, messages=messages)
print("count:", counted.input_tokens)
print("chat:", client.beta.messages.create(messages=messages, **asked).content[0].text)
# A small model reads no file unless it must; Claude Code leaves the choice to the model.
said = ask(messages, tools=tools, tool_choice={"type": "tool", "name": "Read"})
thought = {"type": "thinking", "thinking": "I have to look into the file.", "signature": "of a turn before"}
messages.append({"role": "assistant", "content": [thought, *said.content]})
results = []
for block in said.content:
    if block.type == "tool_use":
        print(f"tool: {block.name}({block.input['path']})")
        result = [{"type": "text", "text": "1\tBuy milk.\n2\tCall Ada."}]
        results.append({"type": "tool_result", "tool_use_id": block.id, "content": result, **kept})
messages.append({"role": "user", "content": results})
print("answer:", ask(messages, tools=tools).content[0].text)
