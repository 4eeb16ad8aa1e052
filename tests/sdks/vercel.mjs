// Vercel's AI SDK, with each of its adapters that can be led here.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, isStepCount, jsonSchema, Output, streamText, tool } from "ai";

const STEPS_MAX = 5;
const openai = (at) => createOpenAI({ baseURL: `${at.url}/v1`, apiKey: at.key });
const google = (at) => createGoogle({ baseURL: `${at.url}/v1beta`, apiKey: at.key });
const compatible = (at) =>
  createOpenAICompatible({
    name: "harbour",
    baseURL: `${at.url}/v1`,
    apiKey: at.key,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });

function wordsOf(model, ask) {
  const content = [{ type: "text", text: ask.text }];
  if (ask.image) content.push({ type: "file", data: ask.image, mediaType: "image/png" });
  const words = {
    model,
    instructions: ask.system,
    messages: [{ role: "user", content }],
    maxOutputTokens: ask.tokens,
    maxRetries: 0,
  };
  if (ask.tools) {
    words.tools = Object.fromEntries(
      ask.tools.map(({ name, description, schema }) => [
        name,
        tool({ description, inputSchema: jsonSchema(schema), execute: () => ask.results[name] }),
      ]),
    );
    words.stopWhen = isStepCount(STEPS_MAX);
  }
  if (ask.schema) {
    words.output = Output.object({ schema: jsonSchema(ask.schema) });
    words.providerOptions = { anthropic: { structuredOutputMode: "outputFormat" } }; // else by the model's name
  }
  return words;
}

async function streamed(words) {
  const result = streamText({ ...words, onError: () => {} });
  for await (const part of result.fullStream) if (part.type === "error") throw part.error;
  return { steps: await result.steps, output: words.output && (await result.output) };
}

const asking = (named) => async (at, ask) => {
  const words = wordsOf(named(at), ask);
  const { steps } = at.stream ? await streamed(words) : await generateText(words);
  return steps.map((step) => ({
    model: step.response.modelId,
    text: step.text,
    calls: step.toolCalls.map((call) => ({ id: call.toolCallId, name: call.toolName, arguments: call.input })),
    finish: step.finishReason,
    tokens: [step.usage.inputTokens, step.usage.outputTokens],
  }));
};

const embedding = (named) => async (at, values) =>
  (await embedMany({ model: named(at), values, maxRetries: 0 })).embeddings;

export default {
  "vercel-openai": {
    ask: asking((at) => openai(at)(at.model)),
    embed: embedding((at) => openai(at).embedding(at.model)),
  },
  "vercel-openai-chat": { ask: asking((at) => openai(at).chat(at.model)) },
  "vercel-openai-compatible": {
    ask: asking((at) => compatible(at)(at.model)),
    embed: embedding((at) => compatible(at).embeddingModel(at.model)),
  },
  "vercel-anthropic": {
    ask: asking((at) => createAnthropic({ baseURL: `${at.url}/v1`, apiKey: at.key })(at.model)),
  },
  "vercel-google": {
    ask: asking((at) => google(at)(at.model)),
    embed: embedding((at) => google(at).embedding(at.model)),
  },
};
