// npm oidc-provider as a token endpoint to measure, with a store in memory. Told {count, key}: how many
// sign-ins, and the public key of the client that authenticates by signed JWTs.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import Provider from 'oidc-provider';

const told = JSON.parse((await process.stdin.toArray()).join(''));
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;
const resource = `${issuer}/api`;
const secret = randomBytes(24).toString('hex');

// Its own store in memory forgets all but a thousand entries, and walks through every token of a grant at each rotation.
const stored = new Map();
const ofGrant = new Map();

class Store {
  constructor(model) { this.model = model; }

  key(id) { return `${this.model}:${id}`; }

  async upsert(id, payload) {
    stored.set(this.key(id), payload);
    if (!payload.grantId) return;
    if (!ofGrant.has(payload.grantId)) ofGrant.set(payload.grantId, new Set());
    ofGrant.get(payload.grantId).add(this.key(id));
  }

  async find(id) { return stored.get(this.key(id)); }

  async consume(id) { stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }

  async destroy(id) { stored.delete(this.key(id)); }

  async revokeByGrantId(id) { for (const key of ofGrant.get(id) ?? []) stored.delete(key); }
}

console.warn = console.info = console.error = () => {};
const provider = new Provider(issuer, {
  adapter: Store,
  clients: [
    {
      client_id: 'public', token_endpoint_auth_method: 'none', redirect_uris: ['http://127.0.0.1:1/callback'],
      grant_types: ['authorization_code', 'refresh_token'], application_type: 'native',
    },
    {
      client_id: 'service', client_secret: secret, redirect_uris: [], response_types: [],
      grant_types: ['client_credentials'],
    },
    {
      client_id: 'workload', token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256',
      jwks: { keys: [told.key] }, redirect_uris: [], response_types: [], grant_types: ['client_credentials'],
    },
  ],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' }] },
  scopes: ['openid', 'offline_access', 'models:use'],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  rotateRefreshToken: true,
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'models:use', audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  findAccount: async (context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});
const client = await provider.Client.find('public');
const refreshTokens = [];
for (let number = 0; number < told.count; number += 1) {
  const grant = new provider.Grant({ accountId: 'ada', clientId: 'public' });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(resource, 'models:use');
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    client, accountId: 'ada', grantId, scope: 'openid offline_access models:use', resource, gty: 'authorization_code',
    authTime: Math.floor(Date.now() / 1000), iiat: Math.floor(Date.now() / 1000), rotations: 0,
  });
  refreshTokens.push(await token.save());
}
server.on('request', provider.callback());
console.log(JSON.stringify({ issuer, refresh_tokens: refreshTokens, client_id: 'service', client_secret: secret }));
