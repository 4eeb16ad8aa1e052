// What OpenAI's SDK does beside answers: pictures, sound and judgements. Bytes come and go in base64.

import { toFile } from "openai";

const file = ({ name, data, type }) => toFile(Buffer.from(data, "base64"), name, { type });

async function all(stream) {
  const events = [];
  for await (const each of stream) events.push(each);
  return events;
}

export const media = (client) => ({
  draw: async (at, words) =>
    at.stream
      ? await all(await client(at).images.generate({ model: at.model, ...words, stream: true }))
      : (await client(at).images.generate({ model: at.model, ...words })).data,
  edit: async (at, { image, mask, ...words }) => {
    const files = { image: await Promise.all(image.map(file)), mask: await file(mask) };
    return (await client(at).images.edit({ model: at.model, ...files, ...words })).data;
  },
  transcribe: async (at, { sound, ...words }) => {
    const asked = { model: at.model, file: await file(sound), ...words };
    const { transcriptions } = client(at).audio;
    return at.stream ? await all(await transcriptions.create({ ...asked, stream: true })) : await transcriptions.create(asked);
  },
  translate: async (at, { sound, ...words }) =>
    client(at).audio.translations.create({ model: at.model, file: await file(sound), ...words }),
  speak: async (at, words) => {
    const response = await client(at).audio.speech.create({ model: at.model, ...words });
    return Buffer.from(await response.arrayBuffer()).toString("base64");
  },
  compact: async (at, words) => (await client(at).responses.compact({ model: at.model, ...words })).output,
  moderate: async (at, words) => (await client(at).moderations.create({ model: at.model, ...words })).results,
});
