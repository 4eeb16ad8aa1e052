// Google's SDK.

import { GoogleGenAI } from "@google/genai";
import { converse, listed } from "./turns.mjs";

const client = (at) => new GoogleGenAI({ apiKey: at.key, httpOptions: { baseUrl: at.url } });

async function ask(at, ask) {
  const api = client(at).models;
  const parts = [{ text: ask.text }];
  if (ask.image) parts.push({ inlineData: { mimeType: "image/png", data: ask.image } });
  const contents = [{ role: "user", parts }];
  const config = { systemInstruction: ask.system, maxOutputTokens: ask.tokens };
  if (ask.tools) {
    const functionDeclarations = ask.tools.map(({ name, description, schema }) => ({
      name,
      description,
      parametersJsonSchema: schema,
    }));
    config.tools = [{ functionDeclarations }];
  }
  if (ask.schema) Object.assign(config, { responseMimeType: "application/json", responseJsonSchema: ask.schema });
  const say = async () => {
    const words = { model: at.model, contents, config };
    const chunks = [];
    if (at.stream) for await (const chunk of await api.generateContentStream(words)) chunks.push(chunk);
    else chunks.push(await api.generateContent(words));
    const said = chunks.flatMap((chunk) => chunk.candidates?.[0]?.content?.parts ?? []);
    contents.push({ role: "model", parts: said });
    const text = said.filter((part) => part.text && !part.thought).map((part) => part.text);
    const calls = said
      .filter((part) => part.functionCall)
      .map(({ functionCall: { id, name, args } }) => ({ id, name, arguments: args }));
    const last = chunks.at(-1);
    const usage = last.usageMetadata;
    const tokens = [usage.promptTokenCount, usage.candidatesTokenCount + (usage.thoughtsTokenCount ?? 0)];
    const finish = last.candidates[0].finishReason;
    return { model: last.modelVersion, text: text.join(""), calls, finish, tokens };
  };
  return converse(ask.results, say, (given) => {
    const results = given.map(({ id, name, result }) => ({ functionResponse: { id, name, response: { result } } }));
    contents.push({ role: "user", parts: results });
  });
}

async function count(at, text) {
  return (await client(at).models.countTokens({ model: at.model, contents: text })).totalTokens;
}

async function embed(at, texts) {
  const { embeddings } = await client(at).models.embedContent({ model: at.model, contents: texts });
  return embeddings.map((each) => each.values);
}

const models = async (at) => (await listed(await client(at).models.list())).map((name) => name.replace("models/", ""));

export default { google: { ask, count, embed, models } };
