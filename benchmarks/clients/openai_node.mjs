// The official `openai` Node client against `coalm-lite serve`: a tool-calling conversation, in one piece and streamed.
//
//   npm install openai            // in a folder of its own; copy this file and town_tools.json there
//   node openai_node.mjs URL KEY
//
// Prints one JSON line; exit code 1 where something is not as it must be.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { VERSION } from 'openai/version';

const [url, key] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
const tools = JSON.parse(readFileSync(new URL('town_tools.json', import.meta.url)));
const wanted = { area: 'north', pricerange: 'cheap', parking: true };
const hotel = { name: 'Juniper Lodge', type: 'guest house', area: 'north', pricerange: 'cheap', stars: 2 };
Object.assign(hotel, { parking: true, internet: true, phone: '01632 960102' });
const found = JSON.stringify({ count: 1, hotels: [hotel] });
const first = [{ role: 'user', content: 'a cheap hotel in the north with parking' }];
const model = 'nano';

const whole = (await client.chat.completions.create({ model, messages: first, tools })).choices[0];
assert.equal(whole.finish_reason, 'tool_calls');
const [call] = whole.message.tool_calls;
assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ['find_hotels', wanted]);
const second = [...first, whole.message, { role: 'tool', tool_call_id: call.id, content: found }];
const answer = (await client.chat.completions.create({ model, messages: second, tools })).choices[0];
assert.match(answer.message.content, /Juniper Lodge/);

const stream = client.chat.completions.stream({ model, messages: first, tools, stream_options: { include_usage: true } });
const streamed = (await stream.finalChatCompletion()).choices[0].message;
assert.deepEqual(JSON.parse(streamed.tool_calls[0].function.arguments), wanted);
let said = '';
for await (const chunk of await client.chat.completions.create({ model, messages: second, tools, stream: true })) {
  said += chunk.choices[0]?.delta?.content ?? '';
}
assert.equal(said, answer.message.content);

const runner = client.chat.completions.runTools({
  model,
  messages: first,
  tools: [{ type: 'function', function: { ...tools.find((t) => t.function.name === 'find_hotels').function, function: () => found, parse: JSON.parse } }],
});
assert.match(await runner.finalContent(), /Juniper Lodge/);

await assert.rejects(client.chat.completions.create({ model, messages: first, n: 2 }), OpenAI.BadRequestError);
await assert.rejects(new OpenAI({ baseURL: url, apiKey: 'wrong' }).models.list(), OpenAI.AuthenticationError);
console.log(JSON.stringify({ client: `openai ${VERSION} (Node ${process.version})`, parts: 6, passed: true }));
