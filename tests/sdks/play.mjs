// One line of JSON in: {sdk, task, at: {url, key, model, stream}, what}; one out: {said} or {error}.

import { createInterface } from "node:readline";
import anthropic from "./anthropic.mjs";
import google from "./google.mjs";
import langchain from "./langchain.mjs";
import openai from "./openai.mjs";
import vercel from "./vercel.mjs";

const SDKS = { ...openai, ...anthropic, ...google, ...vercel, ...langchain };

// Google's older SDK leaves a promise behind when a stream fails.
process.on("unhandledRejection", () => {});

const failure = (error) => ({
  name: error.constructor.name,
  message: String(error.message),
  status: error.status ?? error.statusCode ?? null,
});

for await (const line of createInterface({ input: process.stdin })) {
  const { sdk, task, at, what } = JSON.parse(line);
  let answer;
  try {
    answer = { said: await SDKS[sdk][task](at, what) };
  } catch (error) {
    answer = { error: failure(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0); // whatever a broken stream has left open
