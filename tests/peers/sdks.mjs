// The official SDKs for Node.js as agents use them: one question whole, one streamed, one counted, models listed, an error.
// Told: base (the gateway's address), key, and of which vendor (anthropic, bedrock, foundry, vertex or openai).
import { readFileSync } from 'node:fs';
import { AnthropicBedrock } from '@anthropic-ai/bedrock-sdk';
import { AnthropicFoundry } from '@anthropic-ai/foundry-sdk';
import Anthropic from '@anthropic-ai/sdk';
import { AnthropicVertex } from '@anthropic-ai/vertex-sdk';
import OpenAI from 'openai';

const told = JSON.parse(readFileSync(0, 'utf8'));
const messages = [{ role: 'user', content: 'hello' }];

async function refused(ask) {
  try {
    await ask();
  } catch (error) {
    return { name: error.constructor.name, status: error.status, message: error.message };
  }
  return null;
}

async function asked(connect, counts) {
  const client = connect(told.key);
  const question = { model: told.model, max_tokens: 64, messages };
  const whole = await client.messages.create(question);
  const streamed = await client.messages.stream(question).finalMessage();
  const counted = counts ? await client.messages.countTokens({ model: told.model, messages }) : null;
  return {
    whole: { text: whole.content[0].text, usage: whole.usage },
    streamed: { text: streamed.content[0].text, usage: streamed.usage },
    counted: counted?.input_tokens ?? 0,
    refused: await refused(() => connect('nobody').messages.create(question)),
  };
}

async function anthropic() {
  const connect = (apiKey) => new Anthropic({ baseURL: told.base, apiKey, maxRetries: 0 });
  const listed = [];
  for await (const model of connect(told.key).models.list()) listed.push(model.id);
  return { ...(await asked(connect, true)), listed };
}

function bedrock() {
  return asked((apiKey) => new AnthropicBedrock({ baseURL: told.base, apiKey, maxRetries: 0 }), false);
}

function foundry() {
  return asked((apiKey) => new AnthropicFoundry({ baseURL: `${told.base}/anthropic`, apiKey, maxRetries: 0 }), true);
}

function vertex() {
  const options = { baseURL: told.base, region: 'global', projectId: 'p', maxRetries: 0 };
  const signIn = (key) => ({ getRequestHeaders: async () => new Headers({ authorization: `Bearer ${key}` }) });
  return asked((key) => new AnthropicVertex({ ...options, authClient: signIn(key) }), true);
}

async function openai() {
  const options = { baseURL: `${told.base}/v1`, apiKey: told.key, maxRetries: 0 };
  const client = new OpenAI(options);
  const question = { model: told.model, messages };
  const whole = await client.chat.completions.create(question);
  const pieces = [];
  let usage = null;
  const asked = { ...question, stream: true, stream_options: { include_usage: true } };
  for await (const chunk of await client.chat.completions.create(asked)) {
    pieces.push(chunk.choices[0]?.delta?.content ?? '');
    usage = chunk.usage ?? usage;
  }
  const response = await client.responses.create({ model: told.model, input: 'hello' });
  const stranger = new OpenAI({ ...options, apiKey: 'nobody' });
  return {
    whole: whole.choices[0].message.content,
    streamed: pieces.join(''),
    usage,
    response: response.output_text,
    refused: await refused(() => stranger.chat.completions.create(question)),
  };
}

console.log(JSON.stringify(await { anthropic, bedrock, foundry, vertex, openai }[told.vendor]()));
