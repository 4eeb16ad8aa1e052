// What all SDKs have in common here: a conversation is turns, each {text, calls: [{id, name, arguments}], finish}.

/**
 * `say` asks the model and gives its turn; `answer` puts the results of the turn's calls into the history.
 * Goes on while the model calls tools and there are results (tool's name → text) to give.
 */
export async function converse(results, say, answer) {
  const turns = [await say()];
  while (results && turns.at(-1).calls.length) {
    answer(turns.at(-1).calls.map((call) => ({ ...call, result: results[call.name] })));
    turns.push(await say());
  }
  return turns;
}

export const dataUrl = (image) => `data:image/png;base64,${image}`;

export async function listed(pages) {
  const names = [];
  for await (const each of pages) names.push(each.id ?? each.name);
  return names;
}
