// npm oidc-provider (certified) as a company's identity provider. Told {client_id, client_secret, redirect_uri, disabled}.
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import Provider from 'oidc-provider';

const told = JSON.parse((await process.stdin.toArray()).join(''));
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;
const disabled = new Set();

console.warn = console.info = console.error = () => {};
const provider = new Provider(issuer, {
  clients: [{
    client_id: told.client_id,
    client_secret: told.client_secret,
    redirect_uris: [told.redirect_uri],
    grant_types: ['authorization_code', 'refresh_token'],
  }],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' }] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
  pkce: { required: () => true },
  scopes: ['openid', 'offline_access'],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  async findAccount(context, id) {
    if (disabled.has(id)) return undefined;
    return {
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, name: id, groups: ['engineers'] }),
    };
  },
});
const answer = provider.callback();
server.on('request', (request, response) => {
  const [, name] = request.url.split('/disable/');
  if (name === undefined) return answer(request, response);
  disabled.add(name);
  response.end('off');
});
console.log(JSON.stringify({ issuer }));
