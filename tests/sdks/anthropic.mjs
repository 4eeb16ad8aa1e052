// Anthropic's SDK.

import Anthropic from "@anthropic-ai/sdk";
import { converse, listed } from "./turns.mjs";

const client = (at) => new Anthropic({ baseURL: at.url, apiKey: at.key, maxRetries: 0 });

async function ask(at, ask) {
  const api = client(at).messages;
  const content = [{ type: "text", text: ask.text }];
  if (ask.image) {
    content.push({ type: "image", source: { type: "base64", media_type: "image/png", data: ask.image } });
  }
  const messages = [{ role: "user", content }];
  const words = { model: at.model, system: ask.system, messages, max_tokens: ask.tokens };
  if (ask.tools) {
    words.tools = ask.tools.map(({ name, description, schema }) => ({ name, description, input_schema: schema }));
  }
  if (ask.schema) words.output_config = { format: { type: "json_schema", schema: ask.schema } };
  const say = async () => {
    const final = at.stream ? await api.stream(words).finalMessage() : await api.create(words);
    messages.push({ role: "assistant", content: final.content });
    const text = final.content.filter((block) => block.type === "text").map((block) => block.text);
    const calls = final.content
      .filter((block) => block.type === "tool_use")
      .map(({ id, name, input }) => ({ id, name, arguments: input }));
    const { usage } = final;
    const prompt = usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
    const tokens = [prompt, usage.output_tokens];
    return { model: final.model, text: text.join(""), calls, finish: final.stop_reason, tokens };
  };
  return converse(ask.results, say, (given) =>
    messages.push({
      role: "user",
      content: given.map(({ id, result }) => ({ type: "tool_result", tool_use_id: id, content: result })),
    }),
  );
}

async function count(at, text) {
  const counted = await client(at).messages.countTokens({ model: at.model, messages: [{ role: "user", content: text }] });
  return counted.input_tokens;
}

export default { anthropic: { ask, count, models: (at) => listed(client(at).models.list()) } };
