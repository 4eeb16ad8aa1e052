// LangChain's chat models.

import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { ChatGoogleGenerativeAI, GoogleGenerativeAIEmbeddings } from "@langchain/google-genai";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { converse, dataUrl } from "./turns.mjs";

const openai = (at, ask, more) =>
  new ChatOpenAI({
    model: at.model,
    apiKey: at.key,
    configuration: { baseURL: `${at.url}/v1` },
    maxRetries: 0,
    maxTokens: ask.tokens,
    ...more,
  });
const anthropic = (at, ask) =>
  new ChatAnthropic({ model: at.model, apiKey: at.key, anthropicApiUrl: at.url, maxRetries: 0, maxTokens: ask.tokens });
const google = (at, ask) =>
  new ChatGoogleGenerativeAI({
    model: at.model,
    apiKey: at.key,
    baseUrl: at.url,
    maxRetries: 0,
    maxOutputTokens: ask.tokens,
  });

const asking = (named) => async (at, ask) => {
  const content = [{ type: "text", text: ask.text }];
  if (ask.image) content.push({ type: "image_url", image_url: { url: dataUrl(ask.image) } });
  const history = [new SystemMessage(ask.system), new HumanMessage({ content })];
  let model = named(at, ask);
  if (ask.tools) model = model.bindTools(ask.tools);
  if (ask.schema) {
    const structured = model.withStructuredOutput(ask.schema, { name: "answer", method: "jsonSchema", includeRaw: true });
    const { raw, parsed } = await structured.invoke(history);
    return [{ ...turn(raw), text: JSON.stringify(parsed) }];
  }
  const say = async () => {
    const message = at.stream ? await joined(await model.stream(history)) : await model.invoke(history);
    history.push(message);
    return turn(message);
  };
  return converse(ask.results, say, (given) =>
    history.push(
      ...given.map(({ id, name, result }) => new ToolMessage({ tool_call_id: id, name, content: result })),
    ),
  );
};

async function joined(stream) {
  let whole;
  for await (const chunk of stream) whole = whole ? whole.concat(chunk) : chunk;
  return whole;
}

function turn(message) {
  const told = { ...message.additional_kwargs, ...message.response_metadata };
  const usage = message.usage_metadata;
  return {
    model: told.model_name ?? told.model ?? null,
    text: message.text,
    calls: message.tool_calls.map(({ id, name, args }) => ({ id, name, arguments: args })),
    finish: told.finish_reason ?? told.stop_reason ?? told.finishReason ?? told.status ?? null,
    tokens: [usage.input_tokens, usage.output_tokens],
  };
}

const openaiEmbed = (at, texts) =>
  new OpenAIEmbeddings({ model: at.model, apiKey: at.key, configuration: { baseURL: `${at.url}/v1` } }).embedDocuments(
    texts,
  );
const googleEmbed = (at, texts) =>
  new GoogleGenerativeAIEmbeddings({ model: at.model, apiKey: at.key, baseUrl: at.url }).embedDocuments(texts);

export default {
  "langchain-openai": { ask: asking((at, ask) => openai(at, ask, {})), embed: openaiEmbed },
  "langchain-openai-responses": { ask: asking((at, ask) => openai(at, ask, { useResponsesApi: true })) },
  "langchain-anthropic": { ask: asking(anthropic) },
  "langchain-google": { ask: asking(google), embed: googleEmbed },
};
