// OpenAI's SDK, in both of its formats.

import OpenAI from "openai";
import { media } from "./media.mjs";
import { converse, dataUrl, listed } from "./turns.mjs";

const client = (at) => new OpenAI({ baseURL: `${at.url}/v1`, apiKey: at.key, maxRetries: 0 });
const models = (at) => listed(client(at).models.list());

async function embed(at, texts) {
  const { data } = await client(at).embeddings.create({ model: at.model, input: texts });
  return data.map((each) => each.embedding);
}

async function chat(at, ask) {
  const { completions } = client(at).chat;
  const seen = [{ type: "text", text: ask.text }, { type: "image_url", image_url: { url: dataUrl(ask.image) } }];
  const messages = [
    { role: "system", content: ask.system },
    { role: "user", content: ask.image ? seen : ask.text },
  ];
  const words = { model: at.model, messages, max_completion_tokens: ask.tokens };
  if (ask.tools) {
    words.tools = ask.tools.map(({ name, description, schema }) => ({
      type: "function",
      function: { name, description, parameters: schema },
    }));
  }
  if (ask.schema) {
    words.response_format = { type: "json_schema", json_schema: { name: "answer", schema: ask.schema, strict: true } };
  }
  const say = async () => {
    const final = at.stream
      ? await completions.stream({ ...words, stream_options: { include_usage: true } }).finalChatCompletion()
      : await completions.create(words);
    const [{ message, finish_reason: finish }] = final.choices;
    messages.push(message);
    const calls = (message.tool_calls ?? []).map((call) => ({
      id: call.id,
      name: call.function.name,
      arguments: JSON.parse(call.function.arguments),
    }));
    const tokens = [final.usage.prompt_tokens, final.usage.completion_tokens];
    return { model: final.model, text: message.content ?? "", calls, finish, tokens };
  };
  return converse(ask.results, say, (given) =>
    messages.push(...given.map(({ id, result }) => ({ role: "tool", tool_call_id: id, content: result }))),
  );
}

async function responses(at, ask) {
  const api = client(at).responses;
  const content = [{ type: "input_text", text: ask.text }];
  if (ask.image) content.push({ type: "input_image", detail: "auto", image_url: dataUrl(ask.image) });
  const input = [{ role: "user", content }];
  const words = { model: at.model, instructions: ask.system, input, max_output_tokens: ask.tokens };
  if (ask.tools) {
    words.tools = ask.tools.map(({ name, description, schema }) => ({
      type: "function",
      name,
      description,
      parameters: schema,
      strict: false,
    }));
  }
  if (ask.schema) {
    words.text = { format: { type: "json_schema", name: "answer", schema: ask.schema, strict: true } };
  }
  const say = async () => {
    const final = at.stream ? await api.stream(words).finalResponse() : await api.parse(words);
    input.push(...final.output);
    const calls = final.output
      .filter((item) => item.type === "function_call")
      .map((item) => ({ id: item.call_id, name: item.name, arguments: JSON.parse(item.arguments) }));
    const tokens = [final.usage.input_tokens, final.usage.output_tokens];
    return { model: final.model, text: final.output_text, calls, finish: final.status, tokens };
  };
  return converse(ask.results, say, (given) =>
    input.push(...given.map(({ id, result }) => ({ type: "function_call_output", call_id: id, output: result }))),
  );
}

export default {
  "openai-chat": { ask: chat, models, embed, ...media(client) },
  "openai-responses": { ask: responses, models, embed },
};
